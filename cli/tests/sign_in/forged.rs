//! Answers of Google that must not be believed, and a Google that does not answer.

use loadtest::fake_google::{Api, FaultBody, FaultKind, FaultRule, Wrong};
use shared::store::PgPool;

use crate::setup::{ADA, ALL, setup};

#[sqlx::test(migrator = "shared::store::schema::MIGRATOR")]
async fn an_id_token_that_is_not_good_signs_nobody_in(db: PgPool) {
    let setup = setup(&db).await;
    for wrong in [
        Wrong::Signature,
        Wrong::Unsigned,
        Wrong::Issuer,
        Wrong::Audience,
        Wrong::Expired,
        Wrong::Nonce,
        Wrong::Missing,
    ] {
        setup.google.add_fault(FaultRule::new(FaultKind::IdToken { wrong }).on(Api::Token).times(1)).unwrap();
        let (status, page) = setup.sign_in(ADA, ALL, &[]).await;
        assert_eq!(status, 502, "{wrong:?}: {page}");
        assert!(page.contains("does not prove who you are"), "{wrong:?}: {page}");
        assert_eq!(setup.stored().await, [0; 4], "{wrong:?}");
    }
    let wrong = Wrong::Unverified;
    setup.google.add_fault(FaultRule::new(FaultKind::IdToken { wrong }).on(Api::Token).times(1)).unwrap();
    let (status, page) = setup.sign_in(ADA, ALL, &[]).await;
    assert_eq!(status, 400, "{page}");
    assert!(page.contains("verified e-mail address"), "{page}");
    assert_eq!(setup.stored().await, [0; 4]);
    // Good ones are taken.
    setup.ada().await;
}

#[sqlx::test(migrator = "shared::store::schema::MIGRATOR")]
async fn a_google_in_trouble_is_told_and_nothing_is_stored(db: PgPool) {
    let setup = setup(&db).await;
    let status = |status, body| FaultKind::Status { status, reason: None, retry_after_s: None, body };
    for fault in
        [status(503, FaultBody::Html), status(200, FaultBody::Html), FaultKind::Reset, FaultKind::Truncated]
    {
        // Not of the documents: those are asked for before anybody goes to Google.
        setup.google.add_fault(FaultRule::new(fault.clone()).on(Api::Token).times(1)).unwrap();
        let (status, page) = setup.sign_in(ADA, ALL, &[]).await;
        assert_eq!(status, 502, "{fault:?}: {page}");
        assert!(page.contains("Google cannot be reached"), "{fault:?}: {page}");
    }
    for api in [Api::Discovery, Api::Certs] {
        setup.google.add_fault(FaultRule::new(status(500, FaultBody::Json)).on(api).times(1)).unwrap();
        let link = setup.link(&[]).await;
        let response = crate::person::Person::new().begin(&link).await;
        assert_eq!(response.status().as_u16(), 502, "{api:?}");
    }
    assert_eq!(setup.stored().await, [0; 4]);
    setup.ada().await;
}

//! What is granted, and what is stored of it.

use loadtest::fake_google::{Api, FaultKind, FaultRule};
use serde_json::json;
use shared::{job::Policy, store::PgPool};

use crate::{
    person::{Person, parameter, with_parameter},
    process::{LIMIT, until},
    setup::{ADA, ALL, BOB, EVENTS, LIST, setup},
};

#[sqlx::test(migrator = "shared::store::schema::MIGRATOR")]
async fn case_01_a_code_is_exchanged_with_pkce_and_state_and_only_once(db: PgPool) {
    let setup = setup(&db).await;
    let link = setup.link(&[]).await;
    let person = Person::new();
    let google = person.press(&link).await;
    for (name, value) in [
        ("response_type", "code"),
        ("code_challenge_method", "S256"),
        ("access_type", "offline"),
        ("prompt", "consent"),
        ("include_granted_scopes", "true"),
        ("scope", &format!("openid email {LIST} {EVENTS}")),
    ] {
        assert_eq!(parameter(&google, name), value);
    }
    assert_ne!(parameter(&google, "nonce"), parameter(&google, "state"));
    let back = person.allow(&google, ADA, ALL).await;
    let (status, page) = person.open(&back).await;
    assert_eq!(status, 200, "{page}");
    assert!(page.contains("Your account is connected") && page.contains(ADA), "{page}");

    let account = setup.account(ADA).await;
    let subject = setup.google.world().subject(ADA).unwrap();
    assert_eq!((&account["subject"], &account["tenant"]), (&json!(subject), &json!("acme")));
    assert_eq!(account["not_granted"], json!([]));
    let [refresh, access] = setup.tokens(account["id"].as_i64().unwrap()).await;
    assert!(refresh.unwrap().starts_with("1//fake-") && access.unwrap().starts_with("ya29."));
    let is_there = |policy: &&Policy| policy.per_account.is_some() && policy.api != Some("drive");
    let per_account = worker::jobs::policies().iter().filter(is_there).count();
    let jobs = setup.json(&["job", "ls"]).await;
    assert_eq!(jobs.as_array().unwrap().len(), per_account);
    assert!(jobs.as_array().unwrap().iter().all(|job| job["state"] == "due"), "{jobs}");
    let audited = setup.audited().await;
    let words: Vec<_> =
        audited.iter().map(|(actor, action, target)| [actor.as_str(), action, target]).collect();
    assert_eq!(
        words,
        [
            ["cli:test", "account.connect", "acme"],
            ["sign_in:ada@example.com", "account.add", "acme/ada@example.com"]
        ]
    );

    let stored = setup.stored().await;
    let (status, page) = person.open(&back).await;
    assert_eq!(status, 400, "{page}");
    assert!(page.contains("This sign-in is over"), "{page}");
    assert_eq!(setup.stored().await, stored);
    assert_eq!(setup.google.stats().requests[&Api::Token]["200"], 1, "a reload does not ask Google");
}

#[sqlx::test(migrator = "shared::store::schema::MIGRATOR")]
async fn case_01_a_replayed_or_expired_code_is_told_as_such(db: PgPool) {
    let setup = setup(&db).await;
    let (person, link) = (Person::new(), setup.link(&[]).await);
    let first = person.allow(&person.press(&link).await, ADA, ALL).await;
    assert_eq!(person.open(&first).await.0, 200);
    let stored = setup.stored().await;

    // The code of another sign-in, used or not, is not exchanged: its verifier is another.
    let other = Person::new();
    let unused = other.allow(&other.press(&setup.link(&[]).await).await, BOB, ALL).await;
    for code in [parameter(&first, "code"), parameter(&unused, "code")] {
        let link = setup.link(&[]).await;
        let back = person.allow(&person.press(&link).await, ADA, ALL).await;
        let (status, page) = person.open(&with_parameter(&back, "code", &code)).await;
        assert_eq!(status, 400, "{page}");
        assert!(page.contains("used before, or is too old"), "{page}");
    }
    let link = setup.link(&[]).await;
    let back = person.allow(&person.press(&link).await, BOB, ALL).await;
    setup.google.world().expire_codes();
    let (status, page) = person.open(&back).await;
    assert_eq!(status, 400, "{page}");
    assert!(page.contains("used before, or is too old"), "{page}");
    assert_eq!(setup.stored().await, stored);
    assert_eq!(setup.google.stats().requests[&Api::Token]["400"], 3, "each code is sent once");

    // The link is as good as before.
    let back = person.allow(&person.press(&link).await, BOB, ALL).await;
    assert_eq!(person.open(&back).await.0, 200);
}

#[sqlx::test(migrator = "shared::store::schema::MIGRATOR")]
async fn case_02_a_second_consent_without_a_refresh_token_keeps_the_old_one(db: PgPool) {
    let setup = setup(&db).await;
    let fault = || FaultRule::new(FaultKind::NoRefreshToken).on(Api::Token).times(1);
    setup.google.add_fault(fault()).unwrap();
    let (status, page) = setup.sign_in(ADA, ALL, &[]).await;
    assert_eq!(status, 409, "{page}");
    assert!(page.contains("no lasting access") && page.contains("nothing was stored"), "{page}");
    assert_eq!(setup.stored().await, [0; 4]);

    let id = setup.ada().await;
    let before = setup.tokens(id).await;
    setup.google.add_fault(fault()).unwrap();
    let (status, page) = setup.sign_in(ADA, ALL, &["--account", ADA]).await;
    assert_eq!(status, 200, "{page}");
    let after = setup.tokens(id).await;
    assert_eq!(after[0], before[0], "the refresh token that is stored is kept");
    assert_ne!(after[1], before[1]);

    // It is kept only while it is good.
    setup
        .run_sql(
            "insert into gates (scope, target, reason) select 'account', id::text, 'sign_in' from accounts",
        )
        .await;
    setup.google.add_fault(fault()).unwrap();
    let (status, page) = setup.sign_in(ADA, ALL, &["--account", ADA]).await;
    assert_eq!(status, 409, "{page}");
    assert_eq!(setup.tokens(id).await, after);
}

#[sqlx::test(migrator = "shared::store::schema::MIGRATOR")]
async fn case_03_what_was_left_out_is_shown_and_the_rest_is_kept(db: PgPool) {
    let setup = setup(&db).await;
    let (status, page) = setup.sign_in(ADA, &[LIST], &[]).await;
    assert_eq!(status, 200, "{page}");
    let shared = |what: &str, word: &str| page.contains(&format!("<b>{what}</b><span class=\"{word}\">"));
    assert!(shared("The list of calendars", "yes") && shared("The events of calendars", "no"), "{page}");
    let account = setup.account(ADA).await;
    assert_eq!(account["not_granted"], json!(["the events of calendars"]));
    assert_eq!(account["scopes"], json!(["openid", "email", LIST]));

    // Nothing at all is as good as a refusal.
    let stored = setup.stored().await;
    let (status, page) = setup.sign_in(BOB, &[], &[]).await;
    assert_eq!(status, 200, "{page}");
    assert!(page.contains("Nothing was shared") && page.contains("ticked nothing"), "{page}");
    assert_eq!(setup.stored().await, stored);
}

#[sqlx::test(migrator = "shared::store::schema::MIGRATOR")]
async fn case_10_another_account_than_expected_is_refused_and_keeps_its_own_grants(db: PgPool) {
    let setup = setup(&db).await;
    let id = setup.ada().await;
    let before = setup.tokens(id).await;
    let stored = setup.stored().await;
    let link = setup.link(&["--account", ADA]).await;
    let person = Person::new();
    let google = person.press(&link).await;
    assert_eq!(parameter(&google, "login_hint"), ADA);
    let (status, page) = person.open(&person.allow(&google, BOB, ALL).await).await;
    assert_eq!(status, 409, "{page}");
    assert!(page.contains(&format!("{ADA} was expected, and you signed in as {BOB}")), "{page}");
    let subject = setup.google.world().subject(BOB).unwrap();
    assert!(!page.contains(&subject), "a page shows addresses only: {page}");
    assert_eq!((setup.stored().await, setup.tokens(id).await), (stored, before.clone()));
    assert!(!setup.google.stats().requests.contains_key(&Api::Revoke), "Bob may have granted it elsewhere");

    // The link is good for the right one.
    let google = person.press(&link).await;
    let (status, page) = person.open(&person.allow(&google, ADA, ALL).await).await;
    assert_eq!(status, 200, "{page}");
    assert!(page.contains("You are signed in again"), "{page}");
    assert_ne!(setup.tokens(id).await, before);

    // The subject tells, not the address: another person has got it meanwhile.
    setup.run_sql("update accounts set subject = 'somebody'").await;
    let (status, page) = setup.sign_in(ADA, ALL, &["--account", ADA]).await;
    assert_eq!(status, 409, "{page}");
    assert!(page.contains("belongs to another Google account now"), "{page}");
}

#[sqlx::test(migrator = "shared::store::schema::MIGRATOR")]
async fn an_account_that_changed_its_address_is_known_by_its_subject(db: PgPool) {
    let setup = setup(&db).await;
    let id = setup.ada().await;
    setup.run_sql("update accounts set email = 'old@example.com'").await;
    for more in [&[][..], &["--account", "old@example.com"]] {
        let (status, page) = setup.sign_in(ADA, ALL, more).await;
        assert_eq!(status, 200, "{page}");
    }
    assert_eq!(setup.stored().await[0], 1);
    assert_eq!(setup.account("old@example.com").await["id"], json!(id));
}

#[sqlx::test(migrator = "shared::store::schema::MIGRATOR")]
async fn what_is_signed_in_is_mirrored_and_what_is_parked_goes_on_after_it(db: PgPool) {
    let setup = setup(&db).await;
    let mut worker = setup.program.start(&["worker"]).await;
    worker.ready().await;
    setup.ada().await;
    let first = async || setup.account(ADA).await["first_sync"]["done"] == json!(1);
    until("the calendar is mirrored", LIMIT, first).await;

    setup.google.world().revoke(ADA).unwrap();
    setup.program.ok(&["enqueue", "calendar-events", "--account", ADA]).await;
    let parked = async || setup.account(ADA).await["gates"][0]["reason"] == json!("sign_in");
    until("it must sign in again", LIMIT, parked).await;
    let (status, page) = setup.sign_in(ADA, ALL, &["--account", ADA]).await;
    assert_eq!(status, 200, "{page}");
    until("nothing is parked", LIMIT, async || {
        let account = setup.account(ADA).await;
        account["parked"] == json!(0) && account["gates"] == json!([])
    })
    .await;
}

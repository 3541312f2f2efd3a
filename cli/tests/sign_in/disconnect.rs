//! `account disconnect`.

use loadtest::fake_google::{Api, EventDraft, FaultBody, FaultKind, FaultRule, When};
use serde_json::json;
use shared::store::PgPool;

use crate::{
    process::{LIMIT, until},
    setup::{ADA, ALL, Setup, setup},
};

const DISCONNECT: [&str; 4] = ["account", "disconnect", "--account", ADA];

async fn mirrored(setup: &Setup) -> crate::process::Process {
    let start = When::at("2026-03-02T10:00:00+01:00".parse().unwrap(), None);
    setup.google.world().put_event(ADA, EventDraft::new("Dinner", start)).unwrap();
    let mut worker = setup.program.start(&["worker"]).await;
    worker.ready().await;
    setup.ada().await;
    until("the event is mirrored", LIMIT, async || events(setup).await == 1).await;
    worker
}

async fn events(setup: &Setup) -> i64 {
    sqlx::query_scalar("select count(*) from events").fetch_one(&setup.db).await.unwrap()
}

#[sqlx::test(migrator = "shared::store::schema::MIGRATOR")]
async fn case_11_a_disconnected_account_rests_with_its_data_until_it_signs_in_again(db: PgPool) {
    let setup = setup(&db).await;
    let worker = mirrored(&setup).await;
    let link = setup.link(&["--account", ADA]).await;
    let told = setup.program.ok(&DISCONNECT).await;
    assert!(
        told.contains("its access is revoked and its tokens are forgotten; what was mirrored stays"),
        "{told}"
    );
    assert_eq!(setup.google.stats().requests[&Api::Revoke]["200"], 1);
    let account = setup.account(ADA).await;
    assert_eq!(account["tokens"], json!([]));
    assert_eq!(
        (&account["gates"][0]["reason"], &account["gates"][0]["note"]),
        (&json!("sign_in"), &json!("disconnected by cli:test"))
    );
    assert_eq!(events(&setup).await, 1);
    assert_eq!(crate::person::Person::new().open(&link).await.0, 404, "its links are withdrawn");

    // Whatever is wanted meanwhile asks Google for nothing.
    let asked = setup.google.stats().requests[&Api::Token].clone();
    setup.program.ok(&["enqueue", "calendar-events", "--account", ADA]).await;
    let again = setup.program.ok(&DISCONNECT).await;
    assert!(again.contains("it had no tokens"), "{again}");
    assert_eq!(setup.google.stats().requests[&Api::Token], asked);

    let (status, page) = setup.sign_in(ADA, ALL, &["--account", ADA]).await;
    assert_eq!(status, 200, "{page}");
    until("it goes on", LIMIT, async || {
        let account = setup.account(ADA).await;
        account["gates"] == json!([]) && account["parked"] == json!(0)
    })
    .await;
    let audited = setup.audited().await;
    let actions: Vec<_> = audited.iter().map(|(_, action, _)| action.as_str()).collect();
    assert_eq!(
        actions[2..],
        ["account.connect", "account.disconnect", "account.disconnect", "account.connect", "account.sign_in"]
    );
    drop(worker);
}

#[sqlx::test(migrator = "shared::store::schema::MIGRATOR")]
async fn a_google_that_does_not_answer_leaves_everything_as_it_is(db: PgPool) {
    let setup = setup(&db).await;
    let id = setup.ada().await;
    let (stored, tokens) = (setup.stored().await, setup.tokens(id).await);
    let status = FaultKind::Status { status: 503, reason: None, retry_after_s: None, body: FaultBody::Html };
    for fault in [status, FaultKind::Reset] {
        setup.google.add_fault(FaultRule::new(fault).on(Api::Revoke).times(1)).unwrap();
        setup.program.refused(&DISCONNECT, 1, &["nothing was changed", "--force"]).await;
    }
    assert_eq!((setup.stored().await, setup.tokens(id).await), (stored, tokens));
    assert_eq!(setup.account(ADA).await["gates"], json!([]));

    setup.google.add_fault(FaultRule::new(FaultKind::Reset).on(Api::Discovery).times(1)).unwrap();
    let told = setup.program.ok(&[&DISCONNECT[..], &["--force"]].concat()).await;
    assert!(told.contains("Google was not reached"), "{told}");
    assert_eq!(setup.tokens(id).await, [None, None]);
}

#[sqlx::test(migrator = "shared::store::schema::MIGRATOR")]
async fn what_was_revoked_before_is_forgotten_all_the_same(db: PgPool) {
    let setup = setup(&db).await;
    let id = setup.ada().await;
    setup.google.world().revoke(ADA).unwrap();
    let told = setup.program.ok(&DISCONNECT).await;
    assert!(told.contains("had been revoked before"), "{told}");
    assert_eq!(setup.tokens(id).await, [None, None]);
    setup.program.refused(&["account", "disconnect", "--account", "nobody@x"], 3, &["no account"]).await;
}

#[sqlx::test(migrator = "shared::store::schema::MIGRATOR")]
async fn data_goes_when_that_is_asked_for_and_the_account_stays(db: PgPool) {
    let setup = setup(&db).await;
    let worker = mirrored(&setup).await;
    let id = setup.account(ADA).await["id"].clone();
    let delete = [&DISCONNECT[..], &["--delete-data"]].concat();
    setup.program.refused(&delete, 2, &["1 calendar, 1 event", "give --yes"]).await;
    assert_eq!(events(&setup).await, 1);
    let told = setup.program.ok(&[&delete[..], &["--yes"]].concat()).await;
    assert!(told.contains("1 calendar, 1 event"), "{told}");
    let account = setup.account(ADA).await;
    assert_eq!((&account["id"], &account["calendars"], &account["jobs"]), (&id, &json!(0), &json!(0)));
    assert_eq!(account["gates"][0]["reason"], json!("sign_in"));
    assert_eq!(events(&setup).await, 0);
    let told: i64 = sqlx::query_scalar("select count(*) from changes where what = 'deleted'")
        .fetch_one(&setup.db)
        .await
        .unwrap();
    assert_eq!(told, 2, "the feed tells of the calendar and of its event");

    // Signing in makes it all anew.
    let (status, page) = setup.sign_in(ADA, ALL, &["--account", ADA]).await;
    assert_eq!(status, 200, "{page}");
    until("it is mirrored again", LIMIT, async || events(&setup).await == 1).await;
    drop(worker);
}

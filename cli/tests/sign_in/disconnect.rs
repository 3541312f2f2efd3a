//! `account disconnect`.

use loadtest::fake_google::{Api, EventDraft, FaultBody, FaultKind, FaultRule, When};
use serde_json::json;
use shared::store::PgPool;

use crate::{
    process::{LIMIT, until},
    setup::{ADA, ALL, Setup, setup, setup_with_push},
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

/// The states of the account's channels, as the database has them.
async fn channels(setup: &Setup) -> Vec<String> {
    sqlx::query_scalar("select state::text from channels order by id").fetch_all(&setup.db).await.unwrap()
}

async fn live(setup: &Setup) -> usize {
    channels(setup).await.iter().filter(|state| *state == "live").count()
}

#[sqlx::test(migrator = "shared::store::schema::MIGRATOR")]
async fn a_disconnect_ends_all_channels_although_their_keeper_is_wanted_all_the_time(db: PgPool) {
    let setup = setup_with_push(&db).await;
    let worker = mirrored(&setup).await;
    until("the list and the calendar have a channel each", LIMIT, async || live(&setup).await == 2).await;
    let shown = setup.account(ADA).await;
    assert_eq!((&shown["channels"]["live"], &shown["channels"]["left"]), (&json!(2), &json!(0)));
    setup.google.add_fault(FaultRule::new(FaultKind::Delay { ms: 700 }).on(Api::StopChannel)).unwrap();
    let wanting = async {
        loop {
            setup.program.ok(&["enqueue", "google-channels", "--account", ADA]).await;
        }
    };
    let told = tokio::select! {
        told = setup.program.ok(&DISCONNECT) => told,
        () = wanting => unreachable!(),
    };
    assert!(told.contains("2 push channels"), "{told}");
    assert!(setup.google.push().channels.is_empty(), "{:?}", setup.google.push().channels);
    assert!(channels(&setup).await.iter().all(|state| state == "stopped"), "{:?}", channels(&setup).await);

    // Its jobs wait, whatever is wanted, and ask Google for nothing.
    let mut scheduler = setup.program.start(&["scheduler"]).await;
    scheduler.ready().await;
    let asked = setup.google.stats().requests;
    for kind in ["google-channels", "calendar-list", "calendar-events"] {
        setup.program.ok(&["enqueue", kind, "--account", ADA]).await;
    }
    until("its jobs wait for a sign-in", LIMIT, async || {
        let account = setup.account(ADA).await;
        account["parked"] == account["jobs"]
    })
    .await;
    assert_eq!(setup.google.stats().requests, asked);
    let shown = setup.program.ok(&["account", "show", ADA]).await;
    assert!(shown.contains("push channels") && shown.contains("disconnected by cli:test"), "{shown}");

    let (status, page) = setup.sign_in(ADA, ALL, &["--account", ADA]).await;
    assert_eq!(status, 200, "{page}");
    until("nothing stays parked, and it is pushed again", LIMIT, async || {
        setup.account(ADA).await["parked"] == json!(0) && live(&setup).await == 2
    })
    .await;
    drop((worker, scheduler));
}

#[sqlx::test(migrator = "shared::store::schema::MIGRATOR")]
async fn a_channel_that_cannot_be_ended_is_told_and_not_followed(db: PgPool) {
    let setup = setup_with_push(&db).await;
    let worker = mirrored(&setup).await;
    until("the list and the calendar have a channel each", LIMIT, async || live(&setup).await == 2).await;
    let status = FaultKind::Status { status: 503, reason: None, retry_after_s: None, body: FaultBody::Html };
    setup.google.add_fault(FaultRule::new(status).on(Api::StopChannel).times(1)).unwrap();
    setup.program.ok(&DISCONNECT).await;
    assert_eq!(channels(&setup).await, ["stopped", "stopped"]);
    let left = setup.google.push().channels;
    assert_eq!(left.len(), 1, "{left:?}");
    let shown = setup.account(ADA).await;
    assert_eq!((&shown["channels"]["live"], &shown["channels"]["left"]), (&json!(0), &json!(1)));
    let shown = setup.program.ok(&["account", "show", ADA]).await;
    assert!(shown.contains("none; 1 could not be ended, the last runs out"), "{shown}");
    let wanted: i64 =
        sqlx::query_scalar("select sum(wanted)::bigint from job_state").fetch_one(&setup.db).await.unwrap();
    setup.google.notify(&left[0].id, 3).unwrap();
    until("it is answered", LIMIT, async || {
        setup.google.push().counts.answers.get("204").is_some_and(|answers| *answers >= 3)
    })
    .await;
    let then: i64 =
        sqlx::query_scalar("select sum(wanted)::bigint from job_state").fetch_one(&setup.db).await.unwrap();
    assert_eq!(then, wanted, "what it tells is not followed");
    drop(worker);
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

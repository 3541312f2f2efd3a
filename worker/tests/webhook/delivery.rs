//! What arrives, and how often.

use std::time::Duration;

use base64::{Engine, engine::general_purpose::STANDARD};
use ring::hmac;
use secrecy::ExposeSecret;
use serde_json::json;
use shared::{
    admin::{Actor, webhook},
    store::changes::{self, Resource, What},
    webhook::Form,
};
use sqlx::postgres::{PgConnectOptions, PgPoolOptions};

use crate::{
    endpoint::{Answer, Endpoint, Request},
    rig::{Hook, Rig},
};

/// As a receiver checks a message: <https://www.standardwebhooks.com>.
fn is_signed(request: &Request, secret: &str) -> bool {
    let key = STANDARD.decode(secret.strip_prefix("whsec_").unwrap()).unwrap();
    let signed = format!("{}.{}.{}", request.id(), request.headers["webhook-timestamp"], request.body);
    let given = request.headers["webhook-signature"].strip_prefix("v1,").unwrap();
    let given = STANDARD.decode(given).unwrap();
    hmac::verify(&hmac::Key::new(hmac::HMAC_SHA256, &key), signed.as_bytes(), &given).is_ok()
}

#[sqlx::test(migrator = "shared::store::schema::MIGRATOR")]
async fn changes_arrive_signed_in_order_and_once(_: PgPoolOptions, database: PgConnectOptions) {
    let rig = Rig::start(database).await;
    assert!(rig.endpoint.requests().is_empty(), "nothing has changed");
    rig.change(&["a", "b"]).await;
    let [first] = &rig.until_asked(1).await[..] else { panic!() };
    assert!(is_signed(first, rig.secret.expose_secret()));
    let tampered = Request { body: first.body.replace("\"a\"", "\"x\""), ..first.clone() };
    assert!(!is_signed(&tampered, rig.secret.expose_secret()));
    let now: i64 =
        sqlx::query_scalar("select extract(epoch from clock())::bigint").fetch_one(&rig.db).await.unwrap();
    let age = now - first.headers["webhook-timestamp"].parse::<i64>().unwrap();
    assert!((0..300).contains(&age), "{age} s old");
    assert_eq!(
        (first.path.as_str(), first.headers["content-type"].as_str()),
        ("/hook?x=1", "application/json")
    );
    assert!(first.headers["user-agent"].starts_with("syncfleet/"));
    let json = first.json();
    assert_eq!(json["type"], "changes");
    let change = &json["data"]["changes"][0];
    assert_eq!(
        (&change["resource"], &change["what"], &change["parent"]),
        (&"event".into(), &"updated".into(), &1.into())
    );
    assert_eq!((&change["account"], change.get("detail")), (&rig.account.into(), None));
    rig.until_done().await;

    let many: Vec<String> = (0..230).map(|n| format!("m{n}")).collect();
    rig.change(&many.iter().map(String::as_str).collect::<Vec<_>>()).await;
    let requests = rig.until_asked(4).await;
    rig.until_done().await;
    rig.want().await;
    rig.until_done().await;
    assert_eq!(rig.endpoint.requests().len(), 4, "nothing is sent twice");
    let keys: Vec<String> = requests.iter().flat_map(Request::keys).collect();
    let expected: Vec<String> = ["a".to_owned(), "b".to_owned()].into_iter().chain(many).collect();
    assert_eq!(keys, expected);
    rig.end().await;
}

#[sqlx::test(migrator = "shared::store::schema::MIGRATOR")]
async fn a_program_gets_signed_what_became_of_a_name(_: PgPoolOptions, database: PgConnectOptions) {
    let hook = Hook {
        path: "/hook",
        form: Form::Standard,
        secret: None,
        resources: &[Resource::DnsRecord, Resource::Event],
        whats: &[What::Failing, What::Recovered],
    };
    let rig = Rig::with(database, Endpoint::start().await, hook).await;
    let record = rig.name("home.example.com").await;
    rig.change(&["an event that was updated"]).await;
    rig.pass(record, false, Some("IPv4: badauth")).await;
    let [first] = &rig.until_asked(1).await[..] else { panic!() };
    assert!(is_signed(first, rig.secret.expose_secret()));
    let mut change = first.json()["data"]["changes"].clone();
    let told = change[0].as_object_mut().unwrap();
    assert!(told.remove("id").is_some() && told.remove("at").is_some());
    let expected = json!([{
        "account": null, "resource": "dns_record", "parent": record, "key": "home.example.com", "what": "failing",
        "detail": "IPv4: badauth"
    }]);
    assert_eq!(change, expected);
    rig.pass(record, true, None).await;
    let requests = rig.until_asked(2).await;
    let change = &requests[1].json()["data"]["changes"][0];
    assert_eq!((&change["what"], change.get("detail")), (&"recovered".into(), None));
    rig.end().await;
}

#[sqlx::test(migrator = "shared::store::schema::MIGRATOR")]
async fn what_is_sent_again_is_the_same(_: PgPoolOptions, database: PgConnectOptions) {
    let rig = Rig::start(database).await;
    rig.endpoint.answer([Answer::status("500 Oops"), Answer::status("503 Away")]);
    rig.change(&["a"]).await;
    rig.until_asked(1).await;
    let row = rig.until_failed(1).await;
    assert!(row.note.contains("the endpoint answered 500"), "{row:?}");
    // What comes meanwhile waits for the next message.
    rig.change(&["b"]).await;
    rig.retry().await;
    rig.until_asked(2).await;
    rig.until("waiting again", |row| row.phase == "idle").await;
    rig.retry().await;
    let requests = rig.until_asked(4).await;
    for again in &requests[1..3] {
        assert_eq!((again.id(), &again.body), (requests[0].id(), &requests[0].body));
        assert!(is_signed(again, rig.secret.expose_secret()));
    }
    assert_eq!(requests[3].keys(), ["b"]);
    assert_ne!(requests[3].id(), requests[0].id());
    rig.end().await;
}

#[sqlx::test(migrator = "shared::store::schema::MIGRATOR")]
async fn a_step_that_loses_its_lease_after_the_sending_is_done_again_under_the_same_id(
    _: PgPoolOptions,
    database: PgConnectOptions,
) {
    let rig = Rig::start(database).await;
    rig.endpoint.answer([rig.dies_after()]);
    rig.change(&["a"]).await;
    rig.until_asked(1).await;
    rig.change(&["b"]).await;
    let requests = rig.until_asked(3).await;
    assert_eq!((requests[1].id(), &requests[1].body), (requests[0].id(), &requests[0].body));
    assert_eq!(requests[2].keys(), ["b"]);
    rig.end().await;
}

#[sqlx::test(migrator = "shared::store::schema::MIGRATOR")]
async fn a_paused_webhook_gets_nothing_and_goes_on_where_it_was(
    _: PgPoolOptions,
    database: PgConnectOptions,
) {
    let rig = Rig::start(database).await;
    let actor = Actor::new("test");
    assert!(webhook::pause(&rig.db, &actor, rig.webhook).await.unwrap().changed);
    assert!(!webhook::pause(&rig.db, &actor, rig.webhook).await.unwrap().changed);
    rig.change(&["a"]).await;
    rig.want().await;
    rig.until_done().await;
    assert!(rig.endpoint.requests().is_empty());
    webhook::resume(&rig.db, &actor, &worker::jobs::policies(), rig.webhook).await.unwrap();
    assert_eq!(rig.until_asked(1).await[0].keys(), ["a"]);
    rig.end().await;
}

#[sqlx::test(migrator = "shared::store::schema::MIGRATOR")]
async fn a_receiver_is_told_what_was_dropped_before_it_was_sent(
    _: PgPoolOptions,
    database: PgConnectOptions,
) {
    let rig = Rig::start(database).await;
    rig.change(&["dropped"]).await;
    rig.change(&["kept"]).await;
    sqlx::query("update changes set at = clock() - interval '10 days' where key = 'dropped'")
        .execute(&rig.db)
        .await
        .unwrap();
    changes::retain(&rig.db, Duration::from_hours(7 * 24)).await.unwrap();
    let requests = rig.until_asked(1).await;
    assert_eq!(
        (requests[0].keys(), &requests[0].json()["data"]["lost"]),
        (vec!["kept".to_owned()], &true.into())
    );
    rig.until_done().await;
    rig.change(&["next"]).await;
    let requests = rig.until_asked(2).await;
    assert_eq!(requests[1].json()["data"].get("lost"), None, "it is told once");
    rig.end().await;
}

#[sqlx::test(migrator = "shared::store::schema::MIGRATOR")]
async fn a_webhook_for_little_catches_up_with_much_by_itself(_: PgPoolOptions, database: PgConnectOptions) {
    let rig = Rig::start(database).await;
    sqlx::query("update webhooks set resources = '{event}'").execute(&rig.db).await.unwrap();
    sqlx::query(
        "insert into changes (epoch, xid, at, tenant_id, account_id, resource, what, key)
        select feed_epoch_to_write(), pg_current_xact_id()::text::bigint, clock(), tenant_id, id, 'calendar', 'created', n::text
        from accounts cross join generate_series(1, $1::integer) n where id = $2",
    )
    .bind(i32::try_from(changes::LOOKED_AT).unwrap() * 3)
    .bind(rig.account)
    .execute(&rig.db)
    .await
    .unwrap();
    rig.change(&["a"]).await;
    // It is held back for as long as another transaction writes: then it is wanted again, as by the scheduler.
    let [message] = &rig.until_asked(1).await[..] else { panic!() };
    assert_eq!(message.json()["data"]["changes"][0]["key"], "a");
    rig.until_done().await;
    let runs: i64 =
        sqlx::query_scalar("select count(*) from runs where job_id = $1 and outcome = 'continue'")
            .bind(rig.job)
            .fetch_one(&rig.db)
            .await
            .unwrap();
    assert!(runs >= 3, "it goes on by itself: {runs}");
}

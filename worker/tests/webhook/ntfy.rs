//! Notifications for people. The server is a fake, made after <https://docs.ntfy.sh/publish/> and the answers of ntfy's own server.

use std::sync::{Arc, Mutex};

use serde::Deserialize;
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

const TOKEN: &str = "tk_AgQdq7mVBoFD37zQVN29RhuMzNIz2";
const TOPIC: &str = "names-9fa2";

/// What may stand in a message that is published as JSON, of what syncfleet makes use of.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
struct Notification {
    topic: String,
    title: String,
    message: String,
    priority: u8,
    tags: Vec<String>,
    sequence_id: Option<String>,
}

/// What is shown on the phones that follow the topic.
type Shown = Arc<Mutex<Vec<Notification>>>;

/// A server whose topics are protected.
async fn server() -> (Endpoint, Shown) {
    let shown = Shown::default();
    let on = Arc::clone(&shown);
    let endpoint = Endpoint::with(Arc::new(move |request| match published(request) {
        Ok(notification) => {
            let mut shown = on.lock().unwrap();
            // A message of a sequence takes the place of the one before.
            let is_same = |other: &Notification| {
                other.sequence_id.is_some() && other.sequence_id == notification.sequence_id
            };
            shown.retain(|other| !is_same(other));
            shown.push(notification);
            http("200 OK", r#"{"id":"hwQ2YpKdmg","time":1635528741,"event":"message","topic":"t"}"#)
        }
        Err((status, code, error)) => {
            http(status, &format!(r#"{{"code":{code},"http":{},"error":"{error}"}}"#, &status[..3]))
        }
    }));
    (endpoint.await, shown)
}

fn http(status: &str, body: &str) -> String {
    let length = body.len();
    format!("HTTP/1.1 {status}\r\ncontent-length: {length}\r\nconnection: close\r\n\r\n{body}")
}

fn published(request: &Request) -> Result<Notification, (&'static str, u32, &'static str)> {
    let bad = "400 Bad Request";
    if (request.method.as_str(), request.path.as_str()) != ("POST", "/") {
        return Err(("404 Not Found", 40401, "page not found"));
    }
    match request.headers.get("authorization").map(String::as_str) {
        Some(bearer) if bearer == format!("Bearer {TOKEN}") => {}
        Some(_) => return Err(("401 Unauthorized", 40101, "unauthorized")),
        None => return Err(("403 Forbidden", 40301, "forbidden")),
    }
    if request.body.len() > 2 * 4_096 {
        return Err(("413 Request Entity Too Large", 41303, "JSON body too large"));
    }
    let message: Notification = serde_json::from_str(&request.body)
        .map_err(|_| (bad, 40017, "invalid request: request body must be message JSON"))?;
    let is_word = |text: &str| {
        (1..=64).contains(&text.len())
            && text.bytes().all(|b| b.is_ascii_alphanumeric() || b"-_".contains(&b))
    };
    if !is_word(&message.topic) || !message.sequence_id.as_deref().is_none_or(is_word) {
        return Err((bad, 40009, "invalid request: topic invalid"));
    }
    if !(1..=5).contains(&message.priority) || message.message.len() > 4_096 || message.title.contains('\n') {
        return Err((bad, 40007, "invalid priority parameter"));
    }
    Ok(message)
}

async fn rig(database: PgConnectOptions, token: Option<&'static str>) -> (Rig, Shown) {
    let (endpoint, shown) = server().await;
    let hook = Hook {
        path: "/",
        form: Form::Ntfy { topic: TOPIC.to_owned() },
        secret: token,
        resources: &[Resource::DnsRecord],
        whats: &[What::Failing, What::Recovered],
    };
    (Rig::with(database, endpoint, hook).await, shown)
}

fn titles(shown: &Shown) -> Vec<String> {
    shown.lock().unwrap().iter().map(|shown| shown.title.clone()).collect()
}

#[sqlx::test(migrator = "shared::store::schema::MIGRATOR")]
async fn a_failure_is_told_once_and_its_end_once(_: PgPoolOptions, database: PgConnectOptions) {
    let (rig, shown) = rig(database, Some(TOKEN)).await;
    let record = rig.name("home.example.com").await;
    // What it does not ask for.
    rig.change(&["an event"]).await;
    let mut conn = rig.db.acquire().await.unwrap();
    changes::dns_record(&mut conn, record, What::Updated, Some("203.0.113.7")).await.unwrap();
    drop(conn);
    rig.pass(record, false, Some("IPv4: badauth: no such user")).await;
    rig.pass(record, true, Some("IPv4: badauth: no such user")).await;
    let [request] = &rig.until_asked(1).await[..] else { panic!() };
    assert_eq!(request.headers["content-type"], "application/json");
    assert!(!request.headers.contains_key("webhook-signature"));
    rig.until_done().await;
    let first = shown.lock().unwrap()[0].clone();
    assert_eq!(
        (first.topic.as_str(), first.priority, &first.tags[..]),
        (TOPIC, 4, &["warning".to_owned()][..])
    );
    assert_eq!(first.title, "home.example.com does not follow its address");
    assert!(first.message.starts_with("IPv4: badauth: no such user\n2"), "{first:?}");

    for why in ["no answer", "badauth", "no answer"] {
        rig.pass(record, true, Some(why)).await;
    }
    rig.want().await;
    rig.until_done().await;
    assert_eq!(rig.endpoint.requests().len(), 1, "it is told once");
    rig.pass(record, true, None).await;
    rig.pass(record, false, None).await;
    rig.until_asked(2).await;
    rig.until_done().await;
    assert_eq!(
        titles(&shown),
        ["home.example.com does not follow its address", "home.example.com follows its address again"]
    );
    // The next failure is news again.
    rig.pass(record, false, Some("dnserr")).await;
    rig.until_asked(3).await;
    rig.until_done().await;
    assert_eq!(titles(&shown).len(), 3);
    rig.end().await;
}

#[sqlx::test(migrator = "shared::store::schema::MIGRATOR")]
async fn what_happens_at_once_is_one_notification(_: PgPoolOptions, database: PgConnectOptions) {
    let (rig, shown) = rig(database, Some(TOKEN)).await;
    let mut names = Vec::new();
    for n in 0..30 {
        names.push(rig.name(&format!("n{n}.example.com")).await);
    }
    let mut tx = rig.db.begin().await.unwrap();
    for name in &names {
        changes::dns_record(&mut tx, *name, What::Failing, Some(&"no answer ".repeat(40))).await.unwrap();
    }
    tx.commit().await.unwrap();
    rig.until_asked(1).await;
    rig.until_done().await;
    let shown = shown.lock().unwrap().clone();
    let [one] = &shown[..] else { panic!("{shown:?}") };
    assert_eq!(one.title, "30 changes: 30 failing");
    assert!(
        one.message.contains("n0.example.com does not follow") && one.message.contains(" more\n"),
        "{one:?}"
    );
    rig.end().await;
}

#[sqlx::test(migrator = "shared::store::schema::MIGRATOR")]
async fn a_crash_after_the_sending_shows_one_notification(_: PgPoolOptions, database: PgConnectOptions) {
    let (rig, shown) = rig(database, Some(TOKEN)).await;
    let record = rig.name("home.example.com").await;
    rig.endpoint.answer([rig.dies_after()]);
    rig.pass(record, false, Some("badauth")).await;
    rig.until_asked(1).await;
    // It is over already, and is told after what came first.
    rig.pass(record, true, None).await;
    let requests = rig.until_asked(3).await;
    rig.until_done().await;
    assert_eq!(requests[0].body, requests[1].body);
    assert_eq!(rig.endpoint.requests().len(), 3);
    assert_eq!(
        titles(&shown),
        ["home.example.com does not follow its address", "home.example.com follows its address again"]
    );
    rig.end().await;
}

#[sqlx::test(migrator = "shared::store::schema::MIGRATOR")]
async fn a_server_that_refuses_is_tried_again_and_nothing_is_lost(
    _: PgPoolOptions,
    database: PgConnectOptions,
) {
    let (rig, shown) = rig(database, Some("tk_another")).await;
    let record = rig.name("home.example.com").await;
    rig.pass(record, false, Some("badauth")).await;
    rig.until_asked(1).await;
    let row = rig.until_failed(1).await;
    assert!(row.note.contains("401: {\"code\":40101") && !row.note.contains("tk_"), "{row:?}");
    let tested = webhook::test(&rig.db, &rig.sender, rig.webhook).await.unwrap();
    assert!(!tested.ok && tested.answer.contains("401"), "{tested:?}");
    // ntfy is told to take it from anybody who has its token.
    rig.seal("access_token", TOKEN).await;
    rig.retry().await;
    rig.until_asked(3).await;
    rig.until_done().await;
    assert_eq!(titles(&shown), ["home.example.com does not follow its address"]);
    let tested = webhook::test(&rig.db, &rig.sender, rig.webhook).await.unwrap();
    assert!(tested.ok && tested.answer.contains("200"), "{tested:?}");
    assert_eq!(shown.lock().unwrap()[1].title, "syncfleet: a test");
    assert_eq!(rig.row().await.open, 0, "the job knows nothing of a test");
    webhook::rm(&rig.db, &Actor::new("test"), rig.webhook).await.unwrap();
    let left: i64 = sqlx::query_scalar("select count(*) from secrets").fetch_one(&rig.db).await.unwrap();
    assert_eq!(left, 0);
    rig.end().await;
}

#[sqlx::test(migrator = "shared::store::schema::MIGRATOR")]
async fn an_open_topic_needs_no_token(_: PgPoolOptions, database: PgConnectOptions) {
    let (rig, _) = rig(database, None).await;
    rig.endpoint.answer([Answer::Raw(http("200 OK", "{}"))]);
    let record = rig.name("home.example.com").await;
    rig.pass(record, false, Some("badauth")).await;
    let requests = rig.until_asked(1).await;
    assert!(!requests[0].headers.contains_key("authorization"));
    assert_eq!(requests[0].json()["topic"], TOPIC);
    rig.until_done().await;
    rig.end().await;
}

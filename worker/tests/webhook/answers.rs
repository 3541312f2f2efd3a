//! What follows from what an endpoint answers.

use std::time::{Duration, Instant};

use shared::admin::{Actor, webhook};
use sqlx::postgres::{PgConnectOptions, PgPoolOptions};

use crate::{endpoint::Answer, rig::Rig};

async fn state(rig: &Rig) -> (String, Option<String>) {
    let listed = webhook::ls(&mut rig.db.acquire().await.unwrap(), Some("acme")).await.unwrap();
    (listed[0].state.to_owned(), listed[0].why.clone())
}

#[sqlx::test(migrator = "shared::store::schema::MIGRATOR")]
async fn an_endpoint_that_is_gone_is_disabled_until_it_is_resumed(
    _: PgPoolOptions,
    database: PgConnectOptions,
) {
    let rig = Rig::start(database).await;
    rig.endpoint.answer([Answer::status("410 Gone")]);
    rig.change(&["a"]).await;
    rig.until_asked(1).await;
    let row = rig.until_parked().await;
    assert_eq!(row.parked.as_deref(), Some("gone"));
    let (stands, why) = state(&rig).await;
    assert!(stands == "disabled" && why.unwrap().contains("410"));
    webhook::resume(&rig.db, &Actor::new("test"), &worker::jobs::policies(), rig.webhook).await.unwrap();
    let requests = rig.until_asked(2).await;
    assert_eq!(requests[0].body, requests[1].body);
    rig.until_done().await;
    assert_eq!(state(&rig).await, ("active".to_owned(), None));
    rig.end().await;
}

#[sqlx::test(migrator = "shared::store::schema::MIGRATOR")]
async fn a_redirect_is_not_followed(_: PgPoolOptions, database: PgConnectOptions) {
    let rig = Rig::start(database).await;
    let location = format!("http://{}/elsewhere", rig.endpoint.address);
    for status in ["302 Found", "307 Temporary Redirect"] {
        let head = format!(
            "HTTP/1.1 {status}\r\nlocation: {location}\r\ncontent-length: 0\r\nconnection: close\r\n\r\n"
        );
        rig.endpoint.answer([Answer::Raw(head)]);
    }
    rig.change(&["a"]).await;
    rig.until_asked(1).await;
    let row = rig.until_failed(1).await;
    assert!(row.note.contains("302: redirects are not followed"), "{row:?}");
    rig.retry().await;
    rig.until_asked(2).await;
    rig.until_failed(1).await;
    assert!(rig.endpoint.requests().iter().all(|request| request.path == "/hook?x=1"));
    assert_eq!(state(&rig).await.0, "failing");
    rig.end().await;
}

#[sqlx::test(migrator = "shared::store::schema::MIGRATOR")]
async fn refusals_are_retried_for_days_and_then_disable(_: PgPoolOptions, database: PgConnectOptions) {
    let rig = Rig::start(database).await;
    let body =
        "HTTP/1.1 404 Not Found\r\ncontent-length: 15\r\nconnection: close\r\n\r\nno\nsuch \u{7}hook!!";
    rig.endpoint.answer([Answer::Raw(body.to_owned()), Answer::Raw(body.to_owned())]);
    rig.change(&["a"]).await;
    rig.until_asked(1).await;
    let row = rig.until_failed(1).await;
    assert!(row.note.contains("404: no such  hook!!"), "{row:?}");
    sqlx::query("update webhooks set failing_since = clock() - interval '3 days'")
        .execute(&rig.db)
        .await
        .unwrap();
    rig.retry().await;
    let row = rig.until_parked().await;
    assert_eq!(row.parked.as_deref(), Some("failed"));
    let (stands, why) = state(&rig).await;
    assert!(stands == "disabled" && why.as_ref().unwrap().contains("for 3 days"), "{why:?}");
    rig.end().await;
}

#[sqlx::test(migrator = "shared::store::schema::MIGRATOR")]
async fn what_an_endpoint_wants_to_wait_is_waited_and_failures_never_disable(
    _: PgPoolOptions,
    database: PgConnectOptions,
) {
    let rig = Rig::start(database).await;
    let wait = "HTTP/1.1 429 Slow\r\nretry-after: 600\r\ncontent-length: 0\r\nconnection: close\r\n\r\n";
    rig.endpoint.answer([Answer::Raw(wait.to_owned())]);
    sqlx::query("update webhooks set failing_since = clock() - interval '9 days'")
        .execute(&rig.db)
        .await
        .unwrap();
    rig.change(&["a"]).await;
    rig.until_asked(1).await;
    rig.until_failed(1).await;
    let waits: f64 = sqlx::query_scalar(
        "select extract(epoch from run_at - clock())::float8 from job_state where job_id = $1",
    )
    .bind(rig.job)
    .fetch_one(&rig.db)
    .await
    .unwrap();
    assert!((500.0..=600.0).contains(&waits), "{waits}");
    assert_eq!(state(&rig).await.0, "failing");
    rig.end().await;
}

#[sqlx::test(migrator = "shared::store::schema::MIGRATOR")]
async fn an_answer_without_end_is_left(_: PgPoolOptions, database: PgConnectOptions) {
    let rig = Rig::start(database).await;
    rig.endpoint.answer([
        Answer::Endless("HTTP/1.1 500 Oops\r\ntransfer-encoding: identity\r\n\r\n"),
        Answer::Endless("HTTP/1.1 200 OK\r\n\r\n"),
    ]);
    rig.change(&["a"]).await;
    let began = Instant::now();
    rig.until_asked(1).await;
    let row = rig.until_failed(1).await;
    assert!(row.note.contains("500: xxx") && row.note.len() < 300, "{row:?}");
    rig.retry().await;
    rig.until_asked(2).await;
    rig.until_done().await;
    assert!(began.elapsed() < Duration::from_secs(30), "{:?}", began.elapsed());
    rig.end().await;
}

#[sqlx::test(migrator = "shared::store::schema::MIGRATOR")]
async fn an_endpoint_that_does_not_answer_holds_nobody_for_long(
    _: PgPoolOptions,
    database: PgConnectOptions,
) {
    let rig = Rig::start(database).await;
    rig.endpoint.answer([Answer::Never]);
    rig.change(&["a"]).await;
    rig.until_asked(1).await;
    let began = Instant::now();
    let row = rig.until_failed(1).await;
    assert!(row.note.contains("did not answer within 15 s"), "{row:?}");
    assert!(began.elapsed() < Duration::from_secs(30));
    rig.retry().await;
    let requests = rig.until_asked(2).await;
    assert_eq!(requests[0].id(), requests[1].id());
    rig.end().await;
}

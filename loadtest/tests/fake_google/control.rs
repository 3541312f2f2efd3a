use std::time::Duration;

use loadtest::fake_google::{Api, FaultRule, ListCounts, Options, Stats, TruthAccount, TruthFile, TruthRow};
use serde_json::{Value, json};

use crate::client::{ME, Setup, setup};

async fn post(setup: &Setup, path: &str, body: Value) -> (u16, Value) {
    let url = format!("{}/control/{path}", setup.google.base_url());
    let response = setup.http.post(url).json(&body).send().await.unwrap();
    let status = response.status().as_u16();
    let text = response.text().await.unwrap();
    (status, serde_json::from_str(&text).unwrap_or(Value::String(text)))
}

async fn read<T: serde::de::DeserializeOwned>(setup: &Setup, path: &str) -> T {
    let url = format!("{}/control/{path}", setup.google.base_url());
    setup.http.get(url).send().await.unwrap().json().await.unwrap()
}

async fn delete(setup: &Setup, path: &str) {
    let url = format!("{}/control/{path}", setup.google.base_url());
    assert_eq!(setup.http.delete(url).send().await.unwrap().status(), 200);
}

/// Every operation, in an order in which each of them is possible.
#[tokio::test]
async fn another_process_can_do_all_that_rust_can() {
    let setup = setup(Options::default()).await;
    let start = json!({"dateTime": "2026-03-02T10:00:00+01:00", "timeZone": "Europe/Berlin"});
    let operations = [
        json!({"op": "add_client", "id": "other", "secret": "secret"}),
        json!({"op": "add_account", "email": "bob@example.com", "refresh_token": "r", "client": "other"}),
        json!({"op": "add_calendar", "owner": "bob@example.com", "id": "bobs", "summary": "Bob"}),
        json!({"op": "list_calendar", "email": ME, "calendar": "bobs", "role": "writer"}),
        json!({"op": "put_event", "calendar": "bobs", "event": {
            "id": "series1", "summary": "Lunch", "start": start, "recurrence": ["RRULE:FREQ=DAILY"]}}),
        json!({"op": "put_exception", "calendar": "bobs", "series": "series1", "original": start,
            "event": {"summary": "Late lunch", "start": start}}),
        json!({"op": "cancel_occurrence", "calendar": "bobs", "series": "series1", "original": {"date": "2026-03-09"}}),
        json!({"op": "delete_event", "calendar": "bobs", "id": "series1"}),
        json!({"op": "restore_event", "calendar": "bobs", "id": "series1"}),
        json!({"op": "move_event", "from": "bobs", "to": ME, "id": "series1"}),
        json!({"op": "hide_calendar", "email": ME, "calendar": "bobs", "hidden": true}),
        json!({"op": "set_role", "email": ME, "calendar": "bobs", "role": "freeBusyReader"}),
        json!({"op": "remove_calendar", "email": ME, "calendar": "bobs"}),
        json!({"op": "invalidate_event_tokens"}),
        json!({"op": "invalidate_list_tokens", "email": ME}),
        json!({"op": "expire_access_tokens"}),
        json!({"op": "revoke", "email": "bob@example.com"}),
        json!({"op": "reconnect", "email": "bob@example.com", "refresh_token": "r2"}),
        json!({"op": "seed", "accounts": 1, "calendars_per_account": 1, "events_per_calendar": 3}),
    ];
    for operation in operations {
        let (status, answer) = post(&setup, "world", operation.clone()).await;
        assert_eq!(status, 200, "{operation}: {answer}");
    }
    let truth: Vec<TruthAccount> = read(&setup, &format!("truth?account={ME}")).await;
    assert_eq!(truth.len(), 1);
    assert_eq!(truth[0].calendars[0].events[0].id, "series1");
    let rows: Vec<TruthRow> = read(&setup, "truth/rows").await;
    assert_eq!(rows, setup.google.world().truth_rows());
    assert_eq!(rows.len(), 4);
}

#[tokio::test]
async fn impossible_operations_say_what_is_wrong() {
    let setup = setup(Options::default()).await;
    let cases = [
        (json!({"op": "add_account", "email": ME, "refresh_token": "x"}), "exists already"),
        (json!({"op": "delete_event", "calendar": ME, "id": "nothing"}), "no live event nothing"),
        (
            json!({"op": "put_event", "calendar": "x", "event": {"start": {"date": "2026-03-09"}}}),
            "no calendar x",
        ),
        (
            json!({"op": "put_event", "calendar": ME, "event": {"start": {}}}),
            "exactly one of date and dateTime",
        ),
        (
            json!({"op": "put_event", "calendar": ME, "event": {"id": "A_B", "start": {"date": "2026-03-09"}}}),
            "a-v",
        ),
    ];
    for (operation, part) in cases {
        let (status, answer) = post(&setup, "world", operation).await;
        assert_eq!(status, 400);
        assert!(answer["error"].as_str().unwrap().contains(part), "{answer}");
    }
    let unknown = post(&setup, "world", json!({"op": "explode"})).await;
    assert_eq!(unknown.0, 422);
    assert_eq!(setup.google.world().truth_rows(), []);
}

#[tokio::test]
async fn faults_and_churn_over_http() {
    let setup = setup(Options::default()).await;
    let one = json!({"api": "events", "kind": "status", "status": 503, "count": 1});
    let many = json!([{"kind": "delay", "ms": 1}, {"kind": "malformed", "probability": 0.5}]);
    assert_eq!(post(&setup, "faults", one).await.0, 200);
    assert_eq!(post(&setup, "faults", many).await.0, 200);
    assert_eq!(read::<Vec<FaultRule>>(&setup, "faults").await.len(), 3);
    assert_eq!(setup.events("").await.0, 503);
    assert_eq!(setup.events("").await.0, 200);
    for bad in [
        json!({"kind": "status", "status": 42}),
        json!({"kind": "nothing"}),
        json!({"kind": "cut", "cuont": 1}),
        json!([{"kind": "cut"}, {"kind": "cut", "probability": 7}]),
    ] {
        assert_eq!(post(&setup, "faults", bad.clone()).await.0, 400, "{bad}");
    }
    assert_eq!(
        read::<Vec<FaultRule>>(&setup, "faults").await.len(),
        2,
        "a refused list leaves nothing behind"
    );
    delete(&setup, "faults").await;
    assert_eq!(read::<Vec<FaultRule>>(&setup, "faults").await.len(), 0);

    assert_eq!(post(&setup, "churn", json!({"rate_per_s": 500})).await.0, 200);
    let deadline = std::time::Instant::now() + Duration::from_secs(10);
    while read::<Vec<TruthRow>>(&setup, "truth/rows").await.is_empty() {
        assert!(std::time::Instant::now() < deadline);
    }
    delete(&setup, "churn").await;
    let rows: Vec<TruthRow> = read(&setup, "truth/rows").await;
    assert_eq!(read::<Vec<TruthRow>>(&setup, "truth/rows").await, rows);
    assert_eq!(post(&setup, "churn", json!({"rate_per_s": -1})).await.0, 400);

    assert_eq!(post(&setup, "churn", json!({"of": "files", "rate_per_s": 500})).await.0, 200);
    while read::<Vec<TruthFile>>(&setup, "truth/files").await.is_empty() {
        assert!(std::time::Instant::now() < deadline);
    }
    delete(&setup, "churn").await;
    let files: Vec<TruthFile> = read(&setup, "truth/files").await;
    assert!(read::<Vec<TruthFile>>(&setup, "truth/files").await == files);
}

#[tokio::test]
async fn counters_tell_what_was_asked() {
    let setup =
        setup(Options { latency: Duration::from_millis(50), page_size_cap: 1, ..Options::default() }).await;
    setup.put("One");
    setup.put("Two");
    let token = setup.sync_token().await;
    setup.events_ok(&format!("syncToken={token}")).await;
    let by_id = format!("calendars/{ME}/events");
    tokio::join!(setup.get(&by_id), setup.events(""), setup.get("calendars/nowhere/events"));
    let stats: Stats = read(&setup, "stats").await;
    assert_eq!(stats, setup.google.stats());
    assert_eq!(stats.requests[&Api::Events]["200"], 5);
    assert_eq!(stats.requests[&Api::Events]["404"], 1);
    assert_eq!(stats.requests[&Api::Token]["200"], 1);
    let key = format!("{ME}/{ME}");
    let counts = |full| ListCounts { full, incremental: 1, pages: 1, ..ListCounts::default() };
    assert_eq!(stats.by_calendar[&key], counts(3));
    assert_eq!(stats.events, counts(4));
    assert_eq!(stats.max_concurrent[&key], 2, "the primary alias counts as the calendar itself");
    delete(&setup, "stats").await;
    assert_eq!(setup.google.stats(), Stats::default());
}

#[tokio::test]
async fn a_stopped_fake_is_gone_and_its_port_free() {
    let setup = setup(Options::default()).await;
    let url = setup.google.base_url();
    let port = url.rsplit(':').next().unwrap().parse().unwrap();
    let taken = loadtest::fake_google::FakeGoogle::start(Options { port, ..Options::default() }).await;
    assert!(format!("{:#}", taken.err().unwrap()).contains(&format!("127.0.0.1:{port}")));
    let Setup { google, http, .. } = setup;
    google.stop().await.unwrap();
    assert!(http.get(url).send().await.is_err());
}

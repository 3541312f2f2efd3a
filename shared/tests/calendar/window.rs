//! Windows over several events and calendars.

use serde_json::{Value, json};
use shared::{
    admin::{AdminError, event},
    calendar::{Window, occurrences::Filter},
    store::PgPool,
};

use crate::fixture::{apply, calendar, found, line, second};

fn hour(id: &str, start: &str, lines: &[&str]) -> Value {
    let end = start.replace(":00:00Z", ":30:00Z");
    let mut event = json!({"id": id, "summary": id, "start": {"dateTime": start, "timeZone": "UTC"}, "end": {"dateTime": end}});
    if !lines.is_empty() {
        event["recurrence"] = json!(lines);
    }
    event
}

#[sqlx::test(migrator = "shared::store::schema::MIGRATOR")]
async fn of_more_than_the_limit_the_earliest_are_told(db: PgPool) {
    let mirror = calendar(&db, "UTC").await;
    let day = json!({"id": "day", "start": {"date": "2026-03-02"}, "end": {"date": "2026-03-03"}});
    let (early, late) =
        (hour("early", "2026-03-02T08:00:00Z", &[]), hour("late", "2026-03-04T10:00:00Z", &[]));
    let daily = hour("daily", "2026-03-01T09:00:00Z", &["RRULE:FREQ=DAILY"]);
    apply(&db, mirror, &[late, daily, day, early]).await;
    let (from, to) = ("2026-03-02T00:00:00Z", "2026-03-05T00:00:00Z");
    let names = async |limit| {
        let found = found(&db, mirror, from, to, limit).await;
        let names: Vec<_> = found.occurrences.into_iter().map(|occurrence| occurrence.event).collect();
        (names.join(" "), found.more)
    };
    assert_eq!(names(3).await, ("day early daily".to_owned(), true));
    assert_eq!(names(5).await, ("day early daily daily daily".to_owned(), true));
    assert_eq!(names(6).await, ("day early daily daily daily late".to_owned(), false));
}

#[sqlx::test(migrator = "shared::store::schema::MIGRATOR")]
async fn a_master_of_the_same_id_in_another_calendar_is_another(db: PgPool) {
    let here = calendar(&db, "UTC").await;
    let there = second(&db, here.account, "UTC").await;
    let daily = hour("s", "2026-03-01T09:00:00Z", &["RRULE:FREQ=DAILY"]);
    let cancelled = json!({"id": "s_1", "status": "cancelled", "recurringEventId": "s",
        "originalStartTime": {"dateTime": "2026-03-02T09:00:00Z"}});
    apply(&db, here, &[daily.clone(), cancelled]).await;
    apply(&db, there, &[daily]).await;
    let window =
        Window { from: "2026-03-02T00:00:00Z".parse().unwrap(), to: "2026-03-04T00:00:00Z".parse().unwrap() };
    let filter = Filter { account: Some(here.account), calendar: None, window, limit: 10 };
    let found = event::between(&mut db.acquire().await.unwrap(), &filter).await.unwrap();
    let calendars: Vec<_> = found.occurrences.iter().map(|occurrence| occurrence.calendar).collect();
    assert_eq!(calendars, [there.calendar, here.calendar, there.calendar]);
}

#[sqlx::test(migrator = "shared::store::schema::MIGRATOR")]
async fn an_exception_goes_with_its_master_and_may_come_before_it(db: PgPool) {
    let mirror = calendar(&db, "UTC").await;
    let moved = json!({"id": "s_1", "summary": "moved", "recurringEventId": "s",
        "originalStartTime": {"dateTime": "2026-03-02T09:00:00Z"},
        "start": {"dateTime": "2026-03-02T12:00:00Z"}, "end": {"dateTime": "2026-03-02T13:00:00Z"}});
    let lines = async || {
        let found = found(&db, mirror, "2026-03-02T00:00:00Z", "2026-03-04T00:00:00Z", 10).await;
        found.occurrences.iter().map(line).collect::<Vec<_>>()
    };
    apply(&db, mirror, &[moved]).await;
    let alone = "2026-03-02T12:00:00Z 2026-03-02T13:00:00Z s_1";
    assert_eq!(lines().await, [alone]);
    apply(&db, mirror, &[hour("s", "2026-03-01T09:00:00Z", &["RRULE:FREQ=DAILY"])]).await;
    assert_eq!(lines().await, [alone, "2026-03-03T09:00:00Z 2026-03-03T09:30:00Z s"]);
    apply(&db, mirror, &[json!({"id": "s", "status": "cancelled"})]).await;
    assert_eq!(lines().await, Vec::<String>::new());
}

#[sqlx::test(migrator = "shared::store::schema::MIGRATOR")]
async fn a_window_that_makes_no_sense_is_refused(db: PgPool) {
    let mirror = calendar(&db, "UTC").await;
    let asked = async |from: &str, to: &str, account, calendar| {
        let window = Window { from: from.parse().unwrap(), to: to.parse().unwrap() };
        let filter = Filter { account, calendar, window, limit: 10 };
        event::between(&mut db.acquire().await.unwrap(), &filter).await
    };
    let (from, to) = ("2026-03-01T00:00:00Z", "2026-03-02T00:00:00Z");
    let refused = |error: AdminError, words: &str| assert!(error.to_string().contains(words), "{error}");
    refused(asked(to, from, None, Some(mirror.calendar)).await.unwrap_err(), "begin (2026-03-02");
    refused(asked(from, from, None, Some(mirror.calendar)).await.unwrap_err(), "empty");
    refused(
        asked(from, "2036-03-02T00:00:00Z", None, Some(mirror.calendar)).await.unwrap_err(),
        "at most 1830",
    );
    refused(asked(from, to, None, Some(-1)).await.unwrap_err(), "there is no calendar -1");
    refused(asked(from, to, Some(-1), None).await.unwrap_err(), "there is no account -1");
    assert!(asked(from, to, Some(mirror.account), None).await.unwrap().occurrences.is_empty());
}

//! What the columns say of an event.

use chrono::{DateTime, NaiveDate, Utc};
use serde_json::{Value, json};
use shared::store::{PgPool, events};

use crate::fixture::{apply, calendar};

#[derive(Debug, Default, PartialEq, sqlx::FromRow)]
struct Times {
    start_at: Option<DateTime<Utc>>,
    end_at: Option<DateTime<Utc>>,
    start_date: Option<NaiveDate>,
    end_date: Option<NaiveDate>,
    end_unspecified: bool,
    start_zone: Option<String>,
    end_zone: Option<String>,
}

async fn times(db: &PgPool, mirror: events::Mirror, event: &Value) -> Times {
    apply(db, mirror, std::slice::from_ref(event)).await;
    let row = sqlx::query_as("select * from events where calendar_id = $1 and event_id = $2");
    row.bind(mirror.calendar).bind(event["id"].as_str()).fetch_one(db).await.unwrap()
}

fn at(text: &str) -> Option<DateTime<Utc>> {
    text.parse().ok()
}

fn on(text: &str) -> Option<NaiveDate> {
    text.parse().ok()
}

#[sqlx::test(migrator = "shared::store::schema::MIGRATOR")]
async fn case_26_odd_times_are_kept_as_given_and_can_be_asked_for(db: PgPool) {
    let mirror = calendar(&db, "Europe/Berlin").await;
    let day = json!({"id": "day", "start": {"date": "2026-03-29"}, "end": {"date": "2026-03-31"}});
    let expected = Times { start_date: on("2026-03-29"), end_date: on("2026-03-31"), ..Times::default() };
    assert_eq!(times(&db, mirror, &day).await, expected);

    // Over the hour that is left out, in two zones, with an odd offset.
    let night = json!({"id": "night",
        "start": {"dateTime": "2026-03-29T04:15:00+05:45", "timeZone": "Asia/Kathmandu"},
        "end": {"dateTime": "2026-03-29T03:30:00+02:00", "timeZone": "Europe/Berlin"}});
    let expected = Times {
        start_at: at("2026-03-28T22:30:00Z"),
        end_at: at("2026-03-29T01:30:00Z"),
        start_zone: Some("Asia/Kathmandu".to_owned()),
        end_zone: Some("Europe/Berlin".to_owned()),
        ..Times::default()
    };
    assert_eq!(times(&db, mirror, &night).await, expected);

    let unspecified = json!({"id": "open", "endTimeUnspecified": true,
        "start": {"dateTime": "2026-03-29T10:00:00-03:30"}, "end": {"dateTime": "2026-03-29T11:00:00-03:30"}});
    let expected = Times {
        start_at: at("2026-03-29T13:30:00Z"),
        end_at: at("2026-03-29T14:30:00Z"),
        end_unspecified: true,
        ..Times::default()
    };
    assert_eq!(times(&db, mirror, &unspecified).await, expected);

    // Without an end it lies where it starts.
    let start = json!({"id": "start", "start": {"dateTime": "2026-03-29T10:00:00Z"}});
    let expected = Times {
        start_at: at("2026-03-29T10:00:00Z"),
        end_at: at("2026-03-29T10:00:00Z"),
        ..Times::default()
    };
    assert_eq!(times(&db, mirror, &start).await, expected);

    // The raw event has what was given, the offset too.
    let raw: Value =
        sqlx::query_scalar("select raw from events where event_id = 'night'").fetch_one(&db).await.unwrap();
    assert_eq!(raw, night);
}

#[sqlx::test(migrator = "shared::store::schema::MIGRATOR")]
async fn what_people_ask_for_has_a_column(db: PgPool) {
    let mirror = calendar(&db, "UTC").await;
    let event = json!({
        "id": "a", "status": "tentative", "summary": "Lunch", "location": "Kantine", "eventType": "focusTime",
        "transparency": "transparent", "visibility": "private", "iCalUID": "a@google.com",
        "creator": {"email": "ada@example.com"}, "organizer": {"email": "bo@example.com"},
        "hangoutLink": "https://meet.example/abc", "start": {"date": "2026-03-01"}, "end": {"date": "2026-03-02"},
        "recurrence": ["RRULE:FREQ=DAILY;UNTIL=20260305"],
    });
    apply(&db, mirror, &[event]).await;
    let read = "select concat_ws(' ', status, summary, location, event_type, transparency, visibility, ical_uid, creator,
        organizer, conference_url, recurrence, series_end at time zone 'utc') from events";
    let told: String = sqlx::query_scalar(read).fetch_one(&db).await.unwrap();
    assert_eq!(
        told,
        "tentative Lunch Kantine focusTime transparent private a@google.com ada@example.com bo@example.com \
         https://meet.example/abc {RRULE:FREQ=DAILY;UNTIL=20260305} 2026-03-08 00:00:00"
    );
    // Changed, the defaults are back.
    apply(
        &db,
        mirror,
        &[json!({"id": "a", "start": {"date": "2026-03-01"}, "recurrence": ["RRULE:FREQ=DAILY"]})],
    )
    .await;
    let told: String = sqlx::query_scalar(read).fetch_one(&db).await.unwrap();
    assert_eq!(told, "confirmed default opaque default {RRULE:FREQ=DAILY} infinity");
}

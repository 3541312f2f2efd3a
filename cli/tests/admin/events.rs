use serde_json::json;
use shared::{
    google::calendar::EventItem,
    store::{
        PgPool,
        events::{self, Mirror},
        tenants,
    },
};

use crate::program::Program;

/// A calendar with a single event and a weekly series, both in Berlin.
async fn mirrored(db: &PgPool) -> Mirror {
    let mut conn = db.acquire().await.unwrap();
    let tenant = tenants::ensure(&mut conn, "acme").await.unwrap();
    let sql = "insert into accounts (tenant_id, provider, email) values ($1, 'google', 'ada@example.com') returning id";
    let account: i64 = sqlx::query_scalar(sql).bind(tenant).fetch_one(&mut *conn).await.unwrap();
    let sql = "insert into calendars (account_id, google_id, access_role, time_zone, raw, list_generation)
        values ($1, 'c', 'owner', 'Europe/Berlin', '{}', 1) returning id";
    let calendar: i64 = sqlx::query_scalar(sql).bind(account).fetch_one(&mut *conn).await.unwrap();
    let mirror = Mirror { account, calendar };
    let berlin = |time: &str| json!({"dateTime": time, "timeZone": "Europe/Berlin"});
    let items = [
        json!({"id": "weekly", "summary": "Stand-up", "recurrence": ["RRULE:FREQ=WEEKLY"],
            "start": berlin("2026-03-02T09:00:00+01:00"), "end": berlin("2026-03-02T09:15:00+01:00")}),
        json!({"id": "trip", "summary": "Trip", "start": {"date": "2026-03-28"}, "end": {"date": "2026-03-31"}}),
        json!({"id": "odd", "summary": "Odd", "recurrence": ["RRULE:FREQ=SECONDLY"],
            "start": berlin("2026-03-01T09:00:00+01:00"), "end": berlin("2026-03-01T09:15:00+01:00")}),
    ];
    let items: Vec<_> = items.iter().map(|item| EventItem::read(&item.to_string()).unwrap()).collect();
    events::apply(&mut conn, mirror, 1, &items).await.unwrap();
    mirror
}

#[sqlx::test(migrator = "shared::store::schema::MIGRATOR")]
async fn a_window_shows_what_happens_in_it(db: PgPool) {
    let mirror = mirrored(&db).await;
    let program = Program::with(&db);
    let (account, calendar) = (mirror.account.to_string(), mirror.calendar.to_string());
    let window = ["--from", "2026-03-23", "--to", "2026-03-31T00:00:00+02:00"];
    let found = program.json(&[&["event", "ls", "--account", &account] as &[&str], &window].concat());
    let brief: Vec<_> = found
        .as_array()
        .unwrap()
        .iter()
        .map(|found| json!([found["event"], found["start"], found["end"]]))
        .collect();
    assert_eq!(
        brief,
        [
            json!(["weekly", "2026-03-23T09:00:00+01:00", "2026-03-23T09:15:00+01:00"]),
            json!(["trip", "2026-03-28", "2026-03-31"]),
            json!(["weekly", "2026-03-30T09:00:00+02:00", "2026-03-30T09:15:00+02:00"]),
        ]
    );
    let few = program
        .run(&[&["event", "ls", "--calendar", &calendar, "--limit", "1"] as &[&str], &window].concat());
    assert!(few.stdout.contains("2026-03-23T09:00:00+01:00") && !few.stdout.contains("Trip"), "{few:?}");
    assert!(few.stderr.contains("there is more: narrow the window, or raise --limit 1"), "{few:?}");
    assert!(
        few.stderr.contains("event odd of calendar") && few.stderr.contains("more often than hourly"),
        "{few:?}"
    );
    // A series is endless: from now on there is something in each week.
    let soon = program.json(&["event", "ls", "--account", &account, "--to", "+8d"]);
    assert!(!soon.as_array().unwrap().is_empty());
    let past = program.run(&["event", "ls", "--account", &account, "--from", "2020-01-01"]);
    assert_eq!((past.code, past.stdout.as_str()), (0, ""));
    assert!(past.stderr.contains("nothing in this window"), "{past:?}");
    // Without a window: as they are mirrored.
    let rows = program.json(&["event", "ls", "--account", &account]);
    assert_eq!(rows.as_array().unwrap().len(), 3);
}

#[sqlx::test(migrator = "shared::store::schema::MIGRATOR")]
async fn a_bad_window_is_refused(db: PgPool) {
    let mirror = mirrored(&db).await;
    let program = Program::with(&db);
    let account = mirror.account.to_string();
    for (args, code, words) in [
        (&["--from", "tomorrow"] as &[&str], 2, "RFC 3339"),
        (&["--from", "2026-03-01T09:00"], 2, "a date (2026-03-01: midnight UTC)"),
        (&["--from", "2026-03-02", "--to", "2026-03-01"], 2, "the window is empty"),
        (&["--from", "-20days", "--to", "-30days"], 2, "the window is empty"),
        (&["--from", "2000-01-01", "--to", "2026-03-01"], 2, "too wide: 9556 days, at most 1830"),
        (&["--from", "now", "--cancelled"], 2, "cannot be used with"),
        (&["--from", "now", "--calendar", "99"], 3, "there is no calendar 99"),
    ] {
        program.refused(&[&["event", "ls", "--account", &account] as &[&str], args].concat(), code, &[words]);
    }
    program.refused(&["event", "ls", "--account", "99", "--from", "now"], 3, &["there is no account 99"]);
}

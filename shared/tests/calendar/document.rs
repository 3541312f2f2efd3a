//! docs/data-model.md: its queries run, and its tables have the columns that they have.

use serde_json::{Value, json};
use shared::store::PgPool;
use sqlx::{AssertSqlSafe, Row};

use crate::fixture::{apply, calendar};

const DOCUMENT: &str = include_str!("../../../docs/data-model.md");

/// The blocks of a language.
fn blocks(language: &str) -> Vec<&'static str> {
    let fence = format!("```{language}\n");
    DOCUMENT.split(fence.as_str()).skip(1).map(|rest| rest.split("```").next().unwrap()).collect()
}

fn events() -> Vec<Value> {
    vec![
        json!({"id": "single", "summary": "Planning", "organizer": {"email": "ada@example.com"},
            "attendees": [{"email": "ada@example.com", "responseStatus": "accepted"},
                {"email": "bo@example.com", "responseStatus": "needsAction"}],
            "iCalUID": "single@google.com", "description": "what next",
            "start": {"dateTime": "2026-03-03T10:00:00+01:00", "timeZone": "Europe/Berlin"},
            "end": {"dateTime": "2026-03-03T11:00:00+01:00", "timeZone": "Europe/Berlin"}}),
        json!({"id": "trip", "summary": "Trip", "start": {"date": "2026-03-04"}, "end": {"date": "2026-03-06"}}),
        json!({"id": "weekly", "summary": "Weekly", "recurrence": ["RRULE:FREQ=WEEKLY"],
            "start": {"dateTime": "2026-03-02T09:00:00+01:00", "timeZone": "Europe/Berlin"},
            "end": {"dateTime": "2026-03-02T10:00:00+01:00", "timeZone": "Europe/Berlin"}}),
        json!({"id": "weekly_1", "summary": "Weekly, later", "recurringEventId": "weekly",
            "originalStartTime": {"dateTime": "2026-03-09T09:00:00+01:00"},
            "start": {"dateTime": "2026-03-09T14:00:00+01:00", "timeZone": "Europe/Berlin"},
            "end": {"dateTime": "2026-03-09T15:00:00+01:00", "timeZone": "Europe/Berlin"}}),
        json!({"id": "weekly_2", "status": "cancelled", "recurringEventId": "weekly",
            "originalStartTime": {"dateTime": "2026-03-16T09:00:00+01:00"}}),
    ]
}

/// A drive with a folder and two copies of a file in it, one of which anybody can read.
async fn files(db: &PgPool) {
    sqlx::raw_sql(
        "insert into drives (account_id, google_id, is_mine, name, raw, list_generation) values (1, 'top', true, 'My Drive', '{}', 1);
        insert into files (
            account_id, file_id, drive_id, name, mime_type, parent_id, size, md5, trashed, explicitly_trashed, owned_by_me,
            shared, starred, permissions, raw, generation
        )
        select 1, f.id, d.id, f.name, mime_type, parent, size, md5, false, false, true, false, false, permissions::text[], '{}', 1
        from drives d, (values
            ('plans', 'Plans', 'application/vnd.google-apps.folder', 'top', null::bigint, null, null::text[]),
            ('roof', 'Roof.pdf', 'application/pdf', 'plans', 5, 'abc', '{owner user:ada@example.com, reader anyone}'),
            ('copy', 'Copy of Roof.pdf', 'application/pdf', 'plans', 5, 'abc', '{owner user:ada@example.com}')
        ) as f (id, name, mime_type, parent, size, md5, permissions)",
    )
    .execute(db)
    .await
    .unwrap();
}

#[sqlx::test(migrator = "shared::store::schema::MIGRATOR")]
async fn every_query_of_the_document_runs_and_finds_something(db: PgPool) {
    let mirror = calendar(&db, "Europe/Berlin").await;
    assert_eq!((mirror.account, mirror.calendar), (1, 1), "the document's queries ask for these");
    apply(&db, mirror, &events()).await;
    files(&db).await;
    let queries = blocks("sql");
    assert!(queries.len() >= 6, "queries are missing");
    for query in queries {
        let rows = sqlx::query(AssertSqlSafe(query)).fetch_all(&db).await;
        let rows = rows.unwrap_or_else(|error| panic!("{query}\n{error}"));
        assert!(!rows.is_empty(), "finds nothing:\n{query}");
    }
}

#[sqlx::test(migrator = "shared::store::schema::MIGRATOR")]
async fn the_document_tells_every_column_and_no_other(db: PgPool) {
    for table in
        ["accounts", "calendars", "events", "drives", "files", "drive_mirrors", "file_contents", "objects"]
    {
        let rows = sqlx::query(
            "select column_name::text from information_schema.columns where table_schema = 'public' and table_name = $1",
        );
        let rows = rows.bind(table).fetch_all(&db).await.unwrap();
        let mut columns: Vec<String> = rows.iter().map(|row| row.get(0)).collect();
        let heading = format!("\n## `{table}`");
        let part = DOCUMENT.split(&heading).nth(1).unwrap_or_else(|| panic!("no part on {table}"));
        let part = part.split("\n## ").next().unwrap();
        let mut told: Vec<String> = part
            .lines()
            .filter_map(|line| line.strip_prefix("| ")?.split(" | ").next())
            .flat_map(|cell| cell.split(", "))
            .filter_map(|name| Some(name.trim().strip_prefix('`')?.strip_suffix('`')?.to_owned()))
            .collect();
        columns.sort();
        told.sort();
        assert_eq!(told, columns, "{table}");
    }
}

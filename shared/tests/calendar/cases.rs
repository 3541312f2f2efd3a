//! Hard cases of recurring events: `cases.json` has for each the events as Google gives them, a window, the calendar's zone, and
//! what is to be found. The expected times were thought out from RFC 5545 and Google's documentation and written by a script
//! with Python's zoneinfo; where a rule gives the whole list it was compared with python-dateutil's. None was copied from what
//! the program says.

use serde::Deserialize;
use serde_json::Value;
use shared::store::PgPool;

use crate::fixture::{apply, calendar, found, line};

#[derive(Deserialize)]
struct Case {
    name: String,
    zone: String,
    from: String,
    to: String,
    events: Vec<Value>,
    expect: Vec<String>,
    notes: usize,
}

#[sqlx::test(migrator = "shared::store::schema::MIGRATOR")]
async fn the_table_of_hard_cases_holds(db: PgPool) {
    let cases: Vec<Case> = serde_json::from_str(include_str!("cases.json")).unwrap();
    assert!(cases.len() >= 60, "cases are missing");
    let mut wrong = Vec::new();
    for case in cases {
        let mirror = calendar(&db, &case.zone).await;
        apply(&db, mirror, &case.events).await;
        let found = found(&db, mirror, &case.from, &case.to, 1000).await;
        let lines: Vec<String> = found.occurrences.iter().map(line).collect();
        if lines != case.expect || found.notes.len() != case.notes || found.more {
            wrong.push(format!(
                "{}: expected {:#?}, found {lines:#?}, {:?}",
                case.name, case.expect, found.notes
            ));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

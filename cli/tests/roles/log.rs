//! How roles log.

use rustix::process::Signal;
use serde_json::Value;
use shared::store::PgPool;

use crate::process::{LIMIT, Program};

/// What an ingress without an OAuth client logs from its start to its end.
async fn log(program: Program) -> String {
    let mut ingress = program.start(&["ingress"]).await;
    ingress.ready().await;
    ingress.signal(Signal::TERM);
    let ended = ingress.ended(LIMIT).await;
    assert_eq!(ended.code, 0, "{}", ended.log);
    ended.log
}

#[sqlx::test(migrator = "shared::store::schema::MIGRATOR")]
async fn lines_are_json_for_programs_and_text_where_that_is_asked_for(db: PgPool) {
    let program = Program::with(&db);
    for json in [log(program.clone()).await, log(program.clone().env("SYNCFLEET_LOG_FORMAT", "json")).await] {
        assert!(json.lines().count() > 1, "{json}");
        for line in json.lines() {
            let told = serde_json::from_str::<Value>(line);
            assert!(told.is_ok_and(|told| told["message"].is_string()), "{line}");
        }
    }
    let text = log(program.env("SYNCFLEET_LOG_FORMAT", "text")).await;
    assert!(text.lines().any(|line| line.ends_with("INFO ended")), "{text}");
    // Nobody at a terminal reads it: no colours.
    assert!(!text.contains('\u{1b}') && !text.lines().any(|line| line.starts_with('{')), "{text}");
}

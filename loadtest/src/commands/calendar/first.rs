//! All events of accounts that were never synced.

use std::time::{Duration, Instant};

use loadtest::fake_google::SeededAccount;
use serde::Serialize;
use shared::job::JobId;

use super::{EVENTS, Used, calendars};
use crate::stage::{
    Stage,
    fleet::Fleet,
    google::Google,
    jobs::{BATCH, passes_of_kind},
    stats::rate,
    until,
};

/// The figures of the first sync.
#[derive(Debug, Serialize)]
pub struct First {
    pub events: usize,
    /// From the want of the accounts' lists to the last commit.
    pub events_per_second: f64,
    pub seconds: f64,
    pub cpu: Used,
}

/// Wants the accounts' lists, and waits until all of their calendars are mirrored.
pub async fn measure(
    stage: &Stage,
    fleet: &Fleet,
    google: &Google,
    accounts: &[SeededAccount],
    lists: &[JobId],
    limit: Duration,
) -> anyhow::Result<First> {
    let wanter = stage.wanter();
    let before = rows(stage).await?;
    let passes = passes_of_kind(fleet, EVENTS).await? + calendars(accounts).count();
    let cpu = Used::by_now(stage, fleet, google).await?;
    let began = Instant::now();
    for batch in lists.chunks(BATCH) {
        wanter.want(batch).await?;
    }
    until("the calendars are mirrored", limit, Duration::from_millis(10), async || {
        Ok((passes_of_kind(fleet, EVENTS).await? >= passes).then_some(()))
    })
    .await?;
    let took = began.elapsed();
    let cpu = Used::by_now(stage, fleet, google).await? - cpu;
    let events = rows(stage).await? - before;
    Ok(First { events, events_per_second: rate(events, took), seconds: took.as_secs_f64(), cpu })
}

async fn rows(stage: &Stage) -> anyhow::Result<usize> {
    let rows: i64 = sqlx::query_scalar("select count(*) from events").fetch_one(&stage.db).await?;
    Ok(usize::try_from(rows)?)
}

//! Calendars that are synced again and again, and have hardly ever changed.

use std::time::{Duration, Instant};

use anyhow::ensure;
use chrono::DateTime;
use loadtest::fake_google::{EventDraft, Operation, When};
use rand::{rngs::StdRng, seq::SliceRandom};
use serde::Serialize;
use serde_json::Value;
use shared::job::JobId;

use super::{EVENTS, Used};
use crate::stage::{
    Stage,
    fleet::Fleet,
    google::Google,
    jobs::{BATCH, passes_of_kind},
    stats::rate,
    until,
};

/// 2030-01-01, when the new events begin.
const START: i64 = 1_893_456_000;

/// What is synced how often.
pub struct Syncs<'a> {
    /// Google's ids.
    pub calendars: &'a [String],
    /// Their jobs, in any order.
    pub jobs: &'a [JobId],
    pub rounds: u32,
    /// Syncs of a hundred that find something.
    pub changed: u32,
}

/// The figures of all rounds.
#[derive(Debug, Serialize)]
pub struct Incremental {
    pub syncs: usize,
    /// Those that found something.
    pub changed: usize,
    /// From the first want of a round to the last commit, without the time between rounds.
    pub syncs_per_second: f64,
    pub seconds: f64,
    /// Of the rounds alone.
    pub cpu: Used,
}

/// Each round wants every calendar once and waits until all are synced, so that no two wants become one pass.
pub async fn measure(
    stage: &Stage,
    fleet: &Fleet,
    google: &Google,
    syncs: &Syncs<'_>,
    rng: &mut StdRng,
    limit: Duration,
) -> anyhow::Result<Incremental> {
    let each = syncs.calendars.len();
    let all = each * syncs.rounds as usize;
    // A round that is not counted: it follows first syncs, which leave slow lanes and new rows behind.
    round(stage, fleet, syncs.jobs, limit).await?;
    let mut finds = vec![false; all];
    finds[..all * syncs.changed as usize / 100].fill(true);
    finds.shuffle(rng);
    let (mut took, mut cpu) = (Duration::ZERO, Used::default());
    let before = found(stage).await?;
    for finds in finds.chunks(each) {
        for (calendar, _) in syncs.calendars.iter().zip(finds).filter(|(_, finds)| **finds) {
            change(google, calendar).await?;
        }
        let earlier = Used::by_now(stage, fleet, google).await?;
        took += round(stage, fleet, syncs.jobs, limit).await?;
        cpu = cpu + (Used::by_now(stage, fleet, google).await? - earlier);
    }
    let changed = finds.iter().filter(|finds| **finds).count();
    let found = found(stage).await? - before;
    ensure!(found == changed, "{changed} calendars changed between syncs, and {found} syncs found something");
    Ok(Incremental {
        syncs: all,
        changed,
        syncs_per_second: rate(all, took),
        seconds: took.as_secs_f64(),
        cpu,
    })
}

async fn round(stage: &Stage, fleet: &Fleet, jobs: &[JobId], limit: Duration) -> anyhow::Result<Duration> {
    let wanter = stage.wanter();
    let before = passes_of_kind(fleet, EVENTS).await?;
    let began = Instant::now();
    for batch in jobs.chunks(BATCH) {
        wanter.want(batch).await?;
    }
    until("the calendars are synced", limit, Duration::from_millis(10), async || {
        Ok((passes_of_kind(fleet, EVENTS).await? >= before + jobs.len()).then_some(()))
    })
    .await?;
    let took = began.elapsed();
    let (passes, unanswered) = (passes_of_kind(fleet, EVENTS).await? - before, stage.unanswered().await?);
    ensure!(
        passes == jobs.len() && unanswered == 0,
        "{} calendars were wanted once: {passes} passes, {unanswered} wants without one",
        jobs.len()
    );
    Ok(took)
}

async fn change(google: &Google, calendar: &str) -> anyhow::Result<()> {
    let start = DateTime::from_timestamp(START, 0).unwrap_or_default().fixed_offset();
    let event = EventDraft::new("New", When::at(start, Some("Europe/Berlin")));
    google.apply::<Value>(&Operation::PutEvent { calendar: calendar.to_owned(), event }).await?;
    Ok(())
}

/// Passes that changed rows.
async fn found(stage: &Stage) -> anyhow::Result<usize> {
    let found: i64 = sqlx::query_scalar(
        "select count(*) from runs r join jobs j on j.id = r.job_id where j.kind = $1 and r.changed > 0",
    )
    .bind(EVENTS)
    .fetch_one(&stage.db)
    .await?;
    Ok(usize::try_from(found)?)
}

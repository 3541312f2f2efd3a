//! All jobs wanted as fast as it goes, until all are done.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use anyhow::ensure;
use serde::Serialize;
use shared::job::JobId;
use tokio::task::JoinSet;

use crate::stage::{
    Stage,
    fleet::Fleet,
    jobs::{BATCH, passes_of},
    stats::rate,
    usage::Cpu,
};

/// The figures of one round.
#[derive(Debug, Serialize)]
pub struct Round {
    /// From the first want to the last acknowledged commit.
    pub jobs_per_second: f64,
    /// The wants alone, while the fleet was at work.
    pub wants_per_second: f64,
    pub seconds: f64,
    /// CPU seconds.
    pub cpu: Cpu,
}

/// Wants every job once, over so many connections, and waits until all are done.
pub async fn measure(
    stage: &Stage,
    fleet: &Fleet,
    jobs: &[JobId],
    producers: u32,
    limit: Duration,
) -> anyhow::Result<Round> {
    let before = passes_of(fleet).await?;
    let cpu = stage.cpu(fleet).await?;
    let began = Instant::now();
    want_all(stage, jobs, producers as usize).await?;
    let wanted = began.elapsed();
    stage.completed(fleet, before + jobs.len(), limit).await?;
    let took = began.elapsed();
    let cpu = stage.cpu(fleet).await? - cpu;
    let unanswered = stage.unanswered().await?;
    ensure!(unanswered == 0, "the worker counts all passes, but {unanswered} jobs are not done");
    Ok(Round {
        jobs_per_second: rate(jobs.len(), took),
        wants_per_second: rate(jobs.len(), wanted),
        seconds: took.as_secs_f64(),
        cpu,
    })
}

async fn want_all(stage: &Stage, jobs: &[JobId], producers: usize) -> anyhow::Result<()> {
    let jobs: Arc<[JobId]> = jobs.into();
    let mut wanting = JoinSet::new();
    for number in 0..producers {
        let (wanter, jobs) = (stage.wanter(), Arc::clone(&jobs));
        wanting.spawn(async move {
            for batch in jobs.chunks(BATCH).skip(number).step_by(producers) {
                wanter.want(batch).await?;
            }
            anyhow::Ok(())
        });
    }
    while let Some(ended) = wanting.join_next().await {
        ended??;
    }
    Ok(())
}

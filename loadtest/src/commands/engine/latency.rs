//! How soon a wanted job starts, on a fleet that is not busy.

use std::time::{Duration, SystemTime};

use anyhow::ensure;
use chrono::{DateTime, Utc};
use serde::Serialize;
use shared::job::JobId;
use std::collections::HashMap;
use tokio::task::JoinSet;

use crate::stage::{
    Stage,
    stats::{ms, percentile},
    until,
};

/// From the acknowledged commit of a want, in milliseconds.
#[derive(Debug, Serialize)]
pub struct Latency {
    pub wants: usize,
    /// To the claim: `runs.started_at`.
    pub start_p50_ms: f64,
    pub start_p99_ms: f64,
    pub start_max_ms: f64,
    /// To the commit of the run: the step was run in between, so its start is somewhere before.
    pub end_p50_ms: f64,
    pub end_p99_ms: f64,
    /// How long a want took to be durable.
    pub want_p50_ms: f64,
    pub want_p99_ms: f64,
}

/// Wants `rate` jobs a second, each once and by itself, for some seconds.
pub async fn measure(
    stage: &Stage,
    jobs: &[JobId],
    rate: u32,
    seconds: u32,
    limit: Duration,
) -> anyhow::Result<Latency> {
    let jobs: Vec<JobId> = jobs.iter().copied().take((rate * seconds) as usize).collect();
    let began: DateTime<Utc> = SystemTime::now().into();
    let mut wants = JoinSet::new();
    let mut ticks = tokio::time::interval(Duration::from_secs(1) / rate);
    for job in jobs.iter().copied() {
        ticks.tick().await;
        let wanter = stage.wanter();
        wants.spawn(async move {
            let sent = SystemTime::now();
            let acknowledged = wanter.want(&[job]).await?;
            anyhow::Ok((job, sent, acknowledged))
        });
    }
    let mut acknowledged: HashMap<JobId, SystemTime> = HashMap::new();
    let mut durable = Vec::new();
    while let Some(want) = wants.join_next().await {
        let (job, sent, at) = want??;
        durable.push(at.duration_since(sent).unwrap_or_default());
        acknowledged.insert(job, at);
    }
    let runs = until("the wanted jobs are done", limit, Duration::from_millis(200), async || {
        let runs = sqlx::query!(
            "select job_id, started_at, ended_at from runs where job_id = any($1) and started_at >= $2",
            &jobs,
            began,
        )
        .fetch_all(&stage.db)
        .await?;
        Ok((runs.len() >= jobs.len()).then_some(runs))
    })
    .await?;
    ensure!(runs.len() == jobs.len(), "{} jobs were wanted once, and run {} times", jobs.len(), runs.len());
    let after = |job: JobId, at: DateTime<Utc>| {
        let wanted: DateTime<Utc> = acknowledged[&job].into();
        (at - wanted).to_std().unwrap_or_default()
    };
    let starts: Vec<_> = runs.iter().map(|run| after(run.job_id, run.started_at)).collect();
    let ends: Vec<_> = runs.iter().map(|run| after(run.job_id, run.ended_at)).collect();
    Ok(Latency {
        wants: jobs.len(),
        start_p50_ms: ms(percentile(&starts, 50)),
        start_p99_ms: ms(percentile(&starts, 99)),
        start_max_ms: ms(percentile(&starts, 100)),
        end_p50_ms: ms(percentile(&ends, 50)),
        end_p99_ms: ms(percentile(&ends, 99)),
        want_p50_ms: ms(percentile(&durable, 50)),
        want_p99_ms: ms(percentile(&durable, 99)),
    })
}

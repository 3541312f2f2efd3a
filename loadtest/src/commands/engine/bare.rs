//! The limit: the engine's own SQL in a loop, without the engine.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use anyhow::{Context, ensure};
use serde::Serialize;
use shared::{
    job::{JobId, Lane},
    store::{
        PgPool,
        job_state::{self, Claimer, Completion, Finished},
    },
};
use tokio::task::JoinSet;
use uuid::Uuid;

use crate::stage::{Stage, jobs::BATCH, stats::rate};

/// The figures of one loop.
#[derive(Debug, Serialize)]
pub struct Bare {
    pub connections: usize,
    pub jobs_per_second: f64,
    /// CPU microseconds of `PostgreSQL` a job.
    pub postgres_cpu_us: f64,
}

/// Each connection wants, claims and completes its part of the jobs, in batches.
pub async fn measure(
    stage: &Stage,
    jobs: &[JobId],
    connections: usize,
    limit: Duration,
) -> anyhow::Result<Bare> {
    let jobs: Arc<[JobId]> = jobs.into();
    let part = jobs.len().div_ceil(connections);
    let (began, cpu) = (Instant::now(), stage.postgres_cpu()?);
    let mut loops = JoinSet::new();
    for number in 0..connections {
        let (db, jobs) = (stage.db.clone(), Arc::clone(&jobs));
        loops.spawn(async move {
            let Some(own) = jobs.chunks(part).nth(number) else { return Ok(()) };
            run(&db, own).await
        });
    }
    let all = async {
        while let Some(ended) = loops.join_next().await {
            ended??;
        }
        anyhow::Ok(())
    };
    tokio::time::timeout(limit, all)
        .await
        .with_context(|| format!("the bare loop did not end in {limit:?}"))??;
    let (took, cpu) = (began.elapsed(), stage.postgres_cpu()? - cpu);
    let unanswered = stage.unanswered().await?;
    ensure!(unanswered == 0, "the bare loop left {unanswered} jobs undone");
    Ok(Bare {
        connections,
        jobs_per_second: rate(jobs.len(), took),
        postgres_cpu_us: cpu * 1e6 / rate(jobs.len(), Duration::from_secs(1)),
    })
}

async fn run(db: &PgPool, jobs: &[JobId]) -> anyhow::Result<()> {
    let mut connection = db.acquire().await?;
    let worker = Uuid::now_v7();
    let kinds = ["noop".to_owned()];
    let claimer = Claimer { worker, kinds: &kinds, suspects: false };
    for batch in jobs.chunks(BATCH) {
        job_state::want(&mut connection, batch, None, None).await?;
        let leases: Vec<_> = batch.iter().map(|_| Uuid::now_v7()).collect();
        let runs = job_state::claim(&mut connection, &claimer, batch, &leases).await?;
        let completions: Vec<Completion> = runs
            .iter()
            .map(|run| Completion {
                finished: Finished {
                    run: run.id,
                    job: run.job,
                    worker,
                    lane: run.lane,
                    attempt: 1,
                    started_at: run.started_at,
                    changed: 0,
                },
                next: None,
                floor: Duration::ZERO,
                lane: Lane::Normal,
            })
            .collect();
        job_state::complete(&mut connection, &completions).await?;
    }
    Ok(())
}

use std::collections::HashMap;

use anyhow::{Result, ensure};
use shared::job::{JobId, RunId};

/// A job as it must be.
#[derive(Debug, Clone, Default)]
pub struct Job {
    pub wanted: i64,
    pub seen: Option<i64>,
    pub done: i64,
    /// The lease that stands; `None`: nobody runs it.
    pub lease: Option<RunId>,
    /// Steps whose writes stand.
    pub steps: i64,
}

/// A job's row, as it is.
#[derive(Debug, Clone, sqlx::FromRow)]
pub struct Row {
    pub job_id: JobId,
    pub wanted: i64,
    pub seen: Option<i64>,
    pub done: i64,
    pub lease: Option<RunId>,
    pub phase: String,
    pub never: bool,
    pub steps: i64,
}

/// Compares what is with what must be.
pub fn compare(jobs: &HashMap<JobId, Job>, rows: &[Row]) -> Result<()> {
    ensure!(rows.len() == jobs.len(), "{} rows for {} jobs", rows.len(), jobs.len());
    for row in rows {
        let job = &jobs[&row.job_id];
        ensure!(row.wanted == job.wanted, "wanted {} of {row:?}", job.wanted);
        ensure!(row.seen == job.seen, "seen {:?} of {row:?}", job.seen);
        ensure!(row.done == job.done, "done {} of {row:?}", job.done);
        ensure!(row.lease == job.lease, "lease {:?} of {row:?}", job.lease);
        ensure!(
            row.steps == job.steps,
            "steps {} of {row:?}: a stale lease wrote, or a step is lost",
            job.steps
        );
        let bounds =
            row.done <= row.seen.unwrap_or(row.wanted) && row.seen.unwrap_or(row.wanted) <= row.wanted;
        ensure!(bounds, "done <= seen <= wanted does not hold for {row:?}");
        // Whatever is open has a time at which it goes on, unless somebody's act is awaited.
        let open = row.wanted > row.done || row.seen.is_some();
        ensure!(!(row.phase == "idle" && open && row.never), "{row:?} would wait for ever");
    }
    Ok(())
}

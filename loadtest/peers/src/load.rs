//! What every peer is given to do, and what is measured of it.

use std::{
    sync::{
        Arc,
        atomic::{AtomicU32, AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};

use anyhow::bail;
use apalis::prelude::{BoxDynError, Data, WorkerContext};
use serde::Serialize;

/// The most tasks of one push.
pub const BATCH: u32 = 1_000;

#[derive(Clone, Copy)]
pub struct Load {
    /// Tasks to push in bulk and then to drain.
    pub tasks: u32,
    /// Tasks a second where the time to the start is measured.
    pub rate: u32,
    pub seconds: u32,
    /// The longest that the drain may take.
    pub limit: Duration,
}

impl Load {
    /// The numbers of the tasks, in batches.
    pub fn batches(&self) -> impl Iterator<Item = Vec<u32>> {
        let tasks = self.tasks;
        (0..tasks).step_by(BATCH as usize).map(move |first| (first..tasks.min(first + BATCH)).collect())
    }
}

/// One peer's figures.
#[derive(Serialize)]
pub struct Measured {
    pub name: &'static str,
    pub tasks: u32,
    pub enqueued_per_second: f64,
    pub done_per_second: f64,
    /// From the end of the push to the start of the task.
    pub start_p50_ms: f64,
    pub start_p99_ms: f64,
}

/// When tasks were pushed and started.
pub struct Tasks {
    began: Instant,
    started_ns: Vec<AtomicU64>,
    left: AtomicU32,
}

impl Tasks {
    pub fn new(tasks: u32) -> Arc<Self> {
        Arc::new(Self {
            began: Instant::now(),
            started_ns: (0..tasks).map(|_| AtomicU64::new(0)).collect(),
            left: AtomicU32::new(tasks),
        })
    }

    /// The time since the beginning; never 0.
    pub fn now(&self) -> u64 {
        u64::try_from(self.began.elapsed().as_nanos()).unwrap_or(u64::MAX).max(1)
    }

    /// When a task was started first.
    pub fn started(&self, task: u32) -> Option<u64> {
        let started = self.started_ns.get(task as usize)?.load(Ordering::Acquire);
        (started > 0).then_some(started)
    }

    /// Notes a start; true if it was the last one missing.
    fn start(&self, task: u32) -> bool {
        let Some(started) = self.started_ns.get(task as usize) else { return false };
        started.compare_exchange(0, self.now(), Ordering::AcqRel, Ordering::Relaxed).is_ok()
            && self.left.fetch_sub(1, Ordering::AcqRel) == 1
    }
}

/// The task that does nothing. The last one stops the worker.
pub async fn noop(task: u32, tasks: Data<Arc<Tasks>>, worker: WorkerContext) -> Result<(), BoxDynError> {
    if tasks.start(task) {
        worker.stop()?;
    }
    Ok(())
}

/// Pushes one task at a time at the load's rate, after waiting until the worker serves at once; gives back p50 and p99 of the
/// time from the end of the push to the start, in milliseconds.
///
/// `tasks` has a place for each task of the load, and [`WARM_UP`] before them.
pub async fn start_times<E>(
    load: &Load,
    tasks: &Tasks,
    mut push: impl AsyncFnMut(u32) -> Result<(), E>,
) -> anyhow::Result<(f64, f64)>
where
    E: Into<anyhow::Error>,
{
    // A worker that is not listening yet would wait for its heartbeat.
    let mut serves = false;
    for task in 0..WARM_UP {
        push(task).await.map_err(Into::into)?;
        tokio::time::sleep(Duration::from_millis(250)).await;
        serves |= tasks.started(task).is_some();
    }
    if !serves {
        bail!("the worker has started none of the {WARM_UP} tasks to warm up");
    }
    let mut pushed = Vec::new();
    let mut ticks = tokio::time::interval(Duration::from_secs(1) / load.rate);
    for task in WARM_UP..WARM_UP + load.rate * load.seconds {
        ticks.tick().await;
        push(task).await.map_err(Into::into)?;
        pushed.push((task, tasks.now()));
    }
    let deadline = Instant::now() + load.limit;
    let mut times = Vec::with_capacity(pushed.len());
    for (task, pushed) in pushed {
        while tasks.started(task).is_none() {
            if Instant::now() > deadline {
                bail!("task {task} was not started in {:?}", load.limit);
            }
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        times.push(tasks.started(task).unwrap_or(pushed).saturating_sub(pushed));
    }
    times.sort_unstable();
    Ok((percentile_ms(&times, 50), percentile_ms(&times, 99)))
}

/// Tasks that are pushed before the measurement.
pub const WARM_UP: u32 = 20;

/// Of sorted nanoseconds.
fn percentile_ms(sorted: &[u64], percent: usize) -> f64 {
    let place = (sorted.len() * percent).div_ceil(100).max(1) - 1;
    sorted.get(place).map_or(0.0, |ns| Duration::from_nanos(*ns).as_secs_f64() * 1e3)
}

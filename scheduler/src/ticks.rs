//! The scheduler's ticks. Each looks at the database and does what follows from it: the same state, the same act. None takes
//! an input, so two schedulers do no harm to each other, and a tick that fails is simply run again.

pub mod dispatch;
pub mod gates;
pub mod gauges;
pub mod reap;
pub mod retain;
pub mod webhooks;

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use metrics::{Unit, counter, describe_counter, describe_gauge, describe_histogram, gauge, histogram};
use rand::RngExt;
use shared::{bell::Bell, objects::Objects, shutdown::Tasks, store::PgPool};
use tokio_util::sync::CancellationToken;

/// What the ticks work with.
#[derive(Debug, Clone)]
pub struct Scheduler {
    /// The database.
    pub db: PgPool,
    /// The doorbell.
    pub bell: Arc<Bell>,
    /// The object store, to clear it; none: none is named.
    pub objects: Option<Objects>,
    /// How long the history is kept.
    pub keep_runs: Duration,
    /// How long the change feed is kept.
    pub keep_changes: Duration,
}

/// Starts all ticks. They end at the soft word of `tasks`.
pub fn start(scheduler: &Scheduler, tasks: &Tasks) {
    describe_metrics();
    tasks.spawn(dispatch::run(scheduler.clone(), tasks.soft().clone()));
    tasks.spawn(reap::run(scheduler.clone(), tasks.soft().clone()));
    tasks.spawn(gates::run(scheduler.clone(), tasks.soft().clone()));
    tasks.spawn(gauges::run(scheduler.clone(), tasks.soft().clone()));
    tasks.spawn(retain::run(scheduler.clone(), tasks.soft().clone()));
    tasks.spawn(webhooks::run(scheduler.clone(), tasks.soft().clone()));
    tracing::info!("scheduler started");
}

/// The pace of a tick: it says itself when it wants to be run next; one that fails is run again after a second or so, and that
/// is said once.
struct Pace {
    name: &'static str,
    /// How long one tick may take.
    limit: Duration,
    soft: CancellationToken,
    failing: bool,
}

impl Pace {
    const fn new(name: &'static str, limit: Duration, soft: CancellationToken) -> Self {
        Self { name, limit, soft, failing: false }
    }

    /// Runs one tick and waits for the next; false after the soft word.
    async fn keep(&mut self, tick: impl Future<Output = anyhow::Result<Duration>>) -> bool {
        let began = Instant::now();
        let tick = tokio::time::timeout(self.limit, tick);
        let Some(done) = self.soft.run_until_cancelled(tick).await else { return false };
        let done = done.unwrap_or_else(|_| Err(anyhow::anyhow!("it took longer than {:?}", self.limit)));
        let pause = self.note(done, began.elapsed());
        self.soft.run_until_cancelled(tokio::time::sleep(pause)).await.is_some()
    }

    fn note(&mut self, done: anyhow::Result<Duration>, took: Duration) -> Duration {
        let name = self.name;
        histogram!("syncfleet_scheduler_tick_duration_seconds", "tick" => name).record(took);
        match done {
            Ok(pause) => {
                if std::mem::take(&mut self.failing) {
                    tracing::info!(tick = name, "the tick runs again");
                }
                pause
            }
            Err(error) => {
                counter!("syncfleet_scheduler_tick_failures_total", "tick" => name).increment(1);
                if !std::mem::replace(&mut self.failing, true) {
                    tracing::warn!(tick = name, "the tick failed, and is tried again: {error:#}");
                }
                Duration::from_secs(1).mul_f64(rand::rng().random_range(0.5..1.5))
            }
        }
    }
}

fn describe_metrics() {
    describe_histogram!("syncfleet_scheduler_tick_duration_seconds", Unit::Seconds, "One tick, by its name");
    describe_counter!("syncfleet_scheduler_tick_failures_total", "Ticks that failed and were run again");
    describe_counter!("syncfleet_jobs_rung_total", "Ids that the dispatcher rang");
    describe_counter!("syncfleet_leases_expired_total", "Jobs that were taken back from dead workers");
    describe_gauge!(
        "syncfleet_quota_rate_ratio",
        "The part of the limit for a minute that is in use: of projects, and the lowest of accounts"
    );
    describe_gauge!("syncfleet_staleness_seconds", "How long the most overdue job has waited to be in step");
    describe_gauge!("syncfleet_jobs", "Jobs by kind and state");
    describe_gauge!("syncfleet_bell_jobs", "Ids that wait at the bell");
    describe_gauge!(
        "syncfleet_dns_failing",
        "Names that do not follow their address, and addresses that neither source nor router tells"
    );
    gauges::failing("dns_record", 0);
    gauges::failing("dns_address", 0);
    for tick in ["dispatch", "reap", "gates", "gauges", "retain", "webhooks"] {
        counter!("syncfleet_scheduler_tick_failures_total", "tick" => tick).absolute(0);
    }
    counter!("syncfleet_leases_expired_total").absolute(0);
    webhooks::describe_metrics();
    for lane in shared::job::Lane::ALL {
        counter!("syncfleet_jobs_rung_total", "lane" => lane.as_str()).absolute(0);
        gauge!("syncfleet_bell_jobs", "lane" => lane.as_str()).set(0.0);
    }
}

//! The sign of life of a worker's leases: one row, beaten every two seconds.
//!
//! # Properties, and the races
//!
//! - *Work must not silence the beat*: it has a thread, a runtime and a connection of its own.
//! - *A worker must stop before its jobs are taken back*: when the last acknowledged beat is [`SILENT`] old, it ends its own
//!   runs. The reaper takes back at ten seconds. The age counts from before the beat was sent, so it is never too young.
//! - *A stopped process wakes up*: the first look at the clock tells it; what it commits before that look is refused by the
//!   lease.
//! - *A claim's answer is lost*: every five seconds, rows in this worker's name under unknown leases are handed back.

use std::{
    sync::Arc,
    thread,
    time::{Duration, Instant, SystemTime},
};

use chrono::{DateTime, TimeDelta, Utc};
use metrics::counter;
use shared::{
    shutdown::Tasks,
    store::{connect, job_state, workers},
};
use sqlx::{ConnectOptions, PgConnection, postgres::PgConnectOptions};
use tokio::{sync::watch, time::MissedTickBehavior};
use tokio_util::sync::CancellationToken;

use crate::{HAND_BACK, Settings, Worker, new_id};

const BEAT: Duration = Duration::from_secs(2);

/// A worker whose last acknowledged beat is older ends its own runs.
pub const SILENT: Duration = Duration::from_secs(7);

/// How often lost claims are looked for; less often where a look takes long.
const LOOK: Duration = Duration::from_secs(5);

/// How long one beat may take.
const PATIENCE: Duration = Duration::from_secs(3);

/// The last acknowledged beat.
#[derive(Debug, Clone)]
pub struct Alive {
    beat: watch::Sender<Option<Acknowledged>>,
}

#[derive(Debug, Clone, Copy)]
struct Acknowledged {
    sent: Instant,
    database_time: DateTime<Utc>,
}

impl Alive {
    pub(crate) fn new() -> Self {
        Self { beat: watch::Sender::new(None) }
    }

    fn acknowledge(&self, sent: Instant, database_time: DateTime<Utc>) {
        self.beat.send_replace(Some(Acknowledged { sent, database_time }));
    }

    /// How old the last acknowledged beat is; none: there was none yet.
    #[must_use]
    pub fn age(&self) -> Option<Duration> {
        self.beat.borrow().map(|beat| beat.sent.elapsed())
    }

    /// Whether the leases of this worker are safe.
    #[must_use]
    pub fn is_fresh(&self) -> bool {
        self.age().is_some_and(|age| age < SILENT)
    }

    /// Waits until they are.
    pub async fn wait_fresh(&self) {
        let mut beats = self.beat.subscribe();
        while !self.is_fresh() {
            // The sender is this value's own, so it cannot be gone.
            let _ = beats.changed().await;
        }
    }

    /// The database's time by now, as far as beats tell it.
    #[must_use]
    pub fn database_time(&self) -> Option<DateTime<Utc>> {
        let beat = (*self.beat.borrow())?;
        Some(beat.database_time + TimeDelta::from_std(beat.sent.elapsed()).ok()?)
    }
}

/// The beating thread.
#[derive(Debug)]
pub struct Heart {
    stop: CancellationToken,
    thread: thread::JoinHandle<()>,
}

impl Heart {
    /// Ends the beat and takes the worker's row away, now that it holds no lease any more.
    pub async fn stop(self) {
        self.stop.cancel();
        let joined = tokio::task::spawn_blocking(|| self.thread.join());
        if !matches!(joined.await, Ok(Ok(()))) {
            tracing::error!("the heartbeat's thread has panicked");
        }
    }
}

/// Starts the beating thread.
pub(crate) fn start(settings: Settings, worker: &Arc<Worker>) -> anyhow::Result<Heart> {
    let options = connect::options(&settings.database_url, "syncfleet-heartbeat")?;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let worker = Arc::clone(worker);
    let stop = CancellationToken::new();
    let stopped = stop.clone();
    let thread = thread::Builder::new().name("heartbeat".to_owned()).spawn(move || {
        runtime.block_on(async {
            beat_until(&worker, &settings.name, &options, &stopped).await;
            let left = tokio::time::timeout(PATIENCE, leave(&worker, &options)).await;
            if !matches!(left, Ok(Ok(()))) {
                tracing::debug!("could not take the worker's row away; the reaper will");
            }
        });
    })?;
    Ok(Heart { stop, thread })
}

async fn leave(worker: &Worker, options: &PgConnectOptions) -> Result<(), sqlx::Error> {
    let mut connection = options.connect().await?;
    workers::leave(&mut connection, worker.id).await
}

async fn beat_until(worker: &Worker, name: &str, options: &PgConnectOptions, stop: &CancellationToken) {
    let mut ticks = tokio::time::interval(BEAT);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut connection = None;
    while stop.run_until_cancelled(ticks.tick()).await.is_some() {
        let beat = workers::Beat {
            worker: worker.id,
            name: name.to_owned(),
            version: env!("CARGO_PKG_VERSION"),
            kinds: &worker.kind_names,
            slots: worker.lanes,
            busy: worker.busy.lanes(),
        };
        let sent = Instant::now();
        match tokio::time::timeout(PATIENCE, beat_once(&mut connection, options, &beat)).await {
            Ok(Ok(database_time)) => worker.alive.acknowledge(sent, database_time),
            Ok(Err(error)) => {
                connection = None;
                counter!("syncfleet_heartbeat_failures_total").increment(1);
                tracing::debug!("a heartbeat failed: {error}");
                ticks.reset_after(Duration::from_millis(500));
            }
            Err(_) => {
                connection = None;
                counter!("syncfleet_heartbeat_failures_total").increment(1);
                tracing::debug!("a heartbeat was not answered in {PATIENCE:?}");
            }
        }
    }
}

async fn beat_once(
    connection: &mut Option<PgConnection>,
    options: &PgConnectOptions,
    beat: &workers::Beat<'_>,
) -> Result<DateTime<Utc>, sqlx::Error> {
    let connection = match connection {
        Some(connection) => connection,
        None => connection.insert(options.connect().await?),
    };
    workers::beat(connection, beat).await
}

/// Ends this worker's runs when its beat was silent for too long, and when the end of the grace is near.
pub(crate) async fn watch(worker: Arc<Worker>, tasks: Tasks) {
    let look = async {
        let mut silent = false;
        loop {
            tokio::time::sleep(Duration::from_millis(500)).await;
            let fresh = worker.alive.is_fresh();
            if worker.alive.age().is_some() && !fresh {
                let ended = worker.held.cancel_all();
                if !silent || ended > 0 {
                    tracing::warn!(
                        runs = ended,
                        "no heartbeat was acknowledged for {SILENT:?}: ended the runs"
                    );
                }
            } else if silent && fresh {
                tracing::info!("the heartbeat is back");
            }
            silent = worker.alive.age().is_some() && !fresh;
        }
    };
    tasks.soft().run_until_cancelled(look).await;
    let handing_back = async {
        tokio::time::sleep(HAND_BACK).await;
        let ended = worker.held.cancel_all();
        if ended > 0 {
            tracing::info!(runs = ended, "handing back what still runs");
        }
    };
    // Whoever ended in time need not be waited for.
    tokio::select! {
        () = handing_back => {}
        () = idle(&worker) => {}
    }
}

async fn idle(worker: &Worker) {
    for (slots, lane) in worker.slots.iter().zip(shared::job::Lane::ALL) {
        // The semaphore is never closed, so this waits until every slot is free.
        let _all = slots.acquire_many(worker.lanes.of(lane)).await;
    }
}

/// Hands back rows that run in this worker's name under no lease that it knows of.
pub(crate) async fn hand_back_lost(worker: Arc<Worker>, soft: CancellationToken) {
    let mut pause = Duration::ZERO;
    while soft.run_until_cancelled(tokio::time::sleep(pause)).await.is_some() {
        // A lease that is drawn from now on is not in the list, and is not meant either.
        let before = SystemTime::now() - Duration::from_secs(1);
        let known = worker.held.all();
        let began = Instant::now();
        let lost = job_state::hand_back(worker.db(), worker.id, &known, new_id(before));
        let lost = worker.answer(lost).await;
        pause = LOOK.max(began.elapsed() * 20);
        match lost {
            Ok(jobs) if jobs.is_empty() => {}
            Ok(jobs) => {
                tracing::warn!(jobs = jobs.len(), "handed back jobs whose claim was not answered");
                for lane in shared::job::Lane::ALL {
                    let ids: Vec<_> = jobs.iter().filter(|job| job.1 == lane).map(|job| job.0).collect();
                    if !ids.is_empty() && worker.bell.ring(lane, &ids).await.is_err() {
                        tracing::debug!("the dispatcher will ring what was handed back");
                    }
                }
            }
            Err(error) => tracing::debug!("cannot look for lost claims: {error}"),
        }
    }
}

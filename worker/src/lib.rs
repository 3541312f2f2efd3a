//! Claims runs and executes them. All that a kind knows stands in [`jobs`]; nothing else in the fleet names a kind.
//!
//! A worker is: one [`claim`] loop per lane, which takes free slots, ids from the bell, and claims them; the [`backend`], which
//! hands each claimed run to apalis; [`execute`], which runs one step and commits its verdict; and a [`heartbeat`] on a
//! thread of its own. [`start`] puts them together.

pub mod backend;
pub mod claim;
pub mod commit;
pub mod execute;
pub mod heartbeat;
pub mod held;
pub mod jobs;
pub mod news;
pub mod slot;

use std::{
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::{Duration, SystemTime},
};

use anyhow::Context as _;
use futures_util::{FutureExt, future::BoxFuture};
use metrics::{Unit, counter, describe_counter, describe_gauge, describe_histogram, gauge};
use secrecy::SecretString;
use shared::{
    bell::Bell,
    job::{Lane, Lanes, RunId, WorkerId},
    shutdown::Tasks,
    store::{PgPool, limited},
};
use tokio::sync::{Semaphore, mpsc};
use tokio_util::sync::CancellationToken;
use uuid::{NoContext, Timestamp, Uuid};

use crate::{
    claim::Claimed,
    execute::Executor,
    heartbeat::{Alive, Heart},
    held::Held,
    jobs::{Context, Kind},
    news::News,
    slot::Busy,
};

/// How long a worker's tasks take to end at the most. With the farewells to its servers, a worker ends within 25 seconds,
/// whether they answer or not.
pub const GRACE: Duration = Duration::from_secs(18);

/// After this time of it, what still runs is handed back.
const HAND_BACK: Duration = Duration::from_secs(14);

/// How long the engine waits for an answer of the database, beyond the server's own limit for locks. Longer than the lease:
/// what is not answered by then has failed.
pub(crate) const ANSWER: Duration = Duration::from_secs(12);

/// What a worker is started with.
#[derive(Debug)]
pub struct Settings {
    /// The kinds that it runs: [`jobs::KINDS`].
    pub kinds: &'static [Kind],
    /// Slots in each lane.
    pub lanes: Lanes,
    /// For people: host and process id.
    pub name: String,
    /// Where the heartbeat's own connection goes.
    pub database_url: SecretString,
}

/// A worker process, as its parts see it.
#[derive(Debug)]
pub struct Worker {
    /// New at each start.
    pub id: WorkerId,
    /// Slots in each lane.
    pub lanes: Lanes,
    /// The free slots.
    pub slots: [Arc<Semaphore>; Lane::ALL.len()],
    /// Those in use.
    pub busy: Arc<Busy>,
    /// The leases in memory.
    pub held: Held,
    /// The last acknowledged beat.
    pub alive: Alive,
    /// The doorbell.
    pub bell: Arc<Bell>,
    /// What steps work with.
    pub context: Context,
    /// Who is to be told of changes.
    pub news: News,
    /// The kinds that it runs.
    pub kinds: &'static [Kind],
    /// Their names.
    pub kind_names: Vec<String>,
    /// The word that ends it now.
    pub hard: CancellationToken,
    /// Jobs whose last worker died with them run one at a time; this many are held.
    pub suspects: AtomicUsize,
}

impl Worker {
    /// The database.
    #[must_use]
    pub const fn db(&self) -> &PgPool {
        &self.context.db
    }

    /// The kind of a name.
    #[must_use]
    pub fn find(&self, name: &str) -> Option<&'static Kind> {
        self.kinds.iter().find(|kind| kind.policy.kind == name)
    }

    /// Waits for an answer of the database, no longer than [`ANSWER`], and not after the hard word.
    pub(crate) fn answer<'a, T: 'a, E: From<sqlx::Error> + 'a>(
        &'a self,
        answer: impl Future<Output = Result<T, E>> + Send + 'a,
    ) -> BoxFuture<'a, Result<T, E>> {
        // Statements make large futures: on the heap they do not swell those of their callers.
        let answer = limited(ANSWER, answer).boxed();
        async {
            match self.hard.run_until_cancelled(answer).await {
                Some(answer) => answer,
                None => Err(sqlx::Error::Io(std::io::ErrorKind::Interrupted.into()).into()),
            }
        }
        .boxed()
    }

    /// Whether there is room for another suspect: waiting for each other, they must not fill the slots.
    #[must_use]
    pub fn has_room_for_suspects(&self) -> bool {
        let slots: u32 = Lane::ALL.into_iter().map(|lane| self.lanes.of(lane)).sum();
        self.suspects.load(Ordering::Relaxed) < (slots as usize / 4).max(1)
    }
}

/// A new time-ordered id. Its time only chooses the history's partition; order and due times are the database's.
#[must_use]
pub fn new_id(now: SystemTime) -> RunId {
    let since = now.duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
    Uuid::new_v7(Timestamp::from_unix(NoContext, since.as_secs(), since.subsec_nanos()))
}

/// Starts a worker's tasks. They end by `tasks`: at the soft word no claim is made any more and what runs finishes; shortly
/// before [`GRACE`] is over, what still runs is handed back. After them, stop the [`Heart`].
pub fn start(
    settings: Settings,
    context: Context,
    bell: Arc<Bell>,
    tasks: &Tasks,
) -> anyhow::Result<(Arc<Worker>, Heart)> {
    describe_metrics(&settings);
    let alive = Alive::new();
    let lanes = settings.lanes;
    let worker = Arc::new(Worker {
        id: new_id(SystemTime::now()),
        lanes,
        slots: Lane::ALL.map(|lane| Arc::new(Semaphore::new(lanes.of(lane) as usize))),
        held: Held::default(),
        alive,
        bell,
        context,
        news: News::default(),
        kinds: settings.kinds,
        kind_names: settings.kinds.iter().map(|kind| kind.policy.kind.to_owned()).collect(),
        hard: tasks.hard().clone(),
        busy: Arc::default(),
        suspects: AtomicUsize::new(0),
    });
    let heart = heartbeat::start(settings, &worker).context("cannot start the heartbeat's thread")?;
    tasks.spawn(heartbeat::watch(Arc::clone(&worker), tasks.clone()));
    tasks.spawn(heartbeat::hand_back_lost(Arc::clone(&worker), tasks.soft().clone()));
    tasks.spawn(news::run(Arc::clone(&worker), tasks.soft().clone()));

    let slots = Lane::ALL.into_iter().map(|lane| lanes.of(lane) as usize).sum::<usize>();
    let (hand_on, claimed) = mpsc::channel::<Claimed>(slots.max(1));
    for lane in Lane::ALL.into_iter().filter(|lane| lanes.of(*lane) > 0) {
        tasks.spawn(claim::run(Arc::clone(&worker), lane, hand_on.clone(), tasks.soft().clone()));
    }
    // The claim loops hold the only senders: when they end, the backend knows that nothing comes any more.
    drop(hand_on);
    let executor = Executor::start(&worker, tasks);
    tasks.spawn(backend::run(worker.id, claimed, executor, tasks.clone()));
    tracing::info!(worker = %worker.id, lanes = %lanes, "worker started");
    Ok((worker, heart))
}

fn describe_metrics(settings: &Settings) {
    jobs::describe_metrics();
    describe_gauge!("syncfleet_worker_slots", "Slots of this worker");
    describe_gauge!("syncfleet_worker_slots_busy", "Slots of this worker in use");
    describe_counter!("syncfleet_job_attempts_total", "Steps, by their outcome");
    describe_histogram!("syncfleet_job_start_delay_seconds", Unit::Seconds, "From due to claimed");
    describe_histogram!("syncfleet_job_duration_seconds", Unit::Seconds, "From claimed to committed");
    describe_histogram!("syncfleet_job_end_to_end_seconds", Unit::Seconds, "From first wanted to completed");
    describe_histogram!(
        "syncfleet_push_to_mirrored_seconds",
        Unit::Seconds,
        "From a notification's want to the commit of the pass that it caused, where that wrote anything"
    );
    describe_histogram!("syncfleet_claim_duration_seconds", Unit::Seconds, "One claim statement");
    describe_counter!(
        "syncfleet_jobs_enqueued_total",
        "Jobs that were wanted, by their kind and who wanted them"
    );
    describe_counter!("syncfleet_claims_empty_total", "Claims of rung ids that got none of them");
    describe_counter!("syncfleet_heartbeat_failures_total", "Beats that were not acknowledged");
    counter!("syncfleet_heartbeat_failures_total").absolute(0);
    for lane in Lane::ALL {
        gauge!("syncfleet_worker_slots", "lane" => lane.as_str()).set(settings.lanes.of(lane));
        gauge!("syncfleet_worker_slots_busy", "lane" => lane.as_str()).set(0);
        counter!("syncfleet_claims_empty_total", "lane" => lane.as_str()).absolute(0);
    }
    for kind in settings.kinds {
        for lane in Lane::ALL {
            let (kind, lane) = (kind.policy.kind, lane.as_str());
            counter!("syncfleet_jobs_enqueued_total", "kind" => kind, "lane" => lane, "source" => "worker")
                .absolute(0);
        }
        for outcome in execute::OUTCOMES {
            counter!("syncfleet_job_attempts_total", "kind" => kind.policy.kind, "outcome" => outcome)
                .absolute(0);
        }
    }
}

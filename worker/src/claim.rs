//! How a lane's free slots get their runs: slots first, then ids from the bell, then one claim for all of them.
//!
//! Nothing is claimed that has no slot waiting for it, so a claimed run starts at once, and a worker that dies holds no more
//! than it was doing.

use std::{
    collections::HashSet,
    sync::Arc,
    time::{Duration, Instant, SystemTime},
};

use metrics::{counter, histogram};
use rand::{RngExt, seq::SliceRandom};
use shared::{
    job::{JobId, Lane, Run},
    store::job_state::{self, Claimer},
};
use tokio::sync::{OwnedSemaphorePermit, mpsc};
use tokio_util::sync::CancellationToken;

use crate::{Worker, new_id, slot::Slot};

/// The most runs of one claim.
const BATCH: usize = 500;

/// How long a lane waits for its bell before it looks for jobs that the bell has forgotten.
const WAIT: Duration = Duration::from_secs(2);

/// A job that is due for longer than this was forgotten by the bell.
const FORGOTTEN: Duration = Duration::from_secs(6);

/// How often a lane asks `PostgreSQL` while the bell is away.
const ASK: Duration = Duration::from_millis(200);

/// A claimed run, and the slot that it fills until it ends.
#[derive(Debug)]
pub struct Claimed {
    /// The run.
    pub run: Run,
    /// Given back when this is dropped.
    pub slot: Slot,
}

/// Fills a lane's slots until the soft word.
pub async fn run(worker: Arc<Worker>, lane: Lane, hand_on: mpsc::Sender<Claimed>, soft: CancellationToken) {
    let mut trouble = Trouble::default();
    while let Some(slots) = soft.run_until_cancelled(free_slots(&worker, lane)).await {
        let Ok(mut slots) = slots else { return };
        if soft.run_until_cancelled(worker.alive.wait_fresh()).await.is_none() {
            return;
        }
        let offered = soft.run_until_cancelled(next_ids(&worker, lane, slots.num_permits())).await;
        let runs = match offered {
            None => return,
            Some(Ok(next)) if next.ids.is_empty() => continue,
            Some(Ok(next)) => {
                let runs = claim(&worker, lane, &next.ids).await;
                // Due, but not for this worker: the next look finds the same.
                let in_vain = next.of_table && runs.as_ref().is_ok_and(Vec::is_empty);
                if in_vain && soft.run_until_cancelled(pause()).await.is_none() {
                    return;
                }
                runs
            }
            Some(Err(error)) => Err(error),
        };
        match runs {
            Ok(runs) => {
                trouble.over();
                for run in runs {
                    // There is a slot for each: not more ids were asked for. And a place in the channel for each slot.
                    let Some(permit) = slots.split(1) else { break };
                    let slot = Slot::fill(lane, &worker.busy, permit);
                    if hand_on.send(Claimed { run, slot }).await.is_err() {
                        return;
                    }
                }
            }
            Err(error) => {
                let pause = trouble.pause(lane, &error);
                if soft.run_until_cancelled(tokio::time::sleep(pause)).await.is_none() {
                    return;
                }
            }
        }
    }
}

/// Waits for one free slot, and takes the others that are free, too.
async fn free_slots(worker: &Worker, lane: Lane) -> Result<OwnedSemaphorePermit, tokio::sync::AcquireError> {
    let slots = &worker.slots[lane as usize];
    let mut taken = Arc::clone(slots).acquire_owned().await?;
    let more = u32::try_from(slots.available_permits().min(BATCH - 1)).unwrap_or(0);
    if let Ok(more) = Arc::clone(slots).try_acquire_many_owned(more) {
        taken.merge(more);
    }
    Ok(taken)
}

/// Ids to claim.
struct Next {
    ids: Vec<JobId>,
    /// Found in the table, not rung.
    of_table: bool,
}

/// Ids to claim: from the bell, or from `PostgreSQL` where the bell is away or has forgotten some.
async fn next_ids(worker: &Worker, lane: Lane, most: usize) -> Result<Next, sqlx::Error> {
    if let Ok(ids) = worker.bell.take(lane, most, WAIT).await {
        if !ids.is_empty() {
            let mut seen = HashSet::with_capacity(ids.len());
            let ids = ids.into_iter().filter(|id| seen.insert(*id)).collect();
            return Ok(Next { ids, of_table: false });
        }
        let ids = due_ids(worker, lane, most, FORGOTTEN).await?;
        return Ok(Next { ids, of_table: true });
    }
    let ids = due_ids(worker, lane, most, Duration::ZERO).await?;
    if ids.is_empty() {
        pause().await;
    }
    Ok(Next { ids, of_table: true })
}

/// The pause between two looks into the table.
async fn pause() {
    let time = ASK.mul_f64(rand::rng().random_range(0.5..1.5));
    tokio::time::sleep(time).await;
}

/// Ids of due jobs that this worker can run, straight from the table. Other workers do the same at the same moment, so each takes
/// some at random from a longer list.
async fn due_ids(
    worker: &Worker,
    lane: Lane,
    most: usize,
    overdue: Duration,
) -> Result<Vec<JobId>, sqlx::Error> {
    let limit = i64::try_from(most * 4).unwrap_or(i64::MAX);
    let claimer = claimer(worker);
    let mut conn = worker.db().acquire().await?;
    let ids = job_state::claimable(&mut conn, &claimer, lane, overdue, limit);
    let mut ids = worker.answer(ids).await?;
    ids.shuffle(&mut rand::rng());
    ids.truncate(most);
    Ok(ids)
}

/// What this worker can run now.
fn claimer(worker: &Worker) -> Claimer<'_> {
    Claimer { worker: worker.id, kinds: &worker.kind_names, suspects: worker.has_room_for_suspects() }
}

async fn claim(worker: &Worker, lane: Lane, ids: &[JobId]) -> Result<Vec<Run>, sqlx::Error> {
    let began = Instant::now();
    let leases: Vec<_> = ids.iter().map(|_| new_id(SystemTime::now())).collect();
    worker.held.add(&leases);
    let claimer = claimer(worker);
    let claimed = async {
        let mut conn = worker.db().acquire().await?;
        job_state::claim(&mut conn, &claimer, ids, &leases).await
    };
    let claimed = worker.answer(claimed).await;
    // After an error nobody knows what was taken: the leases leave the memory, so that the rows are handed back.
    let taken: HashSet<_> = claimed.iter().flatten().map(|run| run.id).collect();
    let not_taken: Vec<_> = leases.into_iter().filter(|lease| !taken.contains(lease)).collect();
    worker.held.remove(&not_taken);
    let runs = claimed?;
    histogram!("syncfleet_claim_duration_seconds").record(began.elapsed());
    if runs.is_empty() {
        counter!("syncfleet_claims_empty_total", "lane" => lane.as_str()).increment(1);
    }
    Ok(runs)
}

/// A database that does not answer: said once, then waited out.
#[derive(Debug, Default)]
pub(crate) struct Trouble {
    failures: u32,
}

impl Trouble {
    /// Counts a failure, and says how long to wait before the next attempt.
    pub(crate) fn pause(&mut self, lane: Lane, error: &sqlx::Error) -> Duration {
        if self.failures == 0 {
            tracing::warn!(lane = lane.as_str(), "the database does not answer, waiting for it: {error}");
        }
        self.failures = self.failures.saturating_add(1);
        let ceiling = Duration::from_millis(100) * 2u32.pow(self.failures.min(5));
        ceiling.mul_f64(rand::rng().random_range(0.5..1.0))
    }

    /// It answered.
    pub(crate) fn over(&mut self) {
        if std::mem::take(&mut self.failures) > 0 {
            tracing::info!("the database answers again");
        }
    }
}

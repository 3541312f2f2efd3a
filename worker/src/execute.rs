//! One run: one step of its job, and the commit of its verdict.
//!
//! # Properties, and the races
//!
//! - *Every run ends in a verdict.* A step that takes too long or panics is a retry; one that is told to stop is handed back.
//! - *A step's writes stand only with its verdict.* They are in one transaction, and the job's row, guarded by the lease, is
//!   the last statement in it.
//! - *The lease was lost meanwhile.* The guard finds no row, the transaction rolls back, and the run is forgotten.
//! - *The commit's answer was lost.* The history tells whether it stood ([`crate::commit`]).
//! - *A job kills its worker.* It comes back as a suspect. A process runs one suspect at a time, so if it kills again, what
//!   else dies is not suspect of the same crash for ever: it completes elsewhere, and the killer is parked at its fifth.

use std::{
    panic::AssertUnwindSafe,
    sync::{Arc, atomic::Ordering},
    time::Duration,
};

use futures_util::FutureExt;
use metrics::{counter, histogram};
use rand::{SeedableRng, rngs::StdRng};
use shared::{
    job::{Failure, Lane, Run, Step, Verdict},
    shutdown::Tasks,
    store::job_state::Finished,
};
use tokio::sync::Semaphore;
use tokio_util::sync::CancellationToken;
use tracing::Instrument;

use crate::{
    Worker,
    claim::Claimed,
    commit::{self, Batch, Ended, Quiet},
    jobs::Kind,
    slot::Slot,
};

/// All that may become of a run, as in the label `outcome`.
pub const OUTCOMES: [&str; 8] =
    ["complete", "continue", "wait", "retry", "throttled", "park", "handed_back", "lost_lease"];

/// Executes runs for one worker.
#[derive(Debug)]
pub struct Executor {
    worker: Arc<Worker>,
    /// Passes that found nothing new, to be committed together.
    quiet: Batch,
    one_suspect: Semaphore,
    hard: CancellationToken,
}

impl Executor {
    /// An executor, and the task behind it that commits quiet passes.
    #[must_use]
    pub fn start(worker: &Arc<Worker>, tasks: &Tasks) -> Self {
        let quiet = Batch::start(worker, tasks);
        Self { worker: Arc::clone(worker), quiet, one_suspect: Semaphore::new(1), hard: tasks.hard().clone() }
    }

    /// Runs one step and commits its verdict. The slot is free when the commit is known: when this returns, or for a
    /// quiet pass a little later.
    pub async fn execute(&self, claimed: Claimed) {
        let Claimed { run, slot } = claimed;
        let span =
            tracing::info_span!("run", kind = run.kind, job = run.job, run = %run.id, tenant = run.tenant);
        self.execute_run(run, slot).instrument(span).await;
    }

    async fn execute_run(&self, run: Run, slot: Slot) {
        let lane = run.lane;
        histogram!("syncfleet_job_start_delay_seconds", "lane" => lane.as_str())
            .record((run.started_at - run.due_at).as_seconds_f64().max(0.0));
        let Some(kind) = self.worker.find(&run.kind) else {
            // Claims name the kinds, so this is a fault of ours; the row is handed back when the lease is forgotten.
            tracing::error!("a run of an unknown kind was claimed");
            self.worker.held.remove(&[run.id]);
            return;
        };
        let stop = self.worker.held.cancelled(run.id);
        let step = {
            let _one = self.wait_as_suspect(&run).await;
            self.step(kind, &run, &stop).await
        };
        match step {
            Outcome::Step(Step {
                verdict: Verdict::Complete,
                tx: None,
                changed,
                wanted,
                next,
                floor: None,
                told_at: None,
            }) if wanted.is_empty() => {
                let next = next.or_else(|| kind.policy.next(&mut rng(&run)));
                self.quiet.push(Quiet { run, policy: &kind.policy, next, changed, slot }).await;
            }
            Outcome::Step(step) => {
                let told_at = step.told_at;
                let ended = commit::step(&self.worker, &run, &kind.policy, step, &mut rng(&run)).await;
                self.ended(&run, ended);
                if let (Some(told_at), Some(now)) = (told_at, self.worker.alive.database_time())
                    && ended == Ended::Committed("complete")
                {
                    histogram!("syncfleet_push_to_mirrored_seconds")
                        .record((now - told_at).as_seconds_f64().max(0.0));
                }
            }
            Outcome::Stopped => {
                let ended = commit::hand_back(&self.worker, &run).await;
                self.ended(&run, ended);
            }
        }
    }

    fn ended(&self, run: &Run, ended: Ended) {
        self.worker.held.remove(&[run.id]);
        if let Some(now) = self.worker.alive.database_time() {
            record(&self.worker, run, ended.outcome(), now);
        }
    }

    async fn wait_as_suspect(&self, run: &Run) -> Option<SuspectTurn<'_>> {
        if !run.is_suspect() {
            return None;
        }
        self.worker.suspects.fetch_add(1, Ordering::Relaxed);
        let held = SuspectHeld(&self.worker);
        let turn = self.one_suspect.acquire().await.ok();
        tracing::info!(crashes = run.crashes, "running a job whose last worker died with it");
        Some(SuspectTurn { _turn: turn, _held: held })
    }

    async fn step(&self, kind: &Kind, run: &Run, stop: &CancellationToken) -> Outcome {
        let step = AssertUnwindSafe((kind.step)(&self.worker.context, run)).catch_unwind();
        let result = tokio::select! {
            biased;
            () = stop.cancelled() => return Outcome::Stopped,
            () = self.hard.cancelled() => return Outcome::Stopped,
            result = tokio::time::timeout(kind.policy.limit, step) => result,
        };
        let result = match result {
            Ok(Ok(result)) => result,
            Ok(Err(panic)) => Err(Failure::from(anyhow::anyhow!("the step panicked: {}", message(&*panic)))),
            Err(_) => {
                let limit: Duration = kind.policy.limit;
                Err(Failure::from(anyhow::anyhow!("the step took longer than its limit of {limit:?}")))
            }
        };
        Outcome::Step(result.unwrap_or_else(|failure| {
            if failure.is_out_of_budget() {
                tracing::debug!("the step waits: {failure}");
            } else {
                tracing::warn!("the step failed: {failure}");
            }
            Step::quiet(failure.into())
        }))
    }
}

/// What became of a step.
enum Outcome {
    Step(Step),
    /// It was told to stop.
    Stopped,
}

struct SuspectHeld<'a>(&'a Worker);

impl Drop for SuspectHeld<'_> {
    fn drop(&mut self) {
        self.0.suspects.fetch_sub(1, Ordering::Relaxed);
    }
}

struct SuspectTurn<'a> {
    _turn: Option<tokio::sync::SemaphorePermit<'a>>,
    _held: SuspectHeld<'a>,
}

/// The run's own randomness: its id is random, and known to whoever looks into what it did.
fn rng(run: &Run) -> StdRng {
    StdRng::seed_from_u64(run.id.as_u64_pair().1)
}

/// What the history keeps of a run.
pub(crate) fn finished(worker: &Worker, run: &Run, changed: u32) -> Finished {
    Finished {
        run: run.id,
        job: run.job,
        worker: worker.id,
        lane: run.lane,
        attempt: i32::try_from(run.attempt).unwrap_or(i32::MAX).saturating_add(1),
        started_at: run.started_at,
        changed: i32::try_from(changed).unwrap_or(i32::MAX),
    }
}

/// Measures a run that has ended at `now`, in database time.
pub(crate) fn record(worker: &Worker, run: &Run, outcome: &'static str, now: chrono::DateTime<chrono::Utc>) {
    let lane: Lane = run.lane;
    let kind = worker.find(&run.kind).map_or("unknown", |kind| kind.policy.kind);
    counter!("syncfleet_job_attempts_total", "kind" => kind, "outcome" => outcome).increment(1);
    histogram!("syncfleet_job_duration_seconds", "kind" => kind, "outcome" => outcome)
        .record((now - run.started_at).as_seconds_f64().max(0.0));
    if outcome == "complete" {
        let since = run.dirty_since.map_or(run.due_since, |dirty| dirty.min(run.due_since));
        histogram!("syncfleet_job_end_to_end_seconds", "lane" => lane.as_str())
            .record((now - since).as_seconds_f64().max(0.0));
    }
}

fn message(panic: &(dyn std::any::Any + Send)) -> &str {
    panic
        .downcast_ref::<&str>()
        .copied()
        .or_else(|| panic.downcast_ref::<String>().map(String::as_str))
        .unwrap_or("without a message")
}

//! How a run's verdict reaches the database.
//!
//! A step that wrote something commits alone, in its own transaction. Passes that found nothing new are committed together by
//! one task: a fleet is quiet most of the time, and one commit for many is what makes that cheap.
//!
//! When a commit's answer is lost, nobody knows whether it stood. The run's history row was in the same transaction, so it
//! tells; it is asked for until the database answers, or until the lease cannot stand any more.

mod batch;
mod settle;

use std::time::{Duration, Instant};

use metrics::counter;
use rand::{Rng, RngExt};
use shared::{
    bell::Ring,
    job::{GateScope, Lane, Parked, Policy, Run, Step, ThrottledBy, Verdict},
    store::{
        Tx, gates,
        job_state::{self, Completion, LeaseLost, PutBack, Wanted},
        limited,
    },
};

pub use batch::{Batch, Quiet};

use crate::{ANSWER, Worker, execute::finished};

/// How a run ended for the engine.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ended {
    /// Its verdict is committed.
    Committed(&'static str),
    /// Another has the job; nothing of the run stands.
    LeaseLost,
    /// The database did not say; the lease runs out.
    GivenUp,
}

impl Ended {
    /// The word in metrics.
    #[must_use]
    pub const fn outcome(self) -> &'static str {
        match self {
            Self::Committed(outcome) => outcome,
            Self::LeaseLost | Self::GivenUp => "lost_lease",
        }
    }
}

/// The times that follow a run: what chance has decided, and what the step has.
struct Drawn {
    /// The time to the next pass.
    next: Option<Duration>,
    /// The step's own floor.
    floor: Option<Duration>,
    /// The backoff, should it come to that.
    again: Duration,
    /// What a throttle's time is multiplied by.
    spread: f64,
}

/// Commits a step's writes, its follow-up wants, its history and its verdict.
pub async fn step(worker: &Worker, run: &Run, policy: &Policy, step: Step, rng: &mut impl Rng) -> Ended {
    let Step { verdict, tx, changed, wanted, next, floor, told_at: _ } = step;
    let outcome = outcome(&verdict, run, policy);
    let wrote = tx.is_some();
    let drawn = Drawn {
        next: next.or_else(|| policy.next(rng)),
        floor,
        again: policy.retry.delay(run.attempt + 1, rng),
        spread: rng.random_range(1.0..1.25),
    };
    let follow_ups = wanted.iter().filter_map(Wanted::ring);
    let committed = match tx {
        Some(tx) => worker.answer(apply(worker, run, policy, &verdict, changed, &drawn, tx)).await,
        None => begin_and_apply(worker, run, policy, &verdict, changed, &drawn).await,
    };
    match committed {
        Ok(own) => {
            if changed > 0 {
                worker.news.note(run.tenant);
            }
            for wanted in &wanted {
                let kind = worker.find(&wanted.kind).map_or("unknown", |kind| kind.policy.kind);
                let lane = wanted.lane.as_str();
                counter!("syncfleet_jobs_enqueued_total", "kind" => kind, "lane" => lane, "source" => "worker")
                    .increment(1);
            }
            worker.bell.offer(follow_ups.chain(own), Instant::now()).await;
            Ended::Committed(outcome)
        }
        Err(LeaseLost::Lost(_)) => {
            tracing::info!("the lease was lost: nothing of this run stands");
            Ended::LeaseLost
        }
        Err(LeaseLost::Database(error)) => {
            tracing::warn!("the commit was not answered: {error}");
            match settle::one(worker, run.id).await {
                Some(true) => Ended::Committed(outcome),
                // Its transaction is gone with its connection; the step is done again.
                Some(false) if wrote => hand_back(worker, run).await,
                Some(false) => match begin_and_apply(worker, run, policy, &verdict, changed, &drawn).await {
                    Ok(_) => Ended::Committed(outcome),
                    Err(LeaseLost::Lost(_)) => Ended::LeaseLost,
                    Err(LeaseLost::Database(_)) => Ended::GivenUp,
                },
                None => Ended::GivenUp,
            }
        }
    }
}

/// Makes a run's job due again for whoever has a slot; the pass goes on where its last commit was.
pub async fn hand_back(worker: &Worker, run: &Run) -> Ended {
    let back = PutBack {
        outcome: "handed_back",
        after: Duration::ZERO,
        backoff: false,
        floor: None,
        wanted: None,
        attempt: attempt(run.attempt),
        good: false,
        lane: None,
        note: None,
    };
    let handed_back = async {
        let mut conn = worker.db().acquire().await?;
        job_state::put_back(&mut conn, &finished(worker, run, 0), &back).await
    };
    // After the hard word there is time for one try.
    let limit = if worker.hard.is_cancelled() { Duration::from_secs(1) } else { ANSWER };
    match limited(limit, handed_back).await {
        Ok(_) => {
            // As it is due anyway, a bell that is away costs only time.
            let _ = worker.bell.ring(run.lane, &[run.job]).await;
            Ended::Committed("handed_back")
        }
        Err(LeaseLost::Lost(_)) => Ended::LeaseLost,
        Err(LeaseLost::Database(error)) => {
            tracing::debug!("cannot hand back: {error}");
            Ended::GivenUp
        }
    }
}

async fn begin_and_apply(
    worker: &Worker,
    run: &Run,
    policy: &Policy,
    verdict: &Verdict,
    changed: u32,
    drawn: &Drawn,
) -> Result<Option<Ring>, LeaseLost> {
    let answer = async {
        let tx = worker.db().begin().await?;
        apply(worker, run, policy, verdict, changed, drawn, tx).await
    };
    worker.answer(answer).await
}

/// Adds the verdict to the step's transaction and commits it. Says what of it is due at once.
async fn apply(
    worker: &Worker,
    run: &Run,
    policy: &Policy,
    verdict: &Verdict,
    changed: u32,
    drawn: &Drawn,
    mut tx: Tx,
) -> Result<Option<Ring>, LeaseLost> {
    let finished = finished(worker, run, changed);
    let ring = |lane: Lane| Ring { job: run.job, tenant: run.tenant, lane };
    let mut due = None;
    match verdict {
        Verdict::Complete => {
            let floor = policy.min_interval.max(drawn.floor.unwrap_or_default());
            let completion = Completion { finished, next: drawn.next, floor, lane: policy.lane };
            let done = job_state::complete(&mut tx, &[completion]).await?;
            let [done] = done[..] else { return Err(LeaseLost::Lost(run.id)) };
            due = done.due.then(|| ring(done.lane));
        }
        Verdict::Continue { lane } => {
            let mut back = put_back("continue", Duration::ZERO, 0, true, *lane, None);
            back.wanted = Some(run.wanted);
            due = job_state::put_back(&mut tx, &finished, &back).await?.map(ring);
        }
        Verdict::Wait { after, why } => {
            let mut back = put_back("wait", *after, 0, true, None, Some(why));
            back.wanted = Some(run.wanted);
            back.floor = drawn.floor;
            due = job_state::put_back(&mut tx, &finished, &back).await?.map(ring);
        }
        Verdict::Throttled { scope, by, after: gate_time, why } => {
            // Not before the gate opens, and not all at that moment.
            let after = gate_time.mul_f64(drawn.spread);
            let reason = match by {
                ThrottledBy::Provider => gates::Reason::Throttled,
                ThrottledBy::Budget => gates::Reason::Budget,
                ThrottledBy::Share => gates::Reason::Share,
            };
            for gate in throttled_gates(worker, run, policy, *scope) {
                gates::close(&mut tx, &gate, reason, Some(*gate_time), why).await?;
            }
            let mut back = put_back("throttled", after, attempt(run.attempt), false, None, Some(why));
            // A push that came meanwhile may pass that gate.
            back.wanted = (*by == ThrottledBy::Share).then_some(run.wanted);
            due = job_state::put_back(&mut tx, &finished, &back).await?.map(ring);
        }
        Verdict::Retry { why, .. } if is_last(run, policy) => {
            job_state::park(&mut tx, &finished, Parked::Failed, why).await?;
        }
        Verdict::Retry { after, why } => {
            let mut back = put_back(
                "retry",
                after.unwrap_or(drawn.again),
                attempt(run.attempt + 1),
                false,
                None,
                Some(why),
            );
            back.backoff = true;
            job_state::put_back(&mut tx, &finished, &back).await?;
        }
        Verdict::Park { parked, why } => {
            if let (Parked::SignIn, Some(account)) = (parked, run.account) {
                gates::close(&mut tx, &gates::Gate::Account(account), gates::Reason::SignIn, None, why)
                    .await?;
            }
            job_state::park(&mut tx, &finished, *parked, why).await?;
        }
    }
    tx.commit().await?;
    Ok(due)
}

fn put_back(
    outcome: &'static str,
    after: Duration,
    attempt: i32,
    good: bool,
    lane: Option<Lane>,
    note: Option<&String>,
) -> PutBack {
    PutBack {
        outcome,
        after,
        backoff: false,
        floor: None,
        wanted: None,
        attempt,
        good,
        lane,
        note: note.cloned(),
    }
}

fn attempt(attempts: u32) -> i32 {
    i32::try_from(attempts).unwrap_or(i32::MAX)
}

/// Whether the policy has no further attempt after this one.
fn is_last(run: &Run, policy: &Policy) -> bool {
    policy.retry.attempts.is_some_and(|attempts| run.attempt + 1 >= attempts)
}

fn outcome(verdict: &Verdict, run: &Run, policy: &Policy) -> &'static str {
    match verdict {
        Verdict::Complete => "complete",
        Verdict::Continue { .. } => "continue",
        Verdict::Wait { .. } => "wait",
        Verdict::Retry { .. } if is_last(run, policy) => "park",
        Verdict::Retry { .. } => "retry",
        Verdict::Throttled { .. } => "throttled",
        Verdict::Park { .. } => "park",
    }
}

/// The gates that a throttle closes. A provider's is that of all kinds that call the same API, the run's own among them.
fn throttled_gates(worker: &Worker, run: &Run, policy: &Policy, scope: GateScope) -> Vec<gates::Gate> {
    match (scope, run.account) {
        (GateScope::Account, Some(account)) => vec![gates::Gate::Account(account)],
        (GateScope::Account, None) | (GateScope::Provider, _) => worker
            .kinds
            .iter()
            .filter(|kind| {
                kind.policy.kind == policy.kind || policy.api.is_some() && kind.policy.api == policy.api
            })
            .map(|kind| gates::Gate::Kind(kind.policy.kind.to_owned()))
            .collect(),
    }
}

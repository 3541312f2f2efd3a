use chrono::{DateTime, Utc};
use serde::Serialize;

use super::{Facts, facts::Under};
use crate::{
    admin::{
        Gate,
        job::{Job, State},
        run::Run,
    },
    job::{Lane, Parked},
};

/// Why a job is not running, or what it does.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(tag = "is", rename_all = "snake_case")]
pub enum Answer {
    /// A worker is at it.
    Running {
        /// The run.
        #[serde(flatten)]
        under: Under,
        /// The lane.
        lane: Lane,
        /// Which step of the pass it is, from 1.
        step: i64,
    },
    /// It waits for an event.
    Parked {
        /// The class of the cause; none: a newer program's.
        reason: Option<Parked>,
        /// The cause.
        note: Option<String>,
    },
    /// An operator has paused the job itself.
    Paused,
    /// It would run now, or soon, but for closed gates.
    Gated {
        /// The gates; none: they have opened, and the scheduler brings the job back in a moment.
        gates: Vec<Gate>,
        /// Whether it is parked behind them.
        parked: bool,
    },
    /// Nobody wants it, and no timer does.
    Unwanted {
        /// When its last run ended; none: it never ran, or longer ago than history goes.
        last: Option<DateTime<Utc>>,
    },
    /// It failed, and is tried again.
    Backoff {
        /// When.
        until: DateTime<Utc>,
        /// How often it has failed.
        attempts: i32,
        /// What failed.
        note: Option<String>,
    },
    /// The provider's minimum interval is not over.
    Floor {
        /// When it is.
        until: DateTime<Utc>,
        /// What the pass under way waits for it with; none: no pass has begun yet.
        note: Option<String>,
    },
    /// The pass under way waits for an answer.
    Waiting {
        /// When it looks again.
        until: DateTime<Utc>,
        /// What for.
        note: Option<String>,
    },
    /// Its time has not come.
    NotYet {
        /// When it comes.
        at: DateTime<Utc>,
    },
    /// Its time has come, but none of the living workers knows its kind.
    UnknownKind {
        /// The kind.
        kind: String,
        /// Living workers.
        workers: i64,
    },
    /// Its time has come, but no living worker has slots in its lane.
    NoWorker {
        /// The lane.
        lane: Lane,
        /// Living workers.
        workers: i64,
    },
    /// Its time has come, and it waits for its turn.
    Due {
        /// Since when.
        since: DateTime<Utc>,
        /// Due jobs of its tenant that come first.
        before_of_tenant: i64,
        /// Due jobs of its lane that come first, its tenant's among them.
        before_in_lane: i64,
    },
}

/// The one answer. The first that holds, from what lies furthest from running to what lies nearest.
pub(super) fn answer(job: &Job, facts: &Facts, runs: &[Run]) -> Answer {
    if let Some(under) = &facts.run {
        return Answer::Running { under: under.clone(), lane: job.lane, step: facts.steps + 1 };
    }
    if let Some(word) = &job.parked {
        return match parked(word) {
            Some(Parked::Gate) => Answer::Gated { gates: facts.gates.clone(), parked: true },
            reason => Answer::Parked { reason, note: job.note.clone() },
        };
    }
    if job.paused {
        return Answer::Paused;
    }
    let Some(run_at) = job.run_at else {
        return Answer::Unwanted { last: runs.first().map(|run| run.ended_at) };
    };
    if job.state != State::Due {
        return not_yet(job, facts, runs, run_at);
    }
    if !facts.gates.is_empty() {
        return Answer::Gated { gates: facts.gates.clone(), parked: false };
    }
    if facts.workers > 0 && !facts.known {
        return Answer::UnknownKind { kind: job.kind.clone(), workers: facts.workers };
    }
    if facts.slots == 0 {
        return Answer::NoWorker { lane: job.lane, workers: facts.workers };
    }
    Answer::Due {
        since: run_at,
        before_of_tenant: facts.before_of_tenant,
        before_in_lane: facts.before_in_lane,
    }
}

/// A job whose time has not come: what holds it, if anything does.
fn not_yet(job: &Job, facts: &Facts, runs: &[Run], run_at: DateTime<Utc>) -> Answer {
    // `run_at` is the latest of what holds it, so only a hold that reaches up to it is the cause.
    let holds = |until: Option<DateTime<Utc>>| until.is_some_and(|until| until >= run_at);
    if holds(facts.backoff_until) {
        let attempts = job.attempt.max(job.crashes.into());
        return Answer::Backoff { until: run_at, attempts, note: job.note.clone() };
    }
    let ended = |outcome| job.seen.is_some() && runs.first().is_some_and(|run| run.outcome == outcome);
    if holds(facts.floor_at) {
        return Answer::Floor { until: run_at, note: job.note.clone().filter(|_| ended("wait")) };
    }
    if ended("throttled") && !facts.gates.is_empty() {
        return Answer::Gated { gates: facts.gates.clone(), parked: false };
    }
    if ended("wait") {
        return Answer::Waiting { until: run_at, note: job.note.clone() };
    }
    Answer::NotYet { at: run_at }
}

fn parked(word: &str) -> Option<Parked> {
    [Parked::Gate, Parked::SignIn, Parked::Scope, Parked::Failed, Parked::Gone, Parked::Crashed]
        .into_iter()
        .find(|parked| parked.as_str() == word)
}

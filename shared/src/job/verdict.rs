use std::time::Duration;

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};

use super::Lane;
use crate::store::{Tx, job_state::Wanted};

/// What a step says of its job. The states it leads to are drawn in ARCHITECTURE.md.
#[derive(Debug, Clone, PartialEq)]
pub enum Verdict {
    /// The pass is over: the job is idle until its interval or the next want.
    Complete,
    /// A long pass goes on in its next step, at once.
    Continue {
        /// The lane of the steps to come, if it changes.
        lane: Option<Lane>,
    },
    /// An answer is awaited: looked at again after the time, or when wanted.
    Wait {
        /// How long.
        after: Duration,
        /// What for.
        why: String,
    },
    /// It failed in passing: tried again after a backoff.
    Retry {
        /// The provider's own word on when, if it gave one.
        after: Option<Duration>,
        /// What failed.
        why: String,
    },
    /// Fewer calls are wanted: the gate of the scope is closed for the time.
    Throttled {
        /// Who is held back.
        scope: GateScope,
        /// Who wants it.
        by: ThrottledBy,
        /// How long.
        after: Duration,
        /// Their words.
        why: String,
    },
    /// It cannot go on until an event changes that.
    Park {
        /// The class of the cause.
        parked: Parked,
        /// The cause.
        why: String,
    },
}

/// Whom a throttle holds back.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum GateScope {
    /// The run's account.
    Account,
    /// All kinds that call the same provider as the run's kind.
    Provider,
}

/// Who wants fewer calls.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ThrottledBy {
    /// The provider has said so.
    Provider,
    /// Our own budget, which keeps below the provider's limits.
    Budget,
    /// That budget, which keeps the rest for push-driven work.
    Share,
}

/// Why a job is parked, as in the column `job_state.parked`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Parked {
    /// A lasting gate stands before it (kind, lane, tenant or account).
    Gate,
    /// The account must sign in again.
    SignIn,
    /// The account has not granted what the job needs; the rest of the account goes on.
    Scope,
    /// A permanent error.
    Failed,
    /// What it kept in step is gone.
    Gone,
    /// Its workers died with it too often.
    Crashed,
}

impl Parked {
    /// The word in SQL, metrics and the CLI.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Gate => "gate",
            Self::SignIn => "sign_in",
            Self::Scope => "scope",
            Self::Failed => "failed",
            Self::Gone => "gone",
            Self::Crashed => "crashed",
        }
    }
}

/// A step's end: its verdict, and the transaction with what it changed, open. The engine adds the run's history and the
/// job's own row, guarded by the lease, and commits; if the lease was lost it rolls all of it back.
#[derive(Debug)]
pub struct Step {
    /// What is to become of the job.
    pub verdict: Verdict,
    /// Writes to be committed with the verdict; none: there were none.
    pub tx: Option<Tx>,
    /// How many rows of the mirror changed.
    pub changed: u32,
    /// Other jobs that were wanted in `tx`; they are rung after its commit.
    pub wanted: Vec<Wanted>,
    /// The time from a completed pass to the next, where the job has its own; none: its kind's interval, spread.
    pub next: Option<Duration>,
    /// Nothing runs the job before this time is over, neither a want nor an operator: what a provider wants beyond its kind's minimum
    /// interval, of a pass that is complete or waits. None: nothing.
    pub floor: Option<Duration>,
    /// When the outside told that there is something to fetch, in database time: measured when the pass completes.
    pub told_at: Option<DateTime<Utc>>,
}

impl Step {
    /// A step that wrote nothing.
    #[must_use]
    pub const fn quiet(verdict: Verdict) -> Self {
        Self { verdict, tx: None, changed: 0, wanted: Vec::new(), next: None, floor: None, told_at: None }
    }

    /// A step whose writes stand in `tx`.
    #[must_use]
    pub const fn wrote(verdict: Verdict, tx: Tx, changed: u32) -> Self {
        Self { verdict, tx: Some(tx), changed, wanted: Vec::new(), next: None, floor: None, told_at: None }
    }

    /// The same, with its own time to the next pass.
    #[must_use]
    pub fn next_in(self, next: Duration) -> Self {
        Self { next: Some(next), ..self }
    }

    /// The same, with a floor under the next step, if there is one.
    #[must_use]
    pub fn not_before(self, floor: Option<Duration>) -> Self {
        Self { floor, ..self }
    }
}

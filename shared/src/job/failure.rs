use std::time::Duration;

use super::{GateScope, Parked, Step, ThrottledBy, Verdict};

/// What a step gives back.
pub type StepResult = Result<Step, Failure>;

/// A step that failed: the error carries the decision. Nothing of the step is committed.
#[derive(Debug, thiserror::Error)]
#[error("{cause:#}")]
pub struct Failure {
    decision: Decision,
    cause: anyhow::Error,
}

#[derive(Debug, Clone, Copy)]
enum Decision {
    Retry(Option<Duration>),
    Throttled(GateScope, ThrottledBy, Duration),
    Park(Parked),
}

impl Failure {
    /// It may go better after a backoff, or after the time that the provider named.
    pub fn retry(cause: impl Into<anyhow::Error>, after: Option<Duration>) -> Self {
        Self { decision: Decision::Retry(after), cause: cause.into() }
    }

    /// Fewer calls are wanted of the scope, for the time.
    pub fn throttled(
        cause: impl Into<anyhow::Error>,
        scope: GateScope,
        by: ThrottledBy,
        after: Duration,
    ) -> Self {
        Self { decision: Decision::Throttled(scope, by, after), cause: cause.into() }
    }

    /// Whether it only has to wait for the budget: no news for the log.
    #[must_use]
    pub const fn is_out_of_budget(&self) -> bool {
        matches!(self.decision, Decision::Throttled(_, ThrottledBy::Budget | ThrottledBy::Share, _))
    }

    /// Whether all that call the provider are to call it less.
    #[must_use]
    pub const fn is_of_provider(&self) -> bool {
        matches!(self.decision, Decision::Throttled(GateScope::Provider, ..))
    }

    /// It cannot go better by itself.
    pub fn park(cause: impl Into<anyhow::Error>, parked: Parked) -> Self {
        Self { decision: Decision::Park(parked), cause: cause.into() }
    }
}

/// An error that says nothing of itself is worth another attempt: a lost connection, a busy disk.
impl From<anyhow::Error> for Failure {
    fn from(cause: anyhow::Error) -> Self {
        Self::retry(cause, None)
    }
}

impl From<sqlx::Error> for Failure {
    fn from(cause: sqlx::Error) -> Self {
        Self::retry(cause, None)
    }
}

impl From<Failure> for Verdict {
    fn from(failure: Failure) -> Self {
        let why = format!("{:#}", failure.cause);
        match failure.decision {
            Decision::Retry(after) => Self::Retry { after, why },
            Decision::Throttled(scope, by, after) => Self::Throttled { scope, by, after, why },
            Decision::Park(parked) => Self::Park { parked, why },
        }
    }
}

//! What goes wrong with a call, sorted by what is to be done about it.
//!
//! Google's errors: <https://developers.google.com/workspace/calendar/api/guides/errors>. The newer shape, `google.rpc`:
//! <https://google.aip.dev/193>.

mod classify;

use std::time::Duration;

use rand::{Rng, RngExt};

pub(super) use self::classify::{Answer, classify};
pub use self::classify::{Class, Limit};
use super::{auth::AuthError, quota::QuotaError, scopes};
use crate::job::{Failure, GateScope, Parked, ThrottledBy};

/// No provider's word on when to come back is followed for longer.
const LONGEST: Duration = Duration::from_hours(1);

/// Nor for less: whoever says "at once" again and again would be asked again and again.
const SHORTEST: Duration = Duration::from_secs(1);

/// Calls that are refused for want of a good token before the account is asked to sign in again: an access token that was
/// made just before is seldom bad.
const UNAUTHORIZED_LIMIT: u32 = 3;

/// A call that failed. Its text holds no token.
#[derive(Debug, thiserror::Error)]
pub enum CallError {
    /// No access token was to be had.
    #[error(transparent)]
    Auth(AuthError),
    /// The budget has nothing left for it.
    #[error(transparent)]
    Quota(#[from] QuotaError),
    /// Google answered, or did not.
    #[error("{method}: {what}{}", advice(.class, .method))]
    Call {
        /// The API method, e.g. `calendar.events.list`.
        method: &'static str,
        /// What is to be done.
        class: Class,
        /// Google's word on when to come back.
        after: Option<Duration>,
        /// What happened.
        what: String,
    },
}

impl From<AuthError> for CallError {
    fn from(error: AuthError) -> Self {
        match error {
            // Whichever call it was for.
            AuthError::Quota(error) => Self::Quota(error),
            error => Self::Auth(error),
        }
    }
}

impl CallError {
    /// What is to be done, if it was the call that failed.
    #[must_use]
    pub const fn class(&self) -> Option<Class> {
        match self {
            Self::Auth(_) | Self::Quota(_) => None,
            Self::Call { class, .. } => Some(*class),
        }
    }

    /// What nobody waits for must not hold up what is pushed, for which there may be units.
    fn out_of_units(self, scope: GateScope, urgent: bool, after: Duration) -> Failure {
        let by = if urgent { ThrottledBy::Budget } else { ThrottledBy::Share };
        Failure::throttled(self, scope, by, after.clamp(SHORTEST, LONGEST))
    }

    /// The step's end that follows. `attempt` is how often the pass has failed already.
    pub fn into_failure(self, attempt: u32, rng: &mut impl Rng) -> Failure {
        let (class, after) = match &self {
            Self::Auth(error) if error.needs_sign_in() => return Failure::park(self, Parked::SignIn),
            Self::Quota(QuotaError::Spent { account: None, urgent, after, .. }) => {
                let (urgent, after) = (*urgent, *after);
                return self.out_of_units(GateScope::Provider, urgent, after);
            }
            Self::Quota(
                QuotaError::Spent { urgent, after, .. } | QuotaError::ProjectSpent { urgent, after, .. },
            ) => {
                let (urgent, after) = (*urgent, *after);
                return self.out_of_units(GateScope::Account, urgent, after);
            }
            Self::Auth(_) | Self::Quota(QuotaError::Database(_)) => return Failure::retry(self, None),
            Self::Call { class, after, .. } => (*class, after.map(|after| after.clamp(SHORTEST, LONGEST))),
        };
        match class {
            // Of a channel's id the next try draws another.
            Class::Retry | Class::Circle | Class::ChannelIdTaken => Failure::retry(self, after),
            Class::SlowDown { scope, usual, .. } => {
                // At least Google's word, and never all at the same moment.
                let after = after.unwrap_or(usual).mul_f64(rng.random_range(1.0..=1.25));
                Failure::throttled(self, scope, ThrottledBy::Provider, after)
            }
            Class::Unauthorized if attempt < UNAUTHORIZED_LIMIT => Failure::retry(self, None),
            Class::Unauthorized => Failure::park(self, Parked::SignIn),
            // Only what needs that scope is parked: the rest of the account goes on.
            Class::MissingScope => Failure::park(self, Parked::Scope),
            Class::Gone => Failure::park(self, Parked::Gone),
            // A full pass is the kind's own business; one that did not take care of it must not run hot.
            Class::Resync => Failure::retry(self, Some(LONGEST)),
            Class::Permanent | Class::PushUnsupported => Failure::park(self, Parked::Failed),
        }
    }
}

fn advice(class: &Class, method: &str) -> String {
    if *class == Class::MissingScope { scopes::advice(method) } else { String::new() }
}

/// A text from outside, short and on one line.
pub(super) fn quote(text: &str) -> String {
    let line: String = text.chars().map(|c| if c.is_control() { ' ' } else { c }).take(200).collect();
    line.trim().to_owned()
}

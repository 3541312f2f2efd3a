//! Why a file is not whole.

use shared::{
    google::{
        errors::{CallError, Class},
        media::MediaError,
    },
    job::Failure,
    objects::ObjectError,
};

/// The word for a refusal that Google gives no word of its own.
pub(super) const PERMANENT: &str = "permanent";

/// Why a file is not whole.
pub(super) enum Trouble {
    /// It ends the step: no database, no store.
    Step(Failure),
    /// It ends the step: no token, no budget.
    Call(CallError),
    /// Google does not give it.
    Refused { reason: String, what: String },
    /// In passing; what was received is good.
    Passing(String),
    /// What was uploaded is no good.
    Anew(String),
    /// It is not the revision that was wanted.
    Stale(String),
    /// Time is up, or somebody else has gone on.
    Stop,
}

impl From<sqlx::Error> for Trouble {
    fn from(error: sqlx::Error) -> Self {
        Self::Step(error.into())
    }
}

impl From<anyhow::Error> for Trouble {
    fn from(error: anyhow::Error) -> Self {
        Self::Step(error.into())
    }
}

impl From<ObjectError> for Trouble {
    fn from(error: ObjectError) -> Self {
        match error {
            ObjectError::Lost { .. } => Self::Anew(error.to_string()),
            ObjectError::Store(error) => Self::Step(error.into()),
        }
    }
}

/// The call's error, as far as it is the file's.
pub(super) fn of_media(error: MediaError) -> Trouble {
    match error {
        MediaError::Refused { reason, what } => Trouble::Refused { reason, what },
        MediaError::Other(why) => Trouble::Stale(why),
        MediaError::Call(error) => of_call(error),
    }
}

pub(super) fn of_call(error: CallError) -> Trouble {
    match error.class() {
        Some(Class::Retry) => Trouble::Passing(error.to_string()),
        // Of this file: a format that its kind is not exported to, a rule of its domain.
        Some(Class::Permanent) => Trouble::Refused { reason: PERMANENT.to_owned(), what: error.to_string() },
        _ => Trouble::Call(error),
    }
}

use chrono::{DateTime, Utc};

use super::{AccountId, JobId, Lane, RunId, TenantId};

/// A claimed run: what a worker knows of the job while it holds the lease.
#[derive(Debug, Clone)]
pub struct Run {
    /// The run's id, and its lease.
    pub id: RunId,
    /// The job that runs.
    pub job: JobId,
    /// The job's kind.
    pub kind: String,
    /// What the job keeps in step, in the words of its kind.
    pub key: String,
    /// Whose job it is.
    pub tenant: TenantId,
    /// Whose account it works with.
    pub account: Option<AccountId>,
    /// The lane it was claimed in.
    pub lane: Lane,
    /// Failed attempts of this pass so far.
    pub attempt: u32,
    /// Crashes of its workers since the last good commit.
    pub crashes: u32,
    /// Whether an earlier step of the same pass was committed or tried.
    pub goes_on: bool,
    /// The job's counter of wants when it was claimed.
    pub wanted: i64,
    /// When this step became due, in database time.
    pub due_at: DateTime<Utc>,
    /// When the pass became due.
    pub due_since: DateTime<Utc>,
    /// When it was wanted first, if anybody did.
    pub dirty_since: Option<DateTime<Utc>>,
    /// When it was claimed, in database time.
    pub started_at: DateTime<Utc>,
}

impl Run {
    /// Whether the job's last worker died with it: such jobs run one at a time.
    #[must_use]
    pub const fn is_suspect(&self) -> bool {
        self.crashes > 0
    }
}

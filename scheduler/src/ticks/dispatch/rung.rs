use std::{
    collections::HashMap,
    time::{Duration, Instant},
};

use chrono::{DateTime, Utc};
use shared::{
    job::{AccountId, JobId, TenantId},
    store::job_state::Due,
};

/// An id that was rung and not claimed in this time has been lost.
const LOST: Duration = Duration::from_secs(5);

/// What was rung of late: so that no id is rung again while it may still be on its way, and so that the scout knows who has
/// had much.
#[derive(Debug, Default)]
pub(super) struct Rung {
    jobs: HashMap<JobId, Mark>,
    forgot: Option<Instant>,
}

#[derive(Debug, Clone, Copy)]
struct Mark {
    /// The row as it was: one that was run since is due anew.
    run_at: DateTime<Utc>,
    at: Instant,
    tenant: TenantId,
    account: Option<AccountId>,
}

impl Rung {
    /// Marks a due job as rung; false if it was already.
    pub(super) fn mark(&mut self, due: &Due, now: Instant) -> bool {
        let mark = Mark { run_at: due.run_at, at: now, tenant: due.tenant, account: due.account };
        match self.jobs.get_mut(&due.job) {
            Some(old) if old.run_at == due.run_at && now.duration_since(old.at) < LOST => false,
            Some(old) => {
                *old = mark;
                true
            }
            None => {
                self.jobs.insert(due.job, mark);
                true
            }
        }
    }

    /// Drops what is too old to count, once a second.
    pub(super) fn forget(&mut self, now: Instant) {
        if self.forgot.is_none_or(|at| now.duration_since(at) >= Duration::from_secs(1)) {
            self.forgot = Some(now);
            self.jobs.retain(|_, mark| now.duration_since(mark.at) < LOST);
        }
    }

    /// The tenants and accounts for whom at least `tenant` and `account` jobs were rung within the last second.
    pub(super) fn sated(
        &self,
        tenant: usize,
        account: usize,
        now: Instant,
    ) -> (Vec<TenantId>, Vec<AccountId>) {
        let mut tenants: HashMap<TenantId, usize> = HashMap::new();
        let mut accounts: HashMap<AccountId, usize> = HashMap::new();
        for mark in self.jobs.values().filter(|mark| now.duration_since(mark.at) < Duration::from_secs(1)) {
            *tenants.entry(mark.tenant).or_default() += 1;
            if let Some(id) = mark.account {
                *accounts.entry(id).or_default() += 1;
            }
        }
        (
            tenants.into_iter().filter(|(_, rung)| *rung >= tenant).map(|(id, _)| id).collect(),
            accounts.into_iter().filter(|(_, rung)| *rung >= account).map(|(id, _)| id).collect(),
        )
    }
}

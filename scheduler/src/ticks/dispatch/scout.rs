use std::{
    collections::HashMap,
    time::{Duration, Instant},
};

use chrono::{DateTime, Utc};
use shared::{
    job::{AccountId, JobId, Lane, TenantId},
    store::{
        PgConnection,
        job_state::{self, Due},
    },
};

use super::rung::Rung;

/// How often the scout looks.
const LOOK: Duration = Duration::from_millis(500);

/// Looks past a backlog for those who have had little.
#[derive(Debug, Default)]
pub(super) struct Scout {
    looked: Option<Instant>,
}

impl Scout {
    /// Ids of tenants and accounts that have had little of late; at most `slots` in all, and a fair part of that each. It
    /// looks from `mark` on: before it nothing is due.
    pub(super) async fn look(
        &mut self,
        conn: &mut PgConnection,
        lane: Lane,
        slots: usize,
        mark: DateTime<Utc>,
        rung: &mut Rung,
        now: Instant,
    ) -> Result<Vec<JobId>, sqlx::Error> {
        if self.looked.is_some_and(|at| now.duration_since(at) < LOOK) {
            return Ok(Vec::new());
        }
        self.looked = Some(now);
        let share = Share::of(slots);
        let (mut tenants, mut accounts) = rung.sated(share.tenant, share.account, now);
        let mut picked = Picked::default();
        let mut cursor = (mark, 0);
        let limit = slots * 4;
        loop {
            let rows = job_state::due_elsewhere(
                conn,
                lane,
                cursor,
                &tenants,
                &accounts,
                i64::try_from(limit).unwrap_or(i64::MAX),
            )
            .await?;
            for due in &rows {
                cursor = (due.run_at, due.job);
                if picked.jobs.len() < slots && picked.is_fair(due, &share) && rung.mark(due, now) {
                    picked.take(due);
                }
            }
            if rows.len() < limit || picked.jobs.len() >= slots {
                return Ok(picked.jobs);
            }
            // The next read passes over who has had enough by now.
            tenants.extend(picked.full_tenants(&share));
            accounts.extend(picked.full_accounts(&share));
        }
    }
}

/// What one tenant and one account may have of a look.
#[derive(Debug, Clone, Copy)]
struct Share {
    tenant: usize,
    account: usize,
}

impl Share {
    fn of(slots: usize) -> Self {
        Self { tenant: (slots / 4).max(1), account: (slots / 8).max(1) }
    }
}

#[derive(Debug, Default)]
struct Picked {
    jobs: Vec<JobId>,
    tenants: HashMap<TenantId, usize>,
    accounts: HashMap<AccountId, usize>,
}

impl Picked {
    fn is_fair(&self, due: &Due, share: &Share) -> bool {
        self.tenants.get(&due.tenant).is_none_or(|had| *had < share.tenant)
            && due.account.is_none_or(|id| self.accounts.get(&id).is_none_or(|had| *had < share.account))
    }

    fn take(&mut self, due: &Due) {
        self.jobs.push(due.job);
        *self.tenants.entry(due.tenant).or_default() += 1;
        if let Some(id) = due.account {
            *self.accounts.entry(id).or_default() += 1;
        }
    }

    fn full_tenants(&self, share: &Share) -> Vec<TenantId> {
        self.tenants.iter().filter(|(_, had)| **had >= share.tenant).map(|(id, _)| *id).collect()
    }

    fn full_accounts(&self, share: &Share) -> Vec<AccountId> {
        self.accounts.iter().filter(|(_, had)| **had >= share.account).map(|(id, _)| *id).collect()
    }
}

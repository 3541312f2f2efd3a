//! `enqueue`: an operator wants jobs, and may wait until they are done.

use std::collections::BTreeMap;

use chrono::{DateTime, Utc};
use serde::Serialize;
use serde_json::json;
use sqlx::{PgConnection, PgPool};

use super::{Actor, AdminError, tenant};
use crate::{
    job::{AccountId, JobId, Lane, Policy, TenantId},
    store::{
        audit,
        job_state::{self, Wanted},
        jobs::{self, NewJob},
    },
};

/// How many jobs are wanted in one transaction.
pub const BATCH: i64 = 1_000;

/// A job that was wanted by its key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct One {
    /// The job, for the bell and for waiting.
    pub wanted: Wanted,
    /// Whether it did not exist before.
    pub made: bool,
}

/// Wants one job, in the interactive lane. If `tenant` is named, a job that does not exist is made.
pub async fn one(
    db: &PgPool,
    actor: &Actor,
    policy: &Policy,
    key: &str,
    tenant: Option<&str>,
    at: Option<DateTime<Utc>>,
) -> Result<One, AdminError> {
    let mut tx = db.begin().await?;
    let owner = match tenant {
        Some(name) => Some(tenant::find(&mut tx, name).await?),
        None => None,
    };
    let (job, made) = match (existing(&mut tx, policy.kind, key).await?, owner) {
        (Some((job, of)), owner) => {
            if owner.is_some_and(|owner| owner != of) {
                return Err(AdminError::Refused(format!(
                    "the job {}/{key} belongs to another tenant",
                    policy.kind
                )));
            }
            (job, false)
        }
        (None, Some(owner)) => (make(&mut tx, policy, key, owner).await?, true),
        (None, None) => {
            return Err(AdminError::not_found(
                "job",
                format_args!("{}/{key}", policy.kind),
                "name its tenant with --tenant, and it is made",
            ));
        }
    };
    let wanted = job_state::want(&mut tx, &[job], at, Some(Lane::Interactive)).await?;
    let detail = json!({ "at": at, "made": made });
    audit::write(&mut tx, actor.as_str(), "enqueue", &format!("{}/{key}", policy.kind), &detail).await?;
    tx.commit().await?;
    let wanted = wanted.into_iter().next().ok_or_else(|| AdminError::not_found("job", job, ""))?;
    Ok(One { wanted, made })
}

async fn existing(
    conn: &mut PgConnection,
    kind: &str,
    key: &str,
) -> Result<Option<(JobId, TenantId)>, AdminError> {
    let row = sqlx::query!(
        "-- admin::enqueue::existing\nselect id, tenant_id from jobs where kind = $1 and key = $2",
        kind,
        key
    )
    .fetch_optional(conn)
    .await?;
    Ok(row.map(|row| (row.id, row.tenant_id)))
}

async fn make(
    conn: &mut PgConnection,
    policy: &Policy,
    key: &str,
    tenant: TenantId,
) -> Result<JobId, AdminError> {
    if !(1..=255).contains(&key.chars().count()) {
        return Err(AdminError::Refused("a key has 1 to 255 characters".to_owned()));
    }
    if policy.api.is_some() || policy.per_account.is_some() {
        return Err(AdminError::Refused(format!(
            "jobs of the kind {} come with their accounts: `syncfleet account add` makes them",
            policy.kind
        )));
    }
    let new = NewJob { key: key.to_owned(), tenant, account: None, first: None };
    let made = jobs::ensure(conn, policy, &[new]).await?;
    made.first().copied().ok_or_else(|| AdminError::not_found("job", key, ""))
}

/// Which jobs of a kind: all, or those of a tenant or an account.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Selection {
    /// The kind.
    pub kind: String,
    /// Of this tenant only, by name.
    pub tenant: Option<String>,
    /// Of this account only.
    pub account: Option<AccountId>,
}

/// How many jobs a selection has. Writes down that they are about to be wanted.
pub async fn begin(
    db: &PgPool,
    actor: &Actor,
    selection: &Selection,
    at: Option<DateTime<Utc>>,
) -> Result<i64, AdminError> {
    let mut tx = db.begin().await?;
    let tenant = tenant_of(&mut tx, selection).await?;
    let jobs = sqlx::query_scalar!(
        r#"-- admin::enqueue::begin
        select count(*) as "jobs!"
        from jobs
        where kind = $1 and ($2::bigint is null or tenant_id = $2) and ($3::bigint is null or account_id = $3)"#,
        selection.kind,
        tenant,
        selection.account,
    )
    .fetch_one(&mut *tx)
    .await?;
    if jobs > 0 {
        let detail =
            json!({ "jobs": jobs, "at": at, "tenant": selection.tenant, "account": selection.account });
        audit::write(&mut tx, actor.as_str(), "enqueue", &selection.kind, &detail).await?;
    }
    tx.commit().await?;
    Ok(jobs)
}

/// Wants the next [`BATCH`] jobs of a selection after `after`, in the order of their ids, each in the lane that it is in. An
/// empty answer: there are no more.
pub async fn batch(
    db: &PgPool,
    selection: &Selection,
    after: JobId,
    at: Option<DateTime<Utc>>,
) -> Result<Vec<Wanted>, AdminError> {
    let mut tx = db.begin().await?;
    let tenant = tenant_of(&mut tx, selection).await?;
    let jobs = sqlx::query_scalar!(
        "-- admin::enqueue::batch
        select id
        from jobs
        where id > $1 and kind = $2
            and ($3::bigint is null or tenant_id = $3) and ($4::bigint is null or account_id = $4)
        order by id
        limit $5",
        after,
        selection.kind,
        tenant,
        selection.account,
        BATCH,
    )
    .fetch_all(&mut *tx)
    .await?;
    let mut wanted = job_state::want(&mut tx, &jobs, at, None).await?;
    tx.commit().await?;
    wanted.sort_unstable_by_key(|wanted| wanted.job);
    Ok(wanted)
}

async fn tenant_of(conn: &mut PgConnection, selection: &Selection) -> Result<Option<TenantId>, AdminError> {
    match &selection.tenant {
        Some(name) => Ok(Some(tenant::find(conn, name).await?)),
        None => Ok(None),
    }
}

/// Wanted jobs that somebody waits for: each with the counter that its `done` must reach.
#[derive(Debug, Clone, Default)]
pub struct Awaited {
    left: BTreeMap<JobId, i64>,
    outcome: Outcome,
}

/// How waiting stands.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct Outcome {
    /// Jobs whose want is answered.
    pub done: i64,
    /// Jobs that cannot go on until somebody does something: parked, or removed meanwhile.
    pub parked: Vec<JobId>,
    /// Jobs still to come.
    pub left: i64,
}

impl Awaited {
    /// Waits for these, too.
    pub fn extend(&mut self, wanted: &[Wanted]) {
        self.left.extend(wanted.iter().map(|wanted| (wanted.job, wanted.counter)));
        self.outcome.left = i64::try_from(self.left.len()).unwrap_or(i64::MAX);
    }

    /// The jobs that are still awaited.
    pub fn jobs(&self) -> impl Iterator<Item = JobId> {
        self.left.keys().copied()
    }

    /// How it stands as of the last [`Awaited::look`].
    #[must_use]
    pub const fn outcome(&self) -> &Outcome {
        &self.outcome
    }

    /// Looks which have been done meanwhile, [`BATCH`] rows a statement.
    pub async fn look(&mut self, conn: &mut PgConnection) -> Result<&Outcome, AdminError> {
        let mut after = JobId::MIN;
        loop {
            let part: Vec<(JobId, i64)> = self
                .left
                .range((std::ops::Bound::Excluded(after), std::ops::Bound::Unbounded))
                .take(usize::try_from(BATCH).unwrap_or(usize::MAX))
                .map(|(job, wanted)| (*job, *wanted))
                .collect();
            let Some((last, _)) = part.last() else { break };
            after = *last;
            self.settle(conn, &part).await?;
        }
        self.outcome.left = i64::try_from(self.left.len()).unwrap_or(i64::MAX);
        Ok(&self.outcome)
    }

    async fn settle(&mut self, conn: &mut PgConnection, part: &[(JobId, i64)]) -> Result<(), AdminError> {
        let (jobs, wanted): (Vec<JobId>, Vec<i64>) = part.iter().copied().unzip();
        let rows = sqlx::query!(
            r#"-- admin::enqueue::settle
            select asked.job as "job!", coalesce(s.done >= asked.wanted, false) as "done!"
            from unnest($1::bigint[], $2::bigint[]) as asked (job, wanted)
            left join job_state s on s.job_id = asked.job
            where s.job_id is null or s.done >= asked.wanted or s.phase = 'parked'"#,
            &jobs,
            &wanted,
        )
        .fetch_all(conn)
        .await?;
        for row in rows {
            self.left.remove(&row.job);
            if row.done {
                self.outcome.done += 1;
            } else {
                self.outcome.parked.push(row.job);
            }
        }
        Ok(())
    }
}

use std::time::Duration;

use chrono::{DateTime, Utc};
use sqlx::PgConnection;

use super::Claimer;
use crate::{
    job::{AccountId, JobId, Lane, TenantId},
    store::seconds,
};

/// A job that is due and stands before no closed gate.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Due {
    /// The job.
    pub job: JobId,
    /// Since when.
    pub run_at: DateTime<Utc>,
    /// Its tenant.
    pub tenant: TenantId,
    /// Its account.
    pub account: Option<AccountId>,
}

/// The next `limit` due jobs of a lane after `(run_at, job)`, in that order. Writes nothing.
pub async fn due(
    conn: &mut PgConnection,
    lane: Lane,
    after: (DateTime<Utc>, JobId),
    limit: i64,
) -> Result<Vec<Due>, sqlx::Error> {
    sqlx::query_as!(
        Due,
        r#"-- job_state::due
        select job_id as "job!", run_at as "run_at!", tenant_id as "tenant!", account_id as "account"
        from due_jobs
        where lane = $1 and run_at < 'infinity' and (run_at, job_id) > ($2, $3)
        order by run_at, job_id
        limit $4"#,
        lane as Lane,
        after.0,
        after.1,
        limit,
    )
    .fetch_all(conn)
    .await
}

/// At most `limit` jobs of a lane that are due for longer than `overdue`, and that the claimer could claim, the most overdue
/// first.
///
/// What it cannot claim is passed over within `PostgreSQL`, in the order of the index `job_state_due`: 100,000 such rows cost 40 ms.
pub async fn claimable(
    conn: &mut PgConnection,
    claimer: &Claimer<'_>,
    lane: Lane,
    overdue: Duration,
    limit: i64,
) -> Result<Vec<JobId>, sqlx::Error> {
    sqlx::query_scalar!(
        r#"-- job_state::claimable
        select job_id as "job!"
        from due_jobs
        where lane = $1 and run_at < 'infinity' and run_at <= clock() - make_interval(secs => $2)
            and kind = any($3) and (crashes = 0 or $4)
        order by run_at, job_id
        limit $5"#,
        lane as Lane,
        seconds(overdue),
        claimer.kinds,
        claimer.suspects,
        limit,
    )
    .fetch_all(conn)
    .await
}

/// As [`due`], without the tenants and accounts that have had their share already. PostgreSQL passes over their rows, so
/// that a backlog costs a scan there and not a transfer.
pub async fn due_elsewhere(
    conn: &mut PgConnection,
    lane: Lane,
    after: (DateTime<Utc>, JobId),
    sated_tenants: &[TenantId],
    sated_accounts: &[AccountId],
    limit: i64,
) -> Result<Vec<Due>, sqlx::Error> {
    sqlx::query_as!(
        Due,
        r#"-- job_state::due_elsewhere
        select job_id as "job!", run_at as "run_at!", tenant_id as "tenant!", account_id as "account"
        from due_jobs
        where lane = $1 and run_at < 'infinity' and (run_at, job_id) > ($2, $3)
            and tenant_id <> all($4)
            and coalesce(account_id <> all($5), true)
        order by run_at, job_id
        limit $6"#,
        lane as Lane,
        after.0,
        after.1,
        sated_tenants,
        sated_accounts,
        limit,
    )
    .fetch_all(conn)
    .await
}

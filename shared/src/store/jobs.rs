//! What should be kept in step: table `jobs`, one row per (kind, key), and its first row in `job_state`.

use std::time::Duration;

use sqlx::PgConnection;

use super::seconds;
use crate::job::{AccountId, JobId, Policy, TenantId};

/// A job to be.
#[derive(Debug, Clone)]
pub struct NewJob {
    /// What it keeps in step, in the words of its kind.
    pub key: String,
    /// Whose it is.
    pub tenant: TenantId,
    /// Whose account it works with.
    pub account: Option<AccountId>,
    /// When its first pass is due, from now; none: when it is wanted.
    pub first: Option<Duration>,
}

/// Makes those jobs of a kind that do not exist yet; the ids come in the order of `jobs`, old and new ones alike.
pub async fn ensure(
    conn: &mut PgConnection,
    policy: &Policy,
    jobs: &[NewJob],
) -> Result<Vec<JobId>, sqlx::Error> {
    let keys: Vec<String> = jobs.iter().map(|job| job.key.clone()).collect();
    let tenants: Vec<TenantId> = jobs.iter().map(|job| job.tenant).collect();
    let accounts: Vec<Option<AccountId>> = jobs.iter().map(|job| job.account).collect();
    let firsts: Vec<Option<f64>> = jobs.iter().map(|job| job.first.map(seconds)).collect();
    sqlx::query!(
        r#"-- jobs::ensure (1)
        with asked as (
            select * from unnest($2::text[], $3::bigint[], $4::bigint[], $5::float8[])
                as a (key, tenant_id, account_id, first)
        ), made as (
            insert into jobs (kind, key, tenant_id, account_id)
            select $1, key, tenant_id, account_id from asked order by key
            on conflict (kind, key) do nothing
            returning id, kind, key, tenant_id, account_id
        )
        insert into job_state (job_id, kind, tenant_id, account_id, lane, run_at)
        select made.id, made.kind, made.tenant_id, made.account_id, $6,
            coalesce(clock() + make_interval(secs => asked.first), 'infinity')
        from made join asked using (key)
        order by made.id"#,
        policy.kind,
        &keys,
        &tenants,
        &accounts as &[Option<AccountId>],
        &firsts as &[Option<f64>],
        policy.lane as _,
    )
    .execute(&mut *conn)
    .await?;
    sqlx::query_scalar!(
        r#"-- jobs::ensure (2)
        select jobs.id
        from unnest($2::text[]) with ordinality as asked (key, place)
        join jobs on jobs.kind = $1 and jobs.key = asked.key
        order by place"#,
        policy.kind,
        &keys,
    )
    .fetch_all(conn)
    .await
}

/// The jobs of a kind that have these keys, as far as there are any.
pub async fn of_keys(
    conn: &mut PgConnection,
    kind: &str,
    keys: &[String],
) -> Result<Vec<JobId>, sqlx::Error> {
    sqlx::query_scalar!(
        "-- jobs::of_keys
        select id from jobs where kind = $1 and key = any($2) order by id",
        kind,
        keys,
    )
    .fetch_all(conn)
    .await
}

/// Removes jobs for good, with their state. A run under way loses its lease by it.
pub async fn remove(conn: &mut PgConnection, kind: &str, keys: &[String]) -> Result<u64, sqlx::Error> {
    sqlx::query!(
        "-- jobs::remove
        delete from jobs where kind = $1 and key = any($2)",
        kind,
        keys,
    )
    .execute(conn)
    .await
    .map(|done| done.rows_affected())
}

/// The next `limit` jobs of a kind after a job's id.
pub async fn of_kind(
    conn: &mut PgConnection,
    kind: &str,
    after: JobId,
    limit: i64,
) -> Result<Vec<JobId>, sqlx::Error> {
    sqlx::query_scalar!(
        "-- jobs::of_kind
        select id from jobs where kind = $1 and id > $2 order by id limit $3",
        kind,
        after,
        limit,
    )
    .fetch_all(conn)
    .await
}

/// The jobs of a kind that work with an account.
pub async fn of_account(
    conn: &mut PgConnection,
    kind: &str,
    account: AccountId,
) -> Result<Vec<JobId>, sqlx::Error> {
    sqlx::query_scalar!(
        "-- jobs::of_account\nselect id from jobs where account_id = $1 and kind = $2 order by id",
        account,
        kind,
    )
    .fetch_all(conn)
    .await
}

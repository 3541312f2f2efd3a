//! What removing a tenant and removing an account have in common.

use std::time::Duration;

use sqlx::{PgConnection, PgPool};

use super::{AdminError, channel};
use crate::{
    google::{Google, channels::Stopped},
    job::{AccountId, TenantId},
};

/// How often a removal is tried that meets a worker's commit in a deadlock.
pub(super) const ATTEMPTS: u32 = 5;

/// How long ending push channels may take before the rows go.
pub(in crate::admin) const FAREWELL: Duration = Duration::from_secs(20);

/// Ends the push channels of what is about to go: afterwards nobody has the right to, and they would call on.
pub(super) async fn channels(
    db: &PgPool,
    google: Option<&Google>,
    accounts: &[AccountId],
) -> Result<Stopped, AdminError> {
    let stopped = channel::stop_all(db, google, accounts, FAREWELL).await?;
    if stopped.left > 0 {
        tracing::warn!(
            channels = stopped.left,
            "push channels could not be stopped and run out by themselves; what they tell is not taken"
        );
    }
    Ok(stopped)
}

/// Tries again when the transaction was chosen to end a deadlock.
pub(super) async fn retried<T>(
    mut once: impl AsyncFnMut() -> Result<T, AdminError>,
) -> Result<T, AdminError> {
    let mut attempt = 1;
    loop {
        match once().await {
            Err(error) if attempt < ATTEMPTS && is_deadlock(&error) => attempt += 1,
            result => return result,
        }
    }
}

/// Whether the transaction was chosen to end a deadlock.
pub(super) fn is_deadlock(error: &AdminError) -> bool {
    matches!(error, AdminError::Database(sqlx::Error::Database(error)) if error.code().as_deref() == Some("40P01"))
}

/// Lets the transaction take its time: a tenant may have a million jobs.
pub(super) async fn unhurried(conn: &mut PgConnection) -> Result<(), AdminError> {
    sqlx::raw_sql(
        "-- admin::remove::unhurried
        set local statement_timeout = 0;
        set local lock_timeout = '30s'",
    )
    .execute(conn)
    .await?;
    Ok(())
}

/// Takes the jobs' state away first, in id order: whoever runs one loses its lease before its rows go, so that it waits for
/// this transaction instead of meeting it half-way.
pub(super) async fn leases(
    conn: &mut PgConnection,
    tenant: Option<TenantId>,
    account: Option<AccountId>,
) -> Result<(), AdminError> {
    sqlx::query!(
        "-- admin::remove::leases
        with locked as (
            select job_id
            from job_state
            where ($1::bigint is null or tenant_id = $1) and ($2::bigint is null or account_id = $2)
                and ($1 is not null or $2 is not null)
            order by job_id
            for update
        )
        delete from job_state s using locked where s.job_id = locked.job_id",
        tenant,
        account,
    )
    .execute(conn)
    .await?;
    Ok(())
}

/// Takes away what names its owner without a foreign key: gates, secrets and, of a tenant, its changes. Secrets are locked in
/// their order, as whoever seals them anew does.
pub(super) async fn strays(
    conn: &mut PgConnection,
    tenant: Option<TenantId>,
    account: Option<AccountId>,
) -> Result<(), AdminError> {
    sqlx::query!(
        "-- admin::remove::strays (gates)
        delete from gates
        where scope = 'tenant' and target = $1::bigint::text
            or scope = 'account' and target in (
                select id::text from accounts where tenant_id = $1 or id = $2
            )",
        tenant,
        account,
    )
    .execute(&mut *conn)
    .await?;
    sqlx::query!(
        "-- admin::remove::strays (secrets)
        with locked as (
            select owner_kind, owner_id, name
            from secrets
            where owner_kind = 'account' and owner_id in (select id from accounts where tenant_id = $1 or id = $2)
                or owner_kind = 'tenant' and owner_id = $1
                or owner_kind = 'webhook' and owner_id in (select id from webhooks where tenant_id = $1)
                or owner_kind = 'dns_record' and owner_id in (select id from dns_records where tenant_id = $1)
            order by owner_kind, owner_id, name
            for update
        )
        delete from secrets s using locked
        where (s.owner_kind, s.owner_id, s.name) = (locked.owner_kind, locked.owner_id, locked.name)",
        tenant,
        account,
    )
    .execute(&mut *conn)
    .await?;
    sqlx::query!("-- admin::remove::strays (changes)\ndelete from changes where tenant_id = $1", tenant)
        .execute(conn)
        .await?;
    Ok(())
}

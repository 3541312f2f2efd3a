//! An operator's leave to sign in: table `sign_in_links`.

use std::time::Duration;

use chrono::{DateTime, Utc};
use sqlx::PgConnection;

use super::seconds;
use crate::job::{AccountId, TenantId};

/// A link.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LinkRow {
    /// Its number.
    pub id: i64,
    /// Whose account it makes or renews.
    pub tenant: TenantId,
    /// That tenant's name.
    pub tenant_name: String,
    /// Who is to sign in; none: anybody.
    pub account: Option<AccountId>,
    /// That account's address.
    pub email: Option<String>,
    /// Whether its time is over.
    pub expired: bool,
    /// Whether somebody has signed in by it.
    pub used: bool,
}

/// Adds a link that is good for `valid`. Says its number, and when it expires.
pub async fn insert(
    conn: &mut PgConnection,
    secret_hash: &[u8],
    tenant: TenantId,
    account: Option<AccountId>,
    valid: Duration,
) -> Result<(i64, DateTime<Utc>), sqlx::Error> {
    sqlx::query!(
        r#"-- sign_in_links::insert
        insert into sign_in_links (secret_hash, tenant_id, account_id, created_at, expires_at)
        values ($1, $2, $3, clock(), clock() + make_interval(secs => $4))
        returning id, expires_at"#,
        secret_hash,
        tenant,
        account,
        seconds(valid),
    )
    .fetch_one(conn)
    .await
    .map(|row| (row.id, row.expires_at))
}

/// The link of a secret.
pub async fn find(conn: &mut PgConnection, secret_hash: &[u8]) -> Result<Option<LinkRow>, sqlx::Error> {
    sqlx::query_as!(
        LinkRow,
        r#"-- sign_in_links::find
        select l.id, l.tenant_id as tenant, t.name as tenant_name, l.account_id as account, a.email as "email?",
            l.expires_at <= clock() as "expired!", l.used_at is not null as "used!"
        from sign_in_links l
        join tenants t on t.id = l.tenant_id
        left join accounts a on a.id = l.account_id
        where l.secret_hash = $1"#,
        secret_hash,
    )
    .fetch_optional(conn)
    .await
}

/// The link of a number.
pub async fn get(conn: &mut PgConnection, id: i64) -> Result<Option<LinkRow>, sqlx::Error> {
    sqlx::query_as!(
        LinkRow,
        r#"-- sign_in_links::get
        select l.id, l.tenant_id as tenant, t.name as tenant_name, l.account_id as account, a.email as "email?",
            l.expires_at <= clock() as "expired!", l.used_at is not null as "used!"
        from sign_in_links l
        join tenants t on t.id = l.tenant_id
        left join accounts a on a.id = l.account_id
        where l.id = $1"#,
        id,
    )
    .fetch_optional(conn)
    .await
}

/// Uses a link up. False: it is gone, or was used before. Whoever uses it at the same time waits for this transaction.
pub async fn spend(conn: &mut PgConnection, id: i64) -> Result<bool, sqlx::Error> {
    sqlx::query!(
        "-- sign_in_links::spend
        update sign_in_links set used_at = clock() where id = $1 and used_at is null",
        id,
    )
    .execute(conn)
    .await
    .map(|done| done.rows_affected() > 0)
}

/// Withdraws the links of an account that nobody has used.
pub async fn withdraw(conn: &mut PgConnection, account: AccountId) -> Result<u64, sqlx::Error> {
    sqlx::query!(
        "-- sign_in_links::withdraw
        with locked as (
            select id from sign_in_links where account_id = $1 and used_at is null order by id for update
        )
        delete from sign_in_links l using locked where l.id = locked.id",
        account,
    )
    .execute(conn)
    .await
    .map(|done| done.rows_affected())
}

/// Forgets links whose time was over a day ago: until then they are told apart from unknown ones.
pub async fn forget_old(conn: &mut PgConnection) -> Result<u64, sqlx::Error> {
    sqlx::query!(
        "-- sign_in_links::forget_old
        with locked as (
            select id from sign_in_links where expires_at < clock() - interval '1 day' order by id for update
        )
        delete from sign_in_links l using locked where l.id = locked.id",
    )
    .execute(conn)
    .await
    .map(|done| done.rows_affected())
}

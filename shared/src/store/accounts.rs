//! A person's or a machine's standing with a provider: table `accounts`.

use chrono::{DateTime, Utc};
use sqlx::PgConnection;

use super::secrets;
use crate::job::{AccountId, TenantId};

/// An account.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AccountRow {
    /// Its id.
    pub id: AccountId,
    /// Whose it is.
    pub tenant: TenantId,
    /// The provider, e.g. `google`.
    pub provider: String,
    /// The provider's own lasting id of it, if it was seen.
    pub subject: Option<String>,
    /// Its e-mail address.
    pub email: String,
    /// When it was added.
    pub created_at: DateTime<Utc>,
}

/// An account to be.
#[derive(Debug, Clone)]
pub struct NewAccount<'a> {
    /// Whose it is.
    pub tenant: TenantId,
    /// The provider, e.g. `google`.
    pub provider: &'a str,
    /// The provider's own lasting id of it, if it is known.
    pub subject: Option<&'a str>,
    /// Its e-mail address.
    pub email: &'a str,
}

/// Adds an account; none if the tenant has it already (by address or by subject).
pub async fn insert(
    conn: &mut PgConnection,
    account: &NewAccount<'_>,
) -> Result<Option<AccountId>, sqlx::Error> {
    sqlx::query_scalar!(
        "-- accounts::insert
        insert into accounts (tenant_id, provider, subject, email) values ($1, $2, $3, $4)
        on conflict do nothing
        returning id",
        account.tenant,
        account.provider,
        account.subject,
        account.email,
    )
    .fetch_optional(conn)
    .await
}

/// The account of an id.
pub async fn get(conn: &mut PgConnection, id: AccountId) -> Result<Option<AccountRow>, sqlx::Error> {
    sqlx::query_as!(
        AccountRow,
        "-- accounts::get
        select id, tenant_id as tenant, provider, subject, email, created_at from accounts where id = $1",
        id,
    )
    .fetch_optional(conn)
    .await
}

/// The accounts of an e-mail address, and of a tenant if one is named, by id.
pub async fn find(
    conn: &mut PgConnection,
    tenant: Option<TenantId>,
    email: &str,
) -> Result<Vec<AccountRow>, sqlx::Error> {
    sqlx::query_as!(
        AccountRow,
        "-- accounts::find
        select id, tenant_id as tenant, provider, subject, email, created_at
        from accounts
        where email = $2 and ($1::bigint is null or tenant_id = $1)
        order by id",
        tenant,
        email,
    )
    .fetch_all(conn)
    .await
}

/// At most `limit` accounts after `after` (0: from the start), by id; of a tenant if one is named.
pub async fn list(
    conn: &mut PgConnection,
    tenant: Option<TenantId>,
    after: AccountId,
    limit: i64,
) -> Result<Vec<AccountRow>, sqlx::Error> {
    sqlx::query_as!(
        AccountRow,
        "-- accounts::list
        select id, tenant_id as tenant, provider, subject, email, created_at
        from accounts
        where id > $2 and ($1::bigint is null or tenant_id = $1)
        order by id
        limit $3",
        tenant,
        after,
        limit,
    )
    .fetch_all(conn)
    .await
}

/// Removes an account with its jobs, its mirror and its sealed values. Says whether it was there.
pub async fn remove(conn: &mut PgConnection, id: AccountId) -> Result<bool, sqlx::Error> {
    secrets::remove(&mut *conn, "account", id).await?;
    sqlx::query!(
        "-- accounts::remove
        delete from accounts where id = $1",
        id,
    )
    .execute(conn)
    .await
    .map(|done| done.rows_affected() > 0)
}

//! Sealed values: table `secrets`. Opened and sealed on the way, so that no caller meets a value in the clear by mistake.

mod reseal;

use std::time::Duration;

use chrono::{DateTime, Utc};
use secrecy::SecretString;
use serde::Serialize;
use sqlx::PgConnection;

pub use self::reseal::{KeyUse, Place, Row, by_key, reseal, sample, sealed_otherwise};
use super::seconds;
use crate::{
    job::AccountId,
    secrets::{KeyRing, OpenError, Owner, Sealed},
};

/// Why a value was not stored or read.
#[derive(Debug, thiserror::Error)]
pub enum SecretError {
    /// It cannot be sealed or opened.
    #[error(transparent)]
    Open(#[from] OpenError),
    /// The database did not answer.
    #[error(transparent)]
    Database(#[from] sqlx::Error),
}

/// A stored value, opened.
#[derive(Debug, Clone)]
pub struct Stored {
    /// The value.
    pub value: SecretString,
    /// When it was stored: tells one value of an owner from the next.
    pub updated_at: DateTime<Utc>,
    /// Whether it is of no use any more.
    pub expired: bool,
}

/// Stores a value in place of an older one. `lifetime` is how long it will be of use (none: for ever).
pub async fn put(
    conn: &mut PgConnection,
    keys: &KeyRing,
    owner: Owner<'_>,
    value: &SecretString,
    lifetime: Option<Duration>,
) -> Result<(), SecretError> {
    let sealed = keys.seal(owner, value)?;
    sqlx::query!(
        r#"-- secrets::put
        insert into secrets as s (owner_kind, owner_id, name, key_id, sealed, expires_at)
        values ($1, $2, $3, $4, $5, clock() + make_interval(secs => $6))
        on conflict (owner_kind, owner_id, name) do update set
            key_id = excluded.key_id, sealed = excluded.sealed, expires_at = excluded.expires_at,
            updated_at = greatest(excluded.updated_at, s.updated_at + interval '1 microsecond')"#,
        owner.kind,
        owner.id,
        owner.name,
        sealed.key_id,
        sealed.bytes,
        lifetime.map(seconds),
    )
    .execute(conn)
    .await?;
    Ok(())
}

/// Reads a value that is still of use.
pub async fn get(
    conn: &mut PgConnection,
    keys: &KeyRing,
    owner: Owner<'_>,
) -> Result<Option<Stored>, SecretError> {
    Ok(last(conn, keys, owner).await?.filter(|stored| !stored.expired))
}

/// Reads a value, whether it is still of use or not.
pub async fn last(
    conn: &mut PgConnection,
    keys: &KeyRing,
    owner: Owner<'_>,
) -> Result<Option<Stored>, SecretError> {
    let row = sqlx::query!(
        r#"-- secrets::last
        select key_id, sealed, updated_at, coalesce(expires_at <= clock(), false) as "expired!"
        from secrets
        where owner_kind = $1 and owner_id = $2 and name = $3"#,
        owner.kind,
        owner.id,
        owner.name,
    )
    .fetch_optional(conn)
    .await?;
    let Some(row) = row else { return Ok(None) };
    let value = keys.open(owner, &Sealed { key_id: row.key_id, bytes: row.sealed })?;
    Ok(Some(Stored { value, updated_at: row.updated_at, expired: row.expired }))
}

/// A value of an account, and how the account has come by it.
#[derive(Debug)]
pub struct OfAccount {
    /// The value.
    pub value: SecretString,
    /// Whether the tenant's service account acts for the account.
    pub workspace: bool,
    /// The project to which its calls count then; none: the OAuth client's.
    pub project: Option<String>,
}

/// An account's value that is still of use, and whether the tenant's service account acts for that account.
pub async fn of_account(
    conn: &mut PgConnection,
    keys: &KeyRing,
    account: AccountId,
    name: &str,
) -> Result<Option<OfAccount>, SecretError> {
    let row = sqlx::query!(
        r#"-- secrets::of_account
        select s.key_id, s.sealed, coalesce(a.workspace, false) as "workspace!", a.project as "project?"
        from secrets s
        left join accounts a on a.id = s.owner_id
        where s.owner_kind = 'account' and s.owner_id = $1 and s.name = $2
            and (s.expires_at is null or s.expires_at > clock())"#,
        account,
        name,
    )
    .fetch_optional(conn)
    .await?;
    let Some(row) = row else { return Ok(None) };
    let value =
        keys.open(Owner::account(account, name), &Sealed { key_id: row.key_id, bytes: row.sealed })?;
    Ok(Some(OfAccount { value, workspace: row.workspace, project: row.project.filter(|_| row.workspace) }))
}

/// Whether the value that was stored at `updated_at` still stands. If so, nobody replaces it before this transaction ends.
pub async fn stands(
    conn: &mut PgConnection,
    owner: Owner<'_>,
    updated_at: DateTime<Utc>,
) -> Result<bool, sqlx::Error> {
    let found = sqlx::query_scalar!(
        "-- secrets::stands
        select updated_at from secrets where owner_kind = $1 and owner_id = $2 and name = $3 for update",
        owner.kind,
        owner.id,
        owner.name,
    )
    .fetch_optional(conn)
    .await?;
    Ok(found == Some(updated_at))
}

/// Says how long from now the stored value will be of use.
pub async fn set_lifetime(
    conn: &mut PgConnection,
    owner: Owner<'_>,
    lifetime: Duration,
) -> Result<(), sqlx::Error> {
    sqlx::query!(
        "-- secrets::set_lifetime
        update secrets set expires_at = clock() + make_interval(secs => $4)
        where owner_kind = $1 and owner_id = $2 and name = $3",
        owner.kind,
        owner.id,
        owner.name,
        seconds(lifetime),
    )
    .execute(conn)
    .await
    .map(drop)
}

/// What is known of a value without opening it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Info {
    /// Its name, e.g. `refresh_token`.
    pub name: String,
    /// The key that it is sealed under.
    pub key_id: String,
    /// When it was stored.
    pub updated_at: DateTime<Utc>,
    /// When it stops being of use; none: never, as far as is known.
    pub expires_at: Option<DateTime<Utc>>,
}

/// The values of an owner, by name.
pub async fn of_owner(
    conn: &mut PgConnection,
    owner_kind: &str,
    owner_id: i64,
) -> Result<Vec<Info>, sqlx::Error> {
    sqlx::query_as!(
        Info,
        "-- secrets::of_owner
        select name, key_id, updated_at, expires_at
        from secrets
        where owner_kind = $1 and owner_id = $2
        order by name",
        owner_kind,
        owner_id,
    )
    .fetch_all(conn)
    .await
}

/// Forgets all values of an owner.
pub async fn remove(conn: &mut PgConnection, owner_kind: &str, owner_id: i64) -> Result<(), sqlx::Error> {
    sqlx::query!(
        "-- secrets::remove
        with locked as (
            select name from secrets where owner_kind = $1 and owner_id = $2 order by name for update
        )
        delete from secrets s using locked
        where s.owner_kind = $1 and s.owner_id = $2 and s.name = locked.name",
        owner_kind,
        owner_id,
    )
    .execute(conn)
    .await
    .map(drop)
}

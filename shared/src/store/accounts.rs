//! A person's or a machine's standing with a provider: table `accounts`.

use chrono::{DateTime, Utc};
use sqlx::PgConnection;

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
    /// What its owner has granted; none: the provider has not said yet.
    pub scopes: Option<Vec<String>>,
    /// Whether its tenant's service account acts for it. If so it has no refresh token.
    pub workspace: bool,
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
        select id, tenant_id as tenant, provider, subject, email, scopes, workspace, created_at from accounts where id = $1",
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
        select id, tenant_id as tenant, provider, subject, email, scopes, workspace, created_at
        from accounts
        where email = $2 and ($1::bigint is null or tenant_id = $1)
        order by id",
        tenant,
        email,
    )
    .fetch_all(conn)
    .await
}

/// The account of a tenant that has this subject.
pub async fn of_subject(
    conn: &mut PgConnection,
    tenant: TenantId,
    provider: &str,
    subject: &str,
) -> Result<Option<AccountRow>, sqlx::Error> {
    sqlx::query_as!(
        AccountRow,
        "-- accounts::of_subject
        select id, tenant_id as tenant, provider, subject, email, scopes, workspace, created_at
        from accounts
        where tenant_id = $1 and provider = $2 and subject = $3",
        tenant,
        provider,
        subject,
    )
    .fetch_optional(conn)
    .await
}

/// Notes to which project the calls for an account count; none: the OAuth client's.
pub async fn set_project(
    conn: &mut PgConnection,
    id: AccountId,
    project: Option<&str>,
) -> Result<(), sqlx::Error> {
    sqlx::query!(
        "-- accounts::set_project
        update accounts set project = $2 where id = $1 and project is distinct from $2",
        id,
        project,
    )
    .execute(conn)
    .await
    .map(drop)
}

/// What a provider's word on an account came to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Learned {
    /// It is stored, or was known.
    Known,
    /// The subject is not this account's: whose it is.
    OtherSubject(String),
}

/// Keeps what the provider says of an account: its lasting id, once for ever, and what was granted. None: it does not say.
pub async fn learn(
    conn: &mut PgConnection,
    id: AccountId,
    subject: Option<&str>,
    scopes: Option<&[String]>,
) -> Result<Learned, sqlx::Error> {
    let Some(account) = get(&mut *conn, id).await? else { return Ok(Learned::Known) };
    if let Some(subject) = subject {
        match &account.subject {
            Some(known) if known == subject => {}
            Some(known) => {
                return Ok(Learned::OtherSubject(format!("the subject {subject} instead of {known}")));
            }
            None => {
                if let Some(other) =
                    of_subject(&mut *conn, account.tenant, &account.provider, subject).await?
                {
                    return Ok(Learned::OtherSubject(format!(
                        "that of account {}, {}",
                        other.id, other.email
                    )));
                }
            }
        }
    }
    let news = subject.is_some() && account.subject.is_none()
        || scopes.is_some_and(|scopes| account.scopes.as_deref() != Some(scopes));
    if news {
        sqlx::query!(
            "-- accounts::learn
            update accounts set subject = coalesce(subject, $2), scopes = coalesce($3, scopes) where id = $1",
            id,
            subject,
            scopes,
        )
        .execute(conn)
        .await?;
    }
    Ok(Learned::Known)
}

/// The tenant's service account acts for the account from now on, with these scopes.
pub async fn delegate(conn: &mut PgConnection, id: AccountId, scopes: &[String]) -> Result<(), sqlx::Error> {
    sqlx::query!(
        "-- accounts::delegate\nupdate accounts set workspace = true, scopes = $2 where id = $1",
        id,
        scopes,
    )
    .execute(conn)
    .await
    .map(drop)
}

/// The account has signed in itself: the tenant's service account does not act for it any more.
pub async fn end_delegation(conn: &mut PgConnection, id: AccountId) -> Result<(), sqlx::Error> {
    sqlx::query!(
        "-- accounts::end_delegation\nupdate accounts set workspace = false where id = $1 and workspace",
        id
    )
    .execute(conn)
    .await
    .map(drop)
}

/// Forgets what was granted: a refresh token that the provider was not asked about has come.
pub async fn forget_scopes(conn: &mut PgConnection, id: AccountId) -> Result<(), sqlx::Error> {
    sqlx::query!("-- accounts::forget_scopes\nupdate accounts set scopes = null where id = $1", id)
        .execute(conn)
        .await
        .map(drop)
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
        select id, tenant_id as tenant, provider, subject, email, scopes, workspace, created_at
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

/// Removes an account with its jobs and its mirror. Its sealed values and its gates have gone before. Says whether it was there.
pub async fn remove(conn: &mut PgConnection, id: AccountId) -> Result<bool, sqlx::Error> {
    sqlx::query!(
        "-- accounts::remove
        delete from accounts where id = $1",
        id,
    )
    .execute(conn)
    .await
    .map(|done| done.rows_affected() > 0)
}

/// Keeps an account from being removed until the transaction ends. False: it is gone.
pub async fn keep(conn: &mut PgConnection, id: AccountId) -> Result<bool, sqlx::Error> {
    sqlx::query!("-- accounts::keep\nselect id from accounts where id = $1 for key share", id)
        .fetch_optional(conn)
        .await
        .map(|row| row.is_some())
}

/// Keeps the account as `keep` does, and has others wait who would change it.
pub async fn hold(conn: &mut PgConnection, id: AccountId) -> Result<bool, sqlx::Error> {
    sqlx::query!("-- accounts::hold\nselect id from accounts where id = $1 for no key update", id)
        .fetch_optional(conn)
        .await
        .map(|row| row.is_some())
}

/// Waits for those who keep the account, and has those wait who want to.
pub async fn lock(conn: &mut PgConnection, id: AccountId) -> Result<(), sqlx::Error> {
    sqlx::query!("-- accounts::lock\nselect id from accounts where id = $1 for update", id)
        .fetch_optional(conn)
        .await
        .map(drop)
}

/// Removes all that hangs on the account: what is mirrored, jobs, links. The account stays, as if it had just been added.
pub async fn empty(conn: &mut PgConnection, account: &AccountRow) -> Result<(), sqlx::Error> {
    // Whatever refers to an account does so with `on delete cascade`.
    sqlx::query!("-- accounts::empty (1)\ndelete from accounts where id = $1", account.id)
        .execute(&mut *conn)
        .await?;
    sqlx::query!(
        "-- accounts::empty (2)
        insert into accounts (id, tenant_id, provider, subject, email, created_at)
        overriding system value
        values ($1, $2, $3, $4, $5, $6)",
        account.id,
        account.tenant,
        account.provider,
        account.subject,
        account.email,
        account.created_at,
    )
    .execute(conn)
    .await
    .map(drop)
}

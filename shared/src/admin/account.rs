//! `account`: whose data is mirrored.

mod add;
mod find;

use chrono::{DateTime, Utc};
use serde::Serialize;
use serde_json::json;
use sqlx::{PgConnection, PgPool};

pub use self::{
    add::{Added, New, add},
    find::AccountRef,
};
use super::{Actor, AdminError, Gate, remove, tenant, tenant::Holdings};
use crate::{
    job::{AccountId, TenantId},
    store::{accounts, audit, gates},
};

/// An account and how it stands.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Account {
    /// Its number.
    pub id: AccountId,
    /// Whose it is.
    pub tenant: String,
    /// The provider.
    pub provider: String,
    /// Its address.
    pub email: String,
    /// The provider's own lasting id of it, if it was seen.
    pub subject: Option<String>,
    /// Its calendars.
    pub calendars: i64,
    /// Its jobs.
    pub jobs: i64,
    /// Those of its jobs that are parked.
    pub parked: i64,
    /// Its closed gates: sign-in needed, throttled.
    pub gates: Vec<Gate>,
    /// When it was added.
    pub created_at: DateTime<Utc>,
}

/// Which accounts.
#[derive(Debug, Clone, Default)]
pub struct Filter {
    /// Of this tenant only, by name.
    pub tenant: Option<String>,
    /// Only those after this one.
    pub after: AccountId,
    /// At most so many.
    pub limit: i64,
}

/// Accounts in the order of their numbers.
pub async fn ls(conn: &mut PgConnection, filter: &Filter) -> Result<Vec<Account>, AdminError> {
    let tenant = match &filter.tenant {
        Some(name) => Some(tenant::find(conn, name).await?),
        None => None,
    };
    list(conn, None, tenant, filter).await
}

/// One account.
pub async fn show(conn: &mut PgConnection, account: &AccountRef) -> Result<Account, AdminError> {
    let id = account.find(conn).await?;
    get(conn, id).await
}

async fn get(conn: &mut PgConnection, id: AccountId) -> Result<Account, AdminError> {
    let filter = Filter { limit: 1, ..Filter::default() };
    list(conn, Some(id), None, &filter).await?.pop().ok_or_else(|| AdminError::not_found("account", id, ""))
}

async fn list(
    conn: &mut PgConnection,
    id: Option<AccountId>,
    tenant: Option<TenantId>,
    filter: &Filter,
) -> Result<Vec<Account>, AdminError> {
    let rows = sqlx::query!(
        r#"-- admin::account::list
        select a.id, t.name as tenant, a.provider, a.email, a.subject, a.created_at,
            (select count(*) from calendars c where c.account_id = a.id and not c.deleted) as "calendars!",
            (select count(*) from jobs j where j.account_id = a.id) as "jobs!",
            (
                select count(*) from jobs j join job_state s on s.job_id = j.id
                where j.account_id = a.id and s.phase = 'parked'
            ) as "parked!"
        from accounts a
        join tenants t on t.id = a.tenant_id
        where a.id > $1 and ($2::bigint is null or a.id = $2) and ($3::bigint is null or a.tenant_id = $3)
        order by a.id
        limit $4"#,
        filter.after,
        id,
        tenant,
        filter.limit,
    )
    .fetch_all(&mut *conn)
    .await?;
    let closed = gates::closed(conn, Some("account")).await?;
    Ok(rows
        .into_iter()
        .map(|row| Account {
            id: row.id,
            tenant: row.tenant,
            provider: row.provider,
            email: row.email,
            subject: row.subject,
            calendars: row.calendars,
            jobs: row.jobs,
            parked: row.parked,
            gates: closed
                .iter()
                .filter(|gate| gate.target == row.id.to_string())
                .cloned()
                .map(Gate::from)
                .collect(),
            created_at: row.created_at,
        })
        .collect())
}

/// What an account holds.
pub async fn holdings(conn: &mut PgConnection, id: AccountId) -> Result<Holdings, AdminError> {
    Ok(sqlx::query_as!(
        Holdings,
        r#"-- admin::account::holdings
        select 1::bigint as "accounts!",
            (select count(*) from jobs where account_id = $1) as "jobs!",
            (select count(*) from calendars where account_id = $1) as "calendars!",
            (select count(*) from events where account_id = $1) as "events!""#,
        id,
    )
    .fetch_one(conn)
    .await?)
}

/// Removes an account with its jobs, its mirror and its tokens, in one transaction. Runs under way lose their leases by it.
/// Says what went.
pub async fn rm(db: &PgPool, actor: &Actor, id: AccountId) -> Result<Holdings, AdminError> {
    remove::retried(async || {
        let mut tx = db.begin().await?;
        remove::unhurried(&mut tx).await?;
        let account = get(&mut tx, id).await?;
        let held = holdings(&mut tx, id).await?;
        remove::leases(&mut tx, None, Some(id)).await?;
        remove::strays(&mut tx, None, Some(id)).await?;
        accounts::remove(&mut tx, id).await?;
        let target = format!("{}/{}", account.tenant, account.email);
        audit::write(&mut tx, actor.as_str(), "account.rm", &target, &json!(held)).await?;
        tx.commit().await?;
        Ok(held)
    })
    .await
}

//! `account`: whose data is mirrored.

pub(in crate::admin) mod add;
mod connect;
mod disconnect;
mod find;
mod first_sync;
pub mod sign_in;

use chrono::{DateTime, Utc};
use serde::Serialize;
use serde_json::json;
use sqlx::{PgConnection, PgPool};

pub use self::{
    add::{Added, New, add, is_address, may_add},
    connect::{Connect, Link, connect},
    disconnect::{DisconnectError, Disconnected, disconnect},
    find::AccountRef,
    first_sync::{FirstSync, first_sync, under_way},
};
use super::{Actor, AdminError, Gate, Switched, gate, remove, tenant, tenant::Holdings};
use crate::{
    google::{Google, channels::Stopped, scopes},
    job::{AccountId, TenantId},
    store::{
        accounts, audit, changes, channels, gates,
        secrets::{self, Info},
    },
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
    /// What its owner has granted; none: the provider has not said yet.
    pub scopes: Option<Vec<String>>,
    /// Whether its tenant's service account acts for it. If not, it has signed in itself.
    pub workspace: bool,
    /// What cannot be mirrored because its owner has not granted it.
    pub not_granted: Vec<&'static str>,
    /// Its calendars.
    pub calendars: i64,
    /// Its drives.
    pub drives: i64,
    /// Its jobs.
    pub jobs: i64,
    /// Those of its jobs that are parked.
    pub parked: i64,
    /// Its closed gates: paused, sign-in needed, throttled.
    pub gates: Vec<Gate>,
    /// When it was added.
    pub created_at: DateTime<Utc>,
}

impl Account {
    /// Tenant and address, as the audit table names it.
    fn name(&self) -> String {
        format!("{}/{}", self.tenant, self.email)
    }
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

/// An account with all that is known of it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Shown {
    /// The account.
    #[serde(flatten)]
    pub account: Account,
    /// Its sealed values, without the values.
    pub tokens: Vec<Info>,
    /// How far the first sync of its calendars and drives is.
    pub first_sync: FirstSync,
    /// Its push channels.
    pub channels: channels::Count,
}

/// One account.
pub async fn show(conn: &mut PgConnection, account: &AccountRef) -> Result<Shown, AdminError> {
    let id = account.find(conn).await?;
    let account = get(&mut *conn, id).await?;
    let tokens = secrets::of_owner(&mut *conn, "account", id).await?;
    let channels = channels::count(&mut *conn, id).await?;
    Ok(Shown { account, tokens, first_sync: first_sync(conn, &[id]).await?, channels })
}

/// Serves nothing of the account until [`resume`]. Runs under way go on to the end of their step.
pub async fn pause(
    db: &PgPool,
    actor: &Actor,
    account: &AccountRef,
    note: &str,
) -> Result<Switched, AdminError> {
    let (gate, name) = gate_of(db, account).await?;
    gate::pause(db, actor, &gate, ("account", &name), note).await
}

/// Ends a pause.
pub async fn resume(db: &PgPool, actor: &Actor, account: &AccountRef) -> Result<Switched, AdminError> {
    let (gate, name) = gate_of(db, account).await?;
    gate::resume(db, actor, &gate, ("account", &name)).await
}

/// An account's gate, and its name as in the audit table.
async fn gate_of(db: &PgPool, account: &AccountRef) -> Result<(gates::Gate, String), AdminError> {
    let mut conn = db.acquire().await?;
    let id = account.find(&mut conn).await?;
    let account = get(&mut conn, id).await?;
    Ok((gates::Gate::Account(id), account.name()))
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
        select a.id, t.name as tenant, a.provider, a.email, a.subject, a.scopes, a.workspace, a.created_at,
            (select count(*) from calendars c where c.account_id = a.id and not c.deleted) as "calendars!",
            (select count(*) from drives d where d.account_id = a.id and not d.deleted) as "drives!",
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
            not_granted: row
                .scopes
                .as_deref()
                .map_or_else(Vec::new, |granted| scopes::missing(granted).map(|need| need.what).collect()),
            scopes: row.scopes,
            workspace: row.workspace,
            calendars: row.calendars,
            drives: row.drives,
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
            (select count(*) from events where account_id = $1) as "events!",
            (select count(*) from drives where account_id = $1) as "drives!",
            (select count(*) from files where account_id = $1) as "files!", 0::bigint as "names!""#,
        id,
    )
    .fetch_one(conn)
    .await?)
}

/// Ends an account's push channels, with `google`, then removes it with its jobs, its mirror and its tokens, in one
/// transaction. Runs under way lose their leases by it. Says what went.
pub async fn rm(
    db: &PgPool,
    google: Option<&Google>,
    actor: &Actor,
    id: AccountId,
) -> Result<(Holdings, Stopped), AdminError> {
    let stopped = remove::channels(db, google, &[id]).await?;
    let (held, tenant) = remove::retried(async || {
        let mut tx = db.begin().await?;
        remove::unhurried(&mut tx).await?;
        accounts::lock(&mut tx, id).await?;
        let account = get(&mut tx, id).await?;
        let tenant = accounts::get(&mut tx, id).await?.map(|row| row.tenant);
        let held = holdings(&mut tx, id).await?;
        remove::leases(&mut tx, None, Some(id)).await?;
        remove::strays(&mut tx, None, Some(id)).await?;
        changes::account_goes(&mut tx, id).await?;
        accounts::remove(&mut tx, id).await?;
        audit::write(&mut tx, actor.as_str(), "account.rm", &account.name(), &json!(held)).await?;
        tx.commit().await?;
        Ok((held, tenant))
    })
    .await?;
    if let Some(tenant) = tenant {
        changes::tell(db, tenant).await;
    }
    Ok((held, stopped))
}

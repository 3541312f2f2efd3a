//! `account`: whose data is mirrored.

use std::{fmt, str::FromStr, time::Duration};

use chrono::{DateTime, Utc};
use secrecy::SecretString;
use serde::Serialize;
use serde_json::json;
use sqlx::{PgConnection, PgPool};

use super::{Actor, AdminError, Gate, remove, tenant, tenant::Holdings};
use crate::{
    google::auth::REFRESH_TOKEN,
    job::{AccountId, JobId, Policy, TenantId},
    secrets::{KeyRing, Owner},
    store::{
        accounts::{self, NewAccount},
        audit,
        gates::{self, Reason},
        job_state::{self, Wanted},
        jobs::{self, NewJob},
        secrets::{self, SecretError},
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

/// How people name an account: its number, or its address.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum AccountRef {
    /// Its number.
    Id(AccountId),
    /// Its address, which may be known to several tenants.
    Email(String),
}

impl FromStr for AccountRef {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let text = text.trim();
        if text.contains('@') {
            return Ok(Self::Email(text.to_owned()));
        }
        text.parse().map(Self::Id).map_err(|_| {
            "name an account by its number, as 42, or by its address, as ada@example.com".to_owned()
        })
    }
}

impl fmt::Display for AccountRef {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Id(id) => write!(f, "{id}"),
            Self::Email(email) => f.write_str(email),
        }
    }
}

impl AccountRef {
    /// The account's number, if there is exactly one such account.
    pub async fn find(&self, conn: &mut PgConnection) -> Result<AccountId, AdminError> {
        let found: Vec<AccountId> = match self {
            Self::Id(id) => accounts::get(conn, *id).await?.into_iter().map(|account| account.id).collect(),
            Self::Email(email) => {
                accounts::find(conn, None, email).await?.into_iter().map(|account| account.id).collect()
            }
        };
        match found.as_slice() {
            [] => Err(AdminError::not_found("account", self, "`syncfleet account ls` shows accounts")),
            [id] => Ok(*id),
            several => {
                let ids: Vec<_> = several.iter().map(ToString::to_string).collect();
                Err(AdminError::Refused(format!(
                    "several tenants have an account {self}: name it by its number, one of {}",
                    ids.join(", ")
                )))
            }
        }
    }
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

/// An account to be.
#[derive(Debug, Clone)]
pub struct New<'a> {
    /// Whose it is, by name.
    pub tenant: &'a str,
    /// The provider.
    pub provider: &'a str,
    /// Its address.
    pub email: &'a str,
    /// What the provider gave for lasting access.
    pub refresh_token: &'a SecretString,
}

/// What adding came to.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Added {
    /// The account.
    #[serde(flatten)]
    pub account: Account,
    /// Whether it is new. If not, its token was replaced, and jobs that waited for that go on.
    pub new: bool,
    /// For the bell, after the commit.
    #[serde(skip)]
    pub bell: Vec<Wanted>,
}

/// Adds an account with its sealed refresh token, and the jobs that every account of its provider has, due at once. An
/// account that is there already has signed in again: it gets the token, and its jobs go on.
pub async fn add(
    db: &PgPool,
    actor: &Actor,
    keys: &KeyRing,
    policies: &[Policy],
    new: &New<'_>,
) -> Result<Added, AdminError> {
    check(new)?;
    let mut tx = db.begin().await?;
    let tenant = tenant::find(&mut tx, new.tenant).await?;
    let row = NewAccount { tenant, provider: new.provider, subject: None, email: new.email };
    let (id, is_new) = match accounts::insert(&mut tx, &row).await? {
        Some(id) => (id, true),
        None => (existing(&mut tx, tenant, new).await?, false),
    };
    // An access token of the old grant goes, too.
    secrets::remove(&mut tx, "account", id).await?;
    secrets::put(&mut tx, keys, Owner::account(id, REFRESH_TOKEN), new.refresh_token, None).await.map_err(
        |error| match error {
            SecretError::Database(error) => error.into(),
            SecretError::Open(error) => AdminError::Refused(format!("the token cannot be sealed: {error}")),
        },
    )?;
    let mut touched = make_jobs(&mut tx, policies, new.provider, tenant, id).await?;
    touched.extend(signed_in(&mut tx, id).await?);
    let action = if is_new { "account.add" } else { "account.sign_in" };
    let target = format!("{}/{}", new.tenant, new.email);
    audit::write(&mut tx, actor.as_str(), action, &target, &json!({ "id": id, "provider": new.provider }))
        .await?;
    let bell = job_state_of(&mut tx, tenant, &touched).await?;
    let account = get(&mut tx, id).await?;
    tx.commit().await?;
    Ok(Added { account, new: is_new, bell })
}

fn check(new: &New<'_>) -> Result<(), AdminError> {
    use secrecy::ExposeSecret;
    let sane = |text: &str| !text.chars().any(|c| c.is_control() || c.is_whitespace());
    let parts = new.email.split_once('@');
    if parts.is_none_or(|(name, host)| name.is_empty() || host.is_empty())
        || new.email.len() > 254
        || !sane(new.email)
    {
        return Err(AdminError::Refused(format!("{:?} is not an e-mail address", new.email)));
    }
    let token = new.refresh_token.expose_secret();
    if token.is_empty() || token.len() > 16_384 || !sane(token) {
        return Err(AdminError::Refused(
            "that is not a refresh token: it is one word, without spaces or line breaks".to_owned(),
        ));
    }
    Ok(())
}

async fn existing(conn: &mut PgConnection, tenant: TenantId, new: &New<'_>) -> Result<AccountId, AdminError> {
    let found = accounts::find(conn, Some(tenant), new.email).await?;
    let same = found.into_iter().find(|account| account.provider == new.provider);
    same.map(|account| account.id).ok_or_else(|| AdminError::not_found("account", new.email, ""))
}

/// The jobs that every account of the provider has. Those that are there already stay as they are.
async fn make_jobs(
    conn: &mut PgConnection,
    policies: &[Policy],
    provider: &str,
    tenant: TenantId,
    account: AccountId,
) -> Result<Vec<JobId>, AdminError> {
    let mut made = Vec::new();
    for policy in policies.iter().filter(|policy| policy.per_account == Some(provider)) {
        let job =
            NewJob { key: account.to_string(), tenant, account: Some(account), first: Some(Duration::ZERO) };
        made.extend(jobs::ensure(conn, policy, &[job]).await?);
    }
    Ok(made)
}

/// Opens the account's sign-in gate, and takes its jobs that waited for it out of their parking places.
async fn signed_in(conn: &mut PgConnection, account: AccountId) -> Result<Vec<JobId>, AdminError> {
    gates::open(conn, &gates::Gate::Account(account), Reason::SignIn).await?;
    let parked = sqlx::query_scalar!(
        "-- admin::account::signed_in
        select s.job_id
        from jobs j join job_state s on s.job_id = j.id
        where j.account_id = $1 and s.parked = 'sign_in'
        order by s.job_id",
        account,
    )
    .fetch_all(&mut *conn)
    .await?;
    job_state::release(conn, &parked).await?;
    Ok(parked)
}

/// What the bell must know of jobs that are due without having been wanted.
async fn job_state_of(
    conn: &mut PgConnection,
    tenant: TenantId,
    jobs: &[JobId],
) -> Result<Vec<Wanted>, AdminError> {
    let rows = sqlx::query!(
        r#"-- admin::account::job_state_of
        select job_id, lane as "lane: crate::job::Lane", wanted,
            phase = 'idle' and not paused and run_at <= clock() as "due!"
        from job_state
        where job_id = any($1)
        order by job_id"#,
        jobs,
    )
    .fetch_all(conn)
    .await?;
    Ok(rows
        .into_iter()
        .map(|row| Wanted { job: row.job_id, tenant, lane: row.lane, counter: row.wanted, due: row.due })
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

use std::time::Duration;

use secrecy::{ExposeSecret, SecretString};
use serde::Serialize;
use serde_json::json;
use sqlx::{PgConnection, PgPool};

use super::{Account, get};
use crate::{
    admin::{Actor, AdminError, tenant},
    google::auth::REFRESH_TOKEN,
    job::{AccountId, JobId, Lane, Policy, TenantId},
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
    let bell = bell_of(&mut tx, tenant, &touched).await?;
    let account = get(&mut tx, id).await?;
    tx.commit().await?;
    Ok(Added { account, new: is_new, bell })
}

fn check(new: &New<'_>) -> Result<(), AdminError> {
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
async fn bell_of(
    conn: &mut PgConnection,
    tenant: TenantId,
    jobs: &[JobId],
) -> Result<Vec<Wanted>, AdminError> {
    let rows = sqlx::query!(
        r#"-- admin::account::bell_of
        select job_id, lane as "lane: Lane", wanted,
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

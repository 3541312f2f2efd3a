use std::time::Duration;

use secrecy::{ExposeSecret, SecretString};
use serde::Serialize;
use serde_json::json;
use sqlx::{PgConnection, PgPool};

use super::{Account, get};
use crate::{
    admin::{Actor, AdminError, tenant},
    google::{
        auth::{ACCESS_TOKEN, Checked, REFRESH_TOKEN},
        scopes,
    },
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
    /// What the provider says of that token; none: it was not asked.
    pub checked: Option<&'a Checked>,
}

/// What adding came to.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Added {
    /// The account.
    #[serde(flatten)]
    pub account: Account,
    /// Whether it is new. If not, its token was replaced, and jobs that waited for that go on.
    pub new: bool,
    /// Whether the provider was asked whose the token is, and what it opens.
    pub checked: bool,
    /// For the bell, after the commit.
    #[serde(skip)]
    pub bell: Vec<Wanted>,
}

/// Adds an account with its sealed refresh token, and the jobs that every account of its provider has, due at once. An
/// account that is there already has signed in again: it gets the token, and its jobs go on. A token that is known to be
/// another account's is refused.
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
    if let Some(checked) = new.checked {
        same_address(new, checked)?;
        same_subject(&mut tx, tenant, new, checked).await?;
    }
    let row = NewAccount { tenant, provider: new.provider, subject: None, email: new.email };
    let (id, is_new) = match accounts::insert(&mut tx, &row).await? {
        Some(id) => (id, true),
        None => (existing(&mut tx, tenant, new).await?, false),
    };
    store(&mut tx, keys, id, new).await?;
    let granted = new.checked.and_then(|checked| checked.scopes.as_deref());
    let mut touched = make_jobs(&mut tx, policies, new.provider, granted, tenant, id).await?;
    touched.extend(signed_in(&mut tx, id).await?);
    let action = if is_new { "account.add" } else { "account.sign_in" };
    let target = format!("{}/{}", new.tenant, new.email);
    let detail = json!({ "id": id, "provider": new.provider, "checked": new.checked.is_some() });
    audit::write(&mut tx, actor.as_str(), action, &target, &detail).await?;
    let bell = bell_of(&mut tx, tenant, &touched).await?;
    let account = get(&mut tx, id).await?;
    tx.commit().await?;
    Ok(Added { account, new: is_new, checked: new.checked.is_some(), bell })
}

/// Refuses a token whose owner has another address.
fn same_address(new: &New<'_>, checked: &Checked) -> Result<(), AdminError> {
    match &checked.email {
        Some(email) if !email.eq_ignore_ascii_case(new.email) => Err(AdminError::Refused(format!(
            "the refresh token belongs to {email}, not to {}: nothing was stored",
            new.email
        ))),
        _ => Ok(()),
    }
}

/// Refuses a token of another subject than the account's, and a subject that another account of the tenant has.
async fn same_subject(
    conn: &mut PgConnection,
    tenant: TenantId,
    new: &New<'_>,
    checked: &Checked,
) -> Result<(), AdminError> {
    let Some(subject) = checked.subject.as_deref() else { return Ok(()) };
    let refused = |text: String| Err(AdminError::Refused(format!("{text}: nothing was stored")));
    let there = accounts::find(&mut *conn, Some(tenant), new.email).await?;
    let there = there.into_iter().find(|account| account.provider == new.provider);
    if let Some(known) = there.as_ref().and_then(|account| account.subject.as_deref())
        && known != subject
    {
        return refused(format!(
            "the refresh token belongs to another Google account (subject {subject}) than {} (subject {known})",
            new.email
        ));
    }
    match accounts::of_subject(conn, tenant, new.provider, subject).await? {
        Some(other) if there.is_none_or(|account| account.id != other.id) => refused(format!(
            "the refresh token belongs to the Google account that is here as account {}, {}",
            other.id, other.email
        )),
        _ => Ok(()),
    }
}

/// Seals the token, and what else came with it. What is left of an older grant goes.
async fn store(
    conn: &mut PgConnection,
    keys: &KeyRing,
    id: AccountId,
    new: &New<'_>,
) -> Result<(), AdminError> {
    let sealing = |error: SecretError| match error {
        SecretError::Database(error) => error.into(),
        SecretError::Open(error) => AdminError::Refused(format!("the token cannot be sealed: {error}")),
    };
    secrets::remove(&mut *conn, "account", id).await?;
    let checked = new.checked;
    let refresh_token =
        checked.and_then(|checked| checked.refresh_token.as_ref()).unwrap_or(new.refresh_token);
    let lifetime = checked.and_then(|checked| checked.refresh_token_lifetime);
    secrets::put(&mut *conn, keys, Owner::account(id, REFRESH_TOKEN), refresh_token, lifetime)
        .await
        .map_err(sealing)?;
    if let Some(checked) = checked {
        let owner = Owner::account(id, ACCESS_TOKEN);
        secrets::put(&mut *conn, keys, owner, &checked.access_token, Some(checked.lifetime))
            .await
            .map_err(sealing)?;
        accounts::learn(conn, id, checked.subject.as_deref(), checked.scopes.as_deref()).await?;
    } else {
        accounts::forget_scopes(conn, id).await?;
    }
    Ok(())
}

/// Whether the account may be added as far as its words go, before the provider is asked.
pub async fn may_add(conn: &mut PgConnection, new: &New<'_>) -> Result<(), AdminError> {
    check(new)?;
    tenant::find(conn, new.tenant).await.map(drop)
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

/// The jobs that every account of the provider has, as far as it is here for their API: one that granted Calendar and nothing of
/// Drive has no job that could only ever say so. Those that are there already stay as they are.
async fn make_jobs(
    conn: &mut PgConnection,
    policies: &[Policy],
    provider: &str,
    granted: Option<&[String]>,
    tenant: TenantId,
    account: AccountId,
) -> Result<Vec<JobId>, AdminError> {
    let mut made = Vec::new();
    let is_asked = |policy: &&Policy| policy.api.is_none_or(|api| scopes::is_for(granted, api));
    for policy in policies.iter().filter(|policy| policy.per_account == Some(provider)).filter(is_asked) {
        let job =
            NewJob { key: account.to_string(), tenant, account: Some(account), first: Some(Duration::ZERO) };
        made.extend(jobs::ensure(conn, policy, &[job]).await?);
    }
    Ok(made)
}

/// Opens the account's sign-in gate, and takes its jobs that waited for it, or for a scope, out of their parking places.
async fn signed_in(conn: &mut PgConnection, account: AccountId) -> Result<Vec<JobId>, AdminError> {
    gates::open(conn, &gates::Gate::Account(account), Reason::SignIn).await?;
    let parked = sqlx::query_scalar!(
        "-- admin::account::signed_in
        select s.job_id
        from jobs j join job_state s on s.job_id = j.id
        where j.account_id = $1 and s.parked in ('sign_in', 'scope')
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

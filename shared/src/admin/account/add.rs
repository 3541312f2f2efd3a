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
        accounts::{self, AccountRow, NewAccount},
        audit,
        gates::{self, Reason},
        job_state::{self, Wanted},
        jobs::{self, NewJob},
        secrets::{self, SecretError},
        tenants,
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
    /// What the provider gave for lasting access; none: what came with `checked`, or else the one that is stored stays.
    pub refresh_token: Option<&'a SecretString>,
    /// What the provider says of the grant; none: it was not asked.
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
    let added = put(&mut tx, actor, keys, policies, new).await?;
    tx.commit().await?;
    Ok(added)
}

/// The same within a transaction. Whoever removes the tenant or the account at the same time waits for it, or comes first.
pub(super) async fn put(
    conn: &mut PgConnection,
    actor: &Actor,
    keys: &KeyRing,
    policies: &[Policy],
    new: &New<'_>,
) -> Result<Added, AdminError> {
    let tenant = tenant::find(&mut *conn, new.tenant).await?;
    if !tenants::keep(&mut *conn, tenant).await? {
        return Err(AdminError::not_found("tenant", new.tenant, ""));
    }
    let row = NewAccount { tenant, provider: new.provider, subject: None, email: new.email };
    let (id, is_new) = match accounts::insert(&mut *conn, &row).await? {
        Some(id) => (id, true),
        None => (existing(&mut *conn, tenant, new).await?, false),
    };
    // One sign-in of an account at a time: what is checked here still holds when it is stored.
    if !accounts::hold(&mut *conn, id).await? {
        return Err(AdminError::not_found("account", new.email, ""));
    }
    if let Some(checked) = new.checked {
        let there = if is_new { None } else { accounts::get(&mut *conn, id).await? };
        same_address(new, checked, there.as_ref())?;
        same_subject(&mut *conn, tenant, new, checked, there.as_ref()).await?;
    }
    store(&mut *conn, keys, id, new).await?;
    let granted = new.checked.and_then(|checked| checked.scopes.as_deref());
    let mut touched = make_jobs(&mut *conn, policies, new.provider, granted, tenant, id).await?;
    touched.extend(signed_in(&mut *conn, id).await?);
    let action = if is_new { "account.add" } else { "account.sign_in" };
    let target = format!("{}/{}", new.tenant, new.email);
    let detail = json!({ "id": id, "provider": new.provider, "checked": new.checked.is_some() });
    audit::write(&mut *conn, actor.as_str(), action, &target, &detail).await?;
    let bell = bell_of(&mut *conn, tenant, &touched).await?;
    let account = get(conn, id).await?;
    Ok(Added { account, new: is_new, checked: new.checked.is_some(), bell })
}

/// Refuses a grant whose owner has another address. Where the account's subject is known, that tells, not the address: people
/// may change theirs.
fn same_address(new: &New<'_>, checked: &Checked, there: Option<&AccountRow>) -> Result<(), AdminError> {
    let known = there.and_then(|account| account.subject.as_ref());
    match &checked.email {
        Some(email) if !email.eq_ignore_ascii_case(new.email) => {
            if known.is_some() && known == checked.subject.as_ref() {
                return Ok(());
            }
            let why = format!("the refresh token belongs to {email}, not to {}", new.email);
            Err(other_account(new, checked, why))
        }
        _ => Ok(()),
    }
}

fn other_account(new: &New<'_>, checked: &Checked, why: String) -> AdminError {
    let came = checked.email.clone().unwrap_or_else(|| new.email.to_owned());
    AdminError::OtherAccount { why, expected: new.email.to_owned(), came }
}

/// Refuses a grant of another subject than the account's, and a subject that another account of the tenant has.
async fn same_subject(
    conn: &mut PgConnection,
    tenant: TenantId,
    new: &New<'_>,
    checked: &Checked,
    there: Option<&AccountRow>,
) -> Result<(), AdminError> {
    let Some(subject) = checked.subject.as_deref() else { return Ok(()) };
    if let Some(known) = there.and_then(|account| account.subject.as_deref())
        && known != subject
    {
        let why = format!(
            "the refresh token belongs to another Google account (subject {subject}) than {} (subject {known})",
            new.email
        );
        return Err(other_account(new, checked, why));
    }
    match accounts::of_subject(conn, tenant, new.provider, subject).await? {
        Some(other) if there.is_none_or(|account| account.id != other.id) => {
            let why = format!(
                "the refresh token belongs to the Google account that is here as account {}, {}",
                other.id, other.email
            );
            Err(other_account(new, checked, why))
        }
        _ => Ok(()),
    }
}

/// Seals the tokens that came. With a new refresh token, what is left of an older grant goes.
async fn store(
    conn: &mut PgConnection,
    keys: &KeyRing,
    id: AccountId,
    new: &New<'_>,
) -> Result<(), AdminError> {
    let checked = new.checked;
    let refresh_token = checked.and_then(|checked| checked.refresh_token.as_ref()).or(new.refresh_token);
    let lifetime = checked.and_then(|checked| checked.refresh_token_lifetime);
    let owner = Owner::account(id, REFRESH_TOKEN);
    if let Some(refresh_token) = refresh_token {
        secrets::remove(&mut *conn, "account", id).await?;
        accounts::end_delegation(&mut *conn, id).await?;
        secrets::put(&mut *conn, keys, owner, refresh_token, lifetime).await.map_err(unsealed)?;
    } else {
        keep_refresh_token(&mut *conn, id).await?;
    }
    if let Some(checked) = checked {
        let owner = Owner::account(id, ACCESS_TOKEN);
        secrets::put(&mut *conn, keys, owner, &checked.access_token, Some(checked.lifetime))
            .await
            .map_err(unsealed)?;
        accounts::learn(conn, id, checked.subject.as_deref(), checked.scopes.as_deref()).await?;
    } else {
        accounts::forget_scopes(conn, id).await?;
    }
    Ok(())
}

/// Why a value was not stored.
pub(in crate::admin) fn unsealed(error: SecretError) -> AdminError {
    match error {
        SecretError::Database(error) => error.into(),
        SecretError::Open(error) => AdminError::Refused(format!("the secret cannot be sealed: {error}")),
    }
}

/// Refuses to go on with the refresh token that is stored if there is none, or if it was refused.
async fn keep_refresh_token(conn: &mut PgConnection, id: AccountId) -> Result<(), AdminError> {
    let there = secrets::of_owner(&mut *conn, "account", id).await?;
    let closed = gates::closed(conn, Some("account")).await?;
    let refused =
        closed.iter().any(|gate| gate.target == id.to_string() && gate.reason == Reason::SignIn.as_str());
    if refused || !there.iter().any(|secret| secret.name == REFRESH_TOKEN) {
        return Err(AdminError::NoRefreshToken);
    }
    Ok(())
}

/// Whether the account may be added as far as its words go, before the provider is asked.
pub async fn may_add(conn: &mut PgConnection, new: &New<'_>) -> Result<(), AdminError> {
    check(new)?;
    tenant::find(conn, new.tenant).await.map(drop)
}

fn check(new: &New<'_>) -> Result<(), AdminError> {
    if !is_address(new.email) {
        return Err(AdminError::Refused(format!("{:?} is not an e-mail address", new.email)));
    }
    let Some(token) = new.refresh_token else { return Ok(()) };
    let token = token.expose_secret();
    if token.is_empty() || token.len() > 16_384 || !is_one_word(token) {
        return Err(AdminError::Refused(
            "that is not a refresh token: it is one word, without spaces or line breaks".to_owned(),
        ));
    }
    Ok(())
}

/// Whether the text looks like an e-mail address.
#[must_use]
pub fn is_address(text: &str) -> bool {
    text.len() <= 254
        && is_one_word(text)
        && text
            .split_once('@')
            .is_some_and(|(name, host)| !name.is_empty() && !host.is_empty() && !host.contains('@'))
}

fn is_one_word(text: &str) -> bool {
    !text.chars().any(|c| c.is_control() || c.is_whitespace())
}

async fn existing(conn: &mut PgConnection, tenant: TenantId, new: &New<'_>) -> Result<AccountId, AdminError> {
    let found = accounts::find(conn, Some(tenant), new.email).await?;
    let same = found.into_iter().find(|account| account.provider == new.provider);
    same.map(|account| account.id).ok_or_else(|| AdminError::not_found("account", new.email, ""))
}

/// The jobs that every account of the provider has, as far as it is here for their API: one that granted Calendar and nothing of
/// Drive has no job that could only ever say so. Those that are there already stay as they are.
pub(in crate::admin) async fn make_jobs(
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
pub(in crate::admin) async fn signed_in(
    conn: &mut PgConnection,
    account: AccountId,
) -> Result<Vec<JobId>, AdminError> {
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
pub(in crate::admin) async fn bell_of(
    conn: &mut PgConnection,
    tenant: TenantId,
    jobs: &[JobId],
) -> Result<Vec<Wanted>, AdminError> {
    let rows = sqlx::query!(
        r#"-- admin::account::bell_of
        select job_id, kind, lane as "lane: Lane", wanted,
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
        .map(|row| Wanted {
            job: row.job_id,
            kind: row.kind,
            tenant,
            lane: row.lane,
            counter: row.wanted,
            due: row.due,
        })
        .collect())
}

//! The end of a grant: it is given back to Google, and then forgotten here.
//!
//! The order is the point. First the account rests: its gate is closed for [`REST`], and its steps under way come to their end, so that
//! nothing makes channels while they are ended. The push channels end next, while the account's tokens still may end them. Then
//! Google is asked to revoke, while nothing else has changed here: if it does not answer, all stays as it was but for the channels,
//! which are made anew, and the command can be given again. When it has answered, one transaction does the rest; if that fails, the grant is gone and
//! the command, given again, finds it revoked already.
//!
//! - *A step does not end in time.* Its next call is refused, and it finds no refresh token: its job waits for a sign-in. A channel
//!   that it makes nevertheless is not taken heed of, and runs out by itself.
//! - *This process dies half-way.* The gate opens by itself, and the account goes on.
//! - *A channel cannot be ended.* It counts as stopped, so that what it still tells is not followed, and its note says that it runs
//!   out by itself.
//! - *A refresh runs meanwhile.* What comes of it is stored only while its refresh token stands, and that is gone.
//! - *Somebody signs in meanwhile.* See `admin::account::sign_in`.

use std::time::{Duration, Instant};

use serde::Serialize;
use serde_json::json;
use sqlx::{PgConnection, PgPool};

use super::holdings;
use crate::{
    admin::{Actor, AdminError, channel, remove, tenant::Holdings},
    google::{
        Google,
        auth::{ACCESS_TOKEN, REFRESH_TOKEN},
        channels::Stopped,
        sign_in::{Revoked, SignInError},
    },
    job::{AccountId, TenantId},
    secrets::{KeyRing, Owner},
    store::{
        accounts, audit, changes, channels,
        gates::{self, Gate, Reason},
        job_state,
        secrets::{self, SecretError, Stored},
        sign_in_links,
    },
};

/// For so long nothing of the account begins, should this not come to its end.
const REST: Duration = Duration::from_secs(90);

/// How long steps under way may take to end.
const STEPS: Duration = Duration::from_secs(20);

/// How often it is looked whether they have.
const LOOK: Duration = Duration::from_millis(50);

/// What became of an account's grant.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Disconnected {
    /// The account.
    pub id: AccountId,
    /// Its address.
    pub email: String,
    /// `revoked`; `revoked_before`: Google did not know the grant any more; `no_token`: there was none; `delegated`: its tenant's
    /// service account acted for it; `not_revoked`: Google could not be asked, and that was to be overlooked.
    pub grant: &'static str,
    /// What became of its push channels.
    pub channels: Stopped,
    /// What was deleted; none: nothing of what is mirrored.
    pub deleted: Option<Holdings>,
}

/// Why nothing was changed.
#[derive(Debug, thiserror::Error)]
pub enum DisconnectError {
    /// Google could not be asked.
    #[error("{0}: nothing was changed; --force forgets the tokens all the same")]
    Google(#[from] SignInError),
    /// The token cannot be read.
    #[error("{0}: nothing was changed; --force forgets the tokens all the same")]
    Token(#[from] SecretError),
    /// There is no such account, or the database did not answer.
    #[error(transparent)]
    Admin(#[from] AdminError),
}

impl From<sqlx::Error> for DisconnectError {
    fn from(error: sqlx::Error) -> Self {
        Self::Admin(error.into())
    }
}

/// Revokes an account's grant, forgets its tokens, withdraws its links and closes its sign-in gate. `delete_data`: what is
/// mirrored goes, too, with its jobs; the account stays. `force`: it does not matter whether Google can be asked.
pub async fn disconnect(
    db: &PgPool,
    actor: &Actor,
    google: &Google,
    account: AccountId,
    (delete_data, force): (bool, bool),
) -> Result<Disconnected, DisconnectError> {
    rest(db, account).await?;
    let channels = google.stop_channels(db, account, remove::FAREWELL).await?;
    let grant = match revoke(db, google, account).await {
        Ok(grant) => grant,
        Err(DisconnectError::Google(_) | DisconnectError::Token(_)) if force => "not_revoked",
        Err(error) => {
            let mut conn = db.acquire().await?;
            gates::open(&mut conn, &Gate::Account(account), Reason::Throttled).await?;
            if channels.stopped > 0 {
                channel::want_keeper(&mut conn, account, Vec::new()).await?;
            }
            return Err(error);
        }
    };
    let (disconnected, tenant) = forget(db, actor, account, grant, delete_data).await?;
    if delete_data {
        changes::tell(db, tenant).await;
    }
    Ok(Disconnected { channels, ..disconnected })
}

/// Lets nothing of the account begin, and waits for what runs.
async fn rest(db: &PgPool, account: AccountId) -> Result<(), AdminError> {
    let until = Instant::now() + STEPS;
    let mut conn = db.acquire().await?;
    accounts::get(&mut conn, account).await?.ok_or_else(|| AdminError::not_found("account", account, ""))?;
    gates::close(
        &mut conn,
        &Gate::Account(account),
        Reason::Throttled,
        Some(REST),
        "it is being disconnected",
    )
    .await?;
    while job_state::is_running(&mut conn, account).await? {
        if Instant::now() >= until {
            tracing::warn!(account, "a step of the account does not end; it is disconnected all the same");
            break;
        }
        tokio::time::sleep(LOOK).await;
    }
    Ok(())
}

async fn revoke(db: &PgPool, google: &Google, account: AccountId) -> Result<&'static str, DisconnectError> {
    let stored = {
        let mut connection = db.acquire().await?;
        if accounts::get(&mut connection, account).await?.is_some_and(|account| account.workspace) {
            return Ok("delegated");
        }
        token(&mut connection, google.keys(), account).await?
    };
    let Some(stored) = stored else { return Ok("no_token") };
    Ok(match google.revoke(&stored.value).await? {
        Revoked::Now => "revoked",
        Revoked::Before => "revoked_before",
    })
}

/// A token by which the grant can be named.
async fn token(
    conn: &mut PgConnection,
    keys: &KeyRing,
    account: AccountId,
) -> Result<Option<Stored>, SecretError> {
    if let Some(refresh_token) =
        secrets::last(&mut *conn, keys, Owner::account(account, REFRESH_TOKEN)).await?
    {
        return Ok(Some(refresh_token));
    }
    secrets::last(conn, keys, Owner::account(account, ACCESS_TOKEN)).await
}

async fn forget(
    db: &PgPool,
    actor: &Actor,
    id: AccountId,
    grant: &'static str,
    delete_data: bool,
) -> Result<(Disconnected, TenantId), AdminError> {
    remove::retried(async || {
        let mut tx = db.begin().await?;
        remove::unhurried(&mut tx).await?;
        accounts::lock(&mut tx, id).await?;
        let account = super::get(&mut tx, id).await?;
        let row = accounts::get(&mut tx, id).await?;
        let row = row.ok_or_else(|| AdminError::not_found("account", id, ""))?;
        let deleted = if delete_data {
            let held = Holdings { accounts: 0, ..holdings(&mut tx, id).await? };
            remove::leases(&mut tx, None, Some(id)).await?;
            changes::account_goes(&mut tx, id).await?;
            accounts::empty(&mut tx, &row).await?;
            Some(held)
        } else {
            None
        };
        secrets::remove(&mut tx, "account", id).await?;
        // Else a new key of the workspace would take it up again.
        accounts::end_delegation(&mut tx, id).await?;
        sign_in_links::withdraw(&mut tx, id).await?;
        let note = format!("disconnected by {}", actor.as_str());
        gates::close(&mut tx, &Gate::Account(id), Reason::SignIn, None, &note).await?;
        gates::open(&mut tx, &Gate::Account(id), Reason::Throttled).await?;
        // It waits behind the gate, and makes channels anew when the account has signed in again.
        channel::want_keeper(&mut tx, id, Vec::new()).await?;
        channels::leave(&mut tx, id, "its account is disconnected: it runs out by itself").await?;
        let detail = json!({ "id": id, "grant": grant, "deleted": deleted });
        audit::write(&mut tx, actor.as_str(), "account.disconnect", &account.name(), &detail).await?;
        tx.commit().await?;
        let disconnected =
            Disconnected { id, email: account.email, grant, channels: Stopped::default(), deleted };
        Ok((disconnected, row.tenant))
    })
    .await
}

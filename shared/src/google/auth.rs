//! Access tokens: one caller at a time in the whole fleet asks for an account's next one, everybody else waits for it.
//!
//! # The races
//!
//! - *Many callers find the token expired.* One gets the lease (`store::oauth_refreshes`); the rest look again every few dozen
//!   milliseconds, with no connection held meanwhile, until the new token is stored or their patience ends.
//! - *A caller gets the lease just after another's refresh.* It reads the stored token again first.
//! - *The holder dies.* Its lease ends by itself, well after the longest request.
//! - *The account signed in again while the old grant was being refused.* The refresh token is read again before anybody is
//!   asked to sign in; a refusal is remembered for that very token only, and for a minute.
//! - *The account signed in again while the old grant was being refreshed.* What comes of the old one is not stored: the
//!   refresh token that was used must still stand.
//! - *The account signs in again between a refusal and the commit that parks its job and closes its gate.* That commit holds the
//!   row of the refused token ([`AuthError::refused`]): the new sign-in comes before it, and then nothing is parked, or after it,
//!   and then it opens the gate again.
//! - *The database is away when a refreshed token is to be stored.* It is tried again for some seconds: the provider may have
//!   replaced the refresh token, and the old one is good for nothing then.
//! - *Somebody else's token was put in the account's place.* Its subject is compared with the account's before it is used, or, if
//!   Google does not tell it, the address of the primary calendar when a refresh token is used for the first time.

mod check;
mod delegation;
mod error;
pub(super) mod exchange;
mod id_token;
mod keep;
mod refresh;

use std::time::{Duration, Instant};

use chrono::{DateTime, Utc};
use metrics::counter;
use secrecy::{ExposeSecret, SecretString};
use sqlx::{PgPool, types::Uuid};

use self::refresh::{Answer, Grant};
pub(super) use self::refresh::{broken, failed as count_failure};
pub use self::{
    check::{CheckError, Checked},
    error::AuthError,
};
use super::Google;
use crate::{
    job::AccountId,
    secrets::Owner,
    store::{
        accounts::{self, AccountRow},
        oauth_refreshes::{self, Claim, Refused},
        secrets::{self, Stored},
    },
};

/// The name of an account's refresh token among its secrets.
pub const REFRESH_TOKEN: &str = "refresh_token";
/// The name of an account's access token among its secrets.
pub const ACCESS_TOKEN: &str = "access_token";

/// Reasons of failed refreshes, as in metrics.
pub(super) const REFRESH_FAILURES: [&str; 8] = [
    "clock",
    "invalid_grant",
    "key_refused",
    "not_delegated",
    "other_subject",
    "refused",
    "unreachable",
    "unreadable",
];

/// How long the lease of a refresh stands: three requests, what comes between them, and [`keep::STORING`].
const LEASE: Duration = Duration::from_secs(30);
/// How long a caller waits for another's refresh.
const PATIENCE: Duration = Duration::from_secs(12);
/// How often it looks meanwhile.
const LOOK: Duration = Duration::from_millis(40);
/// How long a refusal is taken for granted.
const REFUSAL_STANDS: Duration = Duration::from_mins(1);

/// An access token, and how to tell it from the next one.
#[derive(Debug, Clone)]
pub(super) struct AccessToken {
    secret: SecretString,
    /// The account that a service account acts for; none: the account has granted it itself.
    delegated_by: Option<AccountId>,
    /// The project of that service account; none: calls count to the OAuth client's.
    project: Option<String>,
}

impl AccessToken {
    pub(super) const fn secret(&self) -> &SecretString {
        &self.secret
    }

    /// Whom Google is to charge, where it would charge a service account for all whom that acts for: `quotaUser`.
    /// <https://developers.google.com/workspace/calendar/api/guides/quota>
    pub(super) fn quota_user(&self) -> Option<String> {
        self.delegated_by.map(|account| account.to_string())
    }

    /// The project to which a call with it counts; none: the OAuth client's.
    pub(super) fn project(&self) -> Option<&str> {
        self.project.as_deref()
    }

    fn is(&self, other: &SecretString) -> bool {
        self.secret.expose_secret() == other.expose_secret()
    }
}

/// A refresh under the lease.
struct Refresh<'a> {
    google: &'a Google,
    db: &'a PgPool,
    account: AccountId,
    /// The holder of the lease.
    holder: Uuid,
}

impl Google {
    /// The account's access token. `rejected` is one that Google did not take: it is not given again.
    pub(super) async fn access_token(
        &self,
        db: &PgPool,
        account: AccountId,
        rejected: Option<&AccessToken>,
    ) -> Result<AccessToken, AuthError> {
        let patience = Instant::now() + PATIENCE;
        loop {
            if let Some(token) = self.stored(db, account, rejected).await? {
                return Ok(token);
            }
            let holder = Uuid::now_v7();
            let claim = {
                let mut connection = db.acquire().await?;
                oauth_refreshes::claim(&mut connection, account, holder, LEASE).await?
            };
            if let Claim::Mine(refused) = claim {
                let refresh = Refresh { google: self, db, account, holder };
                return refresh.run(rejected, refused).await;
            }
            if Instant::now() >= patience {
                return Err(AuthError::Busy { account });
            }
            tokio::time::sleep(LOOK).await;
        }
    }

    async fn stored(
        &self,
        db: &PgPool,
        account: AccountId,
        rejected: Option<&AccessToken>,
    ) -> Result<Option<AccessToken>, AuthError> {
        let mut connection = db.acquire().await?;
        let stored = secrets::of_account(&mut connection, self.keys(), account, ACCESS_TOKEN).await?;
        Ok(stored.filter(|stored| rejected.is_none_or(|rejected| !rejected.is(&stored.value))).map(
            |stored| AccessToken {
                secret: stored.value,
                delegated_by: stored.workspace.then_some(account),
                project: stored.project,
            },
        ))
    }
}

impl Refresh<'_> {
    /// Refreshes, and gives the lease back whatever comes of it.
    async fn run(
        &self,
        rejected: Option<&AccessToken>,
        refused: Option<Refused>,
    ) -> Result<AccessToken, AuthError> {
        let result = self.token(rejected, refused).await;
        // Whatever was stored gave it back by that.
        self.release(None).await?;
        result
    }

    async fn token(
        &self,
        rejected: Option<&AccessToken>,
        refused: Option<Refused>,
    ) -> Result<AccessToken, AuthError> {
        if let Some(token) = self.google.stored(self.db, self.account, rejected).await? {
            return Ok(token);
        }
        if let Some(delegator) = self.delegator().await? {
            return self.delegated(&delegator, refused).await;
        }
        let (used, grant) = self.ask(refused).await?;
        self.keep(used, grant).await
    }

    /// Asks the token endpoint. A refusal must come twice, the second time for the refresh token as it stands then. Says which
    /// one was good, by its `updated_at`.
    async fn ask(&self, refused: Option<Refused>) -> Result<(DateTime<Utc>, Grant), AuthError> {
        let first = self.grant().await?;
        if refused.is_some_and(|refused| refused.stands(first.updated_at)) {
            return Err(self.sign_in_again(first.updated_at, "as it did a moment ago".to_owned()));
        }
        if let Answer::Granted(grant) = refresh::request(&self.google.0, &first.value).await? {
            return Ok((first.updated_at, grant));
        }
        let second = self.grant().await?;
        match refresh::request(&self.google.0, &second.value).await? {
            Answer::Granted(grant) => Ok((second.updated_at, grant)),
            Answer::InvalidGrant(why) => {
                // Signed in again meanwhile: the refusal is not of the token that stands now.
                if self.grant().await?.updated_at != second.updated_at {
                    return Err(AuthError::Replaced { account: self.account });
                }
                self.release(Some(second.updated_at)).await?;
                Err(self.sign_in_again(second.updated_at, why))
            }
        }
    }

    async fn release(&self, refused: Option<DateTime<Utc>>) -> Result<(), AuthError> {
        let mut connection = self.db.acquire().await?;
        oauth_refreshes::release(&mut connection, self.account, self.holder, refused).await?;
        Ok(())
    }

    async fn account(&self) -> Result<Option<AccountRow>, AuthError> {
        let mut connection = self.db.acquire().await?;
        Ok(accounts::get(&mut connection, self.account).await?)
    }

    fn sign_in_again(&self, token: DateTime<Utc>, why: String) -> AuthError {
        counter!("syncfleet_oauth_refresh_failures_total", "reason" => "invalid_grant").increment(1);
        AuthError::SignInAgain { account: self.account, token, why }
    }

    /// The refresh token. Whether it is still good is for the provider to say.
    async fn grant(&self) -> Result<Stored, AuthError> {
        let mut connection = self.db.acquire().await?;
        secrets::last(&mut connection, self.google.keys(), Owner::account(self.account, REFRESH_TOKEN))
            .await?
            .ok_or(AuthError::NoGrant { account: self.account })
    }
}

impl Refused {
    /// Whether it is of the secret that was stored at `updated_at`, and fresh.
    fn stands(self, updated_at: DateTime<Utc>) -> bool {
        self.token == updated_at && self.ago < REFUSAL_STANDS
    }
}

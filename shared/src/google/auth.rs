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
//! - *Somebody else's token was put in the account's place.* Its subject is compared with the account's before it is used, or, if
//!   Google does not tell it, the address of the primary calendar when a refresh token is used for the first time.

mod check;
mod error;
mod id_token;
mod refresh;

use std::time::{Duration, Instant};

use chrono::{DateTime, Utc};
use metrics::counter;
use secrecy::{ExposeSecret, SecretString};
use sqlx::{PgPool, types::Uuid};

use self::refresh::{Answer, Grant};
pub use self::{
    check::{CheckError, Checked},
    error::AuthError,
};
use super::Google;
use crate::{
    job::AccountId,
    secrets::Owner,
    store::{
        accounts::{self, Learned},
        oauth_refreshes::{self, Claim, Refused},
        secrets::{self, Stored},
    },
};

/// The name of an account's refresh token among its secrets.
pub const REFRESH_TOKEN: &str = "refresh_token";
/// The name of an account's access token among its secrets.
pub const ACCESS_TOKEN: &str = "access_token";

/// Reasons of failed refreshes, as in metrics.
pub(super) const REFRESH_FAILURES: [&str; 5] =
    ["invalid_grant", "other_subject", "refused", "unreachable", "unreadable"];

/// How long the lease of a refresh stands: three requests and what comes between them.
const LEASE: Duration = Duration::from_secs(25);
/// How long a caller waits for another's refresh.
const PATIENCE: Duration = Duration::from_secs(12);
/// How often it looks meanwhile.
const LOOK: Duration = Duration::from_millis(40);
/// A token is used up to this long before it expires, or three quarters of its life.
const MARGIN: Duration = Duration::from_mins(5);
/// How long a refusal is taken for granted.
const REFUSAL_STANDS: Duration = Duration::from_mins(1);

/// An access token, and how to tell it from the next one.
#[derive(Debug, Clone)]
pub(super) struct AccessToken(SecretString);

impl AccessToken {
    pub(super) const fn secret(&self) -> &SecretString {
        &self.0
    }

    fn is(&self, other: &SecretString) -> bool {
        self.0.expose_secret() == other.expose_secret()
    }
}

/// Whose a grant is.
enum Owned {
    /// The account's, as far as it can be told.
    Ours,
    /// Google did not answer, in words. The access token is not used, and the question is asked again with the next one.
    Unknown(String),
    /// Somebody else's, in words.
    Foreign(String),
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
        let stored =
            secrets::get(&mut connection, self.keys(), Owner::account(account, ACCESS_TOKEN)).await?;
        Ok(stored
            .map(|stored| stored.value)
            .filter(|token| rejected.is_none_or(|rejected| !rejected.is(token)))
            .map(AccessToken))
    }
}

impl Refresh<'_> {
    /// Refreshes, and gives the lease back whatever comes of it.
    async fn run(
        &self,
        rejected: Option<&AccessToken>,
        refused: Option<Refused>,
    ) -> Result<AccessToken, AuthError> {
        let result = match self.google.stored(self.db, self.account, rejected).await {
            Ok(Some(token)) => Ok(token),
            Ok(None) => match self.ask(refused).await {
                Ok((used, grant)) => match self.store(used, grant).await {
                    // The commit gave the lease back.
                    stored @ (Ok(_) | Err(AuthError::OwnerUnknown { .. })) => return stored,
                    Err(error) => Err(error),
                },
                Err(error) => Err(error),
            },
            Err(error) => Err(error),
        };
        self.release(None).await?;
        result
    }

    /// Asks the token endpoint. A refusal must come twice, the second time for the refresh token as it stands then. Says which
    /// one was good, by its `updated_at`.
    async fn ask(&self, refused: Option<Refused>) -> Result<(DateTime<Utc>, Grant), AuthError> {
        let first = self.grant().await?;
        let stands = |refused: Refused| refused.token == first.updated_at && refused.ago < REFUSAL_STANDS;
        if refused.is_some_and(stands) {
            return Err(self.sign_in_again("as it did a moment ago".to_owned()));
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
                Err(self.sign_in_again(why))
            }
        }
    }

    async fn release(&self, refused: Option<DateTime<Utc>>) -> Result<(), AuthError> {
        let mut connection = self.db.acquire().await?;
        oauth_refreshes::release(&mut connection, self.account, self.holder, refused).await?;
        Ok(())
    }

    fn sign_in_again(&self, why: String) -> AuthError {
        counter!("syncfleet_oauth_refresh_failures_total", "reason" => "invalid_grant").increment(1);
        AuthError::SignInAgain { account: self.account, why }
    }

    /// The refresh token. Whether it is still good is for the provider to say.
    async fn grant(&self) -> Result<Stored, AuthError> {
        let mut connection = self.db.acquire().await?;
        secrets::last(&mut connection, self.google.keys(), Owner::account(self.account, REFRESH_TOKEN))
            .await?
            .ok_or(AuthError::NoGrant { account: self.account })
    }

    /// Stores what came for the refresh token of `used`, if that still stands, whoever has the lease by now: a new refresh token
    /// must not be lost. Secrets are locked in the order of their names, as everybody does.
    async fn store(&self, used: DateTime<Utc>, grant: Grant) -> Result<AccessToken, AuthError> {
        let unknown = match self.owner(&grant).await? {
            Owned::Ours => None,
            Owned::Unknown(why) => Some(AuthError::OwnerUnknown { account: self.account, why }),
            Owned::Foreign(whose) => return Err(self.other_subject(whose)),
        };
        let mut tx = self.db.begin().await?;
        oauth_refreshes::release(&mut tx, self.account, self.holder, None).await?;
        if unknown.is_none() {
            let owner = Owner::account(self.account, ACCESS_TOKEN);
            let life = usable(grant.lifetime);
            secrets::put(&mut tx, self.google.keys(), owner, &grant.access_token, Some(life)).await?;
        }
        let owner = Owner::account(self.account, REFRESH_TOKEN);
        if !secrets::stands(&mut tx, owner, used).await? {
            return Err(AuthError::Replaced { account: self.account });
        }
        match (&grant.refresh_token, grant.refresh_token_lifetime) {
            (Some(token), lifetime) => {
                secrets::put(&mut tx, self.google.keys(), owner, token, lifetime).await?;
            }
            (None, Some(lifetime)) => secrets::set_lifetime(&mut tx, owner, lifetime).await?,
            (None, None) => {}
        }
        if let Some(unknown) = unknown {
            tx.commit().await?;
            return Err(unknown);
        }
        let subject = grant.claims.as_ref().map(|claims| claims.sub.as_str());
        let learned = accounts::learn(&mut tx, self.account, subject, grant.scopes.as_deref()).await?;
        if let Learned::OtherSubject(whose) = learned {
            return Err(self.other_subject(whose));
        }
        tx.commit().await?;
        Ok(AccessToken(grant.access_token))
    }

    fn other_subject(&self, whose: String) -> AuthError {
        refresh::failed("other_subject");
        AuthError::OtherSubject { account: self.account, whose }
    }

    /// Whose a grant is while the account's subject cannot tell it: by its address. Without an ID token only the first grant of a
    /// refresh token that was stored unchecked is looked at: the account's scopes are not known until then.
    async fn owner(&self, grant: &Grant) -> Result<Owned, AuthError> {
        let account = {
            let mut connection = self.db.acquire().await?;
            accounts::get(&mut connection, self.account).await?
        };
        let is_open = |account: &accounts::AccountRow| match grant.claims {
            // Else the subject tells.
            Some(_) => account.subject.is_none(),
            None => account.scopes.is_none(),
        };
        let Some(account) = account.filter(is_open) else {
            return Ok(Owned::Ours);
        };
        let claimed = grant.claims.as_ref().and_then(|claims| claims.email.clone());
        let address = match claimed {
            Some(email) => Ok(Some(email)),
            None => match self.google.0.calendar_budget.spend(self.db, self.account, 1).await {
                Ok(()) => self.google.primary_calendar(&grant.access_token).await,
                Err(error) => Err(error.to_string()),
            },
        };
        Ok(match address {
            Ok(Some(email)) if !email.eq_ignore_ascii_case(&account.email) => {
                Owned::Foreign(format!("that of {email}, not of {}", account.email))
            }
            Ok(_) => Owned::Ours,
            Err(why) => Owned::Unknown(why),
        })
    }
}

/// How long an access token is used of the time that it is good.
pub(crate) fn usable(lifetime: Duration) -> Duration {
    lifetime.saturating_sub(MARGIN.min(lifetime / 4))
}

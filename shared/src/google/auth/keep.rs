//! What came of a refresh is kept: if it is the account's, and while the refresh token that was used stands.

use std::time::{Duration, Instant};

use chrono::{DateTime, Utc};
use futures_util::{FutureExt, future::BoxFuture};
use rand::RngExt;
use secrecy::SecretString;

use super::{
    ACCESS_TOKEN, AccessToken, AuthError, REFRESH_TOKEN, Refresh,
    refresh::{self, Grant},
};
use crate::{
    google::Api,
    secrets::Owner,
    store::{
        accounts::{self, AccountRow, Learned},
        oauth_refreshes, secrets,
    },
};

/// How long it is tried to store what came of a refresh. Within a step's time, a call after it included.
pub(super) const STORING: Duration = Duration::from_secs(8);
/// How long is waited between two of these attempts, at the most.
const STORE_AGAIN: Duration = Duration::from_millis(500);
/// A token is used up to this long before it expires, or three quarters of its life.
const MARGIN: Duration = Duration::from_mins(5);

/// Whose a grant is.
enum Owned {
    /// The account's, as far as it can be told.
    Ours,
    /// Nobody could say, and why. The access token is not used, and the question is asked again with the next one.
    Unknown(AuthError),
    /// Somebody else's, in words.
    Foreign(String),
}

impl Refresh<'_> {
    /// Keeps what came for the refresh token of `used`. Where nobody can say whose the access token is, it is not used, but a new
    /// refresh token is kept all the same.
    pub(super) async fn keep(&self, used: DateTime<Utc>, grant: Grant) -> Result<AccessToken, AuthError> {
        let until = Instant::now() + STORING;
        let unknown = match self.owner(&grant, until).await? {
            Owned::Ours => None,
            Owned::Unknown(why) => Some(why),
            Owned::Foreign(whose) => return Err(self.other_subject(used, whose)),
        };
        patiently(until, || self.store(used, &grant, unknown.is_none()).boxed()).await?;
        unknown.map_or(Ok(AccessToken { secret: grant.access_token, delegated_by: None, project: None }), Err)
    }

    /// Stores what came for the refresh token of `used`, if that still stands, whoever has the lease by now: a new refresh token
    /// must not be lost. Secrets are locked in the order of their names, as everybody does.
    async fn store(&self, used: DateTime<Utc>, grant: &Grant, ours: bool) -> Result<(), AuthError> {
        let mut tx = self.db.begin().await?;
        oauth_refreshes::release(&mut tx, self.account, self.holder, None).await?;
        if ours {
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
        if ours {
            let subject = grant.claims.as_ref().map(|claims| claims.sub.as_str());
            let learned = accounts::learn(&mut tx, self.account, subject, grant.scopes.as_deref()).await?;
            if let Learned::OtherSubject(whose) = learned {
                return Err(self.other_subject(used, whose));
            }
        }
        tx.commit().await?;
        Ok(())
    }

    fn other_subject(&self, token: DateTime<Utc>, whose: String) -> AuthError {
        refresh::failed("other_subject");
        AuthError::OtherSubject { account: self.account, token, whose }
    }

    /// Whose a grant is while the account's subject cannot tell it: by its address. Without an ID token only the first grant of a
    /// refresh token that was stored unchecked is looked at: the account's scopes are not known until then.
    async fn owner(&self, grant: &Grant, until: Instant) -> Result<Owned, AuthError> {
        let account = patiently(until, || self.account().boxed()).await?;
        let is_open = |account: &AccountRow| match grant.claims {
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
            None => self.address(&grant.access_token).await,
        };
        Ok(match address {
            Ok(Some(email)) if !email.eq_ignore_ascii_case(&account.email) => {
                Owned::Foreign(format!("that of {email}, not of {}", account.email))
            }
            Ok(_) => Owned::Ours,
            Err(why) => Owned::Unknown(why),
        })
    }

    /// The address of the primary calendar, if the budget has a unit for asking.
    async fn address(&self, access_token: &SecretString) -> Result<Option<String>, AuthError> {
        self.google.spend(self.db, Api::Calendar, self.account, None, 1).await?;
        let address = self.google.primary_calendar(access_token).await;
        address.map_err(|why| AuthError::OwnerUnknown { account: self.account, why })
    }
}

/// Tries again while the database is away, until the time is over.
pub(super) async fn patiently<'a, T>(
    until: Instant,
    once: impl Fn() -> BoxFuture<'a, Result<T, AuthError>> + Send,
) -> Result<T, AuthError> {
    loop {
        let left = until.saturating_duration_since(Instant::now());
        let Ok(result) = tokio::time::timeout(left, once()).await else {
            return Err(AuthError::Database(sqlx::Error::PoolTimedOut));
        };
        let away = matches!(&result, Err(error) if error.is_of_database());
        let pause = STORE_AGAIN.mul_f64(rand::rng().random_range(0.2..=1.0));
        if !away || Instant::now() + pause >= until {
            return result;
        }
        tokio::time::sleep(pause).await;
    }
}

/// How long an access token is used of the time that it is good.
pub(super) fn usable(lifetime: Duration) -> Duration {
    lifetime.saturating_sub(MARGIN.min(lifetime / 4))
}

//! Access tokens of a workspace's accounts: the tenant's service account gets them, in each account's name.

use std::time::{Duration, Instant};

use futures_util::FutureExt;
use metrics::counter;
use secrecy::SecretString;

use super::{
    ACCESS_TOKEN, AccessToken, AuthError, Refresh,
    keep::{STORING, patiently, usable},
};
use crate::{
    google::workspace::{self, Answer, KEY, Key, Refusal},
    job::TenantId,
    secrets::Owner,
    store::{
        accounts,
        oauth_refreshes::{self, Refused},
        secrets::{self, Stored},
    },
};

/// An account that a service account acts for.
pub(super) struct Delegator {
    tenant: TenantId,
    email: String,
    scopes: Vec<String>,
}

impl Refresh<'_> {
    /// Whom the token is to be asked for, if it is for a service account to ask.
    pub(super) async fn delegator(&self) -> Result<Option<Delegator>, AuthError> {
        let account = self.account().await?.filter(|account| account.workspace);
        Ok(account.map(|account| Delegator {
            tenant: account.tenant,
            email: account.email,
            scopes: account.scopes.unwrap_or_default(),
        }))
    }

    /// Asks the token endpoint that the key names, and stores what comes. As with refresh tokens, a refusal must come twice, and
    /// counts only for the key that stands.
    pub(super) async fn delegated(
        &self,
        delegator: &Delegator,
        refused: Option<Refused>,
    ) -> Result<AccessToken, AuthError> {
        let first = self.workspace_key(delegator).await?;
        if refused.is_some_and(|refused| refused.stands(first.updated_at)) {
            let why = "Google has refused it a moment ago".to_owned();
            return Err(AuthError::Workspace {
                account: self.account,
                tenant: delegator.tenant,
                key: first.updated_at,
                why,
            });
        }
        match self.request(delegator, &first).await? {
            Answer::Granted { access_token, lifetime } => {
                return self.keep_delegated(delegator, &first, access_token, lifetime).await;
            }
            Answer::Refused(_) => {}
        }
        let second = self.workspace_key(delegator).await?;
        match self.request(delegator, &second).await? {
            Answer::Granted { access_token, lifetime } => {
                self.keep_delegated(delegator, &second, access_token, lifetime).await
            }
            Answer::Refused(refusal) => {
                if self.workspace_key(delegator).await?.updated_at != second.updated_at {
                    return Err(AuthError::Replaced { account: self.account });
                }
                self.release(Some(second.updated_at)).await?;
                counter!("syncfleet_oauth_refresh_failures_total", "reason" => refusal.reason()).increment(1);
                Err(self.refused(delegator, &second, &refusal))
            }
        }
    }

    async fn request(&self, delegator: &Delegator, stored: &Stored) -> Result<Answer, AuthError> {
        let key = Key::parse(&stored.value)
            .map_err(|error| AuthError::Endpoint(format!("the stored key: {error}")))?;
        workspace::request(&self.google.0, &key, &delegator.email, &delegator.scopes).await
    }

    /// The project to which calls count that are made by this key; none: the OAuth client's.
    fn project(&self, used: &Stored) -> Result<Option<String>, AuthError> {
        let key = Key::parse(&used.value)
            .map_err(|error| AuthError::Endpoint(format!("the stored key: {error}")))?;
        let is_other = |project: &&str| self.google.0.config.project_id.as_deref() != Some(*project);
        Ok(key.project().filter(is_other).map(str::to_owned))
    }

    fn refused(&self, delegator: &Delegator, stored: &Stored, refusal: &Refusal) -> AuthError {
        let why = match Key::parse(&stored.value) {
            Ok(key) => refusal.advice(&key, &delegator.email, &delegator.scopes),
            Err(error) => error.to_string(),
        };
        AuthError::Workspace { account: self.account, tenant: delegator.tenant, key: stored.updated_at, why }
    }

    async fn workspace_key(&self, delegator: &Delegator) -> Result<Stored, AuthError> {
        let mut connection = self.db.acquire().await?;
        secrets::last(&mut connection, self.google.keys(), Owner::tenant(delegator.tenant, KEY))
            .await?
            .ok_or(AuthError::NoKey { account: self.account })
    }

    /// Stores the access token, if the key that it was made with still stands. Owners are locked in the order of their kinds, as
    /// everybody does.
    async fn keep_delegated(
        &self,
        delegator: &Delegator,
        used: &Stored,
        access_token: SecretString,
        lifetime: Duration,
    ) -> Result<AccessToken, AuthError> {
        let until = Instant::now() + STORING;
        let project = self.project(used)?;
        let store =
            || self.store_delegated(delegator, used, (&access_token, lifetime), project.as_deref()).boxed();
        patiently(until, store).await?;
        Ok(AccessToken { secret: access_token, delegated_by: Some(self.account), project })
    }

    async fn store_delegated(
        &self,
        delegator: &Delegator,
        used: &Stored,
        (access_token, lifetime): (&SecretString, Duration),
        project: Option<&str>,
    ) -> Result<(), AuthError> {
        let mut tx = self.db.begin().await?;
        oauth_refreshes::release(&mut tx, self.account, self.holder, None).await?;
        let owner = Owner::account(self.account, ACCESS_TOKEN);
        secrets::put(&mut tx, self.google.keys(), owner, access_token, Some(usable(lifetime))).await?;
        if !secrets::stands(&mut tx, Owner::tenant(delegator.tenant, KEY), used.updated_at).await? {
            return Err(AuthError::Replaced { account: self.account });
        }
        accounts::set_project(&mut tx, self.account, project).await?;
        tx.commit().await?;
        Ok(())
    }
}

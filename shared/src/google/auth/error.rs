use chrono::{DateTime, Utc};

use super::REFRESH_TOKEN;
use crate::{
    google::{quota::QuotaError, workspace},
    job::{AccountId, TenantId},
    secrets::Owner,
    store::secrets::SecretError,
};

/// Why there is no access token. No text holds one.
#[derive(Debug, thiserror::Error)]
pub enum AuthError {
    /// The account's grant is gone: revoked, expired, or taken away by an administrator.
    #[error("account {account} must sign in again: Google refuses its refresh token ({why})")]
    SignInAgain {
        /// The account.
        account: AccountId,
        /// Which refresh token, by its `secrets.updated_at`.
        token: DateTime<Utc>,
        /// Google's words.
        why: String,
    },
    /// The token is another Google account's than the one whose data is mirrored.
    #[error(
        "account {account} must sign in again: its refresh token belongs to another Google account ({whose})"
    )]
    OtherSubject {
        /// The account.
        account: AccountId,
        /// Which refresh token, by its `secrets.updated_at`.
        token: DateTime<Utc>,
        /// How the two differ.
        whose: String,
    },
    /// Google does not answer the question whose a new refresh token is.
    #[error("account {account}: it cannot be told whose its new refresh token is: {why}")]
    OwnerUnknown {
        /// The account.
        account: AccountId,
        /// What happened.
        why: String,
    },
    /// No refresh token was ever stored.
    #[error("account {account} has no refresh token: add one by signing in")]
    NoGrant {
        /// The account.
        account: AccountId,
    },
    /// The tenant's service account may not act for the account, or not any more.
    #[error("account {account} cannot be read through its tenant's service account: {why}")]
    Workspace {
        /// The account.
        account: AccountId,
        /// The tenant.
        tenant: TenantId,
        /// Which key, by its `secrets.updated_at`.
        key: DateTime<Utc>,
        /// Google's words, and what is to be done.
        why: String,
    },
    /// The tenant has no service account's key.
    #[error(
        "account {account} is of a workspace, and its tenant has no key of a service account: `syncfleet tenant connect-workspace` gives it one"
    )]
    NoKey {
        /// The account.
        account: AccountId,
    },
    /// The token endpoint refused the request for another reason than the grant.
    #[error("the token endpoint answered {status} {error}: check the OAuth client's id and secret")]
    Refused {
        /// The HTTP status.
        status: u16,
        /// Its error code and words.
        error: String,
    },
    /// The token endpoint did not answer, or not with a token.
    #[error("the token endpoint: {0}")]
    Endpoint(String),
    /// Another caller refreshes the token and does not come to an end.
    #[error("account {account}: another caller has been refreshing the access token for {} s", super::PATIENCE.as_secs())]
    Busy {
        /// The account.
        account: AccountId,
    },
    /// Its refresh token is another one than that which was used.
    #[error("account {account}: its refresh token was replaced while it was being used")]
    Replaced {
        /// The account.
        account: AccountId,
    },
    /// There are no units for the call that tells whose a new refresh token is.
    #[error(transparent)]
    Quota(#[from] QuotaError),
    /// A token cannot be opened, sealed or read.
    #[error(transparent)]
    Secret(#[from] SecretError),
    /// The database did not answer.
    #[error(transparent)]
    Database(#[from] sqlx::Error),
}

impl AuthError {
    /// Whether only the account's owner can help, or the administrator of its workspace. Everything else may go better by itself, or by an operator's hand.
    #[must_use]
    pub const fn needs_sign_in(&self) -> bool {
        matches!(
            self,
            Self::SignInAgain { .. }
                | Self::OtherSubject { .. }
                | Self::NoGrant { .. }
                | Self::Workspace { .. }
                | Self::NoKey { .. }
        )
    }

    /// The secret that is no good, with its `updated_at`, where it is one. If another stands in its place by now, the account has
    /// signed in again.
    #[must_use]
    pub const fn refused(&self) -> Option<(Owner<'static>, DateTime<Utc>)> {
        match self {
            Self::SignInAgain { account, token, .. } | Self::OtherSubject { account, token, .. } => {
                Some((Owner::account(*account, REFRESH_TOKEN), *token))
            }
            Self::Workspace { tenant, key, .. } => Some((Owner::tenant(*tenant, workspace::KEY), *key)),
            _ => None,
        }
    }

    /// Whether the database did not answer.
    pub(super) const fn is_of_database(&self) -> bool {
        matches!(self, Self::Database(_) | Self::Secret(SecretError::Database(_)))
    }
}

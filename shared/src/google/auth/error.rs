use crate::{job::AccountId, store::secrets::SecretError};

/// Why there is no access token. No text holds one.
#[derive(Debug, thiserror::Error)]
pub enum AuthError {
    /// The account's grant is gone: revoked, expired, or taken away by an administrator.
    #[error("account {account} must sign in again: Google refuses its refresh token ({why})")]
    SignInAgain {
        /// The account.
        account: AccountId,
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
    /// A token cannot be opened, sealed or read.
    #[error(transparent)]
    Secret(#[from] SecretError),
    /// The database did not answer.
    #[error(transparent)]
    Database(#[from] sqlx::Error),
}

impl AuthError {
    /// Whether only the account's owner can help. Everything else may go better by itself, or by an operator's hand.
    #[must_use]
    pub const fn needs_sign_in(&self) -> bool {
        matches!(self, Self::SignInAgain { .. } | Self::OtherSubject { .. } | Self::NoGrant { .. })
    }
}

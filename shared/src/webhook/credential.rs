use secrecy::{ExposeSecret, SecretString};
use sqlx::PgConnection;

use super::{
    form::Form,
    sign::{BadSecret, SigningSecret},
};
use crate::{
    secrets::{KeyRing, Owner},
    store::{
        secrets::{self, SecretError},
        webhooks::{Webhook, WebhookId},
    },
};

/// The name of a webhook's signing secret among its sealed values.
pub const SIGNING_SECRET: &str = "signing_secret";

/// The name of the access token for an ntfy server.
pub const ACCESS_TOKEN: &str = "access_token";

/// The longest access token.
const TOKEN_LIMIT: usize = 1_000;

/// What proves to a receiver who sends.
#[derive(Debug, Clone)]
pub enum Credential {
    /// The message is signed with it.
    Secret(SigningSecret),
    /// It goes with the message; none: whoever knows the topic may write to it.
    Token(Option<SecretString>),
}

/// A token cannot stand in a header. It is not told.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("not an access token: it is one word of at most {TOKEN_LIMIT} visible ASCII characters, as tk_…")]
pub struct BadToken;

/// Why a webhook's credential cannot be used. It is not told.
#[derive(Debug, thiserror::Error)]
pub enum CredentialError {
    /// It cannot be read.
    #[error(transparent)]
    Store(#[from] SecretError),
    /// It is not there.
    #[error("webhook {0} has no signing secret")]
    Missing(WebhookId),
    /// It is none.
    #[error(transparent)]
    Bad(#[from] BadSecret),
}

impl Credential {
    /// Reads an access token.
    pub fn token(text: &SecretString) -> Result<Self, BadToken> {
        let token = text.expose_secret().trim();
        let is_word =
            !token.is_empty() && token.len() <= TOKEN_LIMIT && token.bytes().all(|b| b.is_ascii_graphic());
        if is_word { Ok(Self::Token(Some(token.into()))) } else { Err(BadToken) }
    }

    /// A webhook's, from where it is sealed.
    pub async fn load(
        conn: &mut PgConnection,
        keys: &KeyRing,
        webhook: &Webhook,
    ) -> Result<Self, CredentialError> {
        let owner = |name| Owner::webhook(webhook.id, name);
        match webhook.form {
            Form::Standard => {
                let stored = secrets::get(conn, keys, owner(SIGNING_SECRET)).await?;
                let stored = stored.ok_or(CredentialError::Missing(webhook.id))?;
                Ok(Self::Secret(SigningSecret::parse(&stored.value)?))
            }
            Form::Ntfy { .. } => {
                let stored = secrets::get(conn, keys, owner(ACCESS_TOKEN)).await?;
                Ok(Self::Token(stored.map(|stored| stored.value)))
            }
        }
    }

    /// What is sealed, and under which name; none: there is nothing to seal.
    #[must_use]
    pub const fn sealed(&self) -> Option<(&'static str, &SecretString)> {
        match self {
            Self::Secret(secret) => Some((SIGNING_SECRET, secret.text())),
            Self::Token(Some(token)) => Some((ACCESS_TOKEN, token)),
            Self::Token(None) => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_is_one_word_and_is_not_repeated() {
        let Ok(Credential::Token(Some(token))) =
            Credential::token(&" tk_AgQdq7mVBoFD37zQVN29RhuMzNIz2\n".into())
        else {
            panic!()
        };
        assert_eq!(token.expose_secret(), "tk_AgQdq7mVBoFD37zQVN29RhuMzNIz2");
        for bad in ["", " ", "hunter 2", "hunter\n2", "hünter2", &"x".repeat(TOKEN_LIMIT + 1)] {
            let error = Credential::token(&bad.into()).unwrap_err();
            assert!(!error.to_string().contains("hunter"), "{error}");
        }
    }
}

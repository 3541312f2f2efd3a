//! Giving a grant back: RFC 7009; <https://developers.google.com/identity/protocols/oauth2/web-server#tokenrevoke>.

use secrecy::{ExposeSecret, SecretString};
use serde::Deserialize;

use super::SignInError;
use crate::google::{Google, auth::broken, errors::quote};

/// What revoking came to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Revoked {
    /// The grant was good, and is not any more.
    Now,
    /// Google does not know the token: the grant was revoked, or has expired.
    Before,
}

#[derive(Deserialize)]
struct Refusal {
    error: String,
}

impl Google {
    /// Revokes the whole grant of a token. Sent once; to send it again does no harm.
    pub async fn revoke(&self, token: &SecretString) -> Result<Revoked, SignInError> {
        let url = self.provider().await?.revocation;
        let url = url.ok_or_else(|| SignInError::Discovery("it names no revocation endpoint".to_owned()))?;
        let trouble = SignInError::NotRevoked;
        let form = [("token", token.expose_secret())];
        let sent = self.0.oauth.post(url).form(&form).send().await;
        let response = sent.map_err(|error| trouble(broken(&error)))?;
        let status = response.status().as_u16();
        if status == 200 {
            return Ok(Revoked::Now);
        }
        let body = response.bytes().await.unwrap_or_default();
        match serde_json::from_slice(&body).ok() {
            Some(Refusal { error }) if status == 400 && error == "invalid_token" => Ok(Revoked::Before),
            Some(Refusal { error }) => Err(trouble(format!("it answered {status} {}", quote(&error)))),
            None => Err(trouble(format!("it answered {status}"))),
        }
    }
}

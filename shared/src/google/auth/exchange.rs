//! Exchanging an authorization code: RFC 6749, section 4.1.3; RFC 7636, section 4.5.

use secrecy::{ExposeSecret, SecretString};

use super::{
    AuthError, Checked,
    keep::usable,
    refresh::{self, Answer, Trouble},
};
use crate::google::Google;

/// What the token endpoint made of a code.
pub(in crate::google) enum Exchanged {
    /// A grant, and the ID token that tells whose it is. It is not checked: subject and address are still empty.
    Granted(Checked, Option<SecretString>),
    /// The code is not good, in the endpoint's words.
    InvalidGrant(String),
}

impl Google {
    /// Exchanges a code. Sent once: a code is good for one request, whatever comes of it.
    pub(in crate::google) async fn exchange_code(
        &self,
        code: &SecretString,
        verifier: &SecretString,
        redirect_uri: &str,
    ) -> Result<Exchanged, AuthError> {
        let form = [
            ("grant_type", "authorization_code"),
            ("code", code.expose_secret()),
            ("code_verifier", verifier.expose_secret()),
            ("redirect_uri", redirect_uri),
        ];
        match refresh::ask(&self.0, &form).await {
            Ok(Answer::Granted(grant)) => {
                let checked = Checked {
                    subject: None,
                    email: None,
                    scopes: grant.scopes,
                    access_token: grant.access_token,
                    lifetime: usable(grant.lifetime),
                    refresh_token: grant.refresh_token,
                    refresh_token_lifetime: grant.refresh_token_lifetime,
                };
                Ok(Exchanged::Granted(checked, grant.id_token))
            }
            Ok(Answer::InvalidGrant(why)) => Ok(Exchanged::InvalidGrant(why)),
            Err(Trouble { error, .. }) => Err(error),
        }
    }
}

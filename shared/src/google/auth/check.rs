use std::time::Duration;

use secrecy::{ExposeSecret, SecretString};
use serde::Deserialize;

use super::{
    AuthError,
    keep::usable,
    refresh::{self, Answer, Grant},
};
use crate::google::{Api, Google, errors, execute};

/// The call that tells an account's address, as in metrics.
const PRIMARY: &str = "calendarList.get";

/// What the provider told of a refresh token that is not stored yet.
#[derive(Debug, Clone)]
pub struct Checked {
    /// Google's lasting id of the account; none: the grant does not have the scope `openid`.
    pub subject: Option<String>,
    /// The account's address; none: the grant opens nothing that tells it.
    pub email: Option<String>,
    /// The scopes that were granted; none: the endpoint does not say.
    pub scopes: Option<Vec<String>>,
    /// The access token that came of it.
    pub access_token: SecretString,
    /// How long that is to be used.
    pub lifetime: Duration,
    /// A new refresh token in place of the one that was checked.
    pub refresh_token: Option<SecretString>,
    /// How long the refresh token is good, where access was granted for a time only.
    pub refresh_token_lifetime: Option<Duration>,
}

/// Why a refresh token was not found good.
#[derive(Debug, thiserror::Error)]
pub enum CheckError {
    /// Google does not take it.
    #[error(
        "Google refuses the refresh token ({0}): was it made for this OAuth client, and not revoked since?"
    )]
    Refused(String),
    /// Google could not be asked, or not with this OAuth client.
    #[error("the refresh token cannot be checked: {0}; --no-check adds the account without")]
    Unchecked(String),
}

#[derive(Deserialize)]
struct Primary {
    id: String,
}

impl Google {
    /// Uses a refresh token once, to see whether it is good and whose it is. A refusal must come twice.
    pub async fn check(&self, refresh_token: &SecretString) -> Result<Checked, CheckError> {
        let unchecked = |error: AuthError| CheckError::Unchecked(error.to_string());
        let mut answer = refresh::request(&self.0, refresh_token).await.map_err(unchecked)?;
        if matches!(answer, Answer::InvalidGrant(_)) {
            answer = refresh::request(&self.0, refresh_token).await.map_err(unchecked)?;
        }
        let grant = match answer {
            Answer::Granted(grant) => grant,
            Answer::InvalidGrant(why) => return Err(CheckError::Refused(why)),
        };
        let Grant {
            access_token,
            lifetime,
            refresh_token,
            refresh_token_lifetime,
            scopes,
            claims,
            id_token: _,
        } = grant;
        let (subject, email) = claims.map_or((None, None), |claims| (Some(claims.sub), claims.email));
        let email = match email {
            Some(email) => Some(email),
            None => self.primary_calendar(&access_token).await.map_err(CheckError::Unchecked)?,
        };
        let lifetime = usable(lifetime);
        Ok(Checked { subject, email, scopes, access_token, lifetime, refresh_token, refresh_token_lifetime })
    }

    /// The id of the account's primary calendar, which is its address; none: the token does not open it.
    /// <https://developers.google.com/workspace/calendar/api/concepts/events-calendars>
    pub(super) async fn primary_calendar(
        &self,
        access_token: &SecretString,
    ) -> Result<Option<String>, String> {
        let failed = |what: String| format!("the primary calendar: {what}");
        let url = self.0.config.calendar_url.join("users/me/calendarList/primary");
        let url = url.map_err(|error| failed(error.to_string()))?;
        let call = self.0.oauth.get(url).bearer_auth(access_token.expose_secret());
        let sent = call.send().await;
        let code =
            sent.as_ref().map_or_else(|_| "none".to_owned(), |sent| sent.status().as_u16().to_string());
        execute::count(Api::Calendar, PRIMARY, &code);
        let response = sent.map_err(|error| failed(refresh::broken(&error)))?;
        match response.status().as_u16() {
            200 => {
                let body = response.bytes().await.map_err(|error| failed(refresh::broken(&error)))?;
                let primary: Primary = serde_json::from_slice(&body)
                    .map_err(|_| failed("the answer is no entry of a list of calendars".to_owned()))?;
                Ok(Some(primary.id).filter(|id| id.contains('@')))
            }
            status => {
                let body = response.bytes().await.unwrap_or_default();
                let answer = errors::Answer::new(status, serde_json::from_slice(&body).ok().as_ref());
                match errors::classify(&answer, false) {
                    errors::Class::MissingScope => Ok(None),
                    _ => Err(failed(format!("Google answered {status}"))),
                }
            }
        }
    }
}

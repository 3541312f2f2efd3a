//! The request to the token endpoint: RFC 6749, sections 5 and 6;
//! <https://developers.google.com/identity/protocols/oauth2/web-server#offline>.

use std::time::Duration;

use metrics::counter;
use secrecy::{ExposeSecret, SecretString};
use serde::Deserialize;

use super::{
    AuthError,
    id_token::{self, Claims},
};
use crate::google::{Inner, errors::quote};

/// What the endpoint said.
pub(super) enum Answer {
    Granted(Grant),
    /// The refresh token is not good, in the endpoint's words.
    InvalidGrant(String),
}

/// What the endpoint gave.
pub(super) struct Grant {
    pub(super) access_token: SecretString,
    pub(super) lifetime: Duration,
    /// A new refresh token; none: the old one stays.
    pub(super) refresh_token: Option<SecretString>,
    /// How long the refresh token is good, where access was granted for a time only.
    pub(super) refresh_token_lifetime: Option<Duration>,
    /// The scopes of the token; none: the endpoint does not say.
    pub(super) scopes: Option<Vec<String>>,
    /// Whose it is; none: the grant does not have the scope `openid`.
    pub(super) claims: Option<Claims>,
    /// The ID token that says so, not looked at any further.
    pub(super) id_token: Option<SecretString>,
}

/// The endpoint did not grant or refuse a grant.
pub(super) struct Trouble {
    /// The word in metrics.
    pub(super) reason: &'static str,
    pub(super) error: AuthError,
}

#[derive(Deserialize)]
struct Granted {
    access_token: String,
    /// Google always says; RFC 6749 does not ask it to.
    #[serde(default = "an_hour")]
    expires_in: u64,
    refresh_token: Option<String>,
    refresh_token_expires_in: Option<u64>,
    scope: Option<String>,
    id_token: Option<String>,
}

const fn an_hour() -> u64 {
    3600
}

#[derive(Deserialize)]
struct Refusal {
    error: String,
    #[serde(default)]
    error_description: String,
    #[serde(default)]
    error_subtype: String,
}

impl Refusal {
    fn words(&self) -> String {
        let parts = [&self.error, &self.error_subtype, &self.error_description].map(|part| quote(part));
        parts.into_iter().filter(|part| !part.is_empty()).collect::<Vec<_>>().join(": ")
    }
}

/// Asks for an access token. The client's time limit holds.
pub(super) async fn request(google: &Inner, refresh_token: &SecretString) -> Result<Answer, AuthError> {
    let form = [("grant_type", "refresh_token"), ("refresh_token", refresh_token.expose_secret())];
    ask(google, &form).await.map_err(|Trouble { reason, error }| {
        failed(reason);
        error
    })
}

/// Asks the endpoint in the name of the OAuth client. The client's time limit holds.
pub(super) async fn ask(google: &Inner, form: &[(&str, &str)]) -> Result<Answer, Trouble> {
    let client = [
        ("client_id", google.config.client_id.as_str()),
        ("client_secret", google.config.client_secret.expose_secret()),
    ];
    let form = [form, &client].concat();
    let sent = google.oauth.post(google.config.token_url.clone()).form(&form).send().await;
    let response = sent.map_err(|error| unreachable_endpoint(&error))?;
    let status = response.status().as_u16();
    let body = response.bytes().await.map_err(|error| unreachable_endpoint(&error))?;
    if status == 200 {
        let granted: Granted = serde_json::from_slice(&body).map_err(|error| {
            // Only where, not what: the text may hold a token.
            let what = format!("its answer is no token (line {}, column {})", error.line(), error.column());
            Trouble { reason: "unreadable", error: AuthError::Endpoint(what) }
        })?;
        let scopes = granted.scope.map(|scopes| scopes.split_ascii_whitespace().map(str::to_owned).collect());
        return Ok(Answer::Granted(Grant {
            access_token: granted.access_token.into(),
            lifetime: Duration::from_secs(granted.expires_in),
            refresh_token: granted.refresh_token.map(SecretString::from),
            refresh_token_lifetime: granted.refresh_token_expires_in.map(Duration::from_secs),
            scopes,
            claims: granted.id_token.as_deref().and_then(id_token::claims),
            id_token: granted.id_token.map(SecretString::from),
        }));
    }
    let refusal: Option<Refusal> = serde_json::from_slice(&body).ok();
    match refusal {
        Some(refusal) if status == 400 && refusal.error == "invalid_grant" => {
            Ok(Answer::InvalidGrant(refusal.words()))
        }
        Some(refusal) if (400..500).contains(&status) && status != 429 => {
            let error = AuthError::Refused { status, error: refusal.words() };
            Err(Trouble { reason: "refused", error })
        }
        _ => {
            let error = AuthError::Endpoint(format!("it answered {status}"));
            Err(Trouble { reason: "unreachable", error })
        }
    }
}

fn unreachable_endpoint(error: &reqwest::Error) -> Trouble {
    Trouble { reason: "unreachable", error: AuthError::Endpoint(broken(error)) }
}

/// What went wrong with a request. The error's own text names no form field; its address is left out all the same.
pub(in crate::google) fn broken(error: &reqwest::Error) -> String {
    let what = if error.is_timeout() { "no answer in time" } else { "no connection, or it broke off" };
    let cause = std::iter::successors(std::error::Error::source(error), |error| error.source()).last();
    cause.map_or_else(|| what.to_owned(), |cause| format!("{what} ({cause})"))
}

pub(in crate::google) fn failed(reason: &'static str) {
    counter!("syncfleet_oauth_refresh_failures_total", "reason" => reason).increment(1);
}

//! Accounts of a Google Workspace: a service account acts for them, by domain-wide delegation, so that nobody signs in.
//! <https://developers.google.com/identity/protocols/oauth2/service-account#delegatingauthority>
//!
//! The service account signs an assertion with its private key (RFC 7523), and the token endpoint that the key file names gives an
//! access token of the user whom the assertion names. The key is sealed in the table `secrets`, with the tenant as its owner; the
//! tokens stand there as all others do, and are asked for under the same lease ([`super::auth`]). yup-oauth2 signs and asks; each
//! request has an authenticator of its own, whose memory ends with it.

mod key;
mod refusal;

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use secrecy::SecretString;
use yup_oauth2::{
    AccessToken, CustomHyperClientBuilder, Error, ServiceAccountAuthenticator, error::AuthErrorCode,
};

pub use self::{
    key::{Key, KeyFileError},
    refusal::Refusal,
};
use super::{Google, Inner, auth::AuthError, errors::quote, transport::TOKEN_LIMIT};

/// The name of a service account's key among its tenant's secrets.
pub const KEY: &str = "workspace_key";

/// What a service account asks for unless it is told otherwise: what the mirror of calendars needs. Drive has to be asked for.
pub const SCOPES: [&str; 1] = ["https://www.googleapis.com/auth/calendar.readonly"];

/// What the endpoint said.
pub(super) enum Answer {
    Granted { access_token: SecretString, lifetime: Duration },
    Refused(Refusal),
}

/// Asks for an access token of `user`.
pub(super) async fn request(
    google: &Inner,
    key: &Key,
    user: &str,
    scopes: &[String],
) -> Result<Answer, AuthError> {
    let client = CustomHyperClientBuilder::from(google.assertions.clone());
    let authenticator =
        ServiceAccountAuthenticator::with_client(key.service_account(), client).subject(user).build();
    let answer = tokio::time::timeout(TOKEN_LIMIT, async { authenticator.await?.token(scopes).await });
    let answer =
        answer.await.unwrap_or_else(|_| Err(std::io::Error::from(std::io::ErrorKind::TimedOut).into()));
    match answer {
        Ok(token) => granted(&token),
        Err(Error::AuthError(error)) => {
            let description = error.error_description.as_deref().unwrap_or_default();
            let words = format!("{}: {}", quote(error.error.as_str()), quote(description));
            match refused(&error.error, description) {
                Verdict::Refused(refusal) => Ok(Answer::Refused(refusal(words))),
                Verdict::Clock => {
                    super::auth::count_failure("clock");
                    Err(AuthError::Endpoint(format!("{words}; is this machine's clock right?")))
                }
                Verdict::Later => {
                    super::auth::count_failure("unreachable");
                    Err(AuthError::Endpoint(words))
                }
            }
        }
        Err(error) => {
            let reason = if matches!(error, Error::JSONError(_)) { "unreadable" } else { "unreachable" };
            super::auth::count_failure(reason);
            Err(AuthError::Endpoint(broken(&error)))
        }
    }
}

fn granted(token: &AccessToken) -> Result<Answer, AuthError> {
    let Some(secret) = token.token() else {
        super::auth::count_failure("unreadable");
        return Err(AuthError::Endpoint("its answer has no access token".to_owned()));
    };
    // The crate turns the lifetime into a moment by this machine's clock; so it is turned back.
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    let until = token.expiration_time().and_then(|at| u64::try_from(at.unix_timestamp()).ok());
    let lifetime =
        until.map_or(Duration::from_hours(1), |until| Duration::from_secs(until).saturating_sub(now));
    Ok(Answer::Granted { access_token: secret.into(), lifetime })
}

/// What an error of the endpoint means.
enum Verdict {
    Refused(fn(String) -> Refusal),
    Clock,
    Later,
}

/// <https://developers.google.com/identity/protocols/oauth2/service-account#jwt-error-codes>
fn refused(code: &AuthErrorCode, description: &str) -> Verdict {
    let says = |phrases: &[&str]| phrases.iter().any(|phrase| contains(description, phrase));
    match code {
        AuthErrorCode::UnauthorizedClient | AuthErrorCode::AccessDenied | AuthErrorCode::InvalidScope => {
            Verdict::Refused(Refusal::NotDelegated)
        }
        AuthErrorCode::InvalidGrant if says(&["timeframe", "iat", "exp value"]) => Verdict::Clock,
        AuthErrorCode::InvalidGrant if says(&["email or user id", "not a valid email"]) => {
            Verdict::Refused(Refusal::NoSuchUser)
        }
        AuthErrorCode::InvalidGrant | AuthErrorCode::InvalidClient => Verdict::Refused(Refusal::Key),
        AuthErrorCode::Other(code) => match code.as_str() {
            "admin_policy_enforced" | "org_internal" => Verdict::Refused(Refusal::NotDelegated),
            "disabled_client" | "deleted_client" => Verdict::Refused(Refusal::Key),
            _ => Verdict::Later,
        },
        _ => Verdict::Later,
    }
}

/// Whether a text has these words, in lower case, one after the other: whole words, whatever stands between them.
fn contains(text: &str, phrase: &str) -> bool {
    let words = |text: &str| -> Vec<String> {
        let words = text.split(|c: char| !c.is_alphanumeric()).filter(|word| !word.is_empty());
        words.map(str::to_lowercase).collect()
    };
    let (text, phrase) = (words(text), words(phrase));
    text.windows(phrase.len()).any(|part| part == phrase)
}

/// What went wrong with a request, without what was sent or came.
fn broken(error: &Error) -> String {
    match error {
        Error::HttpError(_) | Error::HttpClientError(_) => {
            let causes = std::iter::successors(std::error::Error::source(error), |error| error.source());
            let cause = causes.last().map_or_else(|| "no cause is known".to_owned(), ToString::to_string);
            format!("no connection, or it broke off ({cause})")
        }
        Error::JSONError(error) => {
            format!("its answer is no token (line {}, column {})", error.line(), error.column())
        }
        Error::LowLevelError(error) if error.kind() == std::io::ErrorKind::TimedOut => {
            "no answer in time".to_owned()
        }
        Error::LowLevelError(error) => error.kind().to_string(),
        _ => "the request could not be made".to_owned(),
    }
}

/// Why a service account's key was not found good.
#[derive(Debug, thiserror::Error)]
pub enum CheckError {
    /// Google does not let it act for the user.
    #[error("{0}")]
    Refused(String),
    /// Google could not be asked.
    #[error("the key cannot be checked: {0}; --no-check connects the workspace without")]
    Unchecked(String),
}

impl Google {
    /// Asks once for a token of `user`, to see whether the service account may act for the workspace.
    pub async fn check_delegation(&self, key: &Key, user: &str, scopes: &[String]) -> Result<(), CheckError> {
        match request(&self.0, key, user, scopes).await {
            Ok(Answer::Granted { .. }) => Ok(()),
            Ok(Answer::Refused(refusal)) => Err(CheckError::Refused(refusal.advice(key, user, scopes))),
            Err(error) => Err(CheckError::Unchecked(error.to_string())),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn verdict(code: &str, description: &str) -> &'static str {
        match refused(&AuthErrorCode::from(code), description) {
            Verdict::Refused(refusal) => refusal(String::new()).reason(),
            Verdict::Clock => "clock",
            Verdict::Later => "later",
        }
    }

    #[test]
    fn each_answer_has_its_meaning() {
        for (code, description, meaning) in [
            (
                "unauthorized_client",
                "Client is unauthorized to retrieve access tokens using this method",
                "not_delegated",
            ),
            ("access_denied", "Requested client not authorized.", "not_delegated"),
            ("invalid_grant", "Invalid email or User ID", "invalid_grant"),
            ("invalid_grant", "Invalid JWT Signature.", "key_refused"),
            ("invalid_grant", "Invalid grant: account not found", "key_refused"),
            (
                "invalid_grant",
                "Invalid JWT: Token must be a short-lived token (60 minutes) and in a reasonable timeframe.",
                "clock",
            ),
            ("invalid_grant", "Invalid JWT: 'iat' is too far in the future.", "clock"),
            ("invalid_grant", "Invalid JWT: check the exp value of the claim", "clock"),
            // Not a word about `iat`, though its letters stand there.
            ("invalid_grant", "The initiation of the service account was rejected.", "key_refused"),
            ("disabled_client", "The OAuth client was disabled.", "key_refused"),
            ("internal_failure", "", "later"),
        ] {
            assert_eq!(verdict(code, description), meaning, "{code} {description}");
        }
    }
}

//! The token endpoint for service accounts: a signed assertion for an access token (RFC 7523).
//! <https://developers.google.com/identity/protocols/oauth2/service-account#jwt-error-codes>

use std::time::Duration;

use axum::http::StatusCode;
use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use rsa::{
    RsaPrivateKey,
    pkcs1v15::{Signature, VerifyingKey},
    sha2::Sha256,
    signature::Verifier,
};
use serde::{Deserialize, de::DeserializeOwned};
use serde_json::{Value, json};

use super::{query::Params, refusal::Refusal, world::World};

/// `grant_type`.
pub(super) const GRANT: &str = "urn:ietf:params:oauth:grant-type:jwt-bearer";

/// An assertion is not good for longer, in seconds.
const LONGEST: i64 = 3600;

/// By so many seconds a clock may be wrong.
const SKEW: i64 = 300;

#[derive(Deserialize)]
struct Header {
    alg: String,
}

/// What an assertion claims.
#[derive(Deserialize)]
struct Claims {
    iss: String,
    sub: Option<String>,
    aud: String,
    scope: String,
    iat: i64,
    exp: i64,
}

/// The user whom an assertion names, signed or not.
pub(super) fn user(form: &Params) -> Option<String> {
    part::<Claims>(form.get("assertion")?.split('.').nth(1)?)?.sub
}

/// Answers a request: the account's index and the response. `endpoint` is this endpoint's own address.
pub(super) fn exchange(
    world: &mut World,
    form: &Params,
    endpoint: &str,
    lifetime: Duration,
) -> Result<(usize, Value), Refusal> {
    let bad = |error: &str, text: &str| Refusal::oauth(StatusCode::BAD_REQUEST, error, text);
    let grant = |text: &str| bad("invalid_grant", text);
    let Some(assertion) = form.get("assertion") else {
        return Err(bad("invalid_request", "Missing required parameter: assertion"));
    };
    let mut parts = assertion.split('.');
    let (Some(header), Some(claims), Some(signature), None) =
        (parts.next(), parts.next(), parts.next(), parts.next())
    else {
        return Err(grant("Bad Request: the assertion is no JWT"));
    };
    let signed = format!("{header}.{claims}");
    let (Some(header), Some(claims), Some(signature)) =
        (part::<Header>(header), part::<Claims>(claims), bytes(signature))
    else {
        return Err(grant("Invalid JWT: the assertion cannot be read"));
    };
    let Some(account) = world.service_accounts.get(&claims.iss) else {
        return Err(grant("Invalid grant: account not found"));
    };
    let key = account.key().map_err(|_| grant("Invalid JWT Signature."))?;
    if header.alg != "RS256" || !is_signed(key, signed.as_bytes(), &signature) {
        return Err(grant("Invalid JWT Signature."));
    }
    if claims.aud != endpoint {
        return Err(grant("Invalid JWT: Failed audience check."));
    }
    let now = world.now().timestamp();
    let is_of_now = claims.iat <= now + SKEW && claims.exp > now && claims.exp - claims.iat <= LONGEST;
    if !is_of_now {
        return Err(grant(
            "Invalid JWT: Token must be a short-lived token (60 minutes) and in a reasonable timeframe. Check your iat and \
             exp values in the JWT claim.",
        ));
    }
    if claims.scope.split_whitespace().next().is_none() {
        return Err(bad("invalid_scope", "Empty or missing scope not allowed."));
    }
    // Who asks for itself is no user, and has no calendars here.
    let Some(user) = &claims.sub else {
        return Err(bad(
            "invalid_request",
            "This fake has service accounts for their users only: sub is missing",
        ));
    };
    let Some(index) = world.by_email.get(user).copied() else {
        return Err(grant("Invalid email or User ID"));
    };
    if !account.may_act_for(user, claims.scope.split_whitespace()) {
        let text = "Client is unauthorized to retrieve access tokens using this method, or client not authorized for any of \
                    the scopes requested.";
        return Err(Refusal::oauth(StatusCode::UNAUTHORIZED, "unauthorized_client", text));
    }
    let access_token = world.issue_access_token(index, lifetime);
    if let Some(access) = world.access.get_mut(&access_token) {
        access.delegated = true;
    }
    let answer =
        json!({"access_token": access_token, "expires_in": lifetime.as_secs(), "token_type": "Bearer"});
    Ok((index, answer))
}

fn is_signed(key: &RsaPrivateKey, message: &[u8], signature: &[u8]) -> bool {
    let key = VerifyingKey::<Sha256>::new(key.to_public_key());
    Signature::try_from(signature).is_ok_and(|signature| key.verify(message, &signature).is_ok())
}

fn part<T: DeserializeOwned>(text: &str) -> Option<T> {
    serde_json::from_slice(&bytes(text)?).ok()
}

/// Google takes parts with padding, too.
fn bytes(text: &str) -> Option<Vec<u8>> {
    URL_SAFE_NO_PAD.decode(text.trim_end_matches('=')).ok()
}

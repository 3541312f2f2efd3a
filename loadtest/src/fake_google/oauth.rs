//! The token endpoint and the check of access tokens.
//! <https://developers.google.com/identity/protocols/oauth2/web-server#offline>, RFC 6749 sections 5.2 and 6.

use std::time::{Duration, Instant};

use axum::http::{HeaderMap, StatusCode, header};
use serde_json::{Value, json};

use super::{query::Params, refusal::Refusal, world::World};

const SCOPE: &str = "https://www.googleapis.com/auth/calendar.readonly";

/// Answers a `grant_type=refresh_token` request: the account's index and the response.
pub(super) fn refresh(
    world: &mut World,
    form: &Params,
    lifetime: Duration,
) -> Result<(usize, Value), Refusal> {
    let bad = |error: &str, text: &str| Refusal::oauth(StatusCode::BAD_REQUEST, error, text);
    let client = form.get("client_id").unwrap_or_default();
    if world.clients.get(client).is_none_or(|secret| form.get("client_secret") != Some(secret)) {
        let text = "The OAuth client was not found or its secret is wrong.";
        return Err(Refusal::oauth(StatusCode::UNAUTHORIZED, "invalid_client", text));
    }
    match form.get("grant_type") {
        Some("refresh_token") => {}
        Some(_) => return Err(bad("unsupported_grant_type", "Invalid grant_type.")),
        None => return Err(bad("invalid_request", "Required parameter is missing: grant_type")),
    }
    let Some(token) = form.get("refresh_token") else {
        return Err(bad("invalid_request", "Missing required parameter: refresh_token"));
    };
    let account = match world.by_refresh_token.get(token) {
        Some(account) if !world.accounts[*account].revoked => *account,
        _ => return Err(bad("invalid_grant", "Token has been expired or revoked.")),
    };
    if world.accounts[account].client != client {
        return Err(Refusal::oauth(StatusCode::UNAUTHORIZED, "unauthorized_client", "Unauthorized"));
    }
    let access_token = world.issue_access_token(account, lifetime);
    let answer = json!({
        "access_token": access_token,
        "expires_in": lifetime.as_secs(),
        "scope": SCOPE,
        "token_type": "Bearer",
    });
    Ok((account, answer))
}

/// The bearer token of a request.
pub(super) fn bearer(headers: &HeaderMap) -> Option<&str> {
    headers.get(header::AUTHORIZATION)?.to_str().ok()?.strip_prefix("Bearer ")
}

/// The account whose access token this is, if it is still good.
pub(super) fn authenticate(world: &World, token: Option<&str>) -> Result<usize, Refusal> {
    let access = token.and_then(|token| world.access.get(token));
    let access = access.filter(|access| access.expires > Instant::now());
    access.map(|access| access.account).ok_or_else(Refusal::auth)
}

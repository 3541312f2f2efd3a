//! The token endpoint and the check of access tokens.
//! <https://developers.google.com/identity/protocols/oauth2/web-server#offline>, RFC 6749 sections 5.2 and 6.

use std::time::{Duration, Instant};

use axum::http::{HeaderMap, StatusCode, header};
use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use serde_json::{Value, json};

use super::{
    faults::Api,
    query::Params,
    refusal::Refusal,
    world::{World, subject},
};

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
    let consent = world.accounts[account].consent.clone();
    let mut answer = json!({
        "access_token": access_token,
        "expires_in": lifetime.as_secs(),
        "scope": consent.scopes.join(" "),
        "token_type": "Bearer",
    });
    if consent.has("openid") {
        answer["id_token"] = json!(id_token(world, account));
    }
    if consent.rotates {
        answer["refresh_token"] = json!(world.rotate(account, token));
    }
    if let Some(seconds) = consent.refresh_token_expires_in_s {
        answer["refresh_token_expires_in"] = json!(seconds);
    }
    Ok((account, answer))
}

/// An unsigned ID token: who takes it from the token endpoint itself need not look at the signature.
fn id_token(world: &World, account: usize) -> String {
    let account_of = &world.accounts[account];
    let now = world.now().timestamp();
    let mut claims = json!({
        "iss": "https://accounts.google.com",
        "aud": account_of.client,
        "sub": subject(account),
        "iat": now,
        "exp": now + 3600,
    });
    if account_of.consent.has("email") {
        claims["email"] = json!(account_of.email);
        claims["email_verified"] = json!(true);
    }
    let part = |value: &Value| URL_SAFE_NO_PAD.encode(value.to_string());
    format!("{}.{}.{}", part(&json!({"alg": "RS256", "typ": "JWT"})), part(&claims), "bm90LXNpZ25lZA")
}

const CALENDAR: [&str; 2] = ["calendar.readonly", "calendar"];
const DRIVE: [&str; 2] = ["drive.readonly", "drive"];

/// Refuses a call that the account has not granted.
pub(super) fn permit(world: &World, account: usize, api: Api) -> Result<(), Refusal> {
    let (names, whole): (&[&str], &[&str]) = match api {
        Api::CalendarList | Api::PrimaryCalendar => {
            (&["calendar.calendarlist.readonly", "calendar.calendarlist"], &CALENDAR)
        }
        Api::Events => (&["calendar.events.readonly", "calendar.events"], &CALENDAR),
        Api::Files | Api::File | Api::Changes | Api::StartPageToken => {
            (&["drive.metadata.readonly", "drive.metadata"], &DRIVE)
        }
        Api::Drives => (&[], &DRIVE),
        Api::Token => return Ok(()),
    };
    let mut enough = names.iter().chain(whole);
    let consent = &world.accounts[account].consent;
    if enough.any(|name| consent.has(&format!("https://www.googleapis.com/auth/{name}"))) {
        return Ok(());
    }
    let text = "Request had insufficient authentication scopes.";
    Err(Refusal::api(StatusCode::FORBIDDEN, "global", "insufficientPermissions", text))
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

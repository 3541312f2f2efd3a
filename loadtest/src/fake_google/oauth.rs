//! The token endpoint and the check of access tokens.
//! <https://developers.google.com/identity/protocols/oauth2/web-server#offline>, RFC 6749 sections 5.2 and 6.

use std::time::{Duration, Instant};

use axum::http::{HeaderMap, StatusCode, header};
use serde_json::{Value, json};

use super::{api::Api, id_token, query::Params, refusal::Refusal, sign_in, world::World};

/// Answers a request to the token endpoint: the account's index and the response.
pub(super) fn token(world: &mut World, form: &Params, lifetime: Duration) -> Result<(usize, Value), Refusal> {
    let bad = |error: &str, text: &str| Refusal::oauth(StatusCode::BAD_REQUEST, error, text);
    client(world, form)?;
    match form.get("grant_type") {
        Some("refresh_token") => refresh(world, form, lifetime),
        Some("authorization_code") => sign_in::exchange(world, form, lifetime),
        Some(_) => Err(bad("unsupported_grant_type", "Invalid grant_type.")),
        None => Err(bad("invalid_request", "Required parameter is missing: grant_type")),
    }
}

/// The OAuth client of a request, if it knows its secret.
pub(super) fn client<'a>(world: &World, form: &'a Params) -> Result<&'a str, Refusal> {
    let client = form.get("client_id").unwrap_or_default();
    if world.clients.get(client).is_none_or(|secret| form.get("client_secret") != Some(secret)) {
        let text = "The OAuth client was not found or its secret is wrong.";
        return Err(Refusal::oauth(StatusCode::UNAUTHORIZED, "invalid_client", text));
    }
    Ok(client)
}

/// Answers a `grant_type=refresh_token` request: the account's index and the response.
fn refresh(world: &mut World, form: &Params, lifetime: Duration) -> Result<(usize, Value), Refusal> {
    let bad = |error: &str, text: &str| Refusal::oauth(StatusCode::BAD_REQUEST, error, text);
    let client = client(world, form)?;
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
    let next = world.accounts[account].consent.rotates.then(|| world.rotate(account, token));
    Ok((account, granted(world, account, lifetime, None, next)?))
}

/// What the token endpoint answers to a good grant: an access token, what it opens and whose it is, and a refresh token if there is a new
/// one.
pub(super) fn granted(
    world: &mut World,
    account: usize,
    lifetime: Duration,
    nonce: Option<&str>,
    refresh_token: Option<String>,
) -> Result<Value, Refusal> {
    let access_token = world.issue_access_token(account, lifetime);
    let consent = world.accounts[account].consent.clone();
    let mut answer = json!({
        "access_token": access_token,
        "expires_in": lifetime.as_secs(),
        "scope": consent.scopes.join(" "),
        "token_type": "Bearer",
    });
    if consent.has("openid") {
        let claims = id_token::claims(world, account, nonce);
        answer["id_token"] = json!(id_token::signed(&claims)?);
    }
    if let Some(token) = refresh_token {
        answer["refresh_token"] = json!(token);
    }
    if let Some(seconds) = consent.refresh_token_expires_in_s {
        answer["refresh_token_expires_in"] = json!(seconds);
    }
    Ok(answer)
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
        Api::Files | Api::File | Api::Changes | Api::StartPageToken | Api::WatchChanges => {
            (&["drive.metadata.readonly", "drive.metadata"], &DRIVE)
        }
        Api::Drives | Api::Media | Api::Export => (&[], &DRIVE),
        Api::Token
        | Api::Watch
        | Api::StopChannel
        | Api::StopDriveChannel
        | Api::Revoke
        | Api::Discovery
        | Api::Certs => return Ok(()),
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

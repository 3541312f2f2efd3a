//! Where people sign in: discovery, the page of consent, codes, revocation.
//! <https://developers.google.com/identity/openid-connect/openid-connect>, RFC 6749 section 4.1, RFC 7636, RFC 7009.

use std::{
    fmt::Write as _,
    time::{Duration, Instant},
};

use axum::{
    extract::{Query, State},
    http::{StatusCode, header},
    response::{Html, IntoResponse, Response},
};
use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use ring::digest;
use serde_json::{Value, json};

use super::{
    Shared, lock, oauth,
    query::Params,
    refusal::Refusal,
    world::{Request, World},
};

/// The path of the page of consent.
pub(super) const PATH: &str = "/o/oauth2/v2/auth";

/// Scopes that cannot be left out: who it is.
const WHO: [&str; 3] = ["openid", "email", "profile"];

/// Everything that the page knows of.
const KNOWN: [&str; 14] = [
    "client_id",
    "redirect_uri",
    "response_type",
    "scope",
    "state",
    "nonce",
    "access_type",
    "prompt",
    "login_hint",
    "include_granted_scopes",
    "code_challenge",
    "code_challenge_method",
    "hd",
    "enable_granular_consent",
];

/// `/.well-known/openid-configuration`.
pub(super) fn discovery(issuer: &str) -> Value {
    json!({
        "issuer": issuer,
        "authorization_endpoint": format!("{issuer}{PATH}"),
        "token_endpoint": format!("{issuer}/token"),
        "revocation_endpoint": format!("{issuer}/revoke"),
        "jwks_uri": format!("{issuer}/oauth2/v3/certs"),
        "response_types_supported": ["code"],
        "subject_types_supported": ["public"],
        "id_token_signing_alg_values_supported": ["RS256"],
        "scopes_supported": ["openid", "email", "profile"],
        "token_endpoint_auth_methods_supported": ["client_secret_post", "client_secret_basic"],
        "code_challenge_methods_supported": ["plain", "S256"],
    })
}

/// Reads a request for consent. An error is told on a page, as the client cannot be trusted with it.
fn request(world: &World, params: &Params) -> Result<Request, String> {
    let unknown = params.0.iter().find(|(key, _)| !KNOWN.contains(&key.as_str()));
    if let Some((key, _)) = unknown {
        return Err(format!("Error 400: invalid_request. Unknown parameter: {key}"));
    }
    if let Some(name) = KNOWN.iter().find(|name| params.0.iter().filter(|(key, _)| key == *name).count() > 1)
    {
        return Err(format!("Error 400: invalid_request. Given twice: {name}"));
    }
    let required = |name: &str| {
        let value = params.get(name).filter(|value| !value.is_empty());
        value.map(str::to_owned).ok_or_else(|| format!("Error 400: invalid_request. Missing: {name}"))
    };
    let client = required("client_id")?;
    if !world.clients.contains_key(&client) {
        return Err("Error 401: invalid_client. The OAuth client was not found.".to_owned());
    }
    let redirect_uri = required("redirect_uri")?;
    let registered = world.redirect_uris.get(&client);
    if registered.is_some_and(|uris| !uris.contains(&redirect_uri)) || !redirect_uri.starts_with("http") {
        return Err(format!("Error 400: redirect_uri_mismatch. {redirect_uri} is not registered."));
    }
    if required("response_type")? != "code" {
        return Err("Error 400: unsupported_response_type.".to_owned());
    }
    let challenge = params.get("code_challenge").map(str::to_owned);
    if challenge.is_some() && params.get("code_challenge_method") != Some("S256") {
        return Err("Error 400: invalid_request. code_challenge_method: the fake takes S256 only.".to_owned());
    }
    let has = |name: &str, word: &str| {
        params.get(name).is_some_and(|text| text.split(' ').any(|part| part == word))
    };
    Ok(Request {
        client,
        redirect_uri,
        scopes: required("scope")?.split_ascii_whitespace().map(str::to_owned).collect(),
        challenge,
        nonce: params.get("nonce").map(str::to_owned),
        offline: has("access_type", "offline"),
        asks_anew: has("prompt", "consent"),
        keeps_granted: has("include_granted_scopes", "true"),
    })
}

/// `GET /o/oauth2/v2/auth`: the page of consent, as a browser sees it.
pub(super) async fn page(
    State(shared): State<Shared>,
    Query(pairs): Query<Vec<(String, String)>>,
) -> Response {
    let params = Params(pairs);
    let world = lock(&shared.world);
    match request(&world, &params) {
        Ok(request) => Html(consent(&world, &request, &params)).into_response(),
        Err(text) => refused(&text),
    }
}

fn refused(text: &str) -> Response {
    let page = document("Access blocked", &format!("<p id=\"error\">{}</p>", escaped(text)));
    (StatusCode::BAD_REQUEST, Html(page)).into_response()
}

/// `POST /o/oauth2/v2/auth`: the user's decision. The query is that of the page; the form has `account`, `scope` (again for
/// each that is ticked) and `decision`.
pub(super) async fn decide(
    State(shared): State<Shared>,
    Query(pairs): Query<Vec<(String, String)>>,
    form: axum::body::Bytes,
) -> Response {
    let (params, form) = (Params(pairs), Params(super::answer::form(&form)));
    let mut world = lock(&shared.world);
    let request = match request(&world, &params) {
        Ok(request) => request,
        Err(text) => return refused(&text),
    };
    let mut back = vec![("state", params.get("state").unwrap_or_default().to_owned())];
    if form.get("decision") == Some("allow") {
        let Some(account) = form.get("account") else { return refused("Choose an account.") };
        let ticked = |scope: &&String| {
            WHO.contains(&scope.as_str())
                || form.0.iter().any(|(key, value)| key == "scope" && value == *scope)
        };
        let granted: Vec<String> = request.scopes.iter().filter(ticked).cloned().collect();
        back.push(("scope", granted.join(" ")));
        match world.allow(account, request.clone(), granted) {
            Ok(code) => back.push(("code", code)),
            Err(error) => return refused(&error.to_string()),
        }
    } else {
        back.push(("error", "access_denied".to_owned()));
    }
    let query: Vec<_> = back.iter().map(|(key, value)| format!("{key}={}", percent(value))).collect();
    let mark = if request.redirect_uri.contains('?') { '&' } else { '?' };
    let location = format!("{}{mark}{}", request.redirect_uri, query.join("&"));
    (StatusCode::FOUND, [(header::LOCATION, location)]).into_response()
}

/// `grant_type=authorization_code`: the account's index and the response.
pub(super) fn exchange(
    world: &mut World,
    form: &Params,
    lifetime: Duration,
) -> Result<(usize, Value), Refusal> {
    let bad = |error: &str, text: &str| Refusal::oauth(StatusCode::BAD_REQUEST, error, text);
    let client = oauth::client(world, form)?.to_owned();
    let name = form.get("code").ok_or_else(|| bad("invalid_request", "Missing required parameter: code"))?;
    let Some(code) = world.codes.get_mut(name).filter(|code| code.request.client == client) else {
        return Err(bad("invalid_grant", "Malformed auth code."));
    };
    // Good for one request, whatever comes of it.
    let used = std::mem::replace(&mut code.used, true);
    let code = code.clone();
    if used || code.expires <= Instant::now() {
        return Err(bad("invalid_grant", "Bad Request"));
    }
    if form.get("redirect_uri") != Some(&code.request.redirect_uri) {
        return Err(bad("redirect_uri_mismatch", "Bad Request"));
    }
    if let Some(challenge) = &code.request.challenge {
        let verifier = form.get("code_verifier");
        let verifier = verifier.ok_or_else(|| bad("invalid_grant", "Missing code verifier."))?;
        let hash = digest::digest(&digest::SHA256, verifier.as_bytes());
        if URL_SAFE_NO_PAD.encode(hash) != *challenge {
            return Err(bad("invalid_grant", "Invalid code verifier."));
        }
    }
    let failed = |error: anyhow::Error| bad("invalid_request", &error.to_string());
    let refresh_token = world.settle(&code).map_err(failed)?;
    let nonce = code.request.nonce.as_deref();
    Ok((code.account, oauth::granted(world, code.account, lifetime, nonce, refresh_token)?))
}

/// `POST /revoke`: a refresh or access token ends the whole grant.
pub(super) fn revoke(world: &mut World, form: &Params) -> Result<Value, Refusal> {
    let bad = |error: &str, text: &str| Refusal::oauth(StatusCode::BAD_REQUEST, error, text);
    let token =
        form.get("token").ok_or_else(|| bad("invalid_request", "Missing required parameter: token"))?;
    let account = world.by_token(token).filter(|account| !world.accounts[*account].revoked);
    let account = account.ok_or_else(|| bad("invalid_token", "Token expired or revoked"))?;
    let email = world.accounts[account].email.clone();
    world.revoke(&email).map_err(|error| bad("invalid_request", &error.to_string()))?;
    Ok(json!({}))
}

const STYLE: &str = "body{font:16px/1.5 sans-serif;margin:0;background:#eef1f6;color:#202124}
main{max-width:34rem;margin:3rem auto;padding:2rem;background:#fff;border-radius:16px}
h1{font-size:1.4rem;margin-top:0}fieldset{border:1px solid #ccd2dc;border-radius:8px;margin:1rem 0}
label{display:flex;gap:.6rem;align-items:baseline;padding:.3rem 0;overflow-wrap:anywhere}button{font:inherit;padding:.5rem 1.5rem;margin-right:1rem}";

fn document(title: &str, body: &str) -> String {
    format!(
        "<!doctype html>\n<html lang=\"en\"><head><meta charset=\"utf-8\"><title>{title} - fake Google</title>\
        <style>{STYLE}</style></head>\n<body><main><h1>{title}</h1>{body}</main></body></html>\n"
    )
}

fn consent(world: &World, request: &Request, params: &Params) -> String {
    let hint = params.get("login_hint").unwrap_or_default();
    let mut accounts: Vec<&str> = world.accounts.iter().map(|account| account.email.as_str()).collect();
    accounts.sort_unstable();
    let chosen = accounts.iter().find(|email| email.eq_ignore_ascii_case(hint)).or(accounts.first()).copied();
    let mut body =
        format!("<p>{} wants access to your account.</p><form method=\"post\">", escaped(&request.client));
    // Writing to a string does not fail.
    body.push_str("<fieldset><legend>Account</legend>");
    for email in accounts.iter().take(50) {
        let checked = if Some(*email) == chosen { " checked" } else { "" };
        let email = escaped(email);
        let _ = writeln!(
            body,
            "<label><input type=\"radio\" name=\"account\" value=\"{email}\"{checked}><span>{email}</span></label>"
        );
    }
    body.push_str("</fieldset><fieldset><legend>What it may do</legend>");
    for scope in request.scopes.iter().filter(|scope| !WHO.contains(&scope.as_str())) {
        let scope = escaped(scope);
        let _ = writeln!(
            body,
            "<label><input type=\"checkbox\" name=\"scope\" value=\"{scope}\" checked><span>{scope}</span></label>"
        );
    }
    body.push_str(
        "</fieldset><button name=\"decision\" value=\"allow\">Allow</button>\
        <button name=\"decision\" value=\"deny\">Deny</button></form>",
    );
    document("Sign in with a fake Google", &body)
}

fn escaped(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;").replace('"', "&quot;")
}

/// A value of a query.
fn percent(text: &str) -> String {
    text.bytes().fold(String::new(), |mut query, byte| {
        if byte.is_ascii_alphanumeric() || b"-._~".contains(&byte) {
            query.push(char::from(byte));
        } else {
            let _ = write!(query, "%{byte:02X}");
        }
        query
    })
}

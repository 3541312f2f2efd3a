//! What a channel may be asked for with.

use axum::http::{StatusCode, Uri};
use chrono::{DateTime, TimeDelta, Utc};
use serde::Deserialize;
use serde_json::Value;

use crate::fake_google::refusal::Refusal;

/// A channel as it is asked for: what Google knows, and nothing else.
#[derive(Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub(super) struct Asked {
    pub(super) id: Option<String>,
    #[serde(rename = "type")]
    pub(super) kind_of: Option<String>,
    pub(super) address: Option<String>,
    pub(super) token: Option<String>,
    pub(super) expiration: Option<Value>,
    pub(super) params: Option<AskedParams>,
    #[expect(dead_code, reason = "known, and without effect")]
    payload: Option<bool>,
    #[expect(dead_code, reason = "known, and without effect")]
    kind: Option<String>,
    pub(super) resource_id: Option<String>,
    pub(super) resource_uri: Option<String>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct AskedParams {
    pub(super) ttl: Option<String>,
}

/// Milliseconds in a string, as Google writes them, or as a number; or seconds from now.
pub(super) fn asked_expiry(
    expiration: Option<&Value>,
    params: Option<&AskedParams>,
    now: DateTime<Utc>,
    (usual, longest): (TimeDelta, TimeDelta),
) -> Result<DateTime<Utc>, Refusal> {
    let ttl = params.and_then(|params| params.ttl.as_deref());
    let expires = match (expiration, ttl) {
        (None, None) => return Ok(now + usual),
        (Some(value), _) => {
            let millis = value.as_i64().or_else(|| value.as_str().and_then(|text| text.parse().ok()));
            millis.and_then(DateTime::from_timestamp_millis)
        }
        (None, Some(ttl)) => ttl.parse().ok().and_then(TimeDelta::try_seconds).map(|ttl| now + ttl),
    };
    let expires = expires.ok_or_else(|| Refusal::invalid("Invalid expiration"))?;
    if expires <= now {
        return Err(Refusal::invalid("The channel's expiration is in the past"));
    }
    Ok(expires.min(now + longest))
}

pub(super) fn bad(reason: &str, message: &str) -> Refusal {
    Refusal::api(StatusCode::BAD_REQUEST, "global", reason, message)
}

/// Google calls https alone. Loopback addresses by http are for tests, and have to be allowed.
pub(super) fn check_address(address: &str, insecure: bool) -> Result<(), Refusal> {
    let uri: Option<Uri> = address.parse().ok();
    let host = uri.as_ref().and_then(Uri::host);
    match uri.as_ref().and_then(Uri::scheme_str) {
        Some("https") if host.is_some() => Ok(()),
        Some("http") if insecure && matches!(host, Some("127.0.0.1" | "localhost" | "[::1]")) => Ok(()),
        _ => Err(bad("push.webhookUrlNotHttps", &format!("WebHook callback must be HTTPS: {address}"))),
    }
}

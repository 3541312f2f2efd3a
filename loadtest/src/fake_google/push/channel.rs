//! `watch` and `channels.stop`.

use axum::{
    body::Bytes,
    extract::{Path, State},
    http::{HeaderMap, StatusCode, Uri},
    response::Response,
};
use chrono::{DateTime, TimeDelta, Utc};
use serde::Deserialize;
use serde_json::{Value, json};

use super::{Inner, PushChannel, deliver};
use crate::fake_google::{
    Shared,
    answer::{Caller, account_of, answer},
    calendar::Role,
    faults::Api,
    lock, oauth,
    refusal::Refusal,
    stats::Call,
    world::World,
};

/// Calendar's usual life of a channel, and the longest.
const USUAL: TimeDelta = TimeDelta::seconds(604_800);
const LONGEST: TimeDelta = TimeDelta::days(30);

/// What is watched.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Watched {
    List(usize),
    /// The account, and the calendar.
    Events(usize, usize),
}

#[derive(Debug, Clone)]
pub(super) struct Channel {
    pub(super) id: String,
    /// The account that made it.
    pub(super) account: usize,
    pub(super) watched: Watched,
    pub(super) resource_id: String,
    pub(super) resource_uri: String,
    pub(super) address: String,
    pub(super) token: Option<String>,
    pub(super) expires: DateTime<Utc>,
    pub(super) number: u64,
    /// The version of what is watched that was told last.
    pub(super) seen: u64,
}

impl Channel {
    pub(super) fn view(&self, world: &World) -> PushChannel {
        PushChannel {
            id: self.id.clone(),
            account: world.accounts[self.account].email.clone(),
            resource_id: self.resource_id.clone(),
            calendar: match self.watched {
                Watched::List(_) => None,
                Watched::Events(_, calendar) => Some(world.calendars[calendar].id.clone()),
            },
            address: self.address.clone(),
            token: self.token.clone(),
            expires: self.expires,
            number: self.number,
        }
    }
}

impl Watched {
    pub(super) fn version(self, world: &World) -> u64 {
        match self {
            Self::List(account) => world.accounts[account].version,
            Self::Events(_, calendar) => world.calendars[calendar].version,
        }
    }
}

/// A channel as it is asked for: what Google knows, and nothing else.
#[derive(Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
struct Asked {
    id: Option<String>,
    #[serde(rename = "type")]
    kind_of: Option<String>,
    address: Option<String>,
    token: Option<String>,
    expiration: Option<Value>,
    params: Option<Params>,
    #[expect(dead_code, reason = "known, and without effect")]
    payload: Option<bool>,
    #[expect(dead_code, reason = "known, and without effect")]
    kind: Option<String>,
    resource_id: Option<String>,
    resource_uri: Option<String>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Params {
    ttl: Option<String>,
}

/// `POST /calendar/v3/users/me/calendarList/watch`.
pub(in crate::fake_google) async fn watch_list(
    State(shared): State<Shared>,
    caller: Caller,
    uri: Uri,
    headers: HeaderMap,
    body: Bytes,
) -> Response {
    watch(shared, caller, uri, headers, body, None).await
}

/// `POST /calendar/v3/calendars/{id}/events/watch`.
pub(in crate::fake_google) async fn watch_events(
    State(shared): State<Shared>,
    caller: Caller,
    uri: Uri,
    Path(calendar): Path<String>,
    headers: HeaderMap,
    body: Bytes,
) -> Response {
    watch(shared, caller, uri, headers, body, Some(calendar)).await
}

async fn watch(
    shared: Shared,
    caller: Caller,
    uri: Uri,
    headers: HeaderMap,
    body: Bytes,
    calendar: Option<String>,
) -> Response {
    let token = oauth::bearer(&headers);
    let account = account_of(&shared, token);
    let call = Call {
        api: Api::Watch,
        path: uri.path().to_owned(),
        account,
        collection: calendar.clone(),
        list: None,
    };
    let mut made = None;
    let response = answer(&shared, &caller.0, call, |_| {
        let world = lock(&shared.world);
        let account = oauth::authenticate(&world, token)?;
        let api = if calendar.is_some() { Api::Events } else { Api::CalendarList };
        oauth::permit(&world, account, api)?;
        let mut inner = lock(&shared.push.inner);
        let insecure = shared.options.http_callbacks;
        let channel = make(&world, &mut inner, account, calendar.as_deref(), &body, insecure)?;
        let answer = json!({
            "kind": "api#channel",
            "id": channel.id,
            "resourceId": channel.resource_id,
            "resourceUri": channel.resource_uri,
            "token": channel.token,
            "expiration": channel.expires.timestamp_millis().to_string(),
        });
        made = Some((channel.id, inner.faults.sync_first));
        Ok(answer)
    })
    .await;
    if let Some((id, sync_first)) = made {
        let sent = deliver::sync(&shared, &id);
        if sync_first {
            // Whoever is called answers, or its time is over.
            let _ = sent.await;
        }
    }
    response
}

fn make(
    world: &World,
    inner: &mut Inner,
    account: usize,
    calendar: Option<&str>,
    body: &[u8],
    insecure: bool,
) -> Result<Channel, Refusal> {
    let asked: Asked =
        serde_json::from_slice(body).map_err(|error| Refusal::bad_request(&error.to_string()))?;
    let required = |name: &str| Refusal::api(StatusCode::BAD_REQUEST, "global", "required", name);
    let id = asked.id.ok_or_else(|| required("entity.channel.id"))?;
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-_+/=".contains(&byte);
    if !(1..=64).contains(&id.len()) || !id.bytes().all(plain) {
        return Err(bad(
            "channelIdInvalid",
            "Channel id must match the pattern [A-Za-z0-9\\-_\\+/=]+ and be at most 64 characters",
        ));
    }
    if asked.kind_of.as_deref() != Some("web_hook") {
        return Err(bad("push.channelTypeNotSupported", "Channel type not supported"));
    }
    if asked.resource_id.is_some() || asked.resource_uri.is_some() {
        return Err(Refusal::invalid("resourceId and resourceUri are for the answer"));
    }
    let address = asked.address.ok_or_else(|| required("entity.channel.address"))?;
    check_address(&address, insecure)?;
    if inner.faults.unauthorized {
        let text = format!("Unauthorized WebHook callback channel: {address}");
        return Err(Refusal::api(StatusCode::UNAUTHORIZED, "global", "push.webhookUrlUnauthorized", &text));
    }
    if asked.token.as_ref().is_some_and(|token| token.len() > 256) {
        return Err(bad("channelTokenTooLong", "Channel token must be at most 256 characters"));
    }
    let (watched, path) = match calendar {
        None => (Watched::List(account), "users/me/calendarList".to_owned()),
        Some(name) => {
            let name = if name == "primary" { world.accounts[account].email.as_str() } else { name };
            let entry = world.accounts[account].list.get(name).filter(|entry| !entry.deleted);
            let entry = entry.filter(|entry| entry.role >= Role::Reader).ok_or_else(Refusal::not_found)?;
            if inner.faults.unsupported.iter().any(|unsupported| unsupported == name) {
                let text = "Push notifications are not supported by this resource.";
                return Err(bad("pushNotSupportedForRequestedResource", text));
            }
            (Watched::Events(account, entry.calendar), format!("calendars/{name}/events"))
        }
    };
    let now = world.now();
    let mut expires = asked_expiry(asked.expiration.as_ref(), asked.params.as_ref(), now)?;
    if let Some(seconds) = inner.faults.lifetime_s {
        expires = expires.min(now + TimeDelta::seconds(i64::try_from(seconds).unwrap_or(i64::MAX)));
    }
    if inner.faults.taken > 0 {
        inner.faults.taken -= 1;
        inner.used.insert(id.clone());
    }
    if !inner.used.insert(id.clone()) {
        return Err(bad("channelIdNotUnique", &format!("Channel id {id} not unique")));
    }
    let channel = Channel {
        id,
        account,
        watched,
        resource_id: resource_id(&world.accounts[account].email, &path),
        resource_uri: format!("https://www.googleapis.com/calendar/v3/{path}?alt=json"),
        address,
        token: asked.token,
        expires,
        number: 0,
        seen: watched.version(world),
    };
    inner.live.push(channel.clone());
    Ok(channel)
}

fn bad(reason: &str, message: &str) -> Refusal {
    Refusal::api(StatusCode::BAD_REQUEST, "global", reason, message)
}

/// Google calls https alone. Loopback addresses by http are for tests, and have to be allowed.
fn check_address(address: &str, insecure: bool) -> Result<(), Refusal> {
    let uri: Option<Uri> = address.parse().ok();
    let host = uri.as_ref().and_then(Uri::host);
    match uri.as_ref().and_then(Uri::scheme_str) {
        Some("https") if host.is_some() => Ok(()),
        Some("http") if insecure && matches!(host, Some("127.0.0.1" | "localhost" | "[::1]")) => Ok(()),
        _ => Err(bad("push.webhookUrlNotHttps", &format!("WebHook callback must be HTTPS: {address}"))),
    }
}

/// Milliseconds in a string, as Google writes them, or as a number; or seconds from now.
fn asked_expiry(
    expiration: Option<&Value>,
    params: Option<&Params>,
    now: DateTime<Utc>,
) -> Result<DateTime<Utc>, Refusal> {
    let ttl = params.and_then(|params| params.ttl.as_deref());
    let expires = match (expiration, ttl) {
        (None, None) => return Ok(now + USUAL),
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
    Ok(expires.min(now + LONGEST))
}

/// The same for the same resource, whoever asks when; it tells nothing.
fn resource_id(account: &str, path: &str) -> String {
    // FNV-1a (<http://www.isthe.com/chongo/tech/comp/fnv/>): two of them fill the usual length.
    let hash = |salt: u8| {
        let bytes = account.bytes().chain([0, salt]).chain(path.bytes());
        bytes.fold(0xcbf2_9ce4_8422_2325_u64, |hash, byte| {
            (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3)
        })
    };
    format!("{:013x}{:013x}", hash(1) >> 12, hash(2) >> 12)
}

/// `POST /calendar/v3/channels/stop`.
pub(in crate::fake_google) async fn stop(
    State(shared): State<Shared>,
    caller: Caller,
    uri: Uri,
    headers: HeaderMap,
    body: Bytes,
) -> Response {
    let token = oauth::bearer(&headers);
    let account = account_of(&shared, token);
    let call =
        Call { api: Api::StopChannel, path: uri.path().to_owned(), account, collection: None, list: None };
    answer(&shared, &caller.0, call, |_| {
        let world = lock(&shared.world);
        let account = oauth::authenticate(&world, token)?;
        let asked: Asked =
            serde_json::from_slice(&body).map_err(|error| Refusal::bad_request(&error.to_string()))?;
        let (Some(id), Some(resource_id)) = (asked.id, asked.resource_id) else {
            return Err(Refusal::api(StatusCode::BAD_REQUEST, "global", "required", "id and resourceId"));
        };
        let now = world.now();
        let live = &mut lock(&shared.push.inner).live;
        let place = live.iter().position(|channel| {
            channel.id == id
                && channel.resource_id == resource_id
                && channel.account == account
                && channel.expires > now
        });
        let Some(place) = place else {
            let text = format!("Channel '{id}' not found for project 'fake'");
            return Err(Refusal::api(StatusCode::NOT_FOUND, "global", "notFound", &text));
        };
        live.remove(place);
        // No content.
        Ok(Value::Null)
    })
    .await
}

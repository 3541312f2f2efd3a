//! `watch` and `channels.stop`.

use axum::{
    body::Bytes,
    extract::{Path, Query, State},
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
    drive,
    faults::Api,
    lock, oauth,
    query::Params,
    refusal::Refusal,
    stats::Call,
    world::World,
};

/// The usual life of a channel, and the longest: Calendar's, and that of Drive's logs.
const CALENDAR: (TimeDelta, TimeDelta) = (TimeDelta::seconds(604_800), TimeDelta::days(30));
const DRIVE: (TimeDelta, TimeDelta) = (TimeDelta::seconds(3600), TimeDelta::seconds(604_800));

/// What is watched, by the account that watches it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Watched {
    List,
    /// A calendar.
    Events(usize),
    /// A shared drive's log, or the account's own.
    Changes(Option<String>),
}

/// What is asked to be watched.
#[derive(Debug)]
enum Target {
    List,
    Events(String),
    Changes(Params),
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
                Watched::Events(calendar) => Some(world.calendars[calendar].id.clone()),
                Watched::List | Watched::Changes(_) => None,
            },
            drive: match &self.watched {
                Watched::Changes(drive) => Some(drive.clone().unwrap_or_else(|| MINE.to_owned())),
                Watched::List | Watched::Events(_) => None,
            },
            address: self.address.clone(),
            token: self.token.clone(),
            expires: self.expires,
            number: self.number,
        }
    }
}

impl Channel {
    /// The version of what is watched; none: the account does not see it any more.
    pub(super) fn version(&self, world: &World) -> Option<u64> {
        self.watched.version(world, self.account)
    }

    /// What a message says of a change.
    pub(super) const fn state(&self) -> &'static str {
        if self.watched.is_drive() { "change" } else { "exists" }
    }

    /// A message's body: Calendar sends none.
    pub(super) const fn body(&self) -> &'static str {
        if self.watched.is_drive() { r#"{"kind": "drive#changes"}"# } else { "" }
    }
}

impl Watched {
    fn version(&self, world: &World, account: usize) -> Option<u64> {
        let of = &world.accounts[account];
        match self {
            Self::List => Some(of.version),
            Self::Events(calendar) => Some(world.calendars[*calendar].version),
            Self::Changes(drive) => world.drive.log_version(account, &of.email, drive.as_deref()),
        }
    }

    const fn is_drive(&self) -> bool {
        matches!(self, Self::Changes(_))
    }
}

/// As which everybody's own drive is named.
const MINE: &str = "my drive";

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
    params: Option<AskedParams>,
    #[expect(dead_code, reason = "known, and without effect")]
    payload: Option<bool>,
    #[expect(dead_code, reason = "known, and without effect")]
    kind: Option<String>,
    resource_id: Option<String>,
    resource_uri: Option<String>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct AskedParams {
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
    watch(shared, caller, uri, headers, body, Target::List).await
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
    watch(shared, caller, uri, headers, body, Target::Events(calendar)).await
}

/// `POST /drive/v3/changes/watch`.
pub(in crate::fake_google) async fn watch_changes(
    State(shared): State<Shared>,
    caller: Caller,
    uri: Uri,
    Query(pairs): Query<Vec<(String, String)>>,
    headers: HeaderMap,
    body: Bytes,
) -> Response {
    watch(shared, caller, uri, headers, body, Target::Changes(Params(pairs))).await
}

async fn watch(
    shared: Shared,
    caller: Caller,
    uri: Uri,
    headers: HeaderMap,
    body: Bytes,
    target: Target,
) -> Response {
    let token = oauth::bearer(&headers);
    let account = account_of(&shared, token);
    let (api, collection) = match &target {
        Target::List => (Api::Watch, None),
        Target::Events(calendar) => (Api::Watch, Some(calendar.clone())),
        Target::Changes(params) => {
            (Api::WatchChanges, Some(params.get("driveId").unwrap_or(MINE).to_owned()))
        }
    };
    let call = Call { api, path: uri.path().to_owned(), account, collection, list: None };
    let mut made = None;
    let response = answer(&shared, &caller.0, call, |_| {
        let world = lock(&shared.world);
        let account = oauth::authenticate(&world, token)?;
        let api = match &target {
            Target::List => Api::CalendarList,
            Target::Events(_) => Api::Events,
            Target::Changes(_) => Api::WatchChanges,
        };
        oauth::permit(&world, account, api)?;
        let mut inner = lock(&shared.push.inner);
        let insecure = shared.options.http_callbacks;
        let channel = make(&world, &mut inner, account, &target, &body, insecure)?;
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
    target: &Target,
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
    let (watched, path) = find(world, inner, account, target)?;
    let now = world.now();
    let lives = if watched.is_drive() { DRIVE } else { CALENDAR };
    let mut expires = asked_expiry(asked.expiration.as_ref(), asked.params.as_ref(), now, lives)?;
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
        resource_id: resource_id(&world.accounts[account].email, &path),
        resource_uri: format!("https://www.googleapis.com/{path}alt=json"),
        address,
        token: asked.token,
        expires,
        number: 0,
        seen: watched.version(world, account).unwrap_or_default(),
        watched,
    };
    inner.live.push(channel.clone());
    Ok(channel)
}

/// What is to be watched, and its address as Google tells it, open for one more parameter.
fn find(world: &World, inner: &Inner, account: usize, target: &Target) -> Result<(Watched, String), Refusal> {
    let of = &world.accounts[account];
    let (watched, name, path) = match target {
        Target::List => (Watched::List, "", "calendar/v3/users/me/calendarList?".to_owned()),
        Target::Events(name) => {
            let name = if name == "primary" { of.email.as_str() } else { name.as_str() };
            let entry = of.list.get(name).filter(|entry| !entry.deleted);
            let entry = entry.filter(|entry| entry.role >= Role::Reader).ok_or_else(Refusal::not_found)?;
            (Watched::Events(entry.calendar), name, format!("calendar/v3/calendars/{name}/events?"))
        }
        Target::Changes(params) => {
            let drive = drive::watched(world, account, params)?;
            let of_drive = drive.as_ref().map_or_else(String::new, |drive| format!("driveId={drive}&"));
            let name = params.get("driveId").unwrap_or(MINE);
            (Watched::Changes(drive), name, format!("drive/v3/changes?{of_drive}"))
        }
    };
    if inner.faults.unsupported.iter().any(|unsupported| unsupported == name) {
        let text = "Push notifications are not supported by this resource.";
        return Err(bad("pushNotSupportedForRequestedResource", text));
    }
    Ok((watched, path))
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
pub(in crate::fake_google) async fn stop_calendar(
    State(shared): State<Shared>,
    caller: Caller,
    uri: Uri,
    headers: HeaderMap,
    body: Bytes,
) -> Response {
    stop(shared, caller, uri, headers, body, Api::StopChannel).await
}

/// `POST /drive/v3/channels/stop`.
pub(in crate::fake_google) async fn stop_drive(
    State(shared): State<Shared>,
    caller: Caller,
    uri: Uri,
    headers: HeaderMap,
    body: Bytes,
) -> Response {
    stop(shared, caller, uri, headers, body, Api::StopDriveChannel).await
}

/// An API ends its own channels, and knows no others.
async fn stop(
    shared: Shared,
    caller: Caller,
    uri: Uri,
    headers: HeaderMap,
    body: Bytes,
    api: Api,
) -> Response {
    let token = oauth::bearer(&headers);
    let account = account_of(&shared, token);
    let call = Call { api, path: uri.path().to_owned(), account, collection: None, list: None };
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
                && channel.watched.is_drive() == api.is_drive()
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

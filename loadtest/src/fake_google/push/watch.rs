//! `watch`: a channel is made.

use axum::{
    extract::{Path, Query},
    http::StatusCode,
    response::Response,
};
use chrono::TimeDelta;
use serde_json::json;

use super::{
    Inner,
    asked::{Asked, asked_expiry, bad, check_address},
    channel::{Channel, MINE, Watched},
    deliver,
    posted::Posted,
};
use crate::fake_google::{
    answer::{account_of, answer},
    api::Api,
    calendar::Role,
    drive, lock, oauth,
    query::Params,
    refusal::Refusal,
    stats::Call,
    world::World,
};

/// The usual life of a channel, and the longest: Calendar's, and that of Drive's logs.
const CALENDAR: (TimeDelta, TimeDelta) = (TimeDelta::seconds(604_800), TimeDelta::days(30));
const DRIVE: (TimeDelta, TimeDelta) = (TimeDelta::seconds(3600), TimeDelta::seconds(604_800));

/// What is asked to be watched.
#[derive(Debug)]
enum Target {
    List,
    Events(String),
    Changes(Params),
}

/// `POST /calendar/v3/users/me/calendarList/watch`.
pub(in crate::fake_google) async fn watch_list(posted: Posted) -> Response {
    watch(posted, Target::List).await
}

/// `POST /calendar/v3/calendars/{id}/events/watch`.
pub(in crate::fake_google) async fn watch_events(Path(calendar): Path<String>, posted: Posted) -> Response {
    watch(posted, Target::Events(calendar)).await
}

/// `POST /drive/v3/changes/watch`.
pub(in crate::fake_google) async fn watch_changes(
    Query(pairs): Query<Vec<(String, String)>>,
    posted: Posted,
) -> Response {
    watch(posted, Target::Changes(Params(pairs))).await
}

async fn watch(Posted { shared, caller, uri, headers, body }: Posted, target: Target) -> Response {
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

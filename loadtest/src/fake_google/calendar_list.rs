//! `calendarList.list`: <https://developers.google.com/workspace/calendar/api/v3/reference/calendarList/list>.

use serde_json::{Value, json};

use super::{
    calendar::Role,
    cursor::Scope,
    event::quoted_etag,
    list::{self, Current},
    query::Params,
    refusal::Refusal,
    world::{Account, Entry, World},
};

const KNOWN: [&str; 6] =
    ["maxResults", "minAccessRole", "pageToken", "showDeleted", "showHidden", "syncToken"];

/// One page of an account's calendar list.
pub(super) fn page(world: &World, account: usize, params: &Params, cap: usize) -> Result<Value, Refusal> {
    params.only(&KNOWN)?;
    let size = params.max_results(100, 250)?.min(cap);
    let min_role = params.get("minAccessRole").map(role).transpose()?;
    let (mut show_deleted, mut show_hidden) = (params.flag("showDeleted")?, params.flag("showHidden")?);
    if params.get("syncToken").is_some() {
        params.none_with_sync_token(&["minAccessRole"])?;
        for name in ["showDeleted", "showHidden"] {
            if params.get(name) == Some("false") {
                return Err(Refusal::bad_request(&format!(
                    "{name}=false cannot be used together with syncToken."
                )));
            }
        }
        (show_deleted, show_hidden) = (true, true);
    }
    let owner = &world.accounts[account];
    let current = Current { scope: Scope::List(account), epoch: owner.epoch, version: owner.version };
    let walk = list::begin(params, current, params.repeated(&["minAccessRole"]))?;

    let mut entries: Vec<(String, &String, &Entry)> = owner
        .list
        .iter()
        .map(|(id, entry)| match walk.since {
            Some(_) => (format!("{:020}", entry.version), id, entry),
            None => (id.clone(), id, entry),
        })
        .filter(|(key, _, entry)| {
            walk.since.is_none_or(|since| entry.version > since && entry.version <= walk.then.version)
                && walk.after.as_ref().is_none_or(|after| key > after)
        })
        .collect();
    entries.sort_by(|(a, ..), (b, ..)| a.cmp(b));
    let next = match size {
        0 => Some(walk.start()),
        _ => (entries.len() > size).then(|| entries[size - 1].0.clone()),
    };
    entries.truncate(size);
    let shown = |entry: &&Entry| {
        (show_deleted || !entry.deleted)
            && (show_hidden || !entry.hidden)
            && min_role.is_none_or(|least| entry.role >= least)
    };
    let items = entries.iter().map(|(_, _, entry)| *entry).filter(shown);
    let mut answer = json!({
        "kind": "calendar#calendarList",
        "etag": format!("\"p{}\"", owner.version),
        "items": items.map(|entry| resource(world, owner, entry)).collect::<Vec<_>>(),
    });
    list::finish(&mut answer, walk, next);
    Ok(answer)
}

/// The entry of the account's primary calendar, as `calendarList.get` gives it.
pub(super) fn primary(world: &World, account: usize) -> Result<Value, Refusal> {
    let owner = &world.accounts[account];
    let entry = owner.list.get(&owner.email).filter(|entry| !entry.deleted);
    entry.map(|entry| resource(world, owner, entry)).ok_or_else(Refusal::not_found)
}

fn role(text: &str) -> Result<Role, Refusal> {
    serde_json::from_value(json!(text)).map_err(|_| Refusal::invalid("Invalid value for minAccessRole."))
}

fn resource(world: &World, owner: &Account, entry: &Entry) -> Value {
    let calendar = &world.calendars[entry.calendar];
    let etag = quoted_etag(entry.etag);
    if entry.deleted {
        return json!({"kind": "calendar#calendarListEntry", "etag": etag, "id": calendar.id, "deleted": true});
    }
    let mut item = json!({
        "kind": "calendar#calendarListEntry",
        "etag": etag,
        "id": calendar.id,
        "summary": calendar.summary,
        "timeZone": calendar.time_zone,
        "colorId": "14",
        "backgroundColor": "#9fe1e7",
        "foregroundColor": "#000000",
        "selected": true,
        "accessRole": entry.role,
        "defaultReminders": [],
        "conferenceProperties": {"allowedConferenceSolutionTypes": ["hangoutsMeet"]},
    });
    if calendar.id == owner.email {
        item["primary"] = json!(true);
    }
    if entry.hidden {
        item["hidden"] = json!(true);
    }
    item
}

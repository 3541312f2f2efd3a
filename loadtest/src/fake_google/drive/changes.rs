//! `changes.getStartPageToken` and `changes.list`: <https://developers.google.com/workspace/drive/api/reference/rest/v3/changes>.

use axum::http::StatusCode;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::{
    Viewer, drives,
    fields::Mask,
    files::{self, EVERYWHERE},
    log::{Log, What},
};
use crate::fake_google::{cursor, event::time, query::Params, refusal::Refusal, world::World};

const KNOWN: [&str; 9] = [
    "driveId",
    "includeCorpusRemovals",
    "includeItemsFromAllDrives",
    "includeRemoved",
    "pageSize",
    "pageToken",
    "restrictToMyDrive",
    "spaces",
    "supportsAllDrives",
];

const FIELDS: &[&str] = &[
    "changeType",
    "changes",
    "drive",
    "file",
    "fileId",
    "newStartPageToken",
    "removed",
    "time",
    "hidden",
    "capabilities",
    "startPageToken",
];

const USUAL: &str = "kind,nextPageToken,newStartPageToken,\
    changes(kind,type,changeType,time,removed,fileId,driveId,file(kind,id,name,mimeType),drive(kind,id,name))";

/// "Go on with the entry `next` of this log."
#[derive(Debug, Serialize, Deserialize)]
struct Token {
    account: usize,
    drive: Option<String>,
    next: u64,
}

/// A token for what will change.
pub(super) fn start(world: &World, account: usize, params: &Params) -> Result<Value, Refusal> {
    params.only(&[&["driveId"][..], &EVERYWHERE].concat())?;
    let viewer = files::viewer(world, account);
    let drive = params.get("driveId");
    if let Some(drive) = drive
        && !(params.flag("supportsAllDrives")? && world.drive.is_member(viewer.email, drive))
    {
        return Err(Refusal::not_found());
    }
    let next = log_of(world, viewer, drive).map_or(1, Log::next);
    let token = Token { account, drive: drive.map(str::to_owned), next };
    Ok(json!({"kind": "drive#startPageToken", "startPageToken": cursor::encode(&token)}))
}

fn log_of<'a>(world: &'a World, viewer: Viewer<'_>, drive: Option<&str>) -> Option<&'a Log> {
    match drive {
        Some(drive) => world.drive.drives.get(drive).map(|drive| &drive.log),
        None => world.drive.logs.get(&viewer.account),
    }
}

/// Which log a watch names: none is the account's own, else that of a shared drive. The place in it must be a good one.
pub(in crate::fake_google) fn watched(
    world: &World,
    account: usize,
    params: &Params,
) -> Result<Option<String>, Refusal> {
    params.only(&[&KNOWN[..], &EVERYWHERE].concat())?;
    let drive = files::drive_of(world, files::viewer(world, account), params)?;
    place(params, account, drive)?;
    Ok(drive.map(str::to_owned))
}

/// The place in a log that a call names.
fn place(params: &Params, account: usize, drive: Option<&str>) -> Result<Token, Refusal> {
    let Some(token) = params.get("pageToken") else {
        let text = "Required parameter: pageToken";
        return Err(Refusal::api(StatusCode::BAD_REQUEST, "global", "required", text));
    };
    cursor::decode(token)
        .filter(|token: &Token| token.account == account && token.drive.as_deref() == drive)
        .ok_or_else(files::invalid_page_token)
}

/// One page of a log, each entry with the state of now.
pub(super) fn list(world: &World, account: usize, params: &Params, cap: usize) -> Result<Value, Refusal> {
    params.only(&[&KNOWN[..], &EVERYWHERE].concat())?;
    let viewer = files::viewer(world, account);
    let size = files::page_size(params, 1000)?.min(cap);
    let known = [FIELDS, files::FIELDS, &["createdTime"]].concat();
    let mask = Mask::read(params.get("fields").unwrap_or(USUAL), &known)?;
    let drive = files::drive_of(world, viewer, params)?;
    let token = place(params, account, drive)?;
    let all_drives = params.flag("includeItemsFromAllDrives")? && params.flag("supportsAllDrives")?;
    let asked = Asked {
        drive,
        all_drives,
        removed: params.get("includeRemoved") != Some("false"),
        corpus_removals: params.flag("includeCorpusRemovals")?,
    };
    let log = log_of(world, viewer, drive);
    let mut entries = log.into_iter().flat_map(|log| log.since(token.next));
    let (mut changes, mut next) = (Vec::new(), token.next);
    for (number, what, at) in entries.by_ref().take(size) {
        next = number + 1;
        changes.extend(entry(world, viewer, &asked, what).map(|mut change| {
            change["time"] = json!(time(at));
            change
        }));
    }
    let more = size == 0 || entries.next().is_some();
    let next = if more { next } else { log.map_or(token.next, Log::next) };
    let next = json!(cursor::encode(&Token { next, ..token }));
    let mut answer = json!({"kind": "drive#changeList", "changes": changes});
    answer[if more { "nextPageToken" } else { "newStartPageToken" }] = next;
    mask.apply(&mut answer);
    Ok(answer)
}

struct Asked<'a> {
    drive: Option<&'a str>,
    all_drives: bool,
    removed: bool,
    corpus_removals: bool,
}

fn entry(world: &World, viewer: Viewer<'_>, asked: &Asked<'_>, what: &What) -> Option<Value> {
    let (id, seen) = match what {
        What::Drive(id) => return asked.all_drives.then(|| drive_entry(world, viewer, id)),
        What::File(id) => (id, false),
        What::Seen(id) => (id, true),
    };
    let file = world.drive.files.get(id);
    let is_elsewhere = file.is_some_and(|file| file.drive.is_some());
    if is_elsewhere && !asked.all_drives {
        return None;
    }
    let in_log = match asked.drive {
        Some(drive) => file.is_some_and(|file| file.drive.as_deref() == Some(drive)),
        None => world.drive.in_corpus(viewer, id) || (seen && world.drive.sees(viewer, id)),
    };
    let mut change = json!({
        "kind": "drive#change", "type": "file", "changeType": "file", "fileId": **id, "removed": !in_log,
    });
    if let Some(drive) = file.and_then(|file| file.drive.as_deref()).filter(|_| in_log) {
        change["driveId"] = json!(drive);
    }
    if in_log || asked.corpus_removals {
        let file = world.drive.resource(viewer, &files::emails(world), id);
        change.as_object_mut()?.extend(file.map(|file| ("file".to_owned(), file)));
    }
    (in_log || asked.removed).then_some(change)
}

fn drive_entry(world: &World, viewer: Viewer<'_>, id: &str) -> Value {
    let drive =
        world.drive.drives.get_key_value(id).filter(|(id, _)| world.drive.is_member(viewer.email, id));
    let mut change = json!({
        "kind": "drive#change", "type": "drive", "changeType": "drive", "driveId": id, "removed": drive.is_none(),
    });
    if let Some((id, drive)) = drive {
        change["drive"] = drives::resource(id, drive);
    }
    change
}

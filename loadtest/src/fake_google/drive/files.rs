//! `files.list` and `files.get`: <https://developers.google.com/workspace/drive/api/reference/rest/v3/files>.

use axum::http::StatusCode;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::{Drive, FOLDER, Viewer, fields::Mask, root_of, search};
use crate::fake_google::{cursor, event::time, query::Params, refusal::Refusal, world::World};

/// Parameters that all calls of Drive take.
pub(super) const EVERYWHERE: [&str; 3] = ["supportsAllDrives", "supportsTeamDrives", "includeLabels"];

const KNOWN: [&str; 9] = [
    "corpora",
    "driveId",
    "includeItemsFromAllDrives",
    "orderBy",
    "pageSize",
    "pageToken",
    "q",
    "spaces",
    "supportsAllDrives",
];

/// The names of fields that may be asked for.
pub(super) const FIELDS: &[&str] = &[
    "appProperties",
    "canDownload",
    "canEdit",
    "canShare",
    "capabilities",
    "copyRequiresWriterPermission",
    "createdTime",
    "deleted",
    "description",
    "displayName",
    "domain",
    "driveId",
    "emailAddress",
    "expirationTime",
    "explicitlyTrashed",
    "exportLinks",
    "fileExtension",
    "files",
    "fullFileExtension",
    "hasAugmentedPermissions",
    "headRevisionId",
    "iconLink",
    "id",
    "imageMediaMetadata",
    "incompleteSearch",
    "isAppAuthorized",
    "kind",
    "lastModifyingUser",
    "linkShareMetadata",
    "me",
    "md5Checksum",
    "mimeType",
    "modifiedTime",
    "name",
    "nextPageToken",
    "originalFilename",
    "ownedByMe",
    "owners",
    "parents",
    "pendingOwner",
    "permissionDetails",
    "permissionId",
    "permissionIds",
    "permissions",
    "properties",
    "quotaBytesUsed",
    "resourceKey",
    "role",
    "sha1Checksum",
    "sha256Checksum",
    "shared",
    "sharedWithMeTime",
    "sharingUser",
    "shortcutDetails",
    "size",
    "spaces",
    "starred",
    "targetId",
    "targetMimeType",
    "targetResourceKey",
    "thumbnailLink",
    "trashed",
    "trashedTime",
    "trashingUser",
    "type",
    "version",
    "videoMediaMetadata",
    "viewedByMe",
    "viewedByMeTime",
    "webContentLink",
    "webViewLink",
    "writersCanShare",
];

/// What is served to who asks for no fields.
const USUAL: &str = "kind,incompleteSearch,nextPageToken,files(kind,id,name,mimeType)";

#[derive(Debug, Serialize, Deserialize)]
struct PageToken {
    account: usize,
    params: String,
    after: String,
}

/// `pageSize`. Google takes more than the most for the most; here it is an error, so that tests notice.
pub(super) fn page_size(params: &Params, most: usize) -> Result<usize, Refusal> {
    let Some(text) = params.get("pageSize") else { return Ok(100.min(most)) };
    let wanted = text.parse().ok().filter(|wanted| (1..=most).contains(wanted));
    wanted.ok_or_else(|| {
        Refusal::invalid(&format!("Invalid value '{text}'. Values must be within the range: [1, {most}]"))
    })
}

/// A shared drive that a call names: it must say that it knows of shared drives, and its caller must be a member.
pub(super) fn drive_of<'a>(
    world: &World,
    viewer: Viewer<'_>,
    params: &'a Params,
) -> Result<Option<&'a str>, Refusal> {
    let Some(drive) = params.get("driveId") else { return Ok(None) };
    if !(params.flag("includeItemsFromAllDrives")? && params.flag("supportsAllDrives")?) {
        return Err(Refusal::bad_request(
            "The includeItemsFromAllDrives and supportsAllDrives parameters must be set to true when driveId is specified.",
        ));
    }
    if world.drive.is_member(viewer.email, drive) {
        return Ok(Some(drive));
    }
    Err(Refusal::api(
        StatusCode::NOT_FOUND,
        "global",
        "notFound",
        &format!("Shared drive not found: {drive}"),
    ))
}

pub(super) fn viewer(world: &World, account: usize) -> Viewer<'_> {
    Viewer { account, email: &world.accounts[account].email }
}

pub(super) fn emails(world: &World) -> Vec<&str> {
    world.accounts.iter().map(|account| account.email.as_str()).collect()
}

/// One page of the user's own files, or of a shared drive's: of all, or of those in some folders.
pub(super) fn list(world: &World, account: usize, params: &Params, cap: usize) -> Result<Value, Refusal> {
    params.only(&[&KNOWN[..], &EVERYWHERE].concat())?;
    let viewer = viewer(world, account);
    let size = page_size(params, 1000)?.min(cap);
    let mask = Mask::read(params.get("fields").unwrap_or(USUAL), FIELDS)?;
    if params.get("orderBy").is_some() {
        return Err(Refusal::bad_request("orderBy is not supported: this fake serves files by their ids."));
    }
    let folders = params.get("q").map(search::parents).transpose()?;
    if params.get("spaces").is_some_and(|spaces| spaces != "drive") {
        return Err(Refusal::bad_request("spaces: this fake has drive only."));
    }
    let all_drives = params.flag("includeItemsFromAllDrives")?;
    if all_drives && !params.flag("supportsAllDrives")? {
        return Err(Refusal::bad_request(
            "The supportsAllDrives parameter must be set to true if includeItemsFromAllDrives is.",
        ));
    }
    let drive = drive_of(world, viewer, params)?;
    match (params.get("corpora"), drive) {
        (Some("drive"), Some(_)) | (None | Some("user"), None) => {}
        (Some("drive"), None) | (_, Some(_)) => {
            return Err(Refusal::invalid(
                "The driveId parameter must be specified if and only if corpora is set to drive.",
            ));
        }
        (Some(other), None) => {
            return Err(Refusal::invalid(&format!("corpora={other}: this fake has user and drive.")));
        }
    }
    let repeated = params.repeated(&[
        "corpora",
        "driveId",
        "includeItemsFromAllDrives",
        "q",
        "spaces",
        "supportsAllDrives",
    ]);
    let after = params.get("pageToken").map(|token| {
        let page = cursor::decode(token)
            .filter(|page: &PageToken| page.account == account && page.params == repeated);
        page.map(|page| page.after).ok_or_else(invalid_page_token)
    });
    let after = after.transpose()?;
    let (files, after_id) = (&world.drive, after.as_deref());
    let ids = match (&folders, drive) {
        (Some(folders), _) => files.in_folders(viewer, drive, folders, after_id, size + 1)?,
        (None, Some(drive)) => files.in_drive(drive, after_id, size + 1),
        (None, None) => files.corpus(viewer, after_id, size + 1),
    };
    let (ids, next) = match size {
        0 => (&ids[..0], Some(after.unwrap_or_default())),
        _ => (&ids[..size.min(ids.len())], (ids.len() > size).then(|| ids[size - 1].to_owned())),
    };
    let emails = emails(world);
    // What is in a shared drive is left out for who does not know of them.
    let shown =
        |id: &&&str| all_drives || world.drive.files.get(**id).is_some_and(|file| file.drive.is_none());
    let files = ids.iter().filter(shown).filter_map(|id| world.drive.resource(viewer, &emails, id));
    let mut answer = json!({
        "kind": "drive#fileList",
        "incompleteSearch": false,
        "files": files.collect::<Vec<_>>(),
    });
    if let Some(after) = next {
        let token = PageToken { account, params: repeated, after };
        answer["nextPageToken"] = json!(cursor::encode(&token));
    }
    mask.apply(&mut answer);
    Ok(answer)
}

pub(super) fn invalid_page_token() -> Refusal {
    let mut refusal = Refusal::invalid("Invalid Value");
    refusal.body["error"]["errors"][0]["location"] = json!("pageToken");
    refusal.body["error"]["errors"][0]["locationType"] = json!("parameter");
    refusal
}

/// One file. `root` is the top of My Drive; the id of a shared drive is that of its top.
pub(super) fn get(world: &World, account: usize, id: &str, params: &Params) -> Result<Value, Refusal> {
    let known = ["acknowledgeAbuse", "includePermissionsForView"];
    params.only(&[&known[..], &EVERYWHERE].concat())?;
    let viewer = viewer(world, account);
    let mask = Mask::read(params.get("fields").unwrap_or("kind,id,name,mimeType"), FIELDS)?;
    let supports = params.flag("supportsAllDrives")?;
    let found = top(&world.drive, world, viewer, id).or_else(|| {
        let file = world.drive.files.get(id).filter(|file| supports || file.drive.is_none());
        file.and_then(|_| world.drive.resource(viewer, &emails(world), id))
    });
    let mut file = found.filter(|file| supports || file.get("driveId").is_none()).ok_or_else(|| {
        Refusal::api(StatusCode::NOT_FOUND, "global", "notFound", &format!("File not found: {id}."))
    })?;
    mask.apply(&mut file);
    Ok(file)
}

fn top(drive: &Drive, world: &World, viewer: Viewer<'_>, id: &str) -> Option<Value> {
    let root = root_of(viewer.account);
    let folder = |id: &str, name: &str| {
        json!({
            "kind": "drive#file", "id": id, "name": name, "mimeType": FOLDER, "trashed": false,
            "explicitlyTrashed": false, "version": "1", "spaces": ["drive"],
        })
    };
    if id == "root" || id == root {
        let mut top = folder(&root, "My Drive");
        top["ownedByMe"] = json!(true);
        top["createdTime"] = json!(time(world.start));
        return Some(top);
    }
    let shared = drive.drives.get(id).filter(|_| drive.is_member(viewer.email, id))?;
    let mut top = folder(id, &shared.name);
    top["driveId"] = json!(id);
    Some(top)
}

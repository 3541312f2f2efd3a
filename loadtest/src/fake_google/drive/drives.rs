//! `drives.list`: <https://developers.google.com/workspace/drive/api/reference/rest/v3/drives/list>.

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::{
    SharedDrive,
    fields::Mask,
    files::{self, EVERYWHERE},
};
use crate::fake_google::{cursor, event::time, query::Params, refusal::Refusal, world::World};

const FIELDS: &[&str] = &[
    "canDownload",
    "capabilities",
    "createdTime",
    "drives",
    "hidden",
    "id",
    "kind",
    "name",
    "nextPageToken",
];

const USUAL: &str = "kind,nextPageToken,drives(kind,id,name)";

#[derive(Debug, Serialize, Deserialize)]
struct PageToken {
    account: usize,
    drives_after: String,
}

/// One page of the shared drives of which the account is a member.
pub(super) fn list(world: &World, account: usize, params: &Params, cap: usize) -> Result<Value, Refusal> {
    params.only(&[&["pageSize", "pageToken", "q", "useDomainAdminAccess"][..], &EVERYWHERE].concat())?;
    if params.get("q").is_some() || params.flag("useDomainAdminAccess")? {
        return Err(Refusal::bad_request("q and useDomainAdminAccess are not supported by this fake."));
    }
    let viewer = files::viewer(world, account);
    let size = match params.get("pageSize") {
        Some(_) => files::page_size(params, 100)?,
        None => 10,
    }
    .min(cap);
    let mask = Mask::read(params.get("fields").unwrap_or(USUAL), FIELDS)?;
    let after = params.get("pageToken").map(|token| {
        let page = cursor::decode(token).filter(|page: &PageToken| page.account == account);
        page.map(|page| page.drives_after).ok_or_else(files::invalid_page_token)
    });
    let after = after.transpose()?.unwrap_or_default();
    let mut rest = world
        .drive
        .drives
        .iter()
        .filter(|(id, drive)| ***id > *after && drive.members.contains_key(viewer.email));
    let page: Vec<_> = rest.by_ref().take(size).collect();
    let next = match size {
        0 => Some(after),
        _ => rest.next().and(page.last()).map(|(id, _)| id.to_string()),
    };
    let mut answer = json!({
        "kind": "drive#driveList",
        "drives": page.iter().map(|(id, drive)| resource(id, drive)).collect::<Vec<_>>(),
    });
    if let Some(drives_after) = next {
        answer["nextPageToken"] = json!(cursor::encode(&PageToken { account, drives_after }));
    }
    mask.apply(&mut answer);
    Ok(answer)
}

pub(super) fn resource(id: &str, drive: &SharedDrive) -> Value {
    json!({
        "kind": "drive#drive",
        "id": id,
        "name": drive.name,
        "createdTime": time(drive.created),
        "hidden": false,
        "capabilities": {"canDownload": true},
    })
}

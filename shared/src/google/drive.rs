//! Drive: <https://developers.google.com/workspace/drive/api/reference/rest/v3>. Pages of files, changes and shared drives,
//! each item read leniently on its own from the raw answer.
//!
//! Every call says that it knows of shared drives: without that, their files are not found. Every call says which fields it
//! wants: without that, it gets four of them.

mod change;
mod file;
mod files;

use futures_util::FutureExt;
use serde::Deserialize;
use serde_json::value::RawValue;
use sqlx::PgPool;

pub use self::{
    change::{Change, What},
    file::FileItem,
    files::Files,
};
use super::{
    Api, Google, Pages,
    errors::{CallError, Class},
    execute::Method,
    item::{self, lenient},
    transport::ApiConnector,
};
use crate::job::AccountId;

type Hub = google_drive3::DriveHub<ApiConnector>;

/// The type of folders.
pub const FOLDER: &str = "application/vnd.google-apps.folder";

/// The type of shortcuts.
pub const SHORTCUT: &str = "application/vnd.google-apps.shortcut";

/// Items in a page of files or changes, at most; as Google allows.
const PAGE: i32 = 1000;

/// Shared drives in a page, at most; as Google allows.
const DRIVES_PAGE: i32 = 100;

/// Units of a list and of a read: <https://developers.google.com/workspace/drive/api/guides/limits>.
const LIST: u32 = 100;
pub(super) const READ: u32 = 5;

/// What is mirrored of a file, as calls ask for it. Not what changes with every look at it.
pub const FILE_FIELDS: &str = "id,name,mimeType,description,starred,trashed,explicitlyTrashed,trashedTime,parents,properties,\
    appProperties,version,webViewLink,iconLink,createdTime,modifiedTime,sharedWithMeTime,sharingUser(emailAddress,displayName),\
    owners(emailAddress,displayName,me,permissionId),driveId,lastModifyingUser(emailAddress,displayName),shared,ownedByMe,\
    capabilities(canDownload,canEdit,canShare),permissions(id,type,emailAddress,domain,role,displayName,expirationTime,deleted,pendingOwner),\
    permissionIds,hasAugmentedPermissions,originalFilename,fullFileExtension,md5Checksum,sha1Checksum,sha256Checksum,size,\
    quotaBytesUsed,headRevisionId,copyRequiresWriterPermission,shortcutDetails,resourceKey,linkShareMetadata,exportLinks";

/// Which of an account's drives: none is My Drive, else a shared drive by its id.
pub type DriveId<'a> = Option<&'a str>;

/// A page of a log.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Changes {
    /// Those that could be read.
    pub items: Vec<Change>,
    /// Where the log goes on.
    pub place: String,
    /// Whether more is there already.
    pub more: bool,
}

/// A shared drive: <https://developers.google.com/workspace/drive/api/reference/rest/v3/drives#resource:-drive>.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DriveEntry {
    /// Google's id of it, which is that of the folder at its top, too.
    pub id: String,
    /// Its name.
    pub name: Option<String>,
    /// Whether the user hid it.
    pub hidden: bool,
    /// The whole entry, as JSON.
    pub raw: String,
}

/// A page of shared drives.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Drives {
    /// Those that could be read.
    pub items: Vec<DriveEntry>,
    /// The next page; none: it was the last one.
    pub next: Option<String>,
}

/// A page of any of the three lists, its items unparsed. The list must be there: a page without one would be the last page of
/// an empty drive, whose files would be swept.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
struct RawPage<'a> {
    #[serde(borrow, alias = "files", alias = "changes", alias = "drives")]
    items: Vec<&'a RawValue>,
    #[serde(default)]
    next_page_token: Option<String>,
    #[serde(default)]
    new_start_page_token: Option<String>,
    #[serde(default)]
    incomplete_search: Option<bool>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct StartPageToken {
    start_page_token: String,
}

impl Google {
    /// The folder at the top of the account's My Drive, which is in no list. It stands for the drive.
    pub async fn my_drive(&self, db: &PgPool, account: AccountId) -> Result<DriveEntry, CallError> {
        let method = Method { name: "files.get", with_token: false, cost: READ };
        let body = self
            .execute(db, account, method, |hub: &Hub, recorder| {
                let call = hub
                    .files()
                    .get("root")
                    .supports_all_drives(true)
                    .param("fields", "id,name,createdTime,mimeType")
                    .delegate(recorder);
                async { call.doit().await.map(|(response, _)| response) }.boxed()
            })
            .await?;
        item::storable(&body)
            .and_then(|raw| entry(&raw))
            .ok_or_else(|| odd(method, "the answer is no folder".to_owned()))
    }

    /// A page of the shared drives of which the account is a member.
    pub async fn drives(
        &self,
        db: &PgPool,
        account: AccountId,
        place: Pages<'_>,
    ) -> Result<Drives, CallError> {
        let method = Method { name: "drives.list", with_token: place.token.is_some(), cost: LIST };
        let page = place.token.map(str::to_owned);
        let body = self
            .execute(db, account, method, move |hub: &Hub, recorder| {
                let fields = "nextPageToken,drives(id,name,hidden,createdTime,capabilities(canDownload))";
                let mut call =
                    hub.drives().list().page_size(DRIVES_PAGE).param("fields", fields).delegate(recorder);
                if let Some(page) = &page {
                    call = call.page_token(page);
                }
                async { call.doit().await.map(|(response, _)| response) }.boxed()
            })
            .await?;
        let (page, items) = read(method, &body, entry)?;
        if items.len() < page.items.len() {
            // All of a drive's files would go with its entry.
            return Err(odd(method, "an entry of the list cannot be read".to_owned()));
        }
        place.check(method, page.next_page_token.as_deref())?;
        Ok(Drives { items, next: page.next_page_token })
    }

    /// Where the log of a drive stands now.
    pub async fn start_page_token(
        &self,
        db: &PgPool,
        account: AccountId,
        drive: DriveId<'_>,
    ) -> Result<String, CallError> {
        let method = Method { name: "changes.getStartPageToken", with_token: false, cost: READ };
        let drive = drive.map(str::to_owned);
        let body = self
            .execute(db, account, method, move |hub: &Hub, recorder| {
                let mut call =
                    hub.changes().get_start_page_token().supports_all_drives(true).delegate(recorder);
                if let Some(drive) = &drive {
                    call = call.drive_id(drive);
                }
                async { call.doit().await.map(|(response, _)| response) }.boxed()
            })
            .await?;
        let token = serde_json::from_str::<StartPageToken>(&body);
        let token = token.map_err(|_| odd(method, "the answer has no start page token".to_owned()))?;
        Ok(token.start_page_token)
    }

    /// A page of a drive's log from a place on. What left the drive and is still seen elsewhere comes with its file.
    pub async fn changes(
        &self,
        db: &PgPool,
        account: AccountId,
        drive: DriveId<'_>,
        place: Pages<'_>,
    ) -> Result<Changes, CallError> {
        let method = Method { name: "changes.list", with_token: true, cost: LIST };
        let (drive, token) = (drive.map(str::to_owned), place.token.unwrap_or_default().to_owned());
        let fields = format!(
            "nextPageToken,newStartPageToken,changes(changeType,time,removed,fileId,driveId,file({FILE_FIELDS}))"
        );
        let body = self
            .execute(db, account, method, move |hub: &Hub, recorder| {
                let mut call = hub
                    .changes()
                    .list(&token)
                    .page_size(PAGE)
                    .spaces("drive")
                    .supports_all_drives(true)
                    .include_items_from_all_drives(true)
                    .include_corpus_removals(true)
                    .include_removed(true)
                    .param("fields", &fields)
                    .delegate(recorder);
                if let Some(drive) = &drive {
                    call = call.drive_id(drive);
                }
                async { call.doit().await.map(|(response, _)| response) }.boxed()
            })
            .await?;
        let (page, items) = read(method, &body, Change::read)?;
        place.check(method, page.next_page_token.as_deref())?;
        let more = page.next_page_token.is_some();
        let place = page.next_page_token.or(page.new_start_page_token);
        let place = place
            .ok_or_else(|| odd(method, "the answer has neither a next page nor a new start".to_owned()))?;
        Ok(Changes { items, place, more })
    }
}

fn odd(method: Method, what: String) -> CallError {
    CallError::Call { method: method.name, class: Class::Retry, after: None, what }
}

/// The page, and those of its items that can be read.
fn read<'a, T>(
    method: Method,
    body: &'a str,
    item: impl Fn(&str) -> Option<T>,
) -> Result<(RawPage<'a>, Vec<T>), CallError> {
    let page: RawPage<'a> = serde_json::from_str(body)
        .map_err(|error| odd(method, format!("the answer is no list ({error})")))?;
    let items: Vec<T> = page.items.iter().filter_map(|raw| item(&item::storable(raw.get())?)).collect();
    let skipped = page.items.len() - items.len();
    if skipped > 0 {
        item::skipped(Api::Drive, method, skipped);
    }
    Ok((page, items))
}

/// Reads a shared drive, or the folder at the top of My Drive; none if it has no id.
fn entry(raw: &str) -> Option<DriveEntry> {
    #[derive(Deserialize)]
    struct Fields {
        id: String,
        #[serde(default, deserialize_with = "lenient")]
        name: Option<String>,
        #[serde(default, deserialize_with = "lenient")]
        hidden: Option<bool>,
    }
    let fields: Fields = serde_json::from_str(raw).ok().filter(|fields: &Fields| !fields.id.is_empty())?;
    let hidden = fields.hidden.unwrap_or(false);
    Some(DriveEntry { id: fields.id, name: fields.name, hidden, raw: raw.to_owned() })
}

#[cfg(test)]
mod tests {
    use super::*;

    const METHOD: Method = Method { name: "files.list", with_token: false, cost: LIST };

    #[test]
    fn one_bad_item_does_not_cost_the_page() {
        let body = r#"{"files": [{"id": "a", "name": "x"}, {"id": 5}, 7, null, {"id": "b"}], "incompleteSearch": true}"#;
        let (page, items) = read(METHOD, body, FileItem::read).unwrap();
        let ids: Vec<_> = items.iter().map(|item| item.id.as_str()).collect();
        assert_eq!((ids, page.incomplete_search, page.next_page_token), (vec!["a", "b"], Some(true), None));
        let odd_page = r#"{"files": [], "nextPageToken": 7}"#;
        for no_list in ["[]", "{}", r#"{"files": null}"#, r#"{"error": "x"}"#, odd_page] {
            assert!(read(METHOD, no_list, FileItem::read).is_err(), "{no_list}");
        }
    }
}

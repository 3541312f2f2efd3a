use std::{collections::BTreeMap, sync::Arc};

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};

use super::{Content, Drive, Viewer, content::Revision, root_of};
use crate::fake_google::event::time;

/// The type of folders.
pub const FOLDER: &str = "application/vnd.google-apps.folder";
/// The type of shortcuts.
pub const SHORTCUT: &str = "application/vnd.google-apps.shortcut";

/// What somebody may do with a file, least first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum PermissionRole {
    /// Reads.
    Reader,
    /// Comments.
    Commenter,
    /// Writes.
    Writer,
    /// Manages the files of a shared drive.
    FileOrganizer,
    /// Manages a shared drive.
    Organizer,
    /// Owns a file of My Drive.
    Owner,
}

/// What a test says about a file; the rest is made up as Google would.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct FileDraft {
    /// Drawn when missing.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub id: Option<String>,
    /// Its name: any text, and not unique.
    pub name: String,
    /// Drawn from the content when missing: a document without, a binary file with content.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub mime_type: Option<String>,
    /// A folder or a shared drive; missing: the top of the owner's My Drive.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub parent: Option<String>,
    /// It is in no folder at all.
    #[serde(default)]
    pub orphan: bool,
    /// Missing: it has none, as Google's own documents.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub content: Option<Content>,
    /// A shortcut to this file, which need not exist.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub shortcut_to: Option<String>,
    /// What its link needs.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub resource_key: Option<String>,
    /// Nobody but its writers may download it.
    #[serde(default)]
    pub no_download: bool,
    /// Exports of it have so many bytes; missing: a line that tells the format and the time of change.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub export_length: Option<u64>,
    /// Any further fields of the resource, served as they are; they win over the made-up ones.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub extra: Option<Box<Map<String, Value>>>,
}

impl FileDraft {
    /// A text file.
    #[must_use]
    pub fn text(name: &str, content: &str) -> Self {
        Self {
            name: name.to_owned(),
            mime_type: Some("text/plain".to_owned()),
            content: Some(Content::Text(content.to_owned())),
            ..Self::default()
        }
    }

    /// A folder.
    #[must_use]
    pub fn folder(name: &str) -> Self {
        Self { name: name.to_owned(), mime_type: Some(FOLDER.to_owned()), ..Self::default() }
    }

    /// One of Google's own documents.
    #[must_use]
    pub fn document(name: &str) -> Self {
        let kind = "application/vnd.google-apps.document";
        Self { name: name.to_owned(), mime_type: Some(kind.to_owned()), ..Self::default() }
    }

    /// A shortcut.
    #[must_use]
    pub fn shortcut(name: &str, target: &str) -> Self {
        Self { name: name.to_owned(), shortcut_to: Some(target.to_owned()), ..Self::default() }
    }

    /// The same in this folder or shared drive.
    #[must_use]
    pub fn within(self, parent: &str) -> Self {
        Self { parent: Some(parent.to_owned()), ..self }
    }

    /// The same with this id.
    #[must_use]
    pub fn with_id(self, id: &str) -> Self {
        Self { id: Some(id.to_owned()), ..self }
    }

    pub(super) fn kind(&self) -> &str {
        match (&self.mime_type, &self.shortcut_to, &self.content) {
            (Some(kind), ..) => kind,
            (None, Some(_), _) => SHORTCUT,
            (None, None, Some(_)) => "application/octet-stream",
            (None, None, None) => "application/vnd.google-apps.document",
        }
    }
}

/// A file as it is kept.
#[derive(Debug)]
pub(super) struct File {
    pub(super) draft: FileDraft,
    /// A folder, a shared drive, the top of My Drive, or none.
    pub(super) parent: Option<String>,
    pub(super) drive: Option<Arc<str>>,
    /// None in shared drives.
    pub(super) owner: Option<usize>,
    pub(super) permissions: BTreeMap<String, PermissionRole>,
    /// Trashed itself.
    pub(super) trashed: bool,
    pub(super) version: u64,
    pub(super) revision: Option<Revision>,
    pub(super) created: DateTime<Utc>,
    pub(super) modified: DateTime<Utc>,
}

impl Drive {
    /// The whole resource as an account sees it; `fields` picks from it.
    pub(super) fn resource(&self, viewer: Viewer<'_>, emails: &[&str], id: &str) -> Option<Value> {
        let role = self.role(viewer, id)?;
        let file = self.files.get(id)?;
        let kind = file.draft.kind();
        let may_share = role >= PermissionRole::Writer;
        let mut item = json!({
            "kind": "drive#file",
            "id": id,
            "name": file.draft.name,
            "mimeType": kind,
            "starred": false,
            "trashed": self.is_trashed(id),
            "explicitlyTrashed": file.trashed,
            "spaces": ["drive"],
            "version": file.version.to_string(),
            "webViewLink": format!("https://drive.google.com/file/d/{id}/view?usp=drivesdk"),
            "createdTime": time(file.created),
            "modifiedTime": time(file.modified),
            "ownedByMe": file.owner == Some(viewer.account),
            "capabilities": {
                "canDownload": kind != FOLDER && (!file.draft.no_download || may_share),
                "canEdit": may_share,
            },
        });
        let Value::Object(fields) = &mut item else { return None };
        let mut set = |key: &str, value: Value| fields.insert(key.to_owned(), value);
        if let Some(parent) = &file.parent
            && (*parent == root_of(viewer.account)
                || self.sees(viewer, parent)
                || self.is_member(viewer.email, parent))
        {
            set("parents", json!([parent]));
        }
        let (permissions, ids) = self.permissions(emails, id);
        if let Some(drive) = &file.drive {
            set("driveId", json!(**drive));
            set("permissionIds", json!(ids));
            set("hasAugmentedPermissions", json!(!file.permissions.is_empty()));
        } else {
            let owner = file.owner.and_then(|owner| emails.get(owner)).copied().unwrap_or_default();
            let me = file.owner == Some(viewer.account);
            let owner = json!({"kind": "drive#user", "emailAddress": owner, "displayName": owner, "me": me});
            set("owners", json!([owner]));
            set("shared", json!(permissions.len() > 1));
            if may_share {
                set("permissions", json!(permissions));
                set("permissionIds", json!(ids));
            }
        }
        if let Some(revision) = &file.revision {
            set("size", json!(revision.content.length().to_string()));
            set("quotaBytesUsed", json!(revision.content.length().to_string()));
            set("md5Checksum", json!(revision.md5()));
            set("sha256Checksum", json!(revision.sha256()));
            set("headRevisionId", json!(revision.id));
            set("originalFilename", json!(file.draft.name));
        } else if kind == "application/vnd.google-apps.document" {
            let link = |format: &str| {
                format!(
                    "https://docs.google.com/feeds/download/documents/export/Export?id={id}&exportFormat={format}"
                )
            };
            set("size", json!("1024"));
            set("exportLinks", json!({"application/pdf": link("pdf"), "text/plain": link("txt")}));
        }
        if let Some(target) = &file.draft.shortcut_to {
            let mut details = json!({"targetId": target});
            if let Some(target) = self.files.get(&**target) {
                details["targetMimeType"] = json!(target.draft.kind());
                if let Some(key) = &target.draft.resource_key {
                    details["targetResourceKey"] = json!(key);
                }
            }
            set("shortcutDetails", details);
        }
        if let Some(key) = &file.draft.resource_key {
            set("resourceKey", json!(key));
        }
        for (key, value) in file.draft.extra.iter().flat_map(|extra| extra.iter()) {
            set(key, value.clone());
        }
        Some(item)
    }

    /// All that may do something with the file, those by a folder above it too, and their ids.
    fn permissions(&self, emails: &[&str], id: &str) -> (Vec<Value>, Vec<String>) {
        let mut roles: BTreeMap<&str, PermissionRole> = BTreeMap::new();
        for (place, (_, file)) in self.upwards(id).enumerate() {
            let owner = file.owner.and_then(|owner| emails.get(owner)).map(|email| {
                (*email, if place == 0 { PermissionRole::Owner } else { PermissionRole::Writer })
            });
            let others = file.permissions.iter().map(|(email, role)| (email.as_str(), *role));
            for (email, role) in owner.into_iter().chain(others) {
                let best = roles.entry(email).or_insert(role);
                *best = role.max(*best);
            }
        }
        let id_of = |email: &str| {
            let number =
                email.bytes().fold(7_u64, |sum, byte| sum.wrapping_mul(31).wrapping_add(byte.into()));
            format!("{number:020}")
        };
        let permission = |(email, role): (&&str, &PermissionRole)| {
            json!({
                "kind": "drive#permission", "id": id_of(email), "type": "user", "emailAddress": email,
                "role": role, "displayName": email, "deleted": false, "pendingOwner": false,
            })
        };
        (roles.iter().map(permission).collect(), roles.keys().map(|email| id_of(email)).collect())
    }
}

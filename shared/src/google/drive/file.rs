use chrono::{DateTime, Utc};
use serde::Deserialize;

use super::FOLDER;
use crate::google::item::lenient;

/// A file, a folder or a shortcut: <https://developers.google.com/workspace/drive/api/reference/rest/v3/files#resource:-file>.
#[derive(Debug, Clone, PartialEq, Eq)]
#[expect(clippy::struct_excessive_bools, reason = "they are independent, and Google's own")]
pub struct FileItem {
    /// Google's id.
    pub id: String,
    /// Its name: any text, and not unique.
    pub name: String,
    /// Its type.
    pub mime_type: Option<String>,
    /// The folder that it is in; none: in none that the account sees.
    pub parent: Option<String>,
    /// The shared drive that it is in.
    pub drive: Option<String>,
    /// Bytes.
    pub size: Option<i64>,
    /// Checksums of the content, in hexadecimal; none: Google's own documents and folders.
    pub md5: Option<String>,
    /// The other one.
    pub sha256: Option<String>,
    /// The revision of the content; another one is other content.
    pub head_revision: Option<String>,
    /// Grows with each change, also with those that nobody sees.
    pub version: Option<i64>,
    /// When it was made.
    pub created_at: Option<DateTime<Utc>>,
    /// When its name or content changed.
    pub modified_at: Option<DateTime<Utc>>,
    /// In the trash, itself or by a folder.
    pub trashed: bool,
    /// Put into the trash itself.
    pub explicitly_trashed: bool,
    /// Whether the account owns it.
    pub owned_by_me: bool,
    /// Its owner's address; none in shared drives.
    pub owner: Option<String>,
    /// Whether others have access.
    pub shared: bool,
    /// Whether the user marked it.
    pub starred: bool,
    /// Whether the account may read its content; none: not said.
    pub can_download: Option<bool>,
    /// What a shortcut leads to.
    pub shortcut_target: Option<String>,
    /// The type of that.
    pub shortcut_mime_type: Option<String>,
    /// What a call needs that reaches the file by its link.
    pub resource_key: Option<String>,
    /// Where it is seen in a browser.
    pub web_link: Option<String>,
    /// Who may do what, in order, as far as the account is told: `reader anyone`, `writer user:anna@example.com`.
    pub permissions: Option<Vec<String>>,
    /// The ids of these permissions, in order; also where their words are not told.
    pub permission_ids: Option<Vec<String>>,
    /// The whole file, as JSON.
    pub raw: String,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Fields {
    id: String,
    #[serde(default, deserialize_with = "lenient")]
    name: Option<String>,
    #[serde(default, deserialize_with = "lenient")]
    mime_type: Option<String>,
    #[serde(default, deserialize_with = "lenient")]
    parents: Option<Vec<String>>,
    #[serde(default, deserialize_with = "lenient")]
    drive_id: Option<String>,
    #[serde(default, deserialize_with = "lenient")]
    size: Option<String>,
    #[serde(default, deserialize_with = "lenient")]
    md5_checksum: Option<String>,
    #[serde(default, deserialize_with = "lenient")]
    sha256_checksum: Option<String>,
    #[serde(default, deserialize_with = "lenient")]
    head_revision_id: Option<String>,
    #[serde(default, deserialize_with = "lenient")]
    version: Option<String>,
    #[serde(default, deserialize_with = "lenient")]
    created_time: Option<DateTime<Utc>>,
    #[serde(default, deserialize_with = "lenient")]
    modified_time: Option<DateTime<Utc>>,
    #[serde(default, deserialize_with = "lenient")]
    trashed: Option<bool>,
    #[serde(default, deserialize_with = "lenient")]
    explicitly_trashed: Option<bool>,
    #[serde(default, deserialize_with = "lenient")]
    owned_by_me: Option<bool>,
    #[serde(default, deserialize_with = "lenient")]
    owners: Option<Vec<Person>>,
    #[serde(default, deserialize_with = "lenient")]
    shared: Option<bool>,
    #[serde(default, deserialize_with = "lenient")]
    starred: Option<bool>,
    #[serde(default, deserialize_with = "lenient")]
    capabilities: Option<Capabilities>,
    #[serde(default, deserialize_with = "lenient")]
    shortcut_details: Option<Shortcut>,
    #[serde(default, deserialize_with = "lenient")]
    resource_key: Option<String>,
    #[serde(default, deserialize_with = "lenient")]
    web_view_link: Option<String>,
    #[serde(default, deserialize_with = "lenient")]
    permissions: Option<Vec<Permission>>,
    #[serde(default, deserialize_with = "lenient")]
    permission_ids: Option<Vec<String>>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Person {
    email_address: Option<String>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Capabilities {
    can_download: Option<bool>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Shortcut {
    target_id: Option<String>,
    target_mime_type: Option<String>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Permission {
    id: Option<String>,
    #[serde(rename = "type")]
    kind: Option<String>,
    role: Option<String>,
    email_address: Option<String>,
    domain: Option<String>,
}

impl Permission {
    fn words(&self) -> String {
        let (role, kind) =
            (self.role.as_deref().unwrap_or("unknown"), self.kind.as_deref().unwrap_or("unknown"));
        match self.email_address.as_deref().or(self.domain.as_deref()).or(self.id.as_deref()) {
            Some(who) if kind != "anyone" => format!("{role} {kind}:{who}"),
            _ => format!("{role} {kind}"),
        }
    }
}

impl FileItem {
    /// Reads a file; none if it has no id.
    pub(super) fn read(raw: &str) -> Option<Self> {
        let fields: Fields =
            serde_json::from_str(raw).ok().filter(|fields: &Fields| !fields.id.is_empty())?;
        let (shortcut_target, shortcut_mime_type) = fields
            .shortcut_details
            .map_or((None, None), |shortcut| (shortcut.target_id, shortcut.target_mime_type));
        let permissions = fields.permissions.map(|permissions| {
            let mut words: Vec<String> = permissions.iter().map(Permission::words).collect();
            words.sort();
            words
        });
        let permission_ids = fields.permission_ids.map(|mut ids| {
            ids.sort();
            ids
        });
        let trashed = fields.trashed.unwrap_or(false);
        Some(Self {
            id: fields.id,
            name: fields.name.unwrap_or_default(),
            mime_type: fields.mime_type,
            parent: fields.parents.and_then(|parents| parents.into_iter().next()),
            drive: fields.drive_id,
            size: fields.size.and_then(|size| size.parse().ok()),
            md5: fields.md5_checksum,
            sha256: fields.sha256_checksum,
            head_revision: fields.head_revision_id,
            version: fields.version.and_then(|version| version.parse().ok()),
            created_at: fields.created_time,
            modified_at: fields.modified_time,
            trashed,
            explicitly_trashed: fields.explicitly_trashed.unwrap_or(trashed),
            owned_by_me: fields.owned_by_me.unwrap_or(false),
            owner: fields.owners.and_then(|owners| owners.into_iter().next()?.email_address),
            shared: fields.shared.unwrap_or(false),
            starred: fields.starred.unwrap_or(false),
            can_download: fields.capabilities.and_then(|capabilities| capabilities.can_download),
            shortcut_target,
            shortcut_mime_type,
            resource_key: fields.resource_key,
            web_link: fields.web_view_link,
            permissions,
            permission_ids,
            raw: raw.to_owned(),
        })
    }

    /// Whether it is a folder.
    #[must_use]
    pub fn is_folder(&self) -> bool {
        self.mime_type.as_deref() == Some(FOLDER)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_texts_and_what_is_odd_is_missing() {
        let item = FileItem::read(
            r#"{"id": "a", "size": "6442450944", "version": "12", "parents": ["p"], "trashed": "yes",
                "modifiedTime": "0000-13-40", "owners": [{"emailAddress": "a@example.com"}],
                "permissions": [{"type": "anyone", "role": "reader", "id": "anyoneWithLink"},
                                {"type": "user", "role": "owner", "emailAddress": "a@example.com"}]}"#,
        )
        .unwrap();
        assert_eq!((item.size, item.version, item.parent.as_deref()), (Some(6 << 30), Some(12), Some("p")));
        assert_eq!(
            (item.trashed, item.modified_at, item.owner.as_deref()),
            (false, None, Some("a@example.com"))
        );
        assert_eq!(item.permissions.unwrap(), ["owner user:a@example.com", "reader anyone"]);
        assert_eq!(FileItem::read(r#"{"name": "x"}"#), None);
    }
}

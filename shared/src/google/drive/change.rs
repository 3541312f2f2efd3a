use chrono::{DateTime, Utc};
use serde::Deserialize;
use serde_json::value::RawValue;

use super::FileItem;
use crate::google::item::lenient;

/// An entry of a log: <https://developers.google.com/workspace/drive/api/reference/rest/v3/changes#resource:-change>.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Change {
    /// What changed.
    pub what: What,
    /// When.
    pub at: Option<DateTime<Utc>>,
}

/// What changed. All of it is the state of now, not of then.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum What {
    /// This file; it may be in another drive now.
    File(Box<FileItem>),
    /// The file with this id is not seen any more: deleted, or access was lost.
    Removed(String),
    /// A shared drive: its name, or whether the account is a member.
    Drive(String),
}

impl What {
    /// Google's id of the file or of the shared drive.
    #[must_use]
    pub fn id(&self) -> &str {
        match self {
            Self::File(file) => &file.id,
            Self::Removed(id) | Self::Drive(id) => id,
        }
    }
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Fields<'a> {
    #[serde(default, deserialize_with = "lenient")]
    change_type: Option<String>,
    #[serde(default, deserialize_with = "lenient")]
    time: Option<DateTime<Utc>>,
    #[serde(default, deserialize_with = "lenient")]
    removed: Option<bool>,
    #[serde(default, deserialize_with = "lenient")]
    file_id: Option<String>,
    #[serde(default, deserialize_with = "lenient")]
    drive_id: Option<String>,
    #[serde(borrow, default)]
    file: Option<&'a RawValue>,
}

impl Change {
    /// Reads an entry; none if it does not say what changed.
    pub(super) fn read(raw: &str) -> Option<Self> {
        let fields: Fields<'_> = serde_json::from_str(raw).ok()?;
        let file = fields.file.and_then(|raw| FileItem::read(raw.get()));
        let what = match (fields.change_type.as_deref(), file) {
            (Some("drive"), _) => What::Drive(fields.drive_id?),
            (_, Some(file)) => What::File(Box::new(file)),
            _ if fields.removed == Some(true) => What::Removed(fields.file_id?),
            _ => return None,
        };
        Some(Self { what, at: fields.time }).filter(|change| !change.what.id().is_empty())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn what(raw: &str) -> Option<What> {
        Change::read(raw).map(|change| change.what)
    }

    #[test]
    fn an_entry_is_a_file_a_removal_or_a_drive() {
        let file = what(
            r#"{"changeType": "file", "removed": true, "fileId": "a", "file": {"id": "a", "driveId": "d"}}"#,
        );
        assert!(matches!(file, Some(What::File(file)) if file.drive.as_deref() == Some("d")));
        assert_eq!(what(r#"{"removed": true, "fileId": "a"}"#), Some(What::Removed("a".to_owned())));
        assert_eq!(
            what(r#"{"changeType": "drive", "driveId": "d", "removed": true}"#),
            Some(What::Drive("d".to_owned()))
        );
        for odd in [r#"{"fileId": "a"}"#, r#"{"removed": true}"#, r#"{"removed": true, "fileId": 5}"#, "7"] {
            assert_eq!(what(odd), None, "{odd}");
        }
    }
}

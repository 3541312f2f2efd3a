use serde::Deserialize;

use crate::google::item::lenient;

/// A calendar in an account's list:
/// <https://developers.google.com/workspace/calendar/api/v3/reference/calendarList#resource>.
#[derive(Debug, Clone, PartialEq, Eq)]
#[expect(clippy::struct_excessive_bools, reason = "they are independent, and Google's own")]
pub struct CalendarEntry {
    /// Google's id.
    pub id: String,
    /// The title; the user's own, if they gave it one.
    pub summary: Option<String>,
    /// What the account may do, e.g. `reader`.
    pub access_role: Option<String>,
    /// Its IANA zone.
    pub time_zone: Option<String>,
    /// Tells one version of the entry from the next.
    pub etag: Option<String>,
    /// Whether it is the account's own.
    pub is_primary: bool,
    /// Whether the user hid it.
    pub hidden: bool,
    /// Whether the user shows its events.
    pub selected: bool,
    /// Whether it was taken out of the list.
    pub deleted: bool,
    /// The whole entry, as JSON.
    pub raw: String,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Fields {
    id: String,
    #[serde(default, deserialize_with = "lenient")]
    summary: Option<String>,
    #[serde(default, deserialize_with = "lenient")]
    summary_override: Option<String>,
    #[serde(default, deserialize_with = "lenient")]
    access_role: Option<String>,
    #[serde(default, deserialize_with = "lenient")]
    time_zone: Option<String>,
    #[serde(default, deserialize_with = "lenient")]
    etag: Option<String>,
    #[serde(default, deserialize_with = "lenient")]
    primary: Option<bool>,
    #[serde(default, deserialize_with = "lenient")]
    hidden: Option<bool>,
    #[serde(default, deserialize_with = "lenient")]
    selected: Option<bool>,
    #[serde(default, deserialize_with = "lenient")]
    deleted: Option<bool>,
}

impl CalendarEntry {
    /// Reads an entry; none if it has no id.
    pub(super) fn read(raw: &str) -> Option<Self> {
        let fields: Fields =
            serde_json::from_str(raw).ok().filter(|fields: &Fields| !fields.id.is_empty())?;
        Some(Self {
            id: fields.id,
            summary: fields.summary_override.or(fields.summary),
            access_role: fields.access_role,
            time_zone: fields.time_zone,
            etag: fields.etag,
            is_primary: fields.primary.unwrap_or(false),
            hidden: fields.hidden.unwrap_or(false),
            selected: fields.selected.unwrap_or(false),
            deleted: fields.deleted.unwrap_or(false),
            raw: raw.to_owned(),
        })
    }
}

use chrono::{DateTime, Datelike, NaiveDate, Utc};
use serde::Deserialize;
use serde_json::value::RawValue;

use crate::google::item::lenient;

const CONFIRMED: &str = "confirmed";
const CANCELLED: &str = "cancelled";

/// An event: <https://developers.google.com/workspace/calendar/api/v3/reference/events#resource>.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EventItem {
    /// Google's id, unique in its calendar.
    pub id: String,
    /// confirmed (also if Google says nothing), tentative or cancelled.
    pub status: String,
    /// The title.
    pub summary: Option<String>,
    /// When it starts.
    pub start: When,
    /// When it ends, exclusive.
    pub end: When,
    /// The organizer's e-mail address.
    pub organizer: Option<String>,
    /// The guests, as JSON.
    pub attendees: Option<String>,
    /// The lines of a series, as a JSON array of strings.
    pub recurrence: Option<String>,
    /// The series of an exception.
    pub recurring_event_id: Option<String>,
    /// Which occurrence an exception stands for.
    pub original_start: When,
    /// When its main data changed.
    pub updated: Option<DateTime<Utc>>,
    /// Tells one version of it from the next.
    pub etag: Option<String>,
    /// Its iCalendar sequence.
    pub sequence: Option<i32>,
    /// Its page for people.
    pub html_link: Option<String>,
    /// The whole event, as JSON.
    pub raw: String,
}

/// A moment, or a day, or neither; with the zone as given.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct When {
    #[serde(default, deserialize_with = "lenient")]
    date_time: Option<DateTime<Utc>>,
    #[serde(default, deserialize_with = "lenient")]
    date: Option<NaiveDate>,
    #[serde(default, deserialize_with = "lenient")]
    time_zone: Option<String>,
}

impl When {
    /// The moment of a timed event.
    #[must_use]
    pub fn moment(&self) -> Option<DateTime<Utc>> {
        self.date_time.filter(|moment| is_storable(moment.year()))
    }

    /// The day of an all-day event.
    #[must_use]
    pub fn day(&self) -> Option<NaiveDate> {
        self.date.filter(|day| is_storable(day.year()) && self.date_time.is_none())
    }

    /// The IANA zone, if one is given.
    #[must_use]
    pub fn zone(&self) -> Option<&str> {
        self.time_zone.as_deref()
    }
}

/// What calendars show; `PostgreSQL` takes somewhat more.
fn is_storable(year: i32) -> bool {
    (1..=9999).contains(&year)
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Fields<'a> {
    id: String,
    #[serde(default, deserialize_with = "lenient")]
    status: Option<String>,
    #[serde(default, deserialize_with = "lenient")]
    summary: Option<String>,
    #[serde(default, deserialize_with = "lenient")]
    start: Option<When>,
    #[serde(default, deserialize_with = "lenient")]
    end: Option<When>,
    #[serde(default, deserialize_with = "lenient")]
    organizer: Option<Organizer>,
    #[serde(borrow, default)]
    attendees: Option<&'a RawValue>,
    #[serde(default, deserialize_with = "lenient")]
    recurrence: Option<Vec<String>>,
    #[serde(default, deserialize_with = "lenient")]
    recurring_event_id: Option<String>,
    #[serde(default, deserialize_with = "lenient")]
    original_start_time: Option<When>,
    #[serde(default, deserialize_with = "lenient")]
    updated: Option<DateTime<Utc>>,
    #[serde(default, deserialize_with = "lenient")]
    etag: Option<String>,
    #[serde(default, deserialize_with = "lenient")]
    sequence: Option<i32>,
    #[serde(default, deserialize_with = "lenient")]
    html_link: Option<String>,
}

#[derive(Deserialize)]
struct Organizer {
    #[serde(default, deserialize_with = "lenient")]
    email: Option<String>,
}

impl EventItem {
    /// Reads an event; none if it has no id.
    pub(super) fn read(raw: &str) -> Option<Self> {
        let fields: Fields<'_> =
            serde_json::from_str(raw).ok().filter(|fields: &Fields<'_>| !fields.id.is_empty())?;
        Some(Self {
            id: fields.id,
            status: fields.status.unwrap_or_else(|| CONFIRMED.to_owned()),
            summary: fields.summary,
            start: fields.start.unwrap_or_default(),
            end: fields.end.unwrap_or_default(),
            organizer: fields.organizer.and_then(|organizer| organizer.email),
            attendees: fields.attendees.map(|raw| raw.get().to_owned()),
            recurrence: fields.recurrence.and_then(|lines| serde_json::to_string(&lines).ok()),
            recurring_event_id: fields.recurring_event_id,
            original_start: fields.original_start_time.unwrap_or_default(),
            updated: fields.updated.filter(|moment| is_storable(moment.year())),
            etag: fields.etag,
            sequence: fields.sequence,
            html_link: fields.html_link,
            raw: raw.to_owned(),
        })
    }

    /// Whether the event is deleted. A cancelled exception is none: it hides an occurrence for as long as its series lives.
    #[must_use]
    pub fn is_tombstone(&self) -> bool {
        self.status == CANCELLED && self.recurring_event_id.is_none()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_kept_as_given() {
        let event = EventItem::read(
            r#"{"id": "a", "start": {"dateTime": "2026-01-02T10:00:00+05:30", "timeZone": "Asia/Kolkata"},
                "end": {"date": "2026-01-03"}, "endTimeUnspecified": true}"#,
        )
        .unwrap();
        assert_eq!(event.start.moment().unwrap().to_rfc3339(), "2026-01-02T04:30:00+00:00");
        assert_eq!((event.start.zone(), event.start.day()), (Some("Asia/Kolkata"), None));
        assert_eq!(event.end.day().unwrap().to_string(), "2026-01-03");
        assert_eq!((event.end.zone(), event.end.moment()), (None, None));
    }

    #[test]
    fn fields_of_another_shape_are_as_good_as_missing() {
        let event = EventItem::read(
            r#"{"id": "a", "status": 5, "start": {"date": "0000-13-40"}, "end": [], "organizer": "x",
                "recurrence": "RRULE", "updated": "yesterday", "sequence": 1e99, "attendees": null}"#,
        )
        .unwrap();
        assert_eq!((event.status.as_str(), event.organizer, event.recurrence), ("confirmed", None, None));
        assert_eq!((event.start, event.end), (When::default(), When::default()));
        assert_eq!((event.updated, event.sequence, event.attendees), (None, None, None));
    }

    #[test]
    fn only_what_is_no_exception_is_a_tombstone() {
        let tombstone = |raw| EventItem::read(raw).unwrap().is_tombstone();
        assert!(tombstone(r#"{"id": "a", "status": "cancelled"}"#));
        assert!(!tombstone(r#"{"id": "a_1", "status": "cancelled", "recurringEventId": "a"}"#));
        assert!(!tombstone(r#"{"id": "a", "status": "confirmed"}"#));
    }
}

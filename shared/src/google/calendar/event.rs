use chrono::{DateTime, Datelike, NaiveDate, Utc};
use serde::Deserialize;
use serde_json::value::RawValue;

use crate::{
    calendar::{Series, Time, Zone},
    google::item::lenient,
};

const CONFIRMED: &str = "confirmed";
const CANCELLED: &str = "cancelled";
const DEFAULT: &str = "default";
const OPAQUE: &str = "opaque";

/// An event: <https://developers.google.com/workspace/calendar/api/v3/reference/events#resource>.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EventItem {
    /// Google's id, unique in its calendar.
    pub id: String,
    /// confirmed (also if Google says nothing), tentative or cancelled.
    pub status: String,
    /// The title.
    pub summary: Option<String>,
    /// Where it is.
    pub location: Option<String>,
    /// When it starts.
    pub start: When,
    /// When it ends, exclusive; as given. [`EventItem::ends_at`] and [`EventItem::ends_on`] fit the start.
    pub end: When,
    /// The end is there for form's sake only.
    pub end_unspecified: bool,
    /// default (also if Google says nothing), outOfOffice, focusTime, workingLocation, birthday, fromGmail.
    pub event_type: String,
    /// opaque (also if Google says nothing): it makes busy; or transparent.
    pub transparency: String,
    /// default (also if Google says nothing), public, private, confidential.
    pub visibility: String,
    /// Its iCalendar id: the same in all calendars.
    pub ical_uid: Option<String>,
    /// The e-mail address of who made it.
    pub creator: Option<String>,
    /// Where its video call is joined.
    pub conference_url: Option<String>,
    /// The organizer's e-mail address.
    pub organizer: Option<String>,
    /// The guests, as JSON.
    pub attendees: Option<String>,
    /// The lines of a series.
    pub recurrence: Option<Vec<String>>,
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
    location: Option<String>,
    #[serde(default, deserialize_with = "lenient")]
    start: Option<When>,
    #[serde(default, deserialize_with = "lenient")]
    end: Option<When>,
    #[serde(default, deserialize_with = "lenient")]
    end_time_unspecified: Option<bool>,
    #[serde(default, deserialize_with = "lenient")]
    event_type: Option<String>,
    #[serde(default, deserialize_with = "lenient")]
    transparency: Option<String>,
    #[serde(default, deserialize_with = "lenient")]
    visibility: Option<String>,
    #[serde(rename = "iCalUID", default, deserialize_with = "lenient")]
    ical_uid: Option<String>,
    #[serde(default, deserialize_with = "lenient")]
    creator: Option<Person>,
    #[serde(default, deserialize_with = "lenient")]
    hangout_link: Option<String>,
    #[serde(default, deserialize_with = "lenient")]
    conference_data: Option<Conference>,
    #[serde(default, deserialize_with = "lenient")]
    organizer: Option<Person>,
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
struct Person {
    #[serde(default, deserialize_with = "lenient")]
    email: Option<String>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Conference {
    #[serde(default, deserialize_with = "lenient")]
    entry_points: Option<Vec<EntryPoint>>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct EntryPoint {
    #[serde(default, deserialize_with = "lenient")]
    entry_point_type: Option<String>,
    #[serde(default, deserialize_with = "lenient")]
    uri: Option<String>,
}

impl Conference {
    fn video(self) -> Option<String> {
        let points = self.entry_points.unwrap_or_default();
        points.into_iter().find(|point| point.entry_point_type.as_deref() == Some("video"))?.uri
    }
}

impl EventItem {
    /// Reads an event's JSON; none if it has no id.
    #[must_use]
    pub fn read(raw: &str) -> Option<Self> {
        let fields: Fields<'_> =
            serde_json::from_str(raw).ok().filter(|fields: &Fields<'_>| !fields.id.is_empty())?;
        Some(Self {
            id: fields.id,
            status: fields.status.unwrap_or_else(|| CONFIRMED.to_owned()),
            summary: fields.summary,
            location: fields.location,
            start: fields.start.unwrap_or_default(),
            end: fields.end.unwrap_or_default(),
            end_unspecified: fields.end_time_unspecified.unwrap_or(false),
            event_type: fields.event_type.unwrap_or_else(|| DEFAULT.to_owned()),
            transparency: fields.transparency.unwrap_or_else(|| OPAQUE.to_owned()),
            visibility: fields.visibility.unwrap_or_else(|| DEFAULT.to_owned()),
            ical_uid: fields.ical_uid,
            creator: fields.creator.and_then(|creator| creator.email),
            conference_url: fields.conference_data.and_then(Conference::video).or(fields.hangout_link),
            organizer: fields.organizer.and_then(|organizer| organizer.email),
            attendees: fields.attendees.map(|raw| raw.get().to_owned()),
            recurrence: fields.recurrence.filter(|lines| !lines.is_empty()),
            recurring_event_id: fields.recurring_event_id,
            original_start: fields.original_start_time.unwrap_or_default(),
            updated: fields.updated.filter(|moment| is_storable(moment.year())),
            etag: fields.etag,
            sequence: fields.sequence,
            html_link: fields.html_link,
            raw: raw.to_owned(),
        })
    }

    /// When a timed event ends. One whose end is missing, a day, or before its start, ends when it starts.
    #[must_use]
    pub fn ends_at(&self) -> Option<DateTime<Utc>> {
        let start = self.start.moment()?;
        Some(self.end.moment().map_or(start, |end| end.max(start)))
    }

    /// The day after the last day of an all-day event. One whose end is missing, a moment, or not after its start, is a day long.
    #[must_use]
    pub fn ends_on(&self) -> Option<NaiveDate> {
        let start = self.start.day()?;
        self.end.day().filter(|end| *end > start).or_else(|| start.succ_opt())
    }

    /// A moment by which a series has ended; none if it is endless, or only its count ends it, or this is no series.
    #[must_use]
    pub fn series_end(&self) -> Option<DateTime<Utc>> {
        let zone = Zone::find(&[self.start.zone()], None);
        let moment = |at| Time::Moment(zone.at(at));
        let series = Series {
            start: self.start.moment().map(moment).or_else(|| self.start.day().map(Time::Day))?,
            end: self.ends_at().map(moment).or_else(|| self.ends_on().map(Time::Day))?,
            zone,
            lines: self.recurrence.as_deref()?,
        };
        series.ends_by().filter(|end| is_storable(end.year()))
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
        assert!(event.end_unspecified);
    }

    #[test]
    fn an_end_fits_the_start() {
        let ends = |times: &str| {
            let event = EventItem::read(&format!(r#"{{"id": "a", {times}}}"#)).unwrap();
            (event.ends_at().map(|end| end.to_rfc3339()), event.ends_on().map(|end| end.to_string()))
        };
        let at = |text: &str| (Some(text.to_owned()), None);
        let on = |text: &str| (None, Some(text.to_owned()));
        let start = r#""start": {"dateTime": "2026-01-02T10:00:00Z"}"#;
        let day = r#""start": {"date": "2026-01-02"}"#;
        assert_eq!(
            ends(&format!(r#"{start}, "end": {{"dateTime": "2026-01-02T11:00:00Z"}}"#)),
            at("2026-01-02T11:00:00+00:00")
        );
        for end in ["{}", r#"{"date": "2026-01-03"}"#, r#"{"dateTime": "2026-01-01T11:00:00Z"}"#] {
            assert_eq!(ends(&format!(r#"{start}, "end": {end}"#)), at("2026-01-02T10:00:00+00:00"));
        }
        assert_eq!(ends(&format!(r#"{day}, "end": {{"date": "2026-01-05"}}"#)), on("2026-01-05"));
        for end in ["{}", r#"{"date": "2026-01-02"}"#, r#"{"dateTime": "2026-01-09T11:00:00Z"}"#] {
            assert_eq!(ends(&format!(r#"{day}, "end": {end}"#)), on("2026-01-03"));
        }
        assert_eq!(ends(r#""end": {"date": "2026-01-05"}"#), (None, None));
    }

    #[test]
    fn what_google_leaves_out_has_its_default() {
        let event = EventItem::read(r#"{"id": "a"}"#).unwrap();
        assert_eq!((event.event_type.as_str(), event.visibility.as_str()), ("default", "default"));
        assert_eq!((event.transparency.as_str(), event.end_unspecified), ("opaque", false));
    }

    #[test]
    fn a_call_is_joined_by_video_if_possible() {
        let url =
            |fields: &str| EventItem::read(&format!(r#"{{"id": "a", {fields}}}"#)).unwrap().conference_url;
        let phone = r#"{"entryPointType": "phone", "uri": "tel:+1"}"#;
        let video = r#"{"entryPointType": "video", "uri": "https://meet.example/x"}"#;
        let old = r#""hangoutLink": "https://old.example/x""#;
        let both = format!(r#""conferenceData": {{"entryPoints": [{phone}, {video}]}}, {old}"#);
        assert_eq!(url(&both).as_deref(), Some("https://meet.example/x"));
        let none = format!(r#""conferenceData": {{"entryPoints": [{phone}]}}, {old}"#);
        assert_eq!(url(&none).as_deref(), Some("https://old.example/x"));
        assert_eq!(url(r#""conferenceData": 5"#), None);
    }

    #[test]
    fn only_dates_end_a_series_for_sure() {
        let end = |lines: &str| {
            let raw = format!(
                r#"{{"id": "a", "start": {{"dateTime": "2026-01-02T10:00:00Z"}}, "recurrence": {lines}}}"#
            );
            EventItem::read(&raw).unwrap().series_end().map(|end| end.to_rfc3339())
        };
        let by = |text: &str| Some(text.to_owned());
        assert_eq!(end(r#"["RRULE:FREQ=DAILY;UNTIL=20260301"]"#), by("2026-03-03T10:00:00+00:00"));
        assert_eq!(end(r#"["RDATE:20260401T100000Z"]"#), by("2026-04-03T10:00:00+00:00"));
        for endless in [
            r#"["RRULE:FREQ=DAILY"]"#,
            r#"["RRULE:FREQ=DAILY;COUNT=2"]"#,
            r#"["RRULE:FREQ=DAILY;UNTIL=20260301", "RRULE:FREQ=WEEKLY"]"#,
            r#"["RRULE:FREQ=DAILY;UNTIL=20260301", "nonsense"]"#,
            "[]",
        ] {
            assert_eq!(end(endless), None, "{endless}");
        }
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

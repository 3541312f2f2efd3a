//! One event: what a test gives, what is kept, what is served.

use std::sync::Arc;

use chrono::{DateTime, Days, FixedOffset, NaiveDate, SecondsFormat, TimeDelta, Utc};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};

use super::calendar::Role;

/// A date (all day) or a moment with its own offset; exactly one of the two is set.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct When {
    /// The day of an all-day event.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub date: Option<NaiveDate>,
    /// The moment of a timed event; its offset means something and is kept.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub date_time: Option<DateTime<FixedOffset>>,
    /// The IANA zone in which a series is expanded.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub time_zone: Option<String>,
}

impl When {
    /// An all-day date.
    #[must_use]
    pub fn day(date: NaiveDate) -> Self {
        Self { date: Some(date), date_time: None, time_zone: None }
    }

    /// A moment, with an optional IANA zone.
    #[must_use]
    pub fn at(moment: DateTime<FixedOffset>, time_zone: Option<&str>) -> Self {
        Self { date: None, date_time: Some(moment), time_zone: time_zone.map(str::to_owned) }
    }

    /// The end of an event that starts here and says nothing about its end: a day or an hour later.
    fn usual_end(&self) -> Self {
        Self {
            date: self.date.map(|day| day.checked_add_days(Days::new(1)).unwrap_or(day)),
            date_time: self.date_time.map(|moment| moment + TimeDelta::hours(1)),
            time_zone: self.time_zone.clone(),
        }
    }

    /// The part of an instance's id that names its original start.
    pub(super) fn stamp(&self) -> String {
        match (self.date, self.date_time) {
            (_, Some(moment)) => moment.with_timezone(&Utc).format("%Y%m%dT%H%M%SZ").to_string(),
            (Some(day), None) => day.format("%Y%m%d").to_string(),
            (None, None) => String::new(),
        }
    }

    pub(super) fn is_whole(&self) -> bool {
        self.date.is_some() != self.date_time.is_some()
    }
}

/// What a test says about an event; the rest is made up as Google would.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct EventDraft {
    /// 5 to 1024 characters of `a-v0-9`, as Google demands; drawn when missing.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub id: Option<String>,
    /// The title.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub summary: Option<String>,
    /// When it starts.
    pub start: When,
    /// When it ends; missing: a day or an hour after the start.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub end: Option<When>,
    /// RRULE, EXDATE and so on; not empty makes the event the master of a series.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub recurrence: Vec<String>,
    /// E-mail addresses.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub attendees: Vec<String>,
    /// `confirmed` (when missing) or `tentative`; cancelling is an operation of its own.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub status: Option<String>,
    /// `private` hides the details from readers.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub visibility: Option<String>,
    /// `default` when missing.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub event_type: Option<String>,
    /// Any further fields of the resource, served as they are; they win over the made-up ones.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub extra: Option<Box<Map<String, Value>>>,
}

impl EventDraft {
    /// A plain event.
    #[must_use]
    pub fn new(summary: &str, start: When) -> Self {
        Self {
            id: None,
            summary: Some(summary.to_owned()),
            start,
            end: None,
            recurrence: Vec::new(),
            attendees: Vec::new(),
            status: None,
            visibility: None,
            event_type: None,
            extra: None,
        }
    }

    /// The master of a series.
    #[must_use]
    pub fn series(summary: &str, start: When, rule: &str) -> Self {
        Self { recurrence: vec![rule.to_owned()], ..Self::new(summary, start) }
    }

    pub(super) fn kind(&self) -> &str {
        self.event_type.as_deref().unwrap_or("default")
    }
}

/// Which occurrence of which series an exception stands for.
#[derive(Debug, Clone)]
pub(super) struct Occurrence {
    pub(super) master: Arc<str>,
    pub(super) start: When,
}

/// An event as a calendar keeps it. Cancelled ones stay, for the incremental lists.
#[derive(Debug)]
pub(super) struct Row {
    /// Place in the calendar's change log.
    pub(super) version: u64,
    pub(super) etag: u64,
    pub(super) cancelled: bool,
    pub(super) created: DateTime<Utc>,
    pub(super) updated: DateTime<Utc>,
    pub(super) sequence: u32,
    pub(super) occurrence: Option<Occurrence>,
    pub(super) body: EventDraft,
}

pub(super) fn quoted_etag(etag: u64) -> String {
    format!("\"{etag}\"")
}

pub(super) fn time(moment: DateTime<Utc>) -> String {
    moment.to_rfc3339_opts(SecondsFormat::Millis, true)
}

/// A deleted event: only these two fields are promised.
pub(super) fn tombstone(id: &str) -> Value {
    json!({"id": id, "status": "cancelled"})
}

/// A cancelled occurrence: only these fields are promised.
/// <https://developers.google.com/workspace/calendar/api/v3/reference/events#resource>, `status`.
pub(super) fn cancelled_occurrence(id: &str, of: &Occurrence) -> Value {
    json!({
        "id": id,
        "status": "cancelled",
        "recurringEventId": &*of.master,
        "originalStartTime": of.start,
    })
}

/// True if someone with this role sees no more than the times.
pub(super) fn hidden_from(role: Role, row: &Row) -> bool {
    match role {
        Role::FreeBusyReader => true,
        Role::Reader => row.body.visibility.as_deref() == Some("private"),
        Role::Writer | Role::Owner => false,
    }
}

/// The etag as this role sees it. The hidden form is another representation, so it has another etag.
pub(super) fn etag_for(role: Role, row: &Row) -> String {
    quoted_etag(if hidden_from(role, row) { row.etag + 1 } else { row.etag })
}

/// The whole resource of a live event, as someone with this role sees it.
pub(super) fn resource(owner: &str, id: &str, row: &Row, role: Role, max_attendees: Option<usize>) -> Value {
    let body = &row.body;
    let ical = row.occurrence.as_ref().map_or(id, |of| &*of.master);
    let mut item = json!({
        "kind": "calendar#event",
        "etag": etag_for(role, row),
        "id": id,
        "status": body.status.as_deref().unwrap_or("confirmed"),
        "htmlLink": format!("https://www.google.com/calendar/event?eid={id}"),
        "created": time(row.created),
        "updated": time(row.updated),
        "start": body.start,
        "end": body.end.clone().unwrap_or_else(|| body.start.usual_end()),
        "iCalUID": format!("{ical}@google.com"),
        "sequence": row.sequence,
        "eventType": body.kind(),
    });
    let Value::Object(fields) = &mut item else { return item };
    let mut set = |key: &str, value: Value| fields.insert(key.to_owned(), value);
    if !body.recurrence.is_empty() {
        set("recurrence", json!(body.recurrence));
    }
    if let Some(of) = &row.occurrence {
        set("recurringEventId", json!(&*of.master));
        set("originalStartTime", json!(of.start));
    }
    if let Some(visibility) = &body.visibility {
        set("visibility", json!(visibility));
    }
    if hidden_from(role, row) {
        return item;
    }
    if let Some(summary) = &body.summary {
        set("summary", json!(summary));
    }
    set("creator", json!({"email": owner}));
    set("organizer", json!({"email": owner, "self": true}));
    set("reminders", json!({"useDefault": true}));
    if !body.attendees.is_empty() {
        let shown = max_attendees.unwrap_or(usize::MAX).min(body.attendees.len());
        let attendee = |email: &String| json!({"email": email, "responseStatus": "needsAction"});
        set("attendees", body.attendees[..shown].iter().map(attendee).collect());
        if shown < body.attendees.len() {
            set("attendeesOmitted", json!(true));
        }
    }
    if let Some(extra) = &body.extra {
        for (key, value) in &**extra {
            set(key, value.clone());
        }
    }
    item
}

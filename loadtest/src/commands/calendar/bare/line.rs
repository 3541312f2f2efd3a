//! An event as a line of `copy`: <https://www.postgresql.org/docs/current/sql-copy.html>, text format.

use anyhow::Context;
use serde::Deserialize;
use serde_json::value::RawValue;

use crate::stage::copy;

/// The columns of [`append`].
pub const COPY: &str = "copy bare_events (
    account_id, calendar_id, generation, event_id, status, event_type, transparency, visibility, summary, location,
    start_at, end_at, start_date, end_date, end_unspecified, start_zone, end_zone, organizer, creator, attendees,
    conference_url, recurrence, series_end, recurring_event_id, original_start_at, original_date, ical_uid, updated,
    etag, sequence, html_link, raw
) from stdin";

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Event<'a> {
    id: String,
    status: String,
    #[serde(rename = "eventType")]
    kind: Option<String>,
    transparency: Option<String>,
    visibility: Option<String>,
    summary: Option<String>,
    location: Option<String>,
    #[serde(default)]
    start: When,
    #[serde(default)]
    end: When,
    end_time_unspecified: Option<bool>,
    organizer: Option<Person>,
    creator: Option<Person>,
    #[serde(borrow)]
    attendees: Option<&'a RawValue>,
    hangout_link: Option<String>,
    recurrence: Option<Vec<String>>,
    recurring_event_id: Option<String>,
    #[serde(default)]
    original_start_time: When,
    #[serde(rename = "iCalUID")]
    ical_uid: Option<String>,
    updated: Option<String>,
    etag: Option<String>,
    sequence: Option<i32>,
    html_link: Option<String>,
}

#[derive(Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct When {
    date_time: Option<String>,
    date: Option<String>,
    time_zone: Option<String>,
}

#[derive(Deserialize)]
struct Person {
    email: Option<String>,
}

/// Appends the line of an event.
pub fn append(lines: &mut String, account: usize, calendar: usize, raw: &str) -> anyhow::Result<()> {
    let event: Event<'_> = serde_json::from_str(raw).context("an event is of another shape")?;
    let numbers = [account.to_string(), calendar.to_string(), "1".to_owned()];
    let recurrence = event.recurrence.map(|lines| {
        let quoted =
            lines.iter().map(|line| format!("\"{}\"", line.replace('\\', "\\\\").replace('"', "\\\"")));
        format!("{{{}}}", quoted.collect::<Vec<_>>().join(","))
    });
    let sequence = event.sequence.map(|sequence| sequence.to_string());
    let email = |person: Option<Person>| person.and_then(|person| person.email);
    let (organizer, creator) = (email(event.organizer), email(event.creator));
    let columns = numbers.iter().map(|number| Some(number.as_str())).chain([
        Some(event.id.as_str()),
        Some(event.status.as_str()),
        Some(event.kind.as_deref().unwrap_or("default")),
        Some(event.transparency.as_deref().unwrap_or("opaque")),
        Some(event.visibility.as_deref().unwrap_or("default")),
        event.summary.as_deref(),
        event.location.as_deref(),
        event.start.date_time.as_deref(),
        event.end.date_time.as_deref(),
        event.start.date.as_deref(),
        event.end.date.as_deref(),
        Some(if event.end_time_unspecified == Some(true) { "t" } else { "f" }),
        event.start.time_zone.as_deref(),
        event.end.time_zone.as_deref(),
        organizer.as_deref(),
        creator.as_deref(),
        event.attendees.map(RawValue::get),
        event.hangout_link.as_deref(),
        recurrence.as_deref(),
        // The engine reckons when a series ends.
        recurrence.as_ref().map(|_| "infinity"),
        event.recurring_event_id.as_deref(),
        event.original_start_time.date_time.as_deref(),
        event.original_start_time.date.as_deref(),
        event.ical_uid.as_deref(),
        event.updated.as_deref(),
        event.etag.as_deref(),
        sequence.as_deref(),
        event.html_link.as_deref(),
        Some(raw),
    ]);
    for (place, column) in columns.enumerate() {
        if place > 0 {
            lines.push('\t');
        }
        copy::push(lines, column);
    }
    lines.push('\n');
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_would_end_a_field_is_escaped() {
        let mut line = String::new();
        append(
            &mut line,
            1,
            2,
            r#"{"id": "a", "status": "confirmed", "summary": "x\ty\\z\n", "recurrence": ["A\"B"]}"#,
        )
        .unwrap();
        let fields: Vec<_> = line.trim_end_matches('\n').split('\t').collect();
        assert_eq!(fields.len(), 32, "{line}");
        assert_eq!(
            &fields[..9],
            ["1", "2", "1", "a", "confirmed", "default", "opaque", "default", r"x\ty\\z\n"]
        );
        assert_eq!((fields[9], fields[21]), (r"\N", r#"{"A\\"B"}"#));
    }
}

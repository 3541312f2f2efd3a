//! What happens between two moments, as the mirror has it: single events, exceptions at their new times, and the occurrences of
//! series that no exception stands for.

use std::collections::{BTreeMap, HashMap};

use chrono::{DateTime, Utc};
use serde::Serialize;
use sqlx::{Connection, PgConnection};

use super::{Series, Time, Window, Zone};
use crate::{
    job::AccountId,
    store::{
        calendars::{self, CalendarId},
        events::{self, Days, EventRow, Exception},
    },
};

/// Whose occurrences, and when.
#[derive(Debug, Clone, Copy)]
pub struct Filter {
    /// Of this account. Not needed with a calendar.
    pub account: Option<AccountId>,
    /// In this calendar only.
    pub calendar: Option<CalendarId>,
    /// When.
    pub window: Window,
    /// At most so many, the earliest.
    pub limit: usize,
}

/// Something that happens once.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Occurrence {
    /// The calendar's row.
    pub calendar: CalendarId,
    /// The row in `events` that says so: a single event, an exception, or a master.
    pub event: String,
    /// The master, if it is of a series.
    pub series: Option<String>,
    /// When it begins, in its zone.
    pub start: Time,
    /// When it ends, exclusive.
    pub end: Time,
    /// The zone that it is told in.
    pub zone: String,
    /// confirmed or tentative.
    pub status: String,
    /// Its title.
    pub summary: Option<String>,
    /// Where it is.
    pub location: Option<String>,
    /// Who organizes it.
    pub organizer: Option<String>,
}

/// What was found.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Found {
    /// By their start.
    pub occurrences: Vec<Occurrence>,
    /// There are more than the limit.
    pub more: bool,
    /// What of the series could not be expanded, for people.
    pub notes: Vec<String>,
}

/// What happens in a window. Cancelled events do not; days lie where the calendar's zone has them.
pub async fn between(conn: &mut PgConnection, filter: &Filter) -> Result<Found, sqlx::Error> {
    // One view of the mirror for all of it: a page may be committed meanwhile.
    let mut tx = conn.begin_with("begin isolation level repeatable read read only").await?;
    let calendars = calendars::zones(&mut tx, filter.account, filter.calendar).await?;
    let Some(account) = calendars.first().map(|calendar| calendar.account) else {
        return Ok(Found::default());
    };
    let window = filter.window;
    let ids: Vec<CalendarId> = calendars.iter().map(|calendar| calendar.id).collect();
    let names: HashMap<CalendarId, Option<String>> =
        calendars.into_iter().map(|calendar| (calendar.id, calendar.time_zone)).collect();
    let zone = |calendar: CalendarId| Zone::find(&[names.get(&calendar).and_then(Option::as_deref)], None);
    let days = |calendar: &CalendarId| {
        let (first, after) = window.days(zone(*calendar));
        Days { calendar: *calendar, first, after }
    };
    let days: Vec<Days> = ids.iter().map(days).collect();
    let most = i64::try_from(filter.limit).unwrap_or(i64::MAX).saturating_add(1);

    let mut rows = events::timed(&mut tx, account, &ids, window, most).await?;
    rows.append(&mut events::all_day(&mut tx, account, &days, most).await?);
    let masters = events::masters(&mut tx, account, &ids, window).await?;
    let mut exceptions = by_master(events::exceptions(&mut tx, account, &masters).await?);
    tx.commit().await?;

    let mut earliest = Earliest::new(filter.limit);
    for row in &rows {
        let zone = zone_of(row, &names);
        if let Some((start, end)) = times(row, zone) {
            earliest.add(start.moment(zone), occurrence(row, zone, start, end));
        }
    }
    for row in &masters {
        let zone = zone_of(row, &names);
        let Some((start, end)) = times(row, zone) else { continue };
        let series = Series { start, end, zone, lines: row.recurrence.as_deref().unwrap_or_default() };
        let replaced = exceptions.remove(&(row.calendar, row.id.clone())).unwrap_or_default();
        let expanded = series.within(window, &replaced);
        for (start, end) in expanded.occurrences {
            earliest.add(start.moment(zone), occurrence(row, zone, start, end));
        }
        let told = expanded
            .notes
            .into_iter()
            .map(|note| format!("event {} of calendar {}: {note}", row.id, row.calendar));
        earliest.found.notes.extend(told);
    }
    Ok(earliest.finish())
}

type Originals = HashMap<(CalendarId, String), Vec<Time>>;

fn by_master(exceptions: Vec<Exception>) -> Originals {
    let mut originals = Originals::new();
    for exception in exceptions {
        let moment = exception.original_start_at.map(|at| Time::Moment(at.fixed_offset()));
        let original = moment.or(exception.original_date.map(Time::Day));
        originals.entry((exception.calendar, exception.master)).or_default().extend(original);
    }
    originals
}

/// A timed event's own zone, or its calendar's. An all-day event has none of its own.
fn zone_of(row: &EventRow, calendars: &HashMap<CalendarId, Option<String>>) -> Zone {
    let own = row.zone.as_deref().filter(|_| row.start_at.is_some());
    Zone::find(&[own, calendars.get(&row.calendar).and_then(Option::as_deref)], row.given_start.as_deref())
}

fn times(row: &EventRow, zone: Zone) -> Option<(Time, Time)> {
    let moments = row.start_at.zip(row.end_at).map(|(start, end)| (zone.at(start), zone.at(end)));
    let days = row.start_date.zip(row.end_date).map(|(start, end)| (Time::Day(start), Time::Day(end)));
    moments.map(|(start, end)| (Time::Moment(start), Time::Moment(end))).or(days)
}

fn occurrence(row: &EventRow, zone: Zone, start: Time, end: Time) -> Occurrence {
    let master = row.recurrence.is_some().then(|| row.id.clone());
    Occurrence {
        calendar: row.calendar,
        event: row.id.clone(),
        series: master.or_else(|| row.recurring_event_id.clone()),
        start,
        end,
        zone: zone.to_string(),
        status: row.status.clone(),
        summary: row.summary.clone(),
        location: row.location.clone(),
        organizer: row.organizer.clone(),
    }
}

/// The earliest occurrences, no more than asked for: a wide window over many series has very many.
struct Earliest {
    limit: usize,
    kept: BTreeMap<(DateTime<Utc>, CalendarId, String), Occurrence>,
    found: Found,
}

impl Earliest {
    fn new(limit: usize) -> Self {
        Self { limit, kept: BTreeMap::new(), found: Found::default() }
    }

    fn add(&mut self, start: DateTime<Utc>, occurrence: Occurrence) {
        self.kept.insert((start, occurrence.calendar, occurrence.event.clone()), occurrence);
        if self.kept.len() > self.limit {
            self.kept.pop_last();
            self.found.more = true;
        }
    }

    fn finish(mut self) -> Found {
        self.found.occurrences = self.kept.into_values().collect();
        self.found
    }
}

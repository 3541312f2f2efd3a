//! One calendar: its events, and the log of changes that incremental lists read.
//!
//! Every change gives the event the calendar's next version and moves it to the end of the log, so an event
//! stands in the log once, at its last change. A list "since version v" is a range of the log.
//!
//! A series and its exceptions keep one rule: whoever is shown a cancelled exception of a live series has been
//! shown that series in the same pass or before. So a change of the master moves its cancelled exceptions with
//! it, in one go.

use std::{collections::BTreeMap, ops::Bound, sync::Arc};

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::event::{self, EventDraft, Occurrence, Row};

/// What an account may do with a calendar, weakest first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum Role {
    /// Sees times, nothing else.
    FreeBusyReader,
    /// Sees events, private ones without their details.
    Reader,
    /// Sees and changes all events.
    Writer,
    /// Writer that may also share the calendar.
    Owner,
}

/// When a change happens and which etag it gives.
#[derive(Debug, Clone, Copy)]
pub(super) struct Stamp {
    pub(super) etag: u64,
    pub(super) at: DateTime<Utc>,
}

#[derive(Debug)]
pub(super) struct Calendar {
    pub(super) id: String,
    pub(super) summary: String,
    pub(super) time_zone: String,
    pub(super) owner: String,
    pub(super) updated: DateTime<Utc>,
    /// The version of the last change.
    pub(super) version: u64,
    pub(super) events: BTreeMap<Arc<str>, Row>,
    pub(super) log: BTreeMap<u64, Arc<str>>,
}

impl Calendar {
    /// Adds, replaces or brings back an event.
    pub(super) fn put(
        &mut self,
        id: &Arc<str>,
        body: EventDraft,
        occurrence: Option<Occurrence>,
        stamp: Stamp,
    ) {
        let before = self.events.get(id);
        let revived = before.is_some_and(|row| row.cancelled);
        let moved = before.is_some_and(|row| !row.cancelled && row.body.start != body.start);
        let row = Row {
            version: before.map_or(0, |row| row.version),
            etag: stamp.etag,
            cancelled: false,
            created: before.map_or(stamp.at, |row| row.created),
            updated: stamp.at,
            sequence: before.map_or(0, |row| row.sequence) + u32::from(moved || revived),
            occurrence,
            body,
        };
        self.events.insert(id.clone(), row);
        let exceptions = self.exceptions(id);
        if moved {
            // A series that moves loses its exceptions: their original starts exist no more.
            for exception in &exceptions {
                self.set_cancelled(exception, true, stamp);
            }
        }
        let follows = |name: &Arc<str>| revived || self.events.get(name).is_some_and(|row| row.cancelled);
        let mut group: Vec<Arc<str>> = exceptions.into_iter().filter(follows).collect();
        // Google promises no order within one answer: an exception may stand before its master.
        let place = if stamp.etag.is_multiple_of(4) { group.len() } else { 0 };
        group.insert(place, id.clone());
        self.log_all(&group, stamp.at);
    }

    /// Deletes an event, a whole series, or one occurrence.
    pub(super) fn cancel(&mut self, id: &Arc<str>, stamp: Stamp) {
        self.set_cancelled(id, true, stamp);
        let mut group = self.exceptions(id);
        // A deleted series takes its exceptions with it. Google may or may not say so for each, in any order.
        match stamp.etag % 3 {
            0 => group.clear(),
            1 => group.push(id.clone()),
            _ => {}
        }
        if group.last() != Some(id) {
            group.insert(0, id.clone());
        }
        self.log_all(&group, stamp.at);
    }

    /// Cancels an occurrence that has no row yet.
    pub(super) fn cancel_occurrence(&mut self, id: &Arc<str>, of: Occurrence, stamp: Stamp) {
        if !self.events.contains_key(id) {
            let body = EventDraft { summary: None, ..EventDraft::new("", of.start.clone()) };
            self.put(id, body, Some(of), stamp);
        }
        self.cancel(id, stamp);
    }

    fn set_cancelled(&mut self, id: &Arc<str>, cancelled: bool, stamp: Stamp) {
        if let Some(row) = self.events.get_mut(id) {
            row.cancelled = cancelled;
            row.etag = stamp.etag;
            row.updated = stamp.at;
        }
    }

    /// The ids of a series's exceptions. They begin with the master's id and `_`, which no other id holds.
    fn exceptions(&self, master: &str) -> Vec<Arc<str>> {
        let prefix = format!("{master}_");
        let from = (Bound::Included(prefix.as_str()), Bound::Unbounded);
        self.events
            .range::<str, _>(from)
            .map(|(id, _)| id)
            .take_while(|id| id.starts_with(&prefix))
            .cloned()
            .collect()
    }

    fn log_all(&mut self, ids: &[Arc<str>], at: DateTime<Utc>) {
        self.updated = at;
        for id in ids {
            if let Some(row) = self.events.get_mut(id) {
                self.log.remove(&row.version);
                self.version += 1;
                row.version = self.version;
                self.log.insert(self.version, id.clone());
            }
        }
    }

    /// True if the event's series was deleted. A series that this calendar never had counts as live: one may be
    /// invited to a single occurrence.
    fn lost_its_series(&self, row: &Row) -> bool {
        row.occurrence
            .as_ref()
            .is_some_and(|of| self.events.get(&of.master).is_some_and(|master| master.cancelled))
    }

    fn has_live_series(&self, row: &Row) -> bool {
        row.occurrence
            .as_ref()
            .is_some_and(|of| self.events.get(&of.master).is_some_and(|master| !master.cancelled))
    }

    /// Whether an event is there for its readers: not cancelled, nor its series.
    pub(super) fn is_live(&self, row: &Row) -> bool {
        !row.cancelled && !self.lost_its_series(row)
    }

    /// Whether a mirror holds this event: live ones, and cancelled occurrences of live series.
    pub(super) fn is_mirrored(&self, row: &Row) -> bool {
        self.is_live(row) || (row.cancelled && self.has_live_series(row))
    }

    /// The event as served to someone with this role, in the bare form if it is cancelled.
    pub(super) fn serve(&self, id: &str, row: &Row, role: Role, max_attendees: Option<usize>) -> Value {
        match &row.occurrence {
            _ if self.is_live(row) => event::resource(&self.owner, id, row, role, max_attendees),
            Some(of) => event::cancelled_occurrence(id, of),
            None => event::tombstone(id),
        }
    }
}

//! What a faithful mirror must hold, however it got there.
//!
//! For each account and each calendar in its list with at least the role `reader`:
//! - every live event, master and exception, and
//! - every cancelled occurrence whose series is live in that calendar.
//!
//! No tombstones, and no cancelled occurrence without a live series: a full list shows neither, so a mirror that
//! learned of them through an incremental list must not keep them. The exceptions of a deleted series go with it,
//! whether or not the list said so for each of them. A live exception whose series was never in the calendar stays.

use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::{
    calendar::Role,
    event,
    world::{Account, Entry, World},
};

/// One event of one account's calendar.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct TruthEvent {
    /// The event's id.
    pub id: String,
    /// The quoted etag; none for cancelled occurrences, whose bare form carries none.
    pub etag: Option<String>,
    /// `confirmed`, `tentative`, or `cancelled` for cancelled occurrences.
    pub status: String,
    /// The title; none if there is none or the account may not see it.
    pub summary: Option<String>,
    /// The series of an exception.
    pub recurring_event_id: Option<String>,
    /// The resource as `events.list` serves it.
    pub json: Value,
}

/// One calendar of an account.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct TruthCalendar {
    /// The calendar's id.
    pub id: String,
    /// Its title.
    pub summary: String,
    /// What the account may do.
    pub role: Role,
    /// Whether the user hid it.
    pub hidden: bool,
    /// Its events, by id.
    pub events: Vec<TruthEvent>,
}

/// One account.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct TruthAccount {
    /// Its e-mail address.
    pub email: String,
    /// Its calendars, by id.
    pub calendars: Vec<TruthCalendar>,
}

/// One row, to compare with a mirror row by row. Sorts like the key.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct TruthRow {
    /// The account's e-mail address.
    pub account: String,
    /// The calendar's id.
    pub calendar: String,
    /// The event's id.
    pub event: String,
    /// The quoted etag; none for cancelled occurrences.
    pub etag: Option<String>,
}

impl World {
    /// The truth about all accounts, or about one, in the order in which accounts were added.
    #[must_use]
    pub fn truth(&self, account: Option<&str>) -> Vec<TruthAccount> {
        let wanted = |owner: &&Account| account.is_none_or(|email| owner.email == email);
        let truth = |owner: &Account| TruthAccount {
            email: owner.email.clone(),
            calendars: readable(owner).map(|entry| self.truth_calendar(entry)).collect(),
        };
        self.accounts.iter().filter(wanted).map(truth).collect()
    }

    fn truth_calendar(&self, entry: &Entry) -> TruthCalendar {
        let calendar = &self.calendars[entry.calendar];
        let events = calendar.events.iter().filter(|(_, row)| calendar.is_mirrored(row)).map(|(id, row)| {
            let json = calendar.serve(id, row, entry.role, None);
            let text = |key: &str| json[key].as_str().map(str::to_owned);
            TruthEvent {
                id: id.to_string(),
                etag: text("etag"),
                status: text("status").unwrap_or_default(),
                summary: text("summary"),
                recurring_event_id: text("recurringEventId"),
                json,
            }
        });
        TruthCalendar {
            id: calendar.id.clone(),
            summary: calendar.summary.clone(),
            role: entry.role,
            hidden: entry.hidden,
            events: events.collect(),
        }
    }

    /// The truth as rows, sorted, without rendering the events.
    #[must_use]
    pub fn truth_rows(&self) -> Vec<TruthRow> {
        let mut rows = Vec::new();
        for account in &self.accounts {
            for entry in readable(account) {
                let calendar = &self.calendars[entry.calendar];
                let mirrored = calendar.events.iter().filter(|(_, row)| calendar.is_mirrored(row));
                rows.extend(mirrored.map(|(id, row)| TruthRow {
                    account: account.email.clone(),
                    calendar: calendar.id.clone(),
                    event: id.to_string(),
                    etag: calendar.is_live(row).then(|| event::etag_for(entry.role, row)),
                }));
            }
        }
        rows.sort();
        rows
    }
}

fn readable(account: &Account) -> impl Iterator<Item = &Entry> {
    account.list.values().filter(|entry| !entry.deleted && entry.role >= Role::Reader)
}

//! Counters of what the fake Google was asked.

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex},
};

use serde::{Deserialize, Serialize};

use super::{api::Api, lock};

/// One call, as far as it is known before it is answered.
#[derive(Debug, Clone)]
pub(super) struct Call {
    pub(super) api: Api,
    pub(super) path: String,
    pub(super) account: Option<String>,
    /// A calendar, `my drive`, or a shared drive.
    pub(super) collection: Option<String>,
    pub(super) list: Option<ListKind>,
}

/// What a list call began.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum ListKind {
    Full,
    /// Of what is in so many folders.
    Folders(usize),
    Incremental,
    /// A page after the first, by its token.
    Page(String),
}

/// How many lists were begun and how many further pages were asked for. Failed calls are counted too.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ListCounts {
    /// First pages without a sync token.
    pub full: u64,
    /// First pages of what is in some folders.
    #[serde(default)]
    pub folders: u64,
    /// First pages with a sync token.
    pub incremental: u64,
    /// Pages after the first.
    pub pages: u64,
}

/// A snapshot of the counters.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Stats {
    /// Calls by part, then by status; `cut` for those whose connection was broken.
    pub requests: BTreeMap<Api, BTreeMap<String, u64>>,
    /// Access tokens handed out, by e-mail address.
    pub refreshes: BTreeMap<String, u64>,
    /// Lists asked for with a service account's tokens, by whom Google charges for them: `quotaUser`, or else `service account`.
    #[serde(default)]
    pub charged: BTreeMap<String, u64>,
    /// Lists of events.
    pub events: ListCounts,
    /// Calendar lists.
    pub calendar_list: ListCounts,
    /// Lists of files.
    #[serde(default)]
    pub files: ListCounts,
    /// Pages of changes.
    #[serde(default)]
    pub changes: ListCounts,
    /// Lists of shared drives.
    #[serde(default)]
    pub drives: ListCounts,
    /// Lists of events, by `account/calendar`.
    pub by_calendar: BTreeMap<String, ListCounts>,
    /// Lists of files and pages of changes, by `account/drive`; the account's own is `my drive`.
    #[serde(default)]
    pub by_drive: BTreeMap<String, ListCounts>,
    /// Contents by the file's id.
    #[serde(default)]
    pub media: BTreeMap<String, MediaCounts>,
    /// The most calls that were under way at once for one `account/calendar` or `account/drive`.
    pub max_concurrent: BTreeMap<String, u64>,
}

/// What was asked for, and sent, of one file's content.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct MediaCounts {
    /// The first byte of each call that was answered with content, in order: what its `Range` asked for.
    pub from: Vec<u64>,
    /// Bytes that were given to the connection, of each of these calls.
    pub sent: Vec<u64>,
}

#[derive(Default)]
struct Inner {
    stats: Stats,
    under_way: BTreeMap<String, u64>,
}

#[derive(Clone, Default)]
pub(super) struct Counters(Arc<Mutex<Inner>>);

impl Counters {
    pub(super) fn snapshot(&self) -> Stats {
        lock(&self.0).stats.clone()
    }

    pub(super) fn reset(&self) {
        lock(&self.0).stats = Stats::default();
    }

    pub(super) fn refreshed(&self, email: &str) {
        *lock(&self.0).stats.refreshes.entry(email.to_owned()).or_default() += 1;
    }

    pub(super) fn charged(&self, whom: &str) {
        *lock(&self.0).stats.charged.entry(whom.to_owned()).or_default() += 1;
    }

    /// Counts a call for content from this byte on. Answers its place among the file's calls.
    pub(super) fn asked(&self, file: &str, from: u64) -> usize {
        let media = &mut lock(&self.0).stats.media;
        let counts = media.entry(file.to_owned()).or_default();
        counts.from.push(from);
        counts.sent.push(0);
        counts.from.len() - 1
    }

    pub(super) fn sent(&self, file: &str, call: usize, bytes: u64) {
        let media = &mut lock(&self.0).stats.media;
        if let Some(sent) = media.get_mut(file).and_then(|counts| counts.sent.get_mut(call)) {
            *sent += bytes;
        }
    }

    pub(super) fn answered(&self, api: Api, status: &str) {
        let by_status = &mut lock(&self.0).stats.requests;
        *by_status.entry(api).or_default().entry(status.to_owned()).or_default() += 1;
    }

    /// Counts a call as under way until the guard is dropped, which also happens when the client goes away.
    pub(super) fn enter(&self, call: &Call) -> UnderWay {
        let key =
            call.account.as_ref().zip(call.collection.as_ref()).map(|(email, id)| format!("{email}/{id}"));
        let Inner { stats, under_way } = &mut *lock(&self.0);
        if let Some(kind) = &call.list {
            let total = match call.api {
                Api::Events => &mut stats.events,
                Api::Files => &mut stats.files,
                Api::Changes => &mut stats.changes,
                Api::Drives => &mut stats.drives,
                _ => &mut stats.calendar_list,
            };
            count(total, kind);
            if let Some(key) = &key {
                let by = if call.api.is_drive() { &mut stats.by_drive } else { &mut stats.by_calendar };
                count(by.entry(key.clone()).or_default(), kind);
            }
        }
        if let Some(key) = &key {
            let now = under_way.entry(key.clone()).or_default();
            *now += 1;
            let most = stats.max_concurrent.entry(key.clone()).or_default();
            *most = u64::max(*most, *now);
        }
        UnderWay { counters: self.clone(), key }
    }
}

fn count(counts: &mut ListCounts, kind: &ListKind) {
    match kind {
        ListKind::Full => counts.full += 1,
        ListKind::Folders(_) => counts.folders += 1,
        ListKind::Incremental => counts.incremental += 1,
        ListKind::Page(_) => counts.pages += 1,
    }
}

pub(super) struct UnderWay {
    counters: Counters,
    key: Option<String>,
}

impl Drop for UnderWay {
    fn drop(&mut self) {
        let Some(key) = &self.key else { return };
        let under_way = &mut lock(&self.counters.0).under_way;
        if let Some(now) = under_way.get_mut(key) {
            *now -= 1;
            if *now == 0 {
                under_way.remove(key);
            }
        }
    }
}

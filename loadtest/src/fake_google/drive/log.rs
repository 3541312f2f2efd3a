use std::{
    collections::{BTreeMap, HashMap},
    sync::Arc,
};

use chrono::{DateTime, Utc};

/// What changed. An entry holds no state: whoever reads it gets the state of that moment.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(super) enum What {
    File(Arc<str>),
    /// A file of a shared drive that its member has only looked at.
    Seen(Arc<str>),
    Drive(Arc<str>),
}

/// A log of changes. A later entry for the same thing takes the place of the one before, but not always: the same file may
/// stand in it twice.
#[derive(Debug, Default)]
pub(super) struct Log {
    entries: BTreeMap<u64, (What, DateTime<Utc>)>,
    last_of: HashMap<What, u64>,
    last: u64,
}

impl Log {
    pub(super) fn add(&mut self, what: What, at: DateTime<Utc>) {
        self.last += 1;
        let before = self.last_of.insert(what.clone(), self.last);
        if let Some(before) = before.filter(|_| !self.last.is_multiple_of(3)) {
            self.entries.remove(&before);
        }
        self.entries.insert(self.last, (what, at));
    }

    /// The number of the next entry.
    pub(super) fn next(&self) -> u64 {
        self.last + 1
    }

    /// The entries from a number on.
    pub(super) fn since(&self, from: u64) -> impl Iterator<Item = (u64, &What, DateTime<Utc>)> {
        self.entries.range(from..).map(|(number, (what, at))| (*number, what, *at))
    }
}

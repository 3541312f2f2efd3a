//! Drive: files, shared drives, who sees what, and one log of changes per user and per shared drive.
//!
//! Harsh where Google promises nothing: what happens to a folder is told of that folder only, never of what is in it.
//! <https://developers.google.com/workspace/drive/api/guides/about-changes>

mod answer;
mod changes;
mod churn;
mod content;
mod drives;
mod fields;
mod file;
mod files;
mod log;
mod media;
mod operations;
mod search;
mod seed;
mod truth;

use std::{
    collections::{BTreeMap, BTreeSet, HashMap},
    ops::Bound,
    sync::Arc,
};

pub(super) use self::{answer::routes, changes::watched};
pub use self::{
    content::Content,
    file::{FOLDER, FileDraft, PermissionRole, SHORTCUT},
    truth::TruthFile,
};
use self::{file::File, log::Log};

/// No path is longer: a cycle ends here.
const DEEPEST: usize = 200;

/// All of Drive.
#[derive(Debug, Default)]
pub(super) struct Drive {
    files: BTreeMap<Arc<str>, File>,
    /// What is in a folder, by the folder's id.
    children: HashMap<Arc<str>, BTreeSet<Arc<str>>>,
    /// What an account owns, by its index.
    owned: HashMap<usize, BTreeSet<Arc<str>>>,
    /// What is in a shared drive.
    held: HashMap<Arc<str>, BTreeSet<Arc<str>>>,
    /// What was shared with somebody directly, by address.
    shared: HashMap<String, BTreeSet<Arc<str>>>,
    drives: BTreeMap<Arc<str>, SharedDrive>,
    /// The users' logs, by the account's index.
    logs: HashMap<usize, Log>,
    last_version: u64,
}

/// A shared drive.
#[derive(Debug)]
struct SharedDrive {
    name: String,
    created: chrono::DateTime<chrono::Utc>,
    members: BTreeMap<String, PermissionRole>,
    log: Log,
}

/// An account, as far as access goes.
#[derive(Debug, Clone, Copy)]
struct Viewer<'a> {
    account: usize,
    email: &'a str,
}

fn after_id<'a>(ids: Option<&'a BTreeSet<Arc<str>>>, after: Option<&str>) -> impl Iterator<Item = &'a str> {
    let from = after.map_or(Bound::Unbounded, Bound::Excluded);
    ids.into_iter().flat_map(move |ids| ids.range::<str, _>((from, Bound::Unbounded))).map(|id| &**id)
}

/// The id of the folder at the top of an account's My Drive. It is in no list.
fn root_of(account: usize) -> String {
    format!("0ARoot{account:012}PVA")
}

impl Drive {
    /// The file and the folders above it, nearest first. What is above the top, or was seen before, ends it.
    fn upwards<'a>(&'a self, id: &str) -> impl Iterator<Item = (&'a str, &'a File)> + use<'a> {
        let first = self.files.get_key_value(id).map(|(id, file)| (&**id, file));
        let above = |(_, file): &(&str, &File)| {
            let (id, file) = self.files.get_key_value(file.parent.as_deref()?)?;
            Some((&**id, file))
        };
        std::iter::successors(first, above).take(DEEPEST)
    }

    /// Everything in a folder, at any depth, without itself.
    fn below(&self, id: &str) -> Vec<Arc<str>> {
        let mut found: BTreeSet<Arc<str>> = BTreeSet::new();
        let mut left: Vec<Arc<str>> = self.children.get(id).into_iter().flatten().cloned().collect();
        while let Some(next) = left.pop() {
            if &*next != id && found.insert(next.clone()) {
                left.extend(self.children.get(&next).into_iter().flatten().cloned());
            }
        }
        found.into_iter().collect()
    }

    /// How far the log of an account, or of a shared drive of which it is a member, has come. None: there is no such drive for it.
    pub(super) fn log_version(&self, account: usize, email: &str, drive: Option<&str>) -> Option<u64> {
        match drive {
            Some(drive) if !self.is_member(email, drive) => None,
            Some(drive) => self.drives.get(drive).map(|drive| drive.log.next()),
            None => Some(self.logs.get(&account).map_or(1, Log::next)),
        }
    }

    fn is_member(&self, email: &str, drive: &str) -> bool {
        self.drives.get(drive).is_some_and(|drive| drive.members.contains_key(email))
    }

    /// The best of what an account may do with a file: as its owner or as a member, by a permission of the file itself or of
    /// a folder above it.
    fn role(&self, viewer: Viewer<'_>, id: &str) -> Option<PermissionRole> {
        let file = self.files.get(id)?;
        if file.owner == Some(viewer.account) {
            return Some(PermissionRole::Owner);
        }
        let member = file.drive.as_ref().and_then(|drive| self.drives.get(drive)?.members.get(viewer.email));
        let inherited = self.upwards(id).filter_map(|(_, file)| {
            let owns = (file.owner == Some(viewer.account)).then_some(PermissionRole::Writer);
            owns.max(file.permissions.get(viewer.email).copied())
        });
        inherited.chain(member.copied()).max()
    }

    fn sees(&self, viewer: Viewer<'_>, id: &str) -> bool {
        self.role(viewer, id).is_some()
    }

    /// Whether a file is in the user's own corpus: in My Drive or shared with the user. What is in a shared drive is not, for
    /// its members.
    fn in_corpus(&self, viewer: Viewer<'_>, id: &str) -> bool {
        let elsewhere =
            |file: &File| file.drive.as_ref().is_some_and(|drive| self.is_member(viewer.email, drive));
        self.files.get(id).is_some_and(|file| !elsewhere(file)) && self.sees(viewer, id)
    }

    /// Trashed itself, or in a trashed folder.
    fn is_trashed(&self, id: &str) -> bool {
        self.upwards(id).any(|(_, file)| file.trashed)
    }

    /// The user's corpus after an id, in the order of ids, so many at the most.
    fn corpus<'a>(&'a self, viewer: Viewer<'_>, after: Option<&str>, most: usize) -> Vec<&'a str> {
        let mut ids: Vec<&str> = after_id(self.owned.get(&viewer.account), after).take(most).collect();
        let mut others = BTreeSet::new();
        for id in self.shared.get(viewer.email).into_iter().flatten() {
            others.insert(id.clone());
            others.extend(self.below(id));
        }
        // What others put into the account's own folders.
        if self.owned.keys().any(|owner| *owner != viewer.account) {
            let is_other =
                |id: &Arc<str>| self.files.get(id).is_some_and(|file| file.owner != Some(viewer.account));
            let owned = self.owned.get(&viewer.account).into_iter().flatten();
            let inside = owned.filter_map(|id| self.children.get(id)).flatten();
            for id in inside.filter(|id| is_other(id)) {
                others.insert(id.clone());
                others.extend(self.below(id));
            }
        }
        let others = others.iter().filter_map(|id| self.files.get_key_value(id)).filter(|(id, file)| {
            file.owner != Some(viewer.account)
                && after.is_none_or(|after| ***id > *after)
                && self.in_corpus(viewer, id)
        });
        ids.extend(others.map(|(id, _)| &**id));
        ids.sort_unstable();
        ids.truncate(most);
        ids
    }

    /// What is in a shared drive after an id, in the order of ids, so many at the most.
    fn in_drive<'a>(&'a self, drive: &str, after: Option<&str>, most: usize) -> Vec<&'a str> {
        after_id(self.held.get(drive), after).take(most).collect()
    }
}

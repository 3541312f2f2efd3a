//! What is in folders of which the log tells too little, asked for at once: of a small folder that is less than a sweep.
//!
//! # What a look tells
//!
//! All that is in its folders, at any depth, as it was listed after the page of the log was read. What changes from then on is in
//! later pages; so what was found is written after the page, and takes the place of what the page says of the same files. A
//! folder that comes while its new place is being listed is unknown to the mirror, and is looked into for itself.
//!
//! It is written whole or not at all. Beyond its bounds, or when an answer is not whole, it tells nothing, and the drive is swept.
//!
//! # Where it is not enough
//!
//! - *A folder that others have shared*: what is in it can be listed by anybody who may open it, also by a link. Which of it counts
//!   to the user's files, only the list of all of them says. What is in the user's own folders, or in a shared drive of which the
//!   account is a member, always counts.
//! - *What the mirror has in such a folder and the look has not found*: where it is now, or whether, only a sweep can say. It may be
//!   the sweep of another drive of the account.
//!
//! # Races, and their answers
//!
//! - *Something moves to another drive of the account after it was listed*, and that drive's job writes it first: what moved along
//!   with a folder keeps its version, so it would be taken back. A folder that was looked into and is not in the drive when all
//!   is written has the step done again.
//! - *A sweep is under way*: what is found gets the sweep's generation, so its end leaves it alone. If it goes before the end, the
//!   log tells of it, or of its folder.
//! - *The budget does not last for the look*: if not even for its first call, the step waits; else the drive is swept, page by page.
//! - *A folder goes between the page and the look*: it is refused as not found, and the drive is swept.
//! - *Google leaves out what is in one of several folders* that are asked for at once: those that seem empty are asked for alone, but
//!   for new ones, which mostly are empty, and of which many may come at once.

use std::{
    collections::{BTreeSet, HashSet},
    time::Duration,
};

use shared::{
    google::{
        Google, Pages,
        drive::FileItem,
        errors::{CallError, Class},
    },
    store::{PgPool, drives::Drive},
};
use tokio::time::{Instant, timeout_at};

use super::Homes;

/// Calls of a step, at most. What takes more is as well swept.
const CALLS: u32 = 10;

/// Folders of which one call asks, at most.
const FOLDERS: usize = 50;

/// How long a step looks: it has a call before and a transaction after that.
const TIME: Duration = Duration::from_secs(20);

/// A folder to be looked into.
#[derive(Debug)]
pub(super) struct Root {
    /// Google's id.
    pub(super) id: String,
    /// It was made just now, so that it is most likely empty.
    pub(super) is_new: bool,
}

/// The folders of which too little is known.
#[derive(Debug, Default)]
pub(super) struct Unclear {
    /// Where files belong, as of now.
    pub(super) homes: Homes,
    /// Those that came. If they are not looked into, the drive is swept.
    pub(super) strange: Vec<Root>,
    /// Those that changed while the drive was swept.
    pub(super) swept_over: Vec<Root>,
}

/// What was found.
#[derive(Debug, Default)]
pub(super) struct Look {
    /// Folders of which all is told, at any depth.
    folders: BTreeSet<String>,
    files: Vec<FileItem>,
}

impl Look {
    /// Whether all is told of what is in a folder.
    pub(super) fn tells_of(&self, folder: &str) -> bool {
        self.folders.contains(folder)
    }

    /// The folders of which all is told, in order.
    pub(super) fn folders(&self) -> Vec<&str> {
        self.folders.iter().map(String::as_str).collect()
    }

    /// What is in them.
    pub(super) fn files(&self) -> impl Iterator<Item = &FileItem> {
        self.files.iter()
    }
}

/// Where looks go, and how many calls they have left.
struct Calls<'a> {
    google: &'a Google,
    db: &'a PgPool,
    drive: &'a Drive,
    homes: &'a Homes,
    left: u32,
}

/// Looks into folders of a drive, first into those that came. What cannot be told is missing in the answer. An error is one that any
/// call may meet.
pub(super) async fn into(
    google: &Google,
    db: &PgPool,
    drive: &Drive,
    unclear: &Unclear,
) -> Result<Look, CallError> {
    let mut calls = Calls { google, db, drive, homes: &unclear.homes, left: CALLS };
    let (mut look, until) = (Look::default(), Instant::now() + TIME);
    for roots in [&unclear.strange, &unclear.swept_over] {
        let why = match timeout_at(until, calls.look(roots)).await {
            Ok(Ok(Some(more))) => {
                look.folders.extend(more.folders);
                look.files.extend(more.files);
                continue;
            }
            Ok(Err(error)) if is_in_passing(&error) && !calls.have_begun_and_wait(&error) => {
                return Err(error);
            }
            Ok(Err(error)) => error.to_string(),
            Ok(Ok(None)) => "there is too much in them, or not all is told".to_owned(),
            Err(_) => format!("it takes longer than {} s", TIME.as_secs()),
        };
        tracing::info!(drive = drive.id, "folders are not looked into: {why}");
        break;
    }
    Ok(look)
}

/// Whether the error has nothing to do with what was asked for.
fn is_in_passing(error: &CallError) -> bool {
    match error.class() {
        None | Some(Class::Retry | Class::SlowDown { .. } | Class::Unauthorized | Class::MissingScope) => {
            true
        }
        Some(
            Class::Resync
            | Class::Circle
            | Class::Gone
            | Class::ChannelIdTaken
            | Class::PushUnsupported
            | Class::Permanent,
        ) => false,
    }
}

impl Calls<'_> {
    /// Whether a look under way is out of budget, or told to slow down. To wait and begin anew may need as much again, without
    /// an end; a sweep goes on from page to page.
    const fn have_begun_and_wait(&self, error: &CallError) -> bool {
        let waits = matches!(error, CallError::Quota(_))
            || matches!(error, CallError::Call { class: Class::SlowDown { .. }, .. });
        waits && self.left + 1 < CALLS
    }

    /// Looks into folders, and into those that are found in them. None: that cannot be told.
    async fn look(&mut self, roots: &[Root]) -> Result<Option<Look>, CallError> {
        let mut look = Look::default();
        look.folders.extend(roots.iter().map(|root| root.id.clone()));
        let new: HashSet<&str> =
            roots.iter().filter(|root| root.is_new).map(|root| root.id.as_str()).collect();
        let mut together: Vec<String> = look.folders.iter().cloned().collect();
        let mut alone = Vec::new();
        loop {
            let folders: Vec<String> = match together.len() {
                0 => match alone.pop() {
                    Some(folder) => vec![folder],
                    None => return Ok(Some(look)),
                },
                several => together.drain(several.saturating_sub(FOLDERS)..).collect(),
            };
            let Some(files) = self.all_in(&folders).await? else { return Ok(None) };
            if folders.len() > 1 {
                // Asked for with others, a folder may seem empty that is not.
                let filled: HashSet<&str> = files.iter().filter_map(|file| file.parent.as_deref()).collect();
                let doubtful = |id: &String| !filled.contains(id.as_str()) && !new.contains(id.as_str());
                alone.extend(folders.into_iter().filter(doubtful));
            }
            for file in files.iter().filter(|file| file.is_folder()) {
                if look.folders.insert(file.id.clone()) {
                    together.push(file.id.clone());
                }
            }
            look.files.extend(files);
        }
    }

    /// All pages of what is directly in these folders. None: that cannot be told.
    async fn all_in(&mut self, folders: &[String]) -> Result<Option<Vec<FileItem>>, CallError> {
        let Calls { google, db, drive, homes, .. } = *self;
        let (mut found, mut token) = (Vec::new(), None);
        loop {
            let Some(left) = self.left.checked_sub(1) else { return Ok(None) };
            self.left = left;
            let place = Pages { token: token.as_deref(), mark: None };
            let page = google.files_in(db, drive.account, drive.call_id(), folders, place).await?;
            if page.incomplete {
                return Ok(None);
            }
            let at_home = |file: &FileItem| homes.is_at_home(drive, file.drive.as_deref());
            found.extend(page.items.into_iter().filter(at_home));
            match page.next {
                Some(next) => token = Some(next),
                None => return Ok(Some(found)),
            }
        }
    }
}

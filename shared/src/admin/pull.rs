//! Writes stored contents into a folder of this machine, as files with their names.
//!
//! # Properties
//!
//! - *Names come from strangers*: [`names`] makes them harmless, no two files get one path, and no link on the way is followed.
//! - *Each file appears whole*: it is written beside, checked, and moved to its place. Files and folders are their owner's alone.
//! - *Only what this wrote is replaced or taken away*: the manifest tells what that is. What was changed here since is not taken away.
//! - *A file that cannot be written stops no other one*: it is told. Only a full disk or a lost database ends it all.
//!
//! # What comes in between, and its answers
//!
//! - *Content is replaced while this goes on*: where it stands is looked up right before it is read, and what was looked up stands
//!   for an hour more.
//! - *This is killed*: a journal names each file before it is moved to its place, and the next one takes from it what the manifest
//!   does not have yet. What was half written is cleared by the next one.
//! - *Somebody else's file lies in a file's place*: with the same bytes, all is well, and it stays theirs. With others, it is told,
//!   and not touched.
//! - *Two of this at once*: the second one ends with an error, by a lock on the folder.
//! - *A folder became a file, or a file a folder*: with `delete` the old one goes first. Else, and if something else is in the way,
//!   that file is told, and the others are written.

pub mod names;
mod target;

use std::{collections::BTreeSet, io::ErrorKind, path::Path};

use serde::Serialize;
use sqlx::PgPool;

use self::target::{Entry, Standing, Target};
use super::{account::AccountRef, contents as admin_contents};
use crate::{
    job::AccountId,
    objects::Objects,
    store::contents::{self, Stored},
};

/// What came of it.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct Pulled {
    /// Files that were written.
    pub written: usize,
    /// Their bytes.
    pub bytes: u64,
    /// Files that were there already.
    pub unchanged: usize,
    /// Files that are gone at the source, and were taken away.
    pub removed: usize,
    /// Files that are gone at the source, and are still here.
    pub left: usize,
    /// Files without stored content, with the reason.
    pub missing: Vec<Missing>,
    /// Files that were not written or not taken away: something is in their way, or they failed.
    pub blocked: Vec<Missing>,
}

/// A file that was not written.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Missing {
    /// Its path.
    pub path: String,
    /// Of one without stored content: pending, refused, none; and why. Else what is in its way, or what failed.
    pub why: String,
}

/// Writes the files of a folder, at any depth, into a folder here, which is made if it is missing. With `delete`, what is gone at
/// the source goes here, too. `folder` is a provider's id, or a path from the top of My Drive that begins with a slash.
pub async fn pull(
    db: &PgPool,
    objects: &Objects,
    account: &AccountRef,
    folder: &str,
    to: &Path,
    delete: bool,
) -> anyhow::Result<Pulled> {
    let (account, files) = admin_contents::in_folder(&mut *db.acquire().await?, account, folder).await?;
    let mut target = Target::open(to)?;
    let pulled = write(db, objects, account, &files, &mut target, delete).await;
    // What was written is known even if a file failed.
    let saved = target.save();
    let pulled = pulled?;
    saved?;
    Ok(pulled)
}

async fn write(
    db: &PgPool,
    objects: &Objects,
    account: AccountId,
    files: &[Stored],
    target: &mut Target,
    delete: bool,
) -> anyhow::Result<Pulled> {
    let mut pulled = Pulled::default();
    let paths = names::paths(files);
    let wanted: BTreeSet<&String> = paths.iter().collect();
    // First what is gone: it may be in the way of what has come.
    let gone: Vec<String> = target.paths().filter(|path| !wanted.contains(path)).cloned().collect();
    for path in gone {
        if !delete {
            pulled.left += 1;
            continue;
        }
        match target.remove(&path) {
            Ok(true) => pulled.removed += 1,
            Ok(false) => {
                let why = "gone at the source, but changed here since: not removed".to_owned();
                pulled.blocked.push(Missing { path, why });
            }
            Err(error) if ends_it(&error) => return Err(error),
            Err(error) => pulled.blocked.push(Missing { path, why: format!("{error:#}") }),
        }
    }
    for (file, path) in files.iter().zip(&paths) {
        let missing = |why: String| Missing { path: path.clone(), why };
        match one(db, objects, account, file, target, path).await {
            Ok(One::Written(bytes)) => {
                pulled.written += 1;
                pulled.bytes += bytes;
            }
            Ok(One::Unchanged) => pulled.unchanged += 1,
            Ok(One::Missing(why)) => pulled.missing.push(missing(why)),
            Ok(One::Blocked(why)) => pulled.blocked.push(missing(why)),
            Err(error) if ends_it(&error) => return Err(error.context(format!("cannot write {path}"))),
            Err(error) => pulled.blocked.push(missing(format!("{error:#}"))),
        }
        target.save_if_due()?;
    }
    Ok(pulled)
}

/// What came of one file.
enum One {
    Written(u64),
    Unchanged,
    Missing(String),
    Blocked(String),
}

async fn one(
    db: &PgPool,
    objects: &Objects,
    account: AccountId,
    file: &Stored,
    target: &mut Target,
    path: &str,
) -> anyhow::Result<One> {
    let Some(listed) = Entry::listed(file) else {
        let why =
            file.why.as_ref().map_or_else(|| file.state.clone(), |why| format!("{}: {why}", file.state));
        return Ok(One::Missing(why));
    };
    let place = match target.place(path)? {
        Ok(place) => place,
        Err(why) => return Ok(One::Blocked(why)),
    };
    if target.has(path, &place, &listed) {
        return Ok(One::Unchanged);
    }
    let now = contents::object_of(&mut *db.acquire().await?, account, &file.file_id).await?;
    let Some(object) = now.filter(|object| object.format == file.format) else {
        return Ok(One::Missing("it has changed meanwhile".to_owned()));
    };
    let entry = Entry::of(&object);
    match target.standing(path, &place, &entry)? {
        Standing::Same => Ok(One::Unchanged),
        Standing::Foreign => {
            Ok(One::Blocked(format!("{} is in the way: this did not write it", place.display())))
        }
        Standing::Free => {
            target.write(objects, object.key, path, &place, &entry).await?;
            Ok(One::Written(entry.size))
        }
    }
}

/// Whether the next file would fail as well: the disk is full or cannot be written, or the database does not answer.
fn ends_it(error: &anyhow::Error) -> bool {
    error.chain().any(|cause| {
        cause.is::<sqlx::Error>()
            || cause.downcast_ref::<std::io::Error>().is_some_and(|error| {
                matches!(
                    error.kind(),
                    ErrorKind::StorageFull | ErrorKind::QuotaExceeded | ErrorKind::ReadOnlyFilesystem
                )
            })
    })
}

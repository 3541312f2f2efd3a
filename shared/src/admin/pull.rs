//! Writes stored contents into a folder of this machine, as files with their names.
//!
//! # Properties
//!
//! - *Names come from strangers*: [`names`] makes them harmless, no two files get one path, and no link on the way is followed.
//! - *Each file appears whole*: it is written beside, checked, and moved to its place. Files and folders are their owner's alone.
//! - *Only what this wrote is taken away*: the manifest tells what that is.
//!
//! # What comes in between, and its answers
//!
//! - *Content is replaced while this goes on*: where it stands is looked up right before it is read, and what was looked up stands
//!   for an hour more.
//! - *This is killed*: what lies in its place with the right bytes is not written again, whether the manifest knows it or not. What
//!   was half written is cleared by the next one.
//! - *Two of this at once*: the second one ends with an error, by a lock on the folder.
//! - *A folder became a file, or a file a folder*: with `delete` the old one goes first. Else, and if something else is in the way,
//!   that file is told, and the others are written.

pub mod names;
mod target;

use std::{collections::BTreeSet, path::Path};

use anyhow::Context;
use serde::Serialize;
use sqlx::PgPool;

use self::target::{Entry, Target};
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
    /// Files that cannot be written because something is in their way.
    pub blocked: Vec<Missing>,
}

/// A file that was not written.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Missing {
    /// Its path.
    pub path: String,
    /// Of one without stored content: pending, refused, none; and why. Else what is in its way.
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
        if delete {
            target.remove(&path)?;
            pulled.removed += 1;
        } else {
            pulled.left += 1;
        }
    }
    for (file, path) in files.iter().zip(&paths) {
        let missing = |why: String| Missing { path: path.clone(), why };
        let Some(listed) = Entry::listed(file) else {
            let why =
                file.why.as_ref().map_or_else(|| file.state.clone(), |why| format!("{}: {why}", file.state));
            pulled.missing.push(missing(why));
            continue;
        };
        let place = match target.place(path)? {
            Ok(place) => place,
            Err(why) => {
                pulled.blocked.push(missing(why));
                continue;
            }
        };
        if target.has(path, &place, &listed) {
            pulled.unchanged += 1;
            continue;
        }
        let now = contents::object_of(&mut *db.acquire().await?, account, &file.file_id).await?;
        let Some(object) = now.filter(|object| object.format == file.format) else {
            pulled.missing.push(missing("it has changed meanwhile".to_owned()));
            continue;
        };
        let entry = Entry::of(&object);
        let what = || format!("cannot write {}", place.display());
        if target.adopt(path, &place, &entry).with_context(what)? {
            pulled.unchanged += 1;
            continue;
        }
        target.write(objects, object.key, path, &place, &entry).await.with_context(what)?;
        pulled.written += 1;
        pulled.bytes += entry.size;
    }
    Ok(pulled)
}

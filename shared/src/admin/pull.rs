//! Writes stored contents into a folder of this machine, as files with their names.
//!
//! Names come from strangers: [`names`] makes them harmless, and no link on the way is followed. Each file appears whole, under a
//! name of its own. What was written is noted in a manifest, so that nothing is written twice and only what this wrote is taken
//! away.

pub mod names;

use std::{
    collections::BTreeMap,
    fs::{self, File},
    io::{ErrorKind, Write},
    path::{Path, PathBuf},
    time::SystemTime,
};

use anyhow::{Context, bail, ensure};
use chrono::{DateTime, Utc};
use futures_util::TryStreamExt;
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use crate::{
    objects::{Objects, Sums, hex},
    store::contents::Stored,
};

/// The manifest's name. No file gets it.
const MANIFEST: &str = ".syncfleet-manifest.json";

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
}

/// A file without stored content.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Missing {
    /// Its path.
    pub path: String,
    /// pending, refused, none; and why.
    pub why: String,
}

/// A file that was written.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
struct Entry {
    sha256: String,
    size: u64,
    modified_at: Option<DateTime<Utc>>,
}

type Manifest = BTreeMap<String, Entry>;

/// Writes the files into a folder, which is made if it is missing. With `delete`, what is gone at the source goes here, too.
pub async fn pull(objects: &Objects, files: &[Stored], to: &Path, delete: bool) -> anyhow::Result<Pulled> {
    fs::create_dir_all(to).with_context(|| format!("cannot make the folder {}", to.display()))?;
    let before = read(&to.join(MANIFEST))?;
    let (mut now, mut pulled) = (before.clone(), Pulled::default());
    let paths = names::paths(files);
    for (file, path) in files.iter().zip(&paths) {
        let (Some(key), Some(sha256), Some(size)) = (file.key, &file.sha256, file.size) else {
            let why =
                file.why.as_ref().map_or_else(|| file.state.clone(), |why| format!("{}: {why}", file.state));
            pulled.missing.push(Missing { path: path.clone(), why });
            continue;
        };
        let size = u64::try_from(size).unwrap_or_default();
        let entry = Entry { sha256: sha256.clone(), size, modified_at: file.modified_at };
        let place = place(to, path)?;
        if before.get(path) == Some(&entry) && is_as_written(&place, &entry) {
            pulled.unchanged += 1;
            continue;
        }
        write(objects, key, &place, &entry)
            .await
            .with_context(|| format!("cannot write {}", place.display()))?;
        pulled.written += 1;
        pulled.bytes += size;
        now.insert(path.clone(), entry);
        // What was written is known even if the next file fails.
        if pulled.written % 100 == 0 {
            save(to, &now)?;
        }
    }
    let wanted: std::collections::BTreeSet<&String> = paths.iter().collect();
    for path in before.keys().filter(|path| !wanted.contains(path)) {
        if !delete {
            pulled.left += 1;
            continue;
        }
        remove(to, path)?;
        now.remove(path);
        pulled.removed += 1;
    }
    save(to, &now)?;
    Ok(pulled)
}

fn read(path: &Path) -> anyhow::Result<Manifest> {
    let what = || format!("cannot read the manifest {}", path.display());
    match fs::read(path) {
        Ok(bytes) => serde_json::from_slice(&bytes).with_context(what),
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(Manifest::new()),
        Err(error) => Err(error).with_context(what),
    }
}

fn save(to: &Path, manifest: &Manifest) -> anyhow::Result<()> {
    let next = to.join(format!("{MANIFEST}.new"));
    let write = || {
        let mut file = File::create(&next)?;
        file.write_all(&serde_json::to_vec_pretty(manifest)?)?;
        file.sync_all()?;
        fs::rename(&next, to.join(MANIFEST))
    };
    write().with_context(|| format!("cannot write the manifest in {}", to.display()))
}

/// Where a path of [`names`] leads, below `to`. Folders on the way are made. One that is a link, or a file, is an error: it could
/// lead anywhere.
fn place(to: &Path, path: &str) -> anyhow::Result<PathBuf> {
    let mut place = to.to_owned();
    let mut parts = path.split('/').peekable();
    while let Some(part) = parts.next() {
        ensure!(names::is_safe(part), "{path:?} is no safe path");
        place.push(part);
        if parts.peek().is_none() {
            break;
        }
        match fs::symlink_metadata(&place) {
            Ok(found) if found.is_dir() => {}
            Ok(_) => bail!("{} is in the way: it is no folder", place.display()),
            Err(error) if error.kind() == ErrorKind::NotFound => {
                fs::create_dir(&place)
                    .with_context(|| format!("cannot make the folder {}", place.display()))?;
            }
            Err(error) => return Err(error).with_context(|| format!("cannot look at {}", place.display())),
        }
    }
    Ok(place)
}

fn is_as_written(place: &Path, entry: &Entry) -> bool {
    fs::symlink_metadata(place).is_ok_and(|found| {
        let modified = entry.modified_at.map(SystemTime::from);
        found.is_file()
            && found.len() == entry.size
            && modified.is_none_or(|modified| found.modified().is_ok_and(|there| there == modified))
    })
}

async fn write(objects: &Objects, key: Uuid, place: &Path, entry: &Entry) -> anyhow::Result<()> {
    let staged = place.with_file_name(format!(".syncfleet-{key}.part"));
    let done = async {
        let mut file = File::create(&staged)?;
        let mut sums = Sums::default();
        let mut content = objects.read(key).await?;
        while let Some(chunk) = content.try_next().await? {
            sums.update(&chunk);
            file.write_all(&chunk)?;
        }
        ensure!(hex(&sums.finish().0) == entry.sha256, "the object store gives other bytes than were stored");
        if let Some(modified) = entry.modified_at {
            file.set_modified(modified.into())?;
        }
        file.sync_all()?;
        Ok(fs::rename(&staged, place)?)
    };
    let done = done.await;
    if done.is_err() {
        let _ = fs::remove_file(&staged);
    }
    done
}

/// Takes a file away that this wrote, and folders that are empty then.
fn remove(to: &Path, path: &str) -> anyhow::Result<()> {
    let place = place(to, path)?;
    match fs::remove_file(&place) {
        Err(error) if error.kind() != ErrorKind::NotFound => {
            return Err(error).with_context(|| format!("cannot remove {}", place.display()));
        }
        _ => {}
    }
    let above = place.ancestors().skip(1).take_while(|folder| *folder != to);
    for folder in above {
        if fs::remove_dir(folder).is_err() {
            break;
        }
    }
    Ok(())
}

//! The folder that files are written to, and the manifest in it.

use std::{
    collections::BTreeMap,
    fs::{self, DirBuilder, File, OpenOptions},
    io::{ErrorKind, Read, Write},
    os::unix::fs::{DirBuilderExt, OpenOptionsExt},
    path::{Path, PathBuf},
    time::{Duration, Instant, SystemTime},
};

use anyhow::{Context, bail, ensure};
use chrono::{DateTime, Utc};
use futures_util::TryStreamExt;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use uuid::Uuid;

use super::names;
use crate::{
    objects::{Objects, hex},
    store::contents::{Object, Stored},
};

/// What this keeps in the folder for itself. No file gets such a name: see [`names::safe`].
const MANIFEST: &str = ".syncfleet-manifest.json";
const JOURNAL: &str = ".syncfleet-journal";
const LOCK: &str = ".syncfleet-lock";
const STAGING: &str = ".syncfleet-staging";

/// How often the manifest is written while files are.
const SAVE: Duration = Duration::from_secs(5);

/// How much is read at once.
const CHUNK: usize = 1 << 20;

/// A file that was written.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Entry {
    pub(super) sha256: String,
    pub(super) size: u64,
    pub(super) modified_at: Option<DateTime<Utc>>,
}

impl Entry {
    /// As it was when the files were listed; none: nothing was stored.
    pub(super) fn listed(file: &Stored) -> Option<Self> {
        let (sha256, size) = (file.sha256.clone()?, u64::try_from(file.size?).ok()?);
        Some(Self { sha256, size, modified_at: file.modified_at })
    }

    /// As it is now.
    pub(super) fn of(object: &Object) -> Self {
        let size = u64::try_from(object.size).unwrap_or_default();
        Self { sha256: object.sha256.clone(), size, modified_at: object.modified_at }
    }
}

/// What stands where a file is to be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Standing {
    /// Nothing, or a file that this wrote, of other bytes: it may be written.
    Free,
    /// The very bytes.
    Same,
    /// Something else, which this did not write.
    Foreign,
}

/// A folder that this process alone writes to, of all that pull.
pub(super) struct Target {
    to: PathBuf,
    manifest: BTreeMap<String, Entry>,
    /// What was written since the manifest was saved: a line for each file, from right before it is moved to its place.
    journal: File,
    saved: Instant,
    _lock: File,
}

impl Target {
    /// Makes the folder, takes its lock, reads its manifest and journal, and clears what another one left half written.
    pub(super) fn open(to: &Path) -> anyhow::Result<Self> {
        let folder = |place: &Path| DirBuilder::new().recursive(true).mode(0o700).create(place);
        let what = || format!("cannot write to the folder {}", to.display());
        folder(to).with_context(what)?;
        let lock = private().truncate(false).open(to.join(LOCK)).with_context(what)?;
        if let Err(error) = lock.try_lock() {
            bail!("somebody else pulls into {} at this moment ({error})", to.display());
        }
        let staging = to.join(STAGING);
        folder(&staging).with_context(what)?;
        ensure!(
            fs::symlink_metadata(&staging).with_context(what)?.is_dir(),
            "{} is in the way: it is no folder",
            staging.display()
        );
        for left in fs::read_dir(&staging).with_context(what)? {
            fs::remove_file(left.with_context(what)?.path()).with_context(what)?;
        }
        let mut manifest = read(&to.join(MANIFEST))?;
        recover(to, &mut manifest)?;
        let journal = private().append(true).open(to.join(JOURNAL)).with_context(what)?;
        let mut target = Self { to: to.to_owned(), manifest, journal, saved: Instant::now(), _lock: lock };
        target.save()?;
        Ok(target)
    }

    /// What was written.
    pub(super) fn paths(&self) -> impl Iterator<Item = &String> {
        self.manifest.keys()
    }

    /// Writes the manifest: whole, or as it was.
    pub(super) fn save(&mut self) -> anyhow::Result<()> {
        let write = || {
            let next = self.to.join(STAGING).join("manifest");
            let mut file = private().truncate(true).open(&next)?;
            file.write_all(&serde_json::to_vec(&self.manifest)?)?;
            file.sync_all()?;
            fs::rename(&next, self.to.join(MANIFEST))?;
            self.journal.set_len(0)
        };
        write().with_context(|| format!("cannot write the manifest in {}", self.to.display()))?;
        self.saved = Instant::now();
        Ok(())
    }

    /// Writes the manifest if it was not written for a while.
    pub(super) fn save_if_due(&mut self) -> anyhow::Result<()> {
        if self.saved.elapsed() >= SAVE { self.save() } else { Ok(()) }
    }

    /// Where a path of [`names`] leads. Folders on the way are made. The inner error says what is in the way: a file or a link,
    /// which could lead anywhere, where a folder is to be; a folder where the file is to be.
    pub(super) fn place(&self, path: &str) -> anyhow::Result<Result<PathBuf, String>> {
        let mut place = self.to.clone();
        let mut parts = path.split('/').peekable();
        while let Some(part) = parts.next() {
            ensure!(names::is_safe(part), "{path:?} is no safe path");
            place.push(part);
            let is_last = parts.peek().is_none();
            match fs::symlink_metadata(&place) {
                Ok(found) if found.is_dir() && is_last => {
                    return Ok(Err(format!("{} is in the way: it is a folder", place.display())));
                }
                Ok(found) if !found.is_dir() && !is_last => {
                    return Ok(Err(format!("{} is in the way: it is no folder", place.display())));
                }
                Ok(_) => {}
                Err(error) if error.kind() == ErrorKind::NotFound && is_last => {}
                Err(error) if error.kind() == ErrorKind::NotFound => DirBuilder::new()
                    .mode(0o700)
                    .create(&place)
                    .with_context(|| format!("cannot make the folder {}", place.display()))?,
                Err(error) => {
                    return Err(error).with_context(|| format!("cannot look at {}", place.display()));
                }
            }
        }
        Ok(Ok(place))
    }

    /// Whether it was written, and looks as it did then.
    pub(super) fn has(&self, path: &str, place: &Path, entry: &Entry) -> bool {
        self.manifest.get(path) == Some(entry)
            && fs::symlink_metadata(place).is_ok_and(|found| {
                let modified = entry.modified_at.map(SystemTime::from);
                found.is_file()
                    && found.len() == entry.size
                    && modified.is_none_or(|modified| found.modified().is_ok_and(|there| there == modified))
            })
    }

    /// What stands in its place. A file of the right bytes that this wrote gets its time; one of somebody else stays as it is, and
    /// the manifest does not learn of it.
    pub(super) fn standing(&mut self, path: &str, place: &Path, entry: &Entry) -> anyhow::Result<Standing> {
        let is_ours = self.manifest.contains_key(path);
        match fs::symlink_metadata(place) {
            Err(error) if error.kind() == ErrorKind::NotFound => return Ok(Standing::Free),
            Err(error) => return Err(error.into()),
            Ok(found) if !found.is_file() => return Ok(Standing::Foreign),
            Ok(_) => {}
        }
        if !holds(place, entry)? {
            return Ok(if is_ours { Standing::Free } else { Standing::Foreign });
        }
        if is_ours {
            dated(&File::open(place)?, entry)?;
            self.manifest.insert(path.to_owned(), entry.clone());
        }
        Ok(Standing::Same)
    }

    /// Writes a file: beside, and moved to its place when it is whole and right.
    pub(super) async fn write(
        &mut self,
        objects: &Objects,
        key: Uuid,
        path: &str,
        place: &Path,
        entry: &Entry,
    ) -> anyhow::Result<()> {
        let staged = self.to.join(STAGING).join(key.to_string());
        let done = async {
            let mut file = private().truncate(true).open(&staged)?;
            let mut sum = Sha256::new();
            let mut content = objects.read(key).await?;
            while let Some(chunk) = content.try_next().await? {
                sum.update(&chunk);
                file.write_all(&chunk)?;
            }
            ensure!(
                hex(sum.finalize().as_slice()) == entry.sha256,
                "the object store gives other bytes than were stored"
            );
            dated(&file, entry)?;
            file.sync_all()?;
            let came = !self.manifest.contains_key(path) && fs::symlink_metadata(place).is_ok();
            ensure!(!came, "somebody else wrote it meanwhile");
            // Not synced: if the machine dies before the line is on the disk, the file is nobody's, and stays.
            let mut line = serde_json::to_vec(&(path, entry))?;
            line.push(b'\n');
            self.journal.write_all(&line)?;
            Ok(fs::rename(&staged, place)?)
        };
        let done = done.await;
        if done.is_err() {
            let _ = fs::remove_file(&staged);
        }
        done?;
        self.manifest.insert(path.to_owned(), entry.clone());
        Ok(())
    }

    /// Takes a file away that this wrote, and folders that are empty then. False: it was changed here since, and stays. Something
    /// else that stands in its place by now, or in that of its folder, stays, too.
    pub(super) fn remove(&mut self, path: &str) -> anyhow::Result<bool> {
        let Some(entry) = self.manifest.get(path) else { return Ok(true) };
        if let Ok(place) = self.place(path)? {
            let what = || format!("cannot remove {}", place.display());
            match fs::symlink_metadata(&place) {
                Err(error) if error.kind() == ErrorKind::NotFound => {}
                Err(error) => return Err(error).with_context(what),
                Ok(_) if !holds(&place, entry).with_context(what)? => return Ok(false),
                Ok(_) => fs::remove_file(&place).with_context(what)?,
            }
            let above = place.ancestors().skip(1).take_while(|folder| *folder != self.to);
            for folder in above {
                if fs::remove_dir(folder).is_err() {
                    break;
                }
            }
        }
        self.manifest.remove(path);
        Ok(true)
    }
}

/// Whether a plain file of these bytes is there.
fn holds(place: &Path, entry: &Entry) -> std::io::Result<bool> {
    let found = fs::symlink_metadata(place)?;
    if !found.is_file() || found.len() != entry.size {
        return Ok(false);
    }
    let mut file = File::open(place)?;
    let (mut sum, mut chunk) = (Sha256::new(), vec![0; CHUNK]);
    loop {
        match file.read(&mut chunk)? {
            0 => break,
            read => sum.update(&chunk[..read]),
        }
    }
    Ok(hex(sum.finalize().as_slice()) == entry.sha256)
}

/// Adds to the manifest what one that was killed moved to its place and did not come to note: the journal names it, and the bytes
/// tell whether it came to that. A line that was cut off is of a file that was not moved.
fn recover(to: &Path, manifest: &mut BTreeMap<String, Entry>) -> anyhow::Result<()> {
    let place = to.join(JOURNAL);
    let journal = match fs::read(&place) {
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(()),
        read => read.with_context(|| format!("cannot read the journal {}", place.display()))?,
    };
    let lines = journal.split(|byte| *byte == b'\n');
    for (path, entry) in lines.filter_map(|line| serde_json::from_slice::<(String, Entry)>(line).ok()) {
        let is_there = path.split('/').all(names::is_safe) && holds(&to.join(&path), &entry).unwrap_or(false);
        if is_there {
            manifest.insert(path, entry);
        }
    }
    Ok(())
}

/// To be written, made if it is missing, its owner's alone.
fn private() -> OpenOptions {
    let mut options = OpenOptions::new();
    options.write(true).create(true).mode(0o600);
    options
}

fn dated(file: &File, entry: &Entry) -> std::io::Result<()> {
    entry.modified_at.map_or(Ok(()), |modified| file.set_modified(modified.into()))
}

fn read(path: &Path) -> anyhow::Result<BTreeMap<String, Entry>> {
    let what = || format!("cannot read the manifest {}", path.display());
    match fs::read(path) {
        Ok(bytes) => serde_json::from_slice(&bytes).with_context(what),
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(BTreeMap::new()),
        Err(error) => Err(error).with_context(what),
    }
}

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

/// A folder that this process alone writes to, of all that pull.
pub(super) struct Target {
    to: PathBuf,
    manifest: BTreeMap<String, Entry>,
    saved: Instant,
    _lock: File,
}

impl Target {
    /// Makes the folder, takes its lock, reads its manifest and clears what another one left half written.
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
        let manifest = read(&to.join(MANIFEST))?;
        Ok(Self { to: to.to_owned(), manifest, saved: Instant::now(), _lock: lock })
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
            fs::rename(&next, self.to.join(MANIFEST))
        };
        write().with_context(|| format!("cannot write the manifest in {}", self.to.display()))?;
        self.saved = Instant::now();
        Ok(())
    }

    fn note(&mut self, path: &str, entry: &Entry) -> anyhow::Result<()> {
        self.manifest.insert(path.to_owned(), entry.clone());
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

    /// Notes a file that lies there with the right bytes: one that was killed wrote it, and did not come to note it.
    pub(super) fn adopt(&mut self, path: &str, place: &Path, entry: &Entry) -> anyhow::Result<bool> {
        let is_like =
            fs::symlink_metadata(place).is_ok_and(|found| found.is_file() && found.len() == entry.size);
        if !is_like {
            return Ok(false);
        }
        let Ok(mut file) = File::open(place) else { return Ok(false) };
        let (mut sum, mut chunk) = (Sha256::new(), vec![0; CHUNK]);
        loop {
            match file.read(&mut chunk)? {
                0 => break,
                read => sum.update(&chunk[..read]),
            }
        }
        if hex(sum.finalize().as_slice()) != entry.sha256 {
            return Ok(false);
        }
        dated(&file, entry)?;
        self.note(path, entry)?;
        Ok(true)
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
            Ok(fs::rename(&staged, place)?)
        };
        let done = done.await;
        if done.is_err() {
            let _ = fs::remove_file(&staged);
        }
        done?;
        self.note(path, entry)
    }

    /// Takes a file away that this wrote, and folders that are empty then. What stands in its place by now, and is no file, stays.
    pub(super) fn remove(&mut self, path: &str) -> anyhow::Result<()> {
        if let Ok(place) = self.place(path)? {
            match fs::remove_file(&place) {
                Err(error) if error.kind() != ErrorKind::NotFound => {
                    return Err(error).with_context(|| format!("cannot remove {}", place.display()));
                }
                _ => {}
            }
            let above = place.ancestors().skip(1).take_while(|folder| *folder != self.to);
            for folder in above {
                if fs::remove_dir(folder).is_err() {
                    break;
                }
            }
        }
        self.manifest.remove(path);
        Ok(())
    }
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

//! Objects in a folder: `objects/<2>/<key>`, and `staging/<key>` for what is not whole yet. All of it is its owner's alone, whatever
//! the umask: mode 0700 and 0600.

use std::{
    fs::{self, DirBuilder, File, OpenOptions},
    io::{ErrorKind, Read, Write},
    os::unix::fs::{DirBuilderExt, FileExt, OpenOptionsExt},
    path::{Path, PathBuf},
    sync::Arc,
};

use anyhow::Context;
use futures_util::{StreamExt, stream::BoxStream};
use tokio::task::spawn_blocking;
use uuid::Uuid;

use super::{ObjectError, Upload};

/// How much is read at once.
const CHUNK: usize = 1 << 20;

#[derive(Debug, Clone)]
pub(super) struct Folder(Arc<Places>);

#[derive(Debug)]
struct Places {
    staging: PathBuf,
    objects: PathBuf,
}

impl Places {
    fn staged(&self, key: Uuid) -> PathBuf {
        self.staging.join(key.to_string())
    }

    /// The last letters are random; the first ones are the time.
    fn shelf(&self, key: Uuid) -> PathBuf {
        let name = key.simple().to_string();
        self.objects.join(&name[name.len() - 2..])
    }

    fn object(&self, key: Uuid) -> PathBuf {
        self.shelf(key).join(key.to_string())
    }

    /// Moves what is staged to its place. Both folders are told to the disk: a move that is forgotten would lose the object.
    fn shelve(&self, key: Uuid) -> std::io::Result<()> {
        let shelf = self.shelf(key);
        make(&shelf)?;
        fs::rename(self.staged(key), self.object(key))?;
        sync(&shelf)?;
        sync(&self.objects)?;
        sync(&self.staging)
    }
}

/// A folder, and those above it that are missing.
fn make(folder: &Path) -> std::io::Result<()> {
    DirBuilder::new().recursive(true).mode(0o700).create(folder)
}

/// To be written, and made if it is missing.
fn private() -> OpenOptions {
    let mut options = OpenOptions::new();
    options.write(true).create(true).mode(0o600);
    options
}

fn sync(folder: &Path) -> std::io::Result<()> {
    File::open(folder)?.sync_all()
}

impl Folder {
    pub(super) fn open(folder: &Path) -> anyhow::Result<Self> {
        let what = || format!("cannot use the folder {} for objects", folder.display());
        let places = Places { staging: folder.join("staging"), objects: folder.join("objects") };
        for place in [&places.staging, &places.objects] {
            make(place).with_context(what)?;
        }
        sync(folder).with_context(what)?;
        Ok(Self(Arc::new(places)))
    }

    async fn blocking<T: Send + 'static>(
        &self,
        work: impl FnOnce(&Places) -> std::io::Result<T> + Send + 'static,
    ) -> std::io::Result<T> {
        let places = Arc::clone(&self.0);
        spawn_blocking(move || work(&places)).await.map_err(std::io::Error::other)?
    }

    pub(super) async fn put(&self, key: Uuid, bytes: Vec<u8>) -> anyhow::Result<()> {
        let put = move |places: &Places| {
            let mut file = private().truncate(true).open(places.staged(key))?;
            file.write_all(&bytes)?;
            file.sync_all()?;
            places.shelve(key)
        };
        self.blocking(put).await.with_context(|| format!("cannot write the object {key}"))
    }

    pub(super) async fn part(&self, upload: &Upload, bytes: Vec<u8>) -> Result<(), ObjectError> {
        let (key, offset) = (upload.key, upload.received);
        let part = move |places: &Places| {
            let path = places.staged(key);
            let file = private().create(offset == 0).truncate(false).open(&path)?;
            if file.metadata()?.len() < offset {
                return Err(ErrorKind::NotFound.into());
            }
            file.write_all_at(&bytes, offset)?;
            file.sync_all()?;
            if offset == 0 { sync(&places.staging) } else { Ok(()) }
        };
        self.blocking(part).await.map_err(|error| match error.kind() {
            ErrorKind::NotFound => {
                ObjectError::Lost { key, why: format!("its first {offset} bytes are not there") }
            }
            _ => anyhow::Error::new(error).context(format!("cannot write a part of {key}")).into(),
        })
    }

    pub(super) async fn finish(&self, upload: &Upload) -> Result<(), ObjectError> {
        let (key, size) = (upload.key, upload.received);
        let finish = move |places: &Places| {
            let file = match private().create(size == 0).truncate(false).open(places.staged(key)) {
                Ok(file) => file,
                // Somebody has finished it before.
                Err(error) if error.kind() == ErrorKind::NotFound => {
                    let whole = fs::metadata(places.object(key))?;
                    return if whole.len() == size { Ok(()) } else { Err(ErrorKind::NotFound.into()) };
                }
                Err(error) => return Err(error),
            };
            if file.metadata()?.len() < size {
                return Err(ErrorKind::NotFound.into());
            }
            // A part beyond the end is one that nobody has answered for.
            file.set_len(size)?;
            file.sync_all()?;
            places.shelve(key)
        };
        self.blocking(finish).await.map_err(|error| match error.kind() {
            ErrorKind::NotFound => ObjectError::Lost { key, why: format!("its {size} bytes are not there") },
            _ => anyhow::Error::new(error).context(format!("cannot finish the object {key}")).into(),
        })
    }

    pub(super) async fn read(
        &self,
        key: Uuid,
    ) -> anyhow::Result<BoxStream<'static, anyhow::Result<Vec<u8>>>> {
        let file = self
            .blocking(move |places| File::open(places.object(key)))
            .await
            .with_context(|| format!("cannot read the object {key}"))?;
        let chunks = futures_util::stream::try_unfold(file, async move |mut file| {
            let read = spawn_blocking(move || {
                let mut chunk = Vec::with_capacity(CHUNK);
                (&mut file)
                    .take(CHUNK as u64)
                    .read_to_end(&mut chunk)
                    .map(|read| (read > 0).then_some((chunk, file)))
            });
            Ok(read.await??)
        });
        Ok(chunks.boxed())
    }

    pub(super) async fn remove(&self, key: Uuid) -> anyhow::Result<()> {
        let remove = move |places: &Places| {
            for path in [places.staged(key), places.object(key)] {
                match fs::remove_file(path) {
                    Err(error) if error.kind() != ErrorKind::NotFound => return Err(error),
                    _ => {}
                }
            }
            Ok(())
        };
        Ok(self.blocking(remove).await?)
    }
}

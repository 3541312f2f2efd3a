//! The object store: where the contents of files are kept. A folder, or a bucket of an S3-compatible service.
//!
//! An object's key is drawn for one upload and used once, ever. Which content stands under which key is told by the table
//! `objects`, whose hashes are unique: so equal files are stored once, and a key that is being removed can never be that of
//! content that somebody stores at this moment.
//!
//! # Properties
//!
//! - *An object is there whole or not at all.* In a folder, parts are written to `staging/` and the whole is moved to its place; in
//!   a bucket, an upload of parts is completed.
//! - *A part that was answered for is durable*: synced to the disk, or acknowledged by the service. Whoever uploads notes it in the
//!   database only then, and another process goes on from there.
//! - *No more than a part of an upload stands in memory.*
//!
//! # Races, and their answers
//!
//! - *Two processes write the same object* (one of them was taken for dead): each attempt that begins has a key of its own. Only an
//!   upload that goes on keeps its key. Then, in a folder, each part is written at its own offset and nothing is cut off, so the
//!   same bytes land in the same place; in a bucket, the completion names each part by its tag, and fails if the bytes under it are
//!   others. That both have the same bytes is the uploader's business.
//! - *An upload is finished twice*: the second one finds the whole object in its place, and is content.
//! - *A process dies in between*: the upload's row in the database names the key; whoever goes on finds what was written.

mod folder;
mod removal;
mod s3;
mod sums;

use std::path::Path;

use anyhow::Context as _;
use futures_util::stream::BoxStream;
use secrecy::SecretString;
use url::Url;
use uuid::Uuid;

use self::{folder::Folder, s3::S3};
pub use self::{
    removal::Removed,
    sums::{Sums, hex},
};

/// The usual length of a part: what is asked for again after a crash, and what a download holds in memory. Only files that would have
/// too many parts for a bucket, of more than 156 GiB, have longer ones.
pub const PART: usize = 16 << 20;

/// Where objects are kept. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Objects(Store);

#[derive(Debug, Clone)]
enum Store {
    Folder(Folder),
    S3(S3),
}

/// What a bucket is reached with.
#[derive(Debug, Clone)]
pub struct Bucket {
    /// Its name.
    pub name: String,
    /// Before every key, without slashes at its ends; may be empty.
    pub prefix: String,
    /// The service, if it is not AWS.
    pub endpoint: Option<Url>,
    /// The region.
    pub region: String,
    /// Who.
    pub access_key_id: String,
    /// And the secret.
    pub secret_access_key: SecretString,
}

/// An upload of parts under way.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Upload {
    /// The key that the object will have.
    pub key: Uuid,
    /// The service's own name of the upload; none in a folder.
    pub id: Option<String>,
    /// The tags of the parts so far, in order; empty texts in a folder.
    pub parts: Vec<String>,
    /// Bytes so far.
    pub received: u64,
}

/// How long a part is to be, in bytes. The last one may be shorter.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PartSize {
    /// The store takes none that is shorter, or would take too many of them.
    pub least: u64,
    /// As long as it becomes if nothing comes in between.
    pub usual: u64,
}

/// An upload or an object that cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum ObjectError {
    /// What was uploaded is not there any more, or not as it was: it must be begun anew.
    #[error("the upload {key} is lost: {why}")]
    Lost {
        /// Its key.
        key: Uuid,
        /// What is missing.
        why: String,
    },
    /// The store did not do it.
    #[error("the object store: {0:#}")]
    Store(#[from] anyhow::Error),
}

impl Objects {
    /// A store in a folder, which is made if it is missing.
    pub fn in_folder(folder: &Path) -> anyhow::Result<Self> {
        Ok(Self(Store::Folder(Folder::open(folder)?)))
    }

    /// A store in a bucket. Connects to nothing yet.
    pub fn in_bucket(bucket: &Bucket) -> anyhow::Result<Self> {
        Ok(Self(Store::S3(S3::new(bucket)?)))
    }

    /// Whether it can be written and read: puts an object of a few bytes, reads it and takes it away again.
    pub async fn check(&self) -> anyhow::Result<()> {
        let (key, bytes) = (Uuid::now_v7(), b"syncfleet".to_vec());
        self.put(key, bytes.clone()).await?;
        let read = self.read_all(key).await;
        self.remove(key, None).await?;
        anyhow::ensure!(read? == bytes, "what was written is not what is read");
        Ok(())
    }

    /// Stores what fits into a part.
    pub async fn put(&self, key: Uuid, bytes: Vec<u8>) -> anyhow::Result<()> {
        match &self.0 {
            Store::Folder(folder) => folder.put(key, bytes).await,
            Store::S3(s3) => s3.put(key, bytes).await,
        }
    }

    /// How long the next part of an upload is to be, if the whole has this size.
    #[must_use]
    pub fn next_part(&self, upload: &Upload, size: Option<u64>) -> PartSize {
        let rest = size.unwrap_or_default().saturating_sub(upload.received);
        match &self.0 {
            Store::Folder(_) => PartSize { least: 1, usual: PART as u64 },
            Store::S3(_) => s3::next_part(upload.parts.len() as u64, rest),
        }
    }

    /// The largest object, in bytes.
    #[must_use]
    pub const fn largest(&self) -> u64 {
        match &self.0 {
            Store::Folder(_) => u64::MAX,
            Store::S3(_) => s3::LARGEST,
        }
    }

    /// Begins an upload of parts. Answers the service's own name of it.
    pub async fn begin(&self, key: Uuid) -> anyhow::Result<Option<String>> {
        match &self.0 {
            Store::Folder(_) => Ok(None),
            Store::S3(s3) => s3.begin(key).await.map(Some),
        }
    }

    /// Adds a part to an upload. When this answers, the part is durable. Answers its tag.
    pub async fn part(&self, upload: &Upload, bytes: Vec<u8>) -> Result<String, ObjectError> {
        match &self.0 {
            Store::Folder(folder) => folder.part(upload, bytes).await.map(|()| String::new()),
            Store::S3(s3) => s3.part(upload, bytes).await,
        }
    }

    /// Makes an object of an upload's parts.
    pub async fn finish(&self, upload: &Upload) -> Result<(), ObjectError> {
        match &self.0 {
            Store::Folder(folder) => folder.finish(upload).await,
            Store::S3(s3) => s3.finish(upload).await,
        }
    }

    /// An object's bytes.
    pub async fn read(&self, key: Uuid) -> anyhow::Result<BoxStream<'static, anyhow::Result<Vec<u8>>>> {
        match &self.0 {
            Store::Folder(folder) => folder.read(key).await,
            Store::S3(s3) => s3.read(key).await,
        }
    }

    /// The bytes of a small object.
    pub async fn read_all(&self, key: Uuid) -> anyhow::Result<Vec<u8>> {
        use futures_util::TryStreamExt;
        self.read(key).await?.try_concat().await
    }

    /// Takes an object away, and what was uploaded for it. What is not there is as good as gone.
    pub async fn remove(&self, key: Uuid, upload: Option<&str>) -> anyhow::Result<()> {
        match &self.0 {
            Store::Folder(folder) => folder.remove(key).await,
            Store::S3(s3) => s3.remove(key, upload).await,
        }
        .with_context(|| format!("cannot remove the object {key}"))
    }
}

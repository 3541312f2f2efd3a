//! Content on its way, a part after the other.

use std::time::{Duration, Instant};

use anyhow::anyhow;
use metrics::counter;
use rand::RngExt;
use shared::{
    google::media::{Content, File},
    objects::{PART, Sums, Upload, hex},
    store::contents::{self, Outcome, Wanted},
};
use tokio::time::sleep;

use super::{
    Fetch,
    trouble::{Trouble, of_call, of_media},
};

/// A line that is cut before there is enough for a part is taken up again in the same step, so often in a row without a part.
const CUTS: u32 = 20;

/// The longest pause before it is.
const PAUSE: Duration = Duration::from_secs(1);

/// What the database knows of an upload, and what it does not yet.
pub(super) struct Download<'a> {
    wanted: &'a Wanted,
    upload: Upload,
    sums: Sums,
    /// Bytes that are not part of the upload yet.
    buffer: Vec<u8>,
    /// Whether any part was added.
    pub(super) moved: bool,
}

impl<'a> Download<'a> {
    /// None: the state of its checksums was kept by another version of this program.
    pub(super) fn new(wanted: &'a Wanted, upload: Upload) -> Option<Self> {
        let sums = match &wanted.sums {
            Some(state) if upload.received > 0 => Sums::restore(state)?,
            None if upload.received > 0 => return None,
            _ => Sums::default(),
        };
        Some(Self { wanted, upload, sums, buffer: Vec::new(), moved: false })
    }

    /// Bytes that came.
    fn length(&self) -> u64 {
        self.upload.received + self.buffer.len() as u64
    }

    fn file(&self) -> File<'a> {
        File { id: &self.wanted.file, resource_key: self.wanted.resource_key.as_deref() }
    }
}

impl Fetch<'_> {
    /// An export is small: Google makes none of more than 10 MB.
    pub(super) async fn export(&self, download: &mut Download<'_>, format: &str) -> Result<Outcome, Trouble> {
        let content = self.google.export(self.db, download.wanted.account, download.file(), format).await;
        let mut content = content.map_err(of_media)?;
        while let Some(chunk) = content.chunk().await.map_err(of_call)? {
            download.buffer.extend_from_slice(&chunk);
            if download.buffer.len() > PART {
                let what = format!("the export has more than {PART} bytes");
                return Err(Trouble::Refused { reason: "exportSizeLimitExceeded".to_owned(), what });
            }
            if Instant::now() >= self.hard {
                return Err(Trouble::Passing("it came too slowly".to_owned()));
            }
        }
        self.finish(download).await
    }

    /// A line that is slow, or often cut, is taken up again before what came is given up: a bucket takes no short parts.
    pub(super) async fn download(&self, download: &mut Download<'_>) -> Result<Outcome, Trouble> {
        if download.wanted.size.is_some_and(|size| size > self.objects.largest()) {
            let what = format!("the object store takes up to {} bytes", self.objects.largest());
            return Err(Trouble::Refused { reason: "tooLargeForStore".to_owned(), what });
        }
        let mut rng = crate::jobs::rng(self.run);
        for cuts in 0.. {
            let Err(trouble) = self.call(download).await else { break };
            let least = self.keep(download).await?;
            let lost = download.buffer.len();
            match trouble {
                Trouble::Passing(_) if lost > 0 && cuts < CUTS && Instant::now() < self.hard => {
                    sleep(PAUSE.mul_f64(rng.random_range(0.1..=1.0))).await;
                }
                Trouble::Stop if lost > 0 && !download.moved => {
                    return Err(Trouble::Passing(format!(
                        "the line is too slow: {lost} bytes came in the time of a step, and the store keeps no part under {least}"
                    )));
                }
                trouble => return Err(trouble),
            }
        }
        self.finish(download).await
    }

    /// Asks for what is missing, and takes what comes. An end before the file's end is an error.
    async fn call(&self, download: &mut Download<'_>) -> Result<(), Trouble> {
        let Wanted { account, size, .. } = *download.wanted;
        if download.length() > 0 {
            self.still_wanted(download.wanted).await?;
        }
        if download.length() == 0 || size != Some(download.length()) {
            let content = self.google.content(self.db, account, download.file(), download.length()).await;
            self.receive(download, &mut content.map_err(of_media)?).await?;
        }
        match size {
            Some(size) if download.length() < size => {
                let why = format!("it ended after {} of {size} bytes", download.length());
                Err(Trouble::Passing(why))
            }
            _ => Ok(()),
        }
    }

    /// What came is good, and need not come again: it becomes a part, if it is long enough for one. Answers how long that is.
    async fn keep(&self, download: &mut Download<'_>) -> Result<u64, Trouble> {
        let least = self.objects.next_part(&download.upload, download.wanted.size).least;
        if download.buffer.len() as u64 >= least {
            self.add(download).await?;
        }
        Ok(least)
    }

    /// Takes what comes to its end, a part after the other.
    async fn receive(&self, download: &mut Download<'_>, content: &mut Content) -> Result<(), Trouble> {
        let size = download.wanted.size;
        let mut part = self.objects.next_part(&download.upload, size);
        while let Some(chunk) = content.chunk().await.map_err(of_call)? {
            if download.buffer.capacity() == 0 {
                let rest = size.map_or(part.usual, |size| size - download.upload.received);
                let room = rest.min(part.usual) + chunk.len() as u64;
                download.buffer.reserve_exact(usize::try_from(room).unwrap_or(PART));
            }
            download.buffer.extend_from_slice(&chunk);
            if size.is_some_and(|size| download.length() > size) {
                download.buffer.clear();
                return Err(Trouble::Stale("more bytes came than Google says it has".to_owned()));
            }
            let now = Instant::now();
            if download.buffer.len() as u64 >= part.usual {
                self.add(download).await?;
                part = self.objects.next_part(&download.upload, size);
            }
            let came = download.buffer.len() as u64;
            let is_good = came == 0 || came >= part.least.max(part.usual / 4);
            if now >= self.hard || now >= self.soft && is_good {
                return Err(Trouble::Stop);
            }
        }
        Ok(())
    }

    /// Makes a part of what came, durable first and then noted.
    async fn add(&self, download: &mut Download<'_>) -> Result<(), Trouble> {
        let (objects, db) = (self.objects, self.db);
        let wanted = download.wanted;
        if download.upload.received == 0
            && download.upload.id.is_none()
            && let Some(id) = objects.begin(download.upload.key).await?
        {
            if !contents::begun(&mut *db.acquire().await?, wanted, &download.upload, &id).await? {
                objects.remove(download.upload.key, Some(&id)).await?;
                return Err(Trouble::Stop);
            }
            download.upload.id = Some(id);
        }
        let bytes = hashed(download).await?;
        let length = bytes.len() as u64;
        let upload = &download.upload;
        let tag = objects.part(upload, bytes).await?;
        let state = download.sums.state();
        if !contents::progress(&mut *db.acquire().await?, wanted, upload, &tag, length, &state).await? {
            return Err(Trouble::Stop);
        }
        counter!("syncfleet_contents_bytes_total").increment(length);
        download.upload.parts.push(tag);
        download.upload.received += length;
        download.moved = true;
        Ok(())
    }

    /// All came: if it is right, it becomes an object.
    async fn finish(&self, download: &mut Download<'_>) -> Result<Outcome, Trouble> {
        let size = download.length();
        let is_whole = download.upload.received == 0;
        let bytes = if is_whole {
            hashed(download).await?
        } else {
            if !download.buffer.is_empty() {
                self.add(download).await?;
            }
            Vec::new()
        };
        let (sha256, md5) = download.sums.clone().finish();
        let wanted = download.wanted;
        let fits = match (&wanted.sha256, &wanted.md5) {
            _ if wanted.format.is_some() => true,
            (Some(sum), _) => sum.eq_ignore_ascii_case(&hex(&sha256)),
            (None, Some(sum)) => sum.eq_ignore_ascii_case(&hex(&md5)),
            (None, None) => {
                self.still_wanted(wanted).await?;
                true
            }
        };
        if !fits {
            return Err(Trouble::Stale("its checksum is not the one that Google tells".to_owned()));
        }
        if is_whole {
            self.objects.put(download.upload.key, bytes).await?;
            counter!("syncfleet_contents_bytes_total").increment(size);
        } else {
            self.objects.finish(&download.upload).await?;
        }
        Ok(Outcome::Stored { sha256, size })
    }

    /// Whether the revision at the head is still the one that is wanted.
    async fn still_wanted(&self, wanted: &Wanted) -> Result<(), Trouble> {
        let file = File { id: &wanted.file, resource_key: wanted.resource_key.as_deref() };
        let head = self.google.head(self.db, wanted.account, file).await.map_err(of_media)?;
        match head.head_revision_id.or(head.md5_checksum) {
            Some(revision) if revision != wanted.revision => {
                Err(Trouble::Stale("the file has another revision by now".to_owned()))
            }
            _ => Ok(()),
        }
    }
}

/// The buffer's bytes, which the checksums have taken. Not on a thread that others wait for.
async fn hashed(download: &mut Download<'_>) -> Result<Vec<u8>, Trouble> {
    let (bytes, mut sums) = (std::mem::take(&mut download.buffer), std::mem::take(&mut download.sums));
    let hashed = tokio::task::spawn_blocking(move || {
        sums.update(&bytes);
        (bytes, sums)
    });
    let (bytes, sums) = hashed.await.map_err(|error| anyhow!("hashing failed: {error}"))?;
    download.sums = sums;
    Ok(bytes)
}

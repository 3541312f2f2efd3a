//! One file: from Google into the object store.

use std::time::{Duration, Instant};

use anyhow::anyhow;
use metrics::counter;
use rand::RngExt;
use shared::{
    google::{
        Google,
        errors::{CallError, Class},
        media::{Content, File, MediaError},
    },
    job::{Failure, Run},
    objects::{ObjectError, Objects, PART, Sums, hex},
    store::{
        PgPool,
        contents::{self, Outcome, Wanted},
    },
};

/// The word for a refusal that Google gives no word of its own.
const PERMANENT: &str = "permanent";

/// Refusals that may end without a change of the file.
const PASSING: [&str; 5] =
    ["downloadQuotaExceeded", "notFound", "insufficientFilePermissions", "cannotDownloadFile", PERMANENT];

/// A file that was refused for one of these is asked for again after a day.
const REFUSED_AGAIN: Duration = Duration::from_hours(24);

/// The delay after the first failure; it doubles with each.
const AGAIN: Duration = Duration::from_secs(5);
const AGAIN_AT_MOST: Duration = Duration::from_hours(1);

/// What the files of a step are fetched with.
pub(super) struct Fetch<'a> {
    pub(super) db: &'a PgPool,
    pub(super) google: &'a Google,
    pub(super) objects: &'a Objects,
    pub(super) run: &'a Run,
    /// When to stop where it is good to stop.
    pub(super) soft: Instant,
    /// When to stop anywhere.
    pub(super) hard: Instant,
}

/// What became of a file.
#[derive(Debug)]
pub(super) enum Fetched {
    /// It was not begun.
    Later,
    /// Some of it came.
    GoesOn,
    /// It is stored or refused.
    Ended,
    /// It is not what the mirror says.
    Stale,
    /// It failed in passing.
    Failed(String),
}

/// Why a step ends that had more to fetch.
pub(super) enum Broken {
    /// No database, no store.
    Step(Failure),
    /// No token, no budget.
    Call(CallError),
}

impl From<sqlx::Error> for Broken {
    fn from(error: sqlx::Error) -> Self {
        Self::Step(error.into())
    }
}

/// Why a file is not whole.
enum Trouble {
    /// It ends the step: no database, no store.
    Step(Failure),
    /// It ends the step: no token, no budget.
    Call(CallError),
    /// Google does not give it.
    Refused { reason: String, what: String },
    /// In passing; what was received is good.
    Passing(String),
    /// What was uploaded is no good.
    Anew(String),
    /// It is not the revision that was wanted.
    Stale(String),
    /// Time is up, or somebody else has gone on.
    Stop,
}

impl From<sqlx::Error> for Trouble {
    fn from(error: sqlx::Error) -> Self {
        Self::Step(error.into())
    }
}

impl From<anyhow::Error> for Trouble {
    fn from(error: anyhow::Error) -> Self {
        Self::Step(error.into())
    }
}

impl From<ObjectError> for Trouble {
    fn from(error: ObjectError) -> Self {
        match error {
            ObjectError::Lost { .. } => Self::Anew(error.to_string()),
            ObjectError::Store(error) => Self::Step(error.into()),
        }
    }
}

/// Content on its way: what the database knows of it, and what it does not yet.
struct Download {
    wanted: Wanted,
    sums: Sums,
    /// Bytes that are not part of the upload yet.
    buffer: Vec<u8>,
    /// Whether any part was added.
    moved: bool,
}

impl Download {
    /// Bytes that came.
    fn length(&self) -> u64 {
        self.wanted.upload.received + self.buffer.len() as u64
    }
}

impl Fetch<'_> {
    /// Fetches a file, as far as time allows, and writes down what became of it. An error ends the step.
    pub(super) async fn file(&self, wanted: Wanted) -> Result<Fetched, Broken> {
        if Instant::now() >= self.soft {
            return Ok(Fetched::Later);
        }
        let sums = match &wanted.sums {
            Some(state) => Sums::restore(state),
            None => Some(Sums::default()).filter(|_| wanted.upload.received == 0),
        };
        let mut download = Download { wanted, sums: Sums::default(), buffer: Vec::new(), moved: false };
        let stored = match sums {
            Some(sums) => {
                download.sums = sums;
                match download.wanted.format.clone() {
                    Some(format) => self.export(&mut download, &format).await,
                    None => self.download(&mut download).await,
                }
            }
            None => Err(Trouble::Anew("the state of its checksums was kept by another version".to_owned())),
        };
        let wanted = &download.wanted;
        let (outcome, fetched, word) = match stored {
            Ok(stored) => (stored, Fetched::Ended, "stored"),
            Err(Trouble::Step(failure)) => return Err(Broken::Step(failure)),
            Err(Trouble::Call(error)) => return Err(Broken::Call(error)),
            Err(Trouble::Stop) => return Ok(if download.moved { Fetched::GoesOn } else { Fetched::Later }),
            Err(Trouble::Refused { reason, what }) => {
                let again = PASSING.contains(&reason.as_str()).then_some(REFUSED_AGAIN);
                (Outcome::Refused { why: word_of(reason, what), again }, Fetched::Ended, "refused")
            }
            Err(Trouble::Passing(why)) => (self.failed(wanted, &why, false), Fetched::Failed(why), "failed"),
            Err(Trouble::Anew(why)) => (self.failed(wanted, &why, true), Fetched::Failed(why), "failed"),
            Err(Trouble::Stale(why)) => (self.failed(wanted, &why, true), Fetched::Stale, "changed"),
        };
        let mut conn = self.db.acquire().await?;
        if contents::end(&mut conn, wanted, &outcome).await? {
            counter!("syncfleet_contents_total", "outcome" => word).increment(1);
        }
        Ok(fetched)
    }

    fn failed(&self, wanted: &Wanted, why: &str, anew: bool) -> Outcome {
        let ceiling = AGAIN.saturating_mul(1 << wanted.tries.min(16)).min(AGAIN_AT_MOST);
        let again = ceiling.mul_f64(crate::jobs::rng(self.run).random_range(0.5..=1.0));
        tracing::debug!(file = wanted.file, "the content could not be fetched: {why}");
        Outcome::Failed { why: why.to_owned(), again, anew }
    }

    /// An export is small: Google makes none of more than 10 MB.
    async fn export(&self, download: &mut Download, format: &str) -> Result<Outcome, Trouble> {
        let file = File { id: &download.wanted.file, resource_key: download.wanted.resource_key.as_deref() };
        let content = self.google.export(self.db, download.wanted.account, file, format).await;
        let mut content = content.map_err(trouble)?;
        while let Some(chunk) = content.chunk().await.map_err(call_trouble)? {
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

    async fn download(&self, download: &mut Download) -> Result<Outcome, Trouble> {
        let Wanted { account, size, .. } = download.wanted;
        if size.is_some_and(|size| size > self.objects.largest()) {
            let what = format!("the object store takes up to {} bytes", self.objects.largest());
            return Err(Trouble::Refused { reason: "tooLargeForStore".to_owned(), what });
        }
        if download.length() > 0 {
            self.still_wanted(&download.wanted).await?;
        }
        if download.length() == 0 || size != Some(download.length()) {
            let file =
                File { id: &download.wanted.file, resource_key: download.wanted.resource_key.as_deref() };
            let content = self.google.content(self.db, account, file, download.length()).await;
            let mut content = content.map_err(trouble)?;
            if let Err(error) = self.receive(download, &mut content).await {
                // What came is good, and need not come again.
                if download.buffer.len() >= self.objects.least_part() {
                    self.add(download).await?;
                }
                return Err(error);
            }
        }
        match size {
            Some(size) if download.length() < size => {
                let why = format!("it ended after {} of {size} bytes", download.length());
                if download.buffer.len() >= self.objects.least_part() {
                    self.add(download).await?;
                }
                Err(Trouble::Passing(why))
            }
            _ => self.finish(download).await,
        }
    }

    /// Takes what comes to its end, a part after the other.
    async fn receive(&self, download: &mut Download, content: &mut Content) -> Result<(), Trouble> {
        while let Some(chunk) = content.chunk().await.map_err(call_trouble)? {
            download.buffer.extend_from_slice(&chunk);
            if download.wanted.size.is_some_and(|size| download.length() > size) {
                download.buffer.clear();
                return Err(Trouble::Stale("more bytes came than Google says it has".to_owned()));
            }
            let now = Instant::now();
            if download.buffer.len() >= PART {
                self.add(download).await?;
            }
            if now >= self.hard
                || now >= self.soft && download.buffer.len() >= self.objects.least_part().max(PART / 4)
            {
                return Err(Trouble::Stop);
            }
            if now >= self.soft && download.buffer.is_empty() {
                return Err(Trouble::Stop);
            }
        }
        Ok(())
    }

    /// Makes a part of what came, durable first and then noted.
    async fn add(&self, download: &mut Download) -> Result<(), Trouble> {
        let (objects, db) = (self.objects, self.db);
        if download.wanted.upload.received == 0
            && download.wanted.upload.id.is_none()
            && let Some(id) = objects.begin(download.wanted.upload.key).await?
        {
            if !contents::begun(&mut *db.acquire().await?, &download.wanted, &id).await? {
                objects.remove(download.wanted.upload.key, Some(&id)).await?;
                return Err(Trouble::Stop);
            }
            download.wanted.upload.id = Some(id);
        }
        let bytes = hashed(download).await?;
        let length = bytes.len() as u64;
        let tag = objects.part(&download.wanted.upload, bytes).await?;
        let state = download.sums.state();
        if !contents::progress(&mut *db.acquire().await?, &download.wanted, &tag, length, &state).await? {
            return Err(Trouble::Stop);
        }
        counter!("syncfleet_contents_bytes_total").increment(length);
        download.wanted.upload.parts.push(tag);
        download.wanted.upload.received += length;
        download.moved = true;
        Ok(())
    }

    /// All came: if it is right, it becomes an object.
    async fn finish(&self, download: &mut Download) -> Result<Outcome, Trouble> {
        let size = download.length();
        let is_whole = download.wanted.upload.received == 0;
        let bytes = if is_whole {
            hashed(download).await?
        } else {
            if !download.buffer.is_empty() {
                self.add(download).await?;
            }
            Vec::new()
        };
        let (sha256, md5) = download.sums.clone().finish();
        let wanted = &download.wanted;
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
            self.objects.put(wanted.upload.key, bytes).await?;
            counter!("syncfleet_contents_bytes_total").increment(size);
        } else {
            self.objects.finish(&wanted.upload).await?;
        }
        Ok(Outcome::Stored { sha256, size })
    }

    /// Whether the revision at the head is still the one that is wanted.
    async fn still_wanted(&self, wanted: &Wanted) -> Result<(), Trouble> {
        let file = File { id: &wanted.file, resource_key: wanted.resource_key.as_deref() };
        let head = self.google.head(self.db, wanted.account, file).await.map_err(trouble)?;
        match head.head_revision_id.or(head.md5_checksum) {
            Some(revision) if revision != wanted.revision => {
                Err(Trouble::Stale("the file has another revision by now".to_owned()))
            }
            _ => Ok(()),
        }
    }
}

/// The buffer's bytes, which the checksums have taken. Not on a thread that others wait for.
async fn hashed(download: &mut Download) -> Result<Vec<u8>, Trouble> {
    let (bytes, mut sums) = (std::mem::take(&mut download.buffer), std::mem::take(&mut download.sums));
    let hashed = tokio::task::spawn_blocking(move || {
        sums.update(&bytes);
        (bytes, sums)
    });
    let (bytes, sums) = hashed.await.map_err(|error| anyhow!("hashing failed: {error}"))?;
    download.sums = sums;
    Ok(bytes)
}

fn word_of(reason: String, what: String) -> String {
    if reason.is_empty() { what } else { reason }
}

/// The call's error, as far as it is the file's.
fn trouble(error: MediaError) -> Trouble {
    match error {
        MediaError::Refused { reason, what } => Trouble::Refused { reason, what },
        MediaError::Other(why) => Trouble::Stale(why),
        MediaError::Call(error) => call_trouble(error),
    }
}

fn call_trouble(error: CallError) -> Trouble {
    match error.class() {
        Some(Class::Retry) => Trouble::Passing(error.to_string()),
        // Of this file: a format that its kind is not exported to, a rule of its domain.
        Some(Class::Permanent) => Trouble::Refused { reason: PERMANENT.to_owned(), what: error.to_string() },
        _ => Trouble::Call(error),
    }
}

//! One file: from Google into the object store.

mod download;
mod trouble;

use std::time::{Duration, Instant};

use metrics::counter;
use rand::RngExt;
use shared::{
    google::{Google, errors::CallError},
    job::{Failure, Run},
    objects::Objects,
    store::{
        PgPool,
        contents::{self, Outcome, Wanted},
    },
};

use self::{
    download::Download,
    trouble::{PERMANENT, Trouble},
};

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

impl Fetch<'_> {
    /// Fetches a file, as far as time allows, and writes down what became of it. An error ends the step.
    pub(super) async fn file(&self, wanted: Wanted) -> Result<Fetched, Broken> {
        if Instant::now() >= self.soft {
            return Ok(Fetched::Later);
        }
        let upload = match &wanted.upload {
            Some(upload) if upload.received > 0 => upload.clone(),
            _ => match contents::begin(&mut *self.db.acquire().await?, &wanted).await? {
                Some(upload) => upload,
                None => return Ok(Fetched::Later),
            },
        };
        let key = upload.key;
        let (stored, moved) = if let Some(mut download) = Download::new(&wanted, upload) {
            let stored = match &wanted.format {
                Some(format) => self.export(&mut download, format).await,
                None => self.download(&mut download).await,
            };
            (stored, download.moved)
        } else {
            let why = "the state of its checksums was kept by another version".to_owned();
            (Err(Trouble::Anew(why)), false)
        };
        let (outcome, fetched, word) = match stored {
            Ok(stored) => (stored, Fetched::Ended, "stored"),
            Err(Trouble::Step(failure)) => return Err(Broken::Step(failure)),
            Err(Trouble::Call(error)) => return Err(Broken::Call(error)),
            Err(Trouble::Stop) => return Ok(if moved { Fetched::GoesOn } else { Fetched::Later }),
            Err(Trouble::Refused { reason, what }) => {
                let again = PASSING.contains(&reason.as_str()).then_some(REFUSED_AGAIN);
                (Outcome::Refused { why: word_of(reason, what), again }, Fetched::Ended, "refused")
            }
            Err(Trouble::Passing(why)) => (self.failed(&wanted, &why, false), Fetched::Failed(why), "failed"),
            Err(Trouble::Anew(why)) => (self.failed(&wanted, &why, true), Fetched::Failed(why), "failed"),
            Err(Trouble::Stale(why)) => (self.failed(&wanted, &why, true), Fetched::Stale, "changed"),
        };
        let mut conn = self.db.acquire().await?;
        if contents::end(&mut conn, &wanted, key, &outcome).await? {
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
}

fn word_of(reason: String, what: String) -> String {
    if reason.is_empty() { what } else { reason }
}

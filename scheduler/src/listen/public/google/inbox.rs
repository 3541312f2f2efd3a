//! Group commit: what comes within some milliseconds is merged and written by one statement.
//!
//! Two writers take turns: while one waits for the disk, the other gathers. The queue is bounded; what does not fit is
//! refused at once, and Google brings it again.

use std::{
    collections::{BTreeMap, HashMap},
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::{Duration, Instant},
};

use metrics::counter;
use shared::{
    job::{AccountId, Lane},
    shutdown::Tasks,
    store::{
        PgConnection,
        channels::{self, Heard, Notified, Orphan, Outcome},
        job_state::{self, Wanted},
        jobs, limited,
    },
};
use sqlx::Connection as _;
use tokio::sync::{mpsc, oneshot};

use crate::listen::public::Ingress;

/// How long is gathered after a first message.
const GATHER: Duration = Duration::from_millis(3);

/// Messages that wait, at the most.
const QUEUE: usize = 10_000;

/// Messages of one statement, at the most.
const BATCH: usize = 1_000;

const WRITERS: usize = 2;

/// How long the database may take.
const WRITE_LIMIT: Duration = Duration::from_secs(3);

/// How long a message waits in all. Longer than any write, and short enough that Google is still there.
const LIMIT: Duration = Duration::from_secs(8);

/// How often a write is tried that was chosen to end a deadlock.
const ATTEMPTS: u32 = 3;

/// The job that keeps an account's channels.
const KEEPER: &str = "google_channels";

/// Why a message is not taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Refused {
    /// Too many wait.
    Full,
    /// The database does not answer.
    Unavailable,
}

struct Waiting {
    api: &'static str,
    heard: Heard,
    answer: oneshot::Sender<Result<Outcome, Refused>>,
}

/// Where messages are brought.
#[derive(Clone)]
pub(super) struct Inbox {
    queue: mpsc::Sender<Waiting>,
}

impl Inbox {
    /// An inbox, and the tasks behind it. They end when the last of its copies is dropped.
    pub(super) fn start(ingress: &Ingress, tasks: &Tasks) -> Self {
        let (queue, incoming) = mpsc::channel(QUEUE);
        let writer = Arc::new(Writer {
            ingress: ingress.clone(),
            incoming: tokio::sync::Mutex::new(incoming),
            failing: AtomicBool::new(false),
        });
        for kind in ingress.policies.iter().filter(|policy| policy.api.is_some() || policy.kind == KEEPER) {
            count(kind.kind, 0);
        }
        for _ in 0..WRITERS {
            let (writer, hard) = (Arc::clone(&writer), tasks.hard().clone());
            tasks.spawn(async move {
                hard.run_until_cancelled_owned(Box::pin(async move { writer.run().await })).await
            });
        }
        Self { queue }
    }

    /// Brings a message. When this returns an outcome, what follows from it is durable.
    pub(super) async fn bring(&self, api: &'static str, heard: Heard) -> Result<Outcome, Refused> {
        let (answer, answered) = oneshot::channel();
        self.queue.try_send(Waiting { api, heard, answer }).map_err(|error| match error {
            mpsc::error::TrySendError::Full(_) => Refused::Full,
            mpsc::error::TrySendError::Closed(_) => Refused::Unavailable,
        })?;
        match tokio::time::timeout(LIMIT, answered).await {
            Ok(Ok(outcome)) => outcome,
            // It may be written all the same; a second want of it does no harm.
            Ok(Err(_)) | Err(_) => Err(Refused::Unavailable),
        }
    }
}

struct Writer {
    ingress: Ingress,
    incoming: tokio::sync::Mutex<mpsc::Receiver<Waiting>>,
    /// The last write failed: said once.
    failing: AtomicBool,
}

impl Writer {
    async fn run(&self) {
        let mut batch = Vec::with_capacity(BATCH);
        while self.gather(&mut batch).await {
            // Whoever gave up waiting need not be written for.
            batch.retain(|waiting| !waiting.answer.is_closed());
            self.write(std::mem::take(&mut batch)).await;
        }
    }

    /// Takes what has come, and what comes soon. False: nothing will come any more.
    async fn gather(&self, batch: &mut Vec<Waiting>) -> bool {
        let mut incoming = self.incoming.lock().await;
        if incoming.recv_many(batch, BATCH).await == 0 {
            return false;
        }
        if batch.len() < BATCH {
            tokio::time::sleep(GATHER).await;
            while batch.len() < BATCH
                && let Ok(waiting) = incoming.try_recv()
            {
                batch.push(waiting);
            }
        }
        true
    }

    async fn write(&self, batch: Vec<Waiting>) {
        // The order is that of the map, and the same for the answers.
        let mut merged: HashMap<(&'static str, Heard), Vec<_>> = HashMap::with_capacity(batch.len());
        for waiting in batch {
            merged.entry((waiting.api, waiting.heard)).or_default().push(waiting.answer);
        }
        if merged.is_empty() {
            return;
        }
        let (keys, answers): (Vec<_>, Vec<_>) = merged.into_iter().unzip();
        let outcomes = match self.note(&keys).await {
            Ok(notified) => {
                if self.failing.swap(false, Ordering::Relaxed) {
                    tracing::info!("notifications are taken again");
                }
                self.ring(&notified.wanted).await;
                notified.outcomes.into_iter().map(Ok).collect()
            }
            Err(error) => {
                if !self.failing.swap(true, Ordering::Relaxed) {
                    tracing::warn!("notifications cannot be taken, Google is to send them again: {error}");
                }
                vec![Err(Refused::Unavailable); keys.len()]
            }
        };
        for (outcome, answers) in outcomes.into_iter().zip(answers) {
            for answer in answers {
                // Whoever gave up waiting has answered for itself.
                let _ = answer.send(outcome);
            }
        }
    }

    async fn note(&self, keys: &[(&'static str, Heard)]) -> Result<Notified, sqlx::Error> {
        let heard: Vec<Heard> = keys.iter().map(|(_, heard)| heard.clone()).collect();
        let mut attempt = 1;
        loop {
            let answer = limited(WRITE_LIMIT, async {
                let mut conn = self.ingress.db.acquire().await?;
                let mut notified = channels::notify(&mut conn, &heard).await?;
                let unknown = orphans(keys, &notified.outcomes);
                if !unknown.is_empty() {
                    notified.wanted.extend(adopt(&mut conn, &unknown).await?);
                }
                Ok(notified)
            })
            .await;
            match answer {
                Err(sqlx::Error::Database(error))
                    if attempt < ATTEMPTS && error.code().as_deref() == Some("40P01") =>
                {
                    attempt += 1;
                }
                answer => return answer,
            }
        }
    }

    async fn ring(&self, wanted: &[Wanted]) {
        for wanted in wanted {
            count(&wanted.kind, 1);
        }
        self.ingress.bell.offer(wanted.iter().filter_map(Wanted::ring), Instant::now()).await;
    }
}

fn count(kind: &str, jobs: u64) {
    let (kind, lane) = (kind.to_owned(), Lane::Interactive.as_str());
    counter!("syncfleet_jobs_enqueued_total", "kind" => kind, "lane" => lane, "source" => "push")
        .increment(jobs);
}

/// The channels that are not known, once each.
fn orphans(keys: &[(&'static str, Heard)], outcomes: &[Outcome]) -> BTreeMap<String, Orphan> {
    let unknown = keys.iter().zip(outcomes).filter(|(_, outcome)| **outcome == Outcome::Unknown);
    unknown
        .map(|((api, heard), _)| {
            let orphan = Orphan {
                id: heard.channel.clone(),
                account: heard.account,
                job: heard.job,
                api,
                resource_id: heard.resource_id.clone(),
            };
            (heard.channel.clone(), orphan)
        })
        .collect()
}

/// Notes channels that are to be stopped, and wants the jobs that do it: both or neither.
async fn adopt(
    conn: &mut PgConnection,
    unknown: &BTreeMap<String, Orphan>,
) -> Result<Vec<Wanted>, sqlx::Error> {
    let mut tx = conn.begin().await?;
    let mut accounts: Vec<AccountId> = Vec::new();
    for orphan in unknown.values() {
        if channels::adopt(&mut tx, orphan).await? {
            tracing::info!(
                channel = orphan.id,
                account = orphan.account,
                "a channel that is not known has called: it is stopped"
            );
            accounts.push(orphan.account);
        }
    }
    if accounts.is_empty() {
        return Ok(Vec::new());
    }
    let keys: Vec<String> = accounts.iter().map(ToString::to_string).collect();
    let keepers = jobs::of_keys(&mut tx, KEEPER, &keys).await?;
    let wanted = job_state::want(&mut tx, &keepers, None, None).await?;
    tx.commit().await?;
    Ok(wanted)
}

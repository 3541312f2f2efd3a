//! One commit for many passes that found nothing new.

use std::{
    collections::HashMap,
    sync::Arc,
    time::{Duration, Instant},
};

use shared::{
    bell::Ring,
    job::{Policy, Run, RunId},
    shutdown::Tasks,
    store::job_state::{self, Completed, Completion},
};
use tokio::sync::mpsc;

use super::settle;
use crate::{
    Worker,
    execute::{finished, record},
    slot::Slot,
};

/// The most passes of one commit.
const BATCH: usize = 500;

/// Statements under way at once: while one waits for the disk, the next is being made.
const PIPELINES: usize = 2;

/// A pass that is over and found nothing new, with the slot that it still fills.
#[derive(Debug)]
pub struct Quiet {
    /// The run.
    pub run: Run,
    /// Its kind's policy.
    pub policy: &'static Policy,
    /// The time to the next pass.
    pub next: Option<Duration>,
    /// What the step counted as changed outside of the database.
    pub changed: u32,
    /// Free when the commit is known.
    pub slot: Slot,
}

/// Where quiet passes are brought.
#[derive(Debug, Clone)]
pub struct Batch {
    queue: mpsc::Sender<Quiet>,
}

impl Batch {
    pub(crate) fn start(worker: &Arc<Worker>, tasks: &Tasks) -> Self {
        let (queue, incoming) = mpsc::channel(BATCH * 4);
        let incoming = Arc::new(tokio::sync::Mutex::new(incoming));
        for _ in 0..PIPELINES {
            tasks.spawn(commit_batches(Arc::clone(worker), Arc::clone(&incoming)));
        }
        Self { queue }
    }

    /// Brings a pass. It is committed soon, with the others.
    pub async fn push(&self, quiet: Quiet) {
        // The task behind the queue ends after all senders, so there is always one to receive.
        let _ = self.queue.send(quiet).await;
    }
}

async fn commit_batches(worker: Arc<Worker>, incoming: Arc<tokio::sync::Mutex<mpsc::Receiver<Quiet>>>) {
    let mut batch = Vec::with_capacity(BATCH);
    loop {
        batch.clear();
        if incoming.lock().await.recv_many(&mut batch, BATCH).await == 0 {
            return;
        }
        let completed = commit(&worker, &batch).await;
        let leases: Vec<RunId> = batch.iter().map(|quiet| quiet.run.id).collect();
        worker.held.remove(&leases);
        let now = worker.alive.database_time();
        for quiet in &batch {
            let outcome = if completed.contains_key(&quiet.run.id) { "complete" } else { "lost_lease" };
            if let Some(now) = now {
                record(&worker, &quiet.run, outcome, now);
            }
        }
        let rings = completed.values().flatten().filter(|done| done.due).map(|done| Ring {
            job: done.job,
            tenant: done.tenant,
            lane: done.lane,
        });
        worker.bell.offer(rings, Instant::now()).await;
    }
}

/// Commits a batch, and says which of its runs stand, with what became of their jobs where that is known.
async fn commit(worker: &Worker, batch: &[Quiet]) -> HashMap<RunId, Option<Completed>> {
    let mut open: Vec<Completion> = batch
        .iter()
        .map(|quiet| Completion {
            finished: finished(worker, &quiet.run, quiet.changed),
            next: quiet.next,
            floor: quiet.policy.min_interval,
            lane: quiet.policy.lane,
        })
        .collect();
    let mut stand = HashMap::with_capacity(batch.len());
    while !open.is_empty() {
        let answer = async {
            let mut conn = worker.db().acquire().await?;
            job_state::complete(&mut conn, &open).await
        };
        match worker.answer(answer).await {
            Ok(completed) => {
                stand.extend(completed.into_iter().map(|done| (done.run, Some(done))));
                break;
            }
            Err(error) => {
                tracing::warn!(runs = open.len(), "a commit was not answered: {error}");
                let asked: Vec<RunId> = open.iter().map(|completion| completion.finished.run).collect();
                let Some(recorded) = settle::recorded(worker, &asked).await else { break };
                // One statement stands whole or not at all.
                if !recorded.is_empty() {
                    stand.extend(recorded.into_iter().map(|run| (run, None)));
                    open.clear();
                }
            }
        }
    }
    stand
}

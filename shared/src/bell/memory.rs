use std::{
    collections::VecDeque,
    sync::{Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use tokio::sync::Notify;

use super::BOUND;
use crate::job::{JobId, Lane};

/// A bell for `up`: one process holds the scheduler and the worker.
#[derive(Debug, Default)]
pub(super) struct Memory {
    lanes: [Waiting; Lane::ALL.len()],
}

#[derive(Debug, Default)]
struct Waiting {
    jobs: Mutex<VecDeque<JobId>>,
    rung: Notify,
}

impl Waiting {
    fn lock(&self) -> MutexGuard<'_, VecDeque<JobId>> {
        // The queue is whole between any two calls on it, so a panic elsewhere spoils nothing.
        self.jobs.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn pop(&self, most: usize) -> Vec<JobId> {
        let mut jobs = self.lock();
        let taken = most.min(jobs.len());
        jobs.drain(..taken).collect()
    }
}

impl Memory {
    pub(super) fn ring(&self, lane: Lane, ids: &[JobId]) -> usize {
        let waiting = &self.lanes[lane as usize];
        let length = {
            let mut jobs = waiting.lock();
            let room = BOUND.saturating_sub(jobs.len());
            jobs.extend(ids.iter().take(room));
            jobs.len()
        };
        waiting.rung.notify_one();
        length
    }

    pub(super) async fn take(&self, lane: Lane, most: usize, wait: Duration) -> Vec<JobId> {
        let waiting = &self.lanes[lane as usize];
        let taken = tokio::time::timeout(wait, async {
            loop {
                // Asked for before the look, so that a ring between the two is not missed.
                let rung = waiting.rung.notified();
                let taken = waiting.pop(most);
                if !taken.is_empty() {
                    return taken;
                }
                rung.await;
            }
        });
        taken.await.unwrap_or_default()
    }

    pub(super) fn len(&self, lane: Lane) -> usize {
        self.lanes[lane as usize].lock().len()
    }
}

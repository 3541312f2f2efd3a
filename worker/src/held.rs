//! The leases that this process has in its memory: those that it is asking for, and those of its runs.
//!
//! A lease enters before its claim is sent, and leaves when the claim is known not to have taken it, or when its run's end is
//! known to be committed or given up. So a row that is claimed in this process's name under another lease is a lost answer.

use std::{
    collections::HashMap,
    sync::{Mutex, MutexGuard, PoisonError},
};

use shared::job::RunId;
use tokio_util::sync::CancellationToken;

/// The leases in memory, and the word that ends each one's run.
#[derive(Debug, Default)]
pub struct Held {
    leases: Mutex<HashMap<RunId, CancellationToken>>,
}

impl Held {
    fn lock(&self) -> MutexGuard<'_, HashMap<RunId, CancellationToken>> {
        // Each change is one call, so the map is whole whatever panicked.
        self.leases.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Leases that are about to be asked for.
    pub fn add(&self, leases: &[RunId]) {
        self.lock().extend(leases.iter().map(|lease| (*lease, CancellationToken::new())));
    }

    /// The word that ends the run of a lease.
    #[must_use]
    pub fn cancelled(&self, lease: RunId) -> CancellationToken {
        self.lock().get(&lease).cloned().unwrap_or_default()
    }

    /// Leases that are over.
    pub fn remove(&self, leases: &[RunId]) {
        let mut held = self.lock();
        for lease in leases {
            held.remove(lease);
        }
    }

    /// All of them.
    #[must_use]
    pub fn all(&self) -> Vec<RunId> {
        self.lock().keys().copied().collect()
    }

    /// Ends all runs. Says how many.
    pub fn cancel_all(&self) -> usize {
        let held = self.lock();
        held.values().filter(|word| !word.is_cancelled()).map(CancellationToken::cancel).count()
    }
}

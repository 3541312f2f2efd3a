//! A slot in use. The claim loops hold the free ones while they wait for the bell, so permits alone do not tell.

use std::sync::{
    Arc,
    atomic::{AtomicU32, Ordering},
};

use metrics::gauge;
use shared::job::{Lane, Lanes};
use tokio::sync::OwnedSemaphorePermit;

/// How many slots of each lane are in use.
#[derive(Debug, Default)]
pub struct Busy([AtomicU32; Lane::ALL.len()]);

impl Busy {
    /// As of now.
    #[must_use]
    pub fn lanes(&self) -> Lanes {
        let of = |lane: Lane| self.0[lane as usize].load(Ordering::Relaxed);
        Lanes { interactive: of(Lane::Interactive), normal: of(Lane::Normal), bulk: of(Lane::Bulk) }
    }
}

/// A slot that a run fills; free again when it is dropped.
#[derive(Debug)]
pub struct Slot {
    lane: Lane,
    busy: Arc<Busy>,
    _permit: OwnedSemaphorePermit,
}

impl Slot {
    /// Fills a slot.
    #[must_use]
    pub fn fill(lane: Lane, busy: &Arc<Busy>, permit: OwnedSemaphorePermit) -> Self {
        let before = busy.0[lane as usize].fetch_add(1, Ordering::Relaxed);
        show(lane, before + 1);
        Self { lane, busy: Arc::clone(busy), _permit: permit }
    }
}

impl Drop for Slot {
    fn drop(&mut self) {
        let before = self.busy.0[self.lane as usize].fetch_sub(1, Ordering::Relaxed);
        show(self.lane, before - 1);
    }
}

fn show(lane: Lane, busy: u32) {
    gauge!("syncfleet_worker_slots_busy", "lane" => lane.as_str()).set(busy);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_slot_counts_while_it_is_filled() {
        let permits = Arc::new(tokio::sync::Semaphore::new(2));
        let busy = Arc::new(Busy::default());
        let free = permits.acquire_many_owned(2).await.unwrap();
        assert_eq!(busy.lanes().normal, 0, "a slot that waits for a run is not in use");
        let slot = Slot::fill(Lane::Normal, &busy, free);
        assert_eq!((busy.lanes().normal, busy.lanes().bulk), (1, 0));
        drop(slot);
        assert_eq!(busy.lanes().normal, 0);
    }
}

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use metrics::gauge;
use shared::job::TenantId;
use tokio::sync::watch;

/// The readers of this process: how many a tenant has, and what wakes them.
#[derive(Debug)]
pub(super) struct Readers {
    most: u32,
    of: Mutex<HashMap<TenantId, Tenant>>,
}

#[derive(Debug)]
struct Tenant {
    readers: u32,
    wake: watch::Sender<()>,
}

impl Readers {
    pub(super) fn new(most: u32) -> Self {
        Self { most, of: Mutex::default() }
    }

    pub(super) const fn most(&self) -> u32 {
        self.most
    }

    /// A seat for one more reader; none: the tenant has no more.
    pub(super) fn seat(self: &Arc<Self>, tenant: TenantId) -> Option<Seat> {
        let mut all = self.lock();
        let of = all.entry(tenant).or_insert_with(|| Tenant { readers: 0, wake: watch::Sender::new(()) });
        if of.readers >= self.most {
            return None;
        }
        of.readers += 1;
        gauge!("syncfleet_feed_readers").increment(1.0);
        Some(Seat { readers: Arc::clone(self), tenant, wake: of.wake.subscribe() })
    }

    /// Wakes the readers of a tenant.
    pub(super) fn wake(&self, tenant: TenantId) {
        if let Some(of) = self.lock().get(&tenant) {
            of.wake.send_replace(());
        }
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<TenantId, Tenant>> {
        // Each change is whole between any two locks, so a panic elsewhere spoils nothing.
        self.of.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A reader's place, for as long as this lives.
#[derive(Debug)]
pub(super) struct Seat {
    readers: Arc<Readers>,
    tenant: TenantId,
    /// Changes when the tenant's feed has grown.
    pub(super) wake: watch::Receiver<()>,
}

impl Drop for Seat {
    fn drop(&mut self) {
        gauge!("syncfleet_feed_readers").decrement(1.0);
        let mut all = self.readers.lock();
        if let Some(of) = all.get_mut(&self.tenant) {
            of.readers -= 1;
            if of.readers == 0 {
                all.remove(&self.tenant);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_tenant_has_its_seats_and_its_wakes() {
        let readers = Arc::new(Readers::new(2));
        let (mut first, second) = (readers.seat(1).unwrap(), readers.seat(1).unwrap());
        assert!(readers.seat(1).is_none());
        let other = readers.seat(2).unwrap();
        readers.wake(1);
        readers.wake(3);
        assert!(first.wake.has_changed().unwrap() && second.wake.has_changed().unwrap());
        assert!(!other.wake.has_changed().unwrap());
        first.wake.borrow_and_update();
        drop(second);
        let third = readers.seat(1).unwrap();
        assert!(!third.wake.has_changed().unwrap());
        drop((first, third, other));
        assert!(readers.lock().is_empty());
    }
}

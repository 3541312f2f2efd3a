//! Wakes those who follow the change feed when a step has changed the mirror: after its commit, and for all steps of some
//! milliseconds at once. What is not told here is found by them a little later.

use std::{
    collections::HashSet,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use shared::{job::TenantId, store::changes};
use tokio::sync::Notify;
use tokio_util::sync::CancellationToken;

use crate::Worker;

/// Between two notifications at the least.
const PAUSE: Duration = Duration::from_millis(50);

/// Tenants whose mirror has changed since the last notification.
#[derive(Debug, Default)]
pub struct News {
    tenants: Mutex<HashSet<TenantId>>,
    wake: Notify,
}

impl News {
    /// A step of the tenant has changed the mirror, and is committed.
    pub fn note(&self, tenant: TenantId) {
        self.tenants.lock().unwrap_or_else(PoisonError::into_inner).insert(tenant);
        self.wake.notify_one();
    }

    fn take(&self) -> Vec<TenantId> {
        std::mem::take(&mut *self.tenants.lock().unwrap_or_else(PoisonError::into_inner))
            .into_iter()
            .collect()
    }
}

pub(crate) async fn run(worker: Arc<Worker>, soft: CancellationToken) {
    let telling = async {
        loop {
            worker.news.wake.notified().await;
            let tenants = worker.news.take();
            let told = worker.answer(async {
                let mut conn = worker.db().acquire().await?;
                changes::notify(&mut conn, &tenants).await
            });
            if let Err(error) = told.await {
                tracing::debug!("readers of the feed were not woken: {error}");
            }
            tokio::time::sleep(PAUSE).await;
        }
    };
    // At the end it is left to the readers.
    let _: Option<()> = soft.run_until_cancelled(telling).await;
}

//! Keeps the partitions of the history and the change feed ready and drops the old ones; forgets budgets that are not in use.

use std::time::Duration;

use shared::store::{changes, quotas, runs};
use tokio_util::sync::CancellationToken;

use super::{Pace, Scheduler};

pub(super) async fn run(scheduler: Scheduler, soft: CancellationToken) {
    let mut pace = Pace::new("retain", Duration::from_mins(5), soft);
    while pace.keep(tick(&scheduler)).await {}
}

async fn tick(scheduler: &Scheduler) -> anyhow::Result<Duration> {
    let retained = runs::retain(&scheduler.db, scheduler.keep_runs).await?;
    if !retained.dropped.is_empty() {
        tracing::info!(partitions = retained.dropped.join(", "), "dropped old history");
    }
    let retained = changes::retain(&scheduler.db, scheduler.keep_changes).await?;
    if !retained.dropped.is_empty() {
        tracing::info!(partitions = retained.dropped.join(", "), "dropped old changes");
    }
    quotas::forget_idle(&mut *scheduler.db.acquire().await?).await?;
    Ok(Duration::from_mins(10))
}

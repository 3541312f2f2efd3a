//! Keeps the partitions of the history and the change feed ready and drops the old ones; forgets budgets that are not in use, and
//! links and sign-ins whose time is over.

use std::time::Duration;

use shared::store::{changes, quotas, runs, sign_in_links, sign_ins};
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
    let mut connection = scheduler.db.acquire().await?;
    quotas::forget_idle(&mut connection).await?;
    sign_ins::forget_old(&mut connection).await?;
    sign_in_links::forget_old(&mut connection).await?;
    Ok(Duration::from_mins(10))
}

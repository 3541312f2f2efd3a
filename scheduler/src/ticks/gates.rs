//! Parks due jobs behind gates that stay closed, and brings them back, spread over time, when a gate opens.

use std::time::Duration;

use shared::store::job_state;
use tokio_util::sync::CancellationToken;

use super::{Pace, Scheduler};

/// The most jobs of one statement.
const BATCH: i64 = 1_000;

/// The jobs behind a gate that opened come back within this time, not all at once.
const SPREAD: Duration = Duration::from_secs(30);

pub(super) async fn run(scheduler: Scheduler, soft: CancellationToken) {
    let mut pace = Pace::new("gates", Duration::from_secs(30), soft);
    while pace.keep(tick(&scheduler)).await {}
}

async fn tick(scheduler: &Scheduler) -> anyhow::Result<Duration> {
    let mut conn = scheduler.db.acquire().await?;
    let back = job_state::unpark_opened(&mut conn, SPREAD, BATCH).await?;
    let parked = job_state::park_gated(&mut conn, BATCH).await?;
    if back + parked == 0 {
        return Ok(Duration::from_secs(1));
    }
    tracing::info!(back, parked, "moved jobs from and to behind gates");
    Ok(Duration::from_millis(50))
}

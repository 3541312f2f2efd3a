//! Keeps the partitions of the history and the change feed ready and drops the old ones; forgets budgets that are not in use, and
//! links and sign-ins whose time is over, and what was done long ago for names; takes out of the object store what nothing refers to.

use std::time::{Duration, Instant};

use shared::store::{changes, dns_history, objects, quotas, runs, sign_in_links, sign_ins};
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
    {
        let mut connection = scheduler.db.acquire().await?;
        quotas::forget_idle(&mut connection).await?;
        sign_ins::forget_old(&mut connection).await?;
        sign_in_links::forget_old(&mut connection).await?;
    }
    let forgotten = {
        let mut connection = scheduler.db.acquire().await?;
        dns_history::forget_old(&mut connection, HISTORY_KEEP, HISTORY_MOST, FORGOTTEN).await?
    };
    let is_clear = clear_contents(scheduler).await? && forgotten < FORGOTTEN.unsigned_abs();
    Ok(if is_clear { Duration::from_mins(10) } else { AGAIN })
}

/// What was done for a name is kept so long, and no more than so much of each name.
const HISTORY_KEEP: Duration = Duration::from_hours(90 * 24);
const HISTORY_MOST: i64 = 1_000;

/// So many rows of that are forgotten in one go, at most.
const FORGOTTEN: i64 = 10_000;

/// Objects and uploads in one go, at most.
const CLEARED: i64 = 1000;

/// No go begins after this time in a tick. A go takes a minute or so at the most, and the tick has a limit.
const CLEARING: Duration = Duration::from_mins(2);

/// If there is more to clear then, the next tick begins so soon.
const AGAIN: Duration = Duration::from_secs(1);

/// Clears until nothing is left that is due, or the time is over; says which. Two schedulers at once do no harm: what is gone can
/// be removed again.
async fn clear_contents(scheduler: &Scheduler) -> anyhow::Result<bool> {
    let Some(store) = &scheduler.objects else { return Ok(true) };
    let began = Instant::now();
    let mut unused_after = Some(0);
    loop {
        let mut forgotten = 0;
        if let Some(after) = unused_after {
            let found = objects::forget_unused(&mut *scheduler.db.acquire().await?, after, CLEARED).await?;
            (forgotten, unused_after) = (found.objects, found.more_after);
        }
        let removed = store.remove_due(&scheduler.db, CLEARED).await?;
        if forgotten > 0 || removed.objects > 0 {
            tracing::info!(forgotten, removed = removed.objects, "cleared the object store");
        }
        if unused_after.is_none() && removed.is_all {
            return Ok(true);
        }
        if began.elapsed() > CLEARING {
            return Ok(false);
        }
    }
}

//! Calendars and drives that keep changing.

mod events;

use std::{collections::HashMap, time::Duration};

use anyhow::ensure;
use rand::{SeedableRng, rngs::StdRng};
use serde::{Deserialize, Serialize};
use tokio::{task::JoinSet, time::MissedTickBehavior};
use tokio_util::sync::CancellationToken;

use super::{Shared, lock};

/// What changes.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Churned {
    /// The events of calendars.
    #[default]
    Events,
    /// Files and shared drives.
    Files,
}

/// The churns that are under way.
pub(super) type Churns = HashMap<Churned, Churn>;

/// One of them.
pub(super) struct Churn {
    stop: CancellationToken,
    /// Dropping the set ends the task.
    _tasks: JoinSet<()>,
}

/// Starts to make `rate` changes a second, in place of an earlier churn of the same.
pub(super) fn start(shared: &Shared, what: Churned, rate: f64, seed: u64) -> anyhow::Result<()> {
    ensure!(rate > 0.0 && rate <= 100_000.0, "rate_per_s {rate}: more than 0 and up to 100000 is allowed");
    let earlier = lock(&shared.churn).remove(&what);
    end(shared, earlier);
    let stop = CancellationToken::new();
    let mut tasks = JoinSet::new();
    tasks.spawn(run(shared.clone(), what, rate, StdRng::seed_from_u64(seed), stop.clone()));
    lock(&shared.churn).insert(what, Churn { stop, _tasks: tasks });
    Ok(())
}

/// Ends all churn. When this returns, no further change will happen.
pub(super) fn stop(shared: &Shared) {
    let all = std::mem::take(&mut *lock(&shared.churn));
    end(shared, all.into_values());
}

fn end(shared: &Shared, churns: impl IntoIterator<Item = Churn>) {
    for churn in churns {
        // Under the lock that every change needs.
        let _world = lock(&shared.world);
        churn.stop.cancel();
    }
}

async fn run(shared: Shared, what: Churned, rate: f64, mut rng: StdRng, stop: CancellationToken) {
    let period = Duration::from_secs_f64(1.0 / rate).max(Duration::from_millis(10));
    let mut ticks = tokio::time::interval(period);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut due = 0.0;
    loop {
        ticks.tick().await;
        due += rate * period.as_secs_f64();
        while due >= 1.0 {
            due -= 1.0;
            let mut world = lock(&shared.world);
            if stop.is_cancelled() {
                return;
            }
            let changed = match what {
                Churned::Events => world.churn(&mut rng),
                Churned::Files => world.churn_files(&mut rng),
            };
            if let Err(error) = changed {
                tracing::warn!(error = format!("{error:#}"), "the fake Google could not change {what:?}");
            }
        }
    }
}

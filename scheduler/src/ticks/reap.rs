//! Takes back the jobs of dead workers.
//!
//! A reaper must not take an outage of the database for the death of everybody: nobody could beat meanwhile. So it acts only
//! after fifteen seconds of its own unbroken ticks, on a server that has been up for fifteen seconds.

use std::time::{Duration, Instant};

use metrics::counter;
use shared::{
    job::Lane,
    store::{PgPool, job_state, schema},
};
use tokio_util::sync::CancellationToken;

use super::{Pace, Scheduler};

/// A worker whose beat is older is dead.
pub const DEAD: Duration = Duration::from_secs(10);

/// How long all must have been well before anybody is declared dead.
const CALM: Duration = Duration::from_secs(15);

/// The pause between ticks. A longer one than twice this breaks the calm.
const TICK: Duration = Duration::from_secs(1);

/// The most jobs of one statement.
const BATCH: i64 = 1_000;

/// Since when the ticks are unbroken.
#[derive(Debug, Default)]
struct Calm {
    since: Option<Instant>,
    last: Option<Instant>,
}

impl Calm {
    /// Notes a tick that reached the database, and says whether it has been calm for long enough.
    fn holds(&mut self, now: Instant) -> bool {
        let unbroken = self.last.is_some_and(|last| now.duration_since(last) < TICK * 3);
        self.last = Some(now);
        if !unbroken {
            self.since = Some(now);
        }
        self.since.is_some_and(|since| now.duration_since(since) >= CALM)
    }
}

pub(super) async fn run(scheduler: Scheduler, soft: CancellationToken) {
    let mut calm = Calm::default();
    let mut pace = Pace::new("reap", Duration::from_secs(15), soft);
    while pace.keep(tick(&scheduler, &mut calm)).await {}
}

async fn tick(scheduler: &Scheduler, calm: &mut Calm) -> anyhow::Result<Duration> {
    let up = schema::up_for(&scheduler.db).await?;
    if calm.holds(Instant::now()) && up >= CALM {
        reap_all(scheduler).await?;
    }
    Ok(TICK)
}

async fn reap_all(scheduler: &Scheduler) -> Result<(), sqlx::Error> {
    loop {
        let reaped = reap(&scheduler.db).await?;
        if reaped.is_empty() {
            return Ok(());
        }
        counter!("syncfleet_leases_expired_total").increment(reaped.len() as u64);
        let parked = reaped.iter().filter(|job| job.parked).count();
        tracing::warn!(jobs = reaped.len(), parked, "took back jobs of dead workers");
        for lane in Lane::ALL {
            let due: Vec<_> =
                reaped.iter().filter(|job| job.due && job.lane == lane).map(|job| job.job).collect();
            // A bell that is away says so itself; the dispatcher rings what was not rung here.
            let _ = scheduler.bell.ring(lane, &due).await;
        }
    }
}

async fn reap(db: &PgPool) -> Result<Vec<job_state::Reaped>, sqlx::Error> {
    job_state::reap(db, DEAD, BATCH).await
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn calm_needs_fifteen_unbroken_seconds() {
        let (mut calm, start) = (Calm::default(), Instant::now());
        for second in 0..15 {
            assert!(!calm.holds(start + Duration::from_secs(second)), "after {second} s");
        }
        assert!(calm.holds(start + Duration::from_secs(15)));
        // Five seconds without a tick: the database was away, or this process was stopped.
        assert!(!calm.holds(start + Duration::from_secs(20)));
        assert!(!calm.holds(start + Duration::from_secs(22)));
    }
}

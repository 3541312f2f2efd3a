//! Wants the jobs of webhooks that are behind the change feed, and measures how far they and the feed are behind.
//!
//! It is woken by the feed's notifications. As a notification may come before its changes are settled, and while the job still
//! runs, a tenant is looked at again for some seconds after it; and every ten seconds all are looked at, whatever was heard.

use std::{
    collections::{HashMap, VecDeque},
    sync::{Mutex, PoisonError},
    time::{Duration, Instant},
};

use metrics::{counter, describe_counter, describe_gauge, gauge};
use shared::{
    admin::webhook::KIND,
    job::{Lane, TenantId},
    store::{
        changes::{self, Held},
        job_state::{self, Wanted},
        webhooks,
    },
};
use tokio::sync::Notify;
use tokio_util::sync::CancellationToken;

use super::{Pace, Scheduler};

/// All webhooks are looked at this often.
const ALL: Duration = Duration::from_secs(10);

/// The pause between two looks at those that were heard of.
const SOON: Duration = Duration::from_millis(250);

/// For so long after a notification its tenant is looked at.
const RECENT: Duration = Duration::from_secs(3);

/// The most jobs of one look. More are found by the next.
const MOST: i64 = 1_000;

/// The most samples of how far the feed was written.
const SAMPLES: usize = 10_000;

pub(super) fn describe_metrics() {
    describe_gauge!(
        "syncfleet_webhook_lag_seconds",
        "How long the oldest change has waited to be sent to a webhook"
    );
    describe_gauge!(
        "syncfleet_feed_held_back_seconds",
        "How long the change feed has been held back by a transaction that writes and stays open"
    );
    describe_counter!("syncfleet_jobs_enqueued_total", "Jobs that were wanted, by who wanted them");
    gauge!("syncfleet_webhook_lag_seconds").set(0.0);
    gauge!("syncfleet_feed_held_back_seconds").set(0.0);
    for lane in Lane::ALL {
        count(KIND, lane, 0);
    }
}

fn count(kind: &str, lane: Lane, jobs: u64) {
    let (kind, lane) = (kind.to_owned(), lane.as_str());
    counter!("syncfleet_jobs_enqueued_total", "kind" => kind, "lane" => lane, "source" => "scheduler")
        .increment(jobs);
}

/// Tenants whose feed has grown lately.
#[derive(Debug, Default)]
struct Heard {
    tenants: Mutex<HashMap<TenantId, Instant>>,
    wake: Notify,
}

impl Heard {
    fn note(&self, tenant: TenantId) {
        self.tenants.lock().unwrap_or_else(PoisonError::into_inner).insert(tenant, Instant::now());
        self.wake.notify_one();
    }

    /// Those that are still to be looked at.
    fn recent(&self, now: Instant) -> Vec<TenantId> {
        let mut tenants = self.tenants.lock().unwrap_or_else(PoisonError::into_inner);
        tenants.retain(|_, at| now.duration_since(*at) < RECENT);
        tenants.keys().copied().collect()
    }
}

pub(super) async fn run(scheduler: Scheduler, soft: CancellationToken) {
    let heard = Heard::default();
    tokio::join!(
        changes::listen(scheduler.db.clone(), soft.clone(), |tenant| heard.note(tenant)),
        look(&scheduler, &heard, soft.clone()),
    );
}

async fn look(scheduler: &Scheduler, heard: &Heard, soft: CancellationToken) {
    let mut pace = Pace::new("webhooks", Duration::from_secs(30), soft.clone());
    let (mut all, mut written) = (Instant::now(), Written::default());
    loop {
        let now = Instant::now();
        let recent = heard.recent(now);
        if now >= all {
            if !pace.keep(look_at_all(scheduler, &mut written)).await {
                return;
            }
            all = Instant::now() + ALL;
        } else if recent.is_empty() {
            let wait = async {
                tokio::select! {
                    () = heard.wake.notified() => {}
                    () = tokio::time::sleep(all - now) => {}
                }
            };
            if soft.run_until_cancelled(wait).await.is_none() {
                return;
            }
        } else if !pace.keep(want(scheduler, Some(&recent))).await {
            return;
        }
    }
}

async fn want(scheduler: &Scheduler, tenants: Option<&[TenantId]>) -> anyhow::Result<Duration> {
    let mut conn = scheduler.db.acquire().await?;
    let behind = webhooks::behind(&mut conn, tenants, MOST).await?;
    if !behind.is_empty() {
        let wanted = job_state::want(&mut conn, &behind, None, None).await?;
        for wanted in &wanted {
            count(&wanted.kind, wanted.lane, 1);
        }
        scheduler.bell.offer(wanted.iter().filter_map(Wanted::ring), Instant::now()).await;
    }
    Ok(SOON)
}

async fn look_at_all(scheduler: &Scheduler, written: &mut Written) -> anyhow::Result<Duration> {
    let pause = want(scheduler, None).await?;
    let mut conn = scheduler.db.acquire().await?;
    gauge!("syncfleet_webhook_lag_seconds").set(webhooks::lag(&mut conn).await?.as_secs_f64());
    let held = written.held_back(changes::held(&mut conn).await?, Instant::now());
    gauge!("syncfleet_feed_held_back_seconds").set(held.as_secs_f64());
    Ok(pause)
}

/// How far the feed was written, and when: a transaction that still runs and had a number then has held it back since.
#[derive(Debug, Default)]
struct Written {
    samples: VecDeque<(Instant, i64)>,
}

impl Written {
    fn held_back(&mut self, held: Held, now: Instant) -> Duration {
        self.samples.push_back((now, held.xmax));
        while self.samples.front().is_some_and(|(_, xmax)| *xmax <= held.xmin) || self.samples.len() > SAMPLES
        {
            self.samples.pop_front();
        }
        self.samples.front().map_or(Duration::ZERO, |(since, _)| now.duration_since(*since))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_feed_is_held_back_since_the_oldest_running_transaction_was_seen() {
        let (mut written, start) = (Written::default(), Instant::now());
        let mut after = |seconds, xmin, xmax| {
            written.held_back(Held { xmin, xmax }, start + Duration::from_secs(seconds)).as_secs()
        };
        assert_eq!(after(0, 100, 100), 0);
        // 100 runs, seen first after ten seconds.
        assert_eq!(after(10, 100, 105), 0);
        assert_eq!(after(20, 100, 110), 10);
        assert_eq!(after(30, 100, 110), 20);
        // It has ended; 107 runs still.
        assert_eq!(after(40, 107, 120), 20);
        assert_eq!(after(50, 120, 120), 0);
    }

    #[test]
    fn a_tenant_is_looked_at_for_some_seconds() {
        let heard = Heard::default();
        heard.note(7);
        let now = Instant::now();
        assert_eq!(heard.recent(now), [7]);
        assert!(heard.recent(now + RECENT).is_empty());
        assert!(heard.recent(now).is_empty());
    }
}

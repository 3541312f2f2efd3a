//! Gauges that only the database knows. Every scheduler exports them: aggregate with `max by`, not with `sum`.

use std::{
    collections::HashSet,
    time::{Duration, Instant},
};

use metrics::gauge;
use shared::{
    google::scopes,
    job::Lane,
    store::{
        dns_addresses, dns_records,
        job_state::{self, Count},
        quotas,
    },
};
use tokio_util::sync::CancellationToken;

use super::{Pace, Scheduler};

/// Cheap ones: a few index entries each.
const OFTEN: Duration = Duration::from_secs(5);

/// They are not cheap while somebody's long transaction keeps old index entries alive: then they come less often.
const PAUSE: u32 = 20;

/// Between two counts of the whole table, at the least.
const COUNT_EVERY: Duration = Duration::from_mins(1);

/// A count is followed by so many times its own duration without one: it takes half a percent of a core, however long the
/// table is.
const COUNT_PAUSE: u32 = 200;

pub(super) async fn run(scheduler: Scheduler, soft: CancellationToken) {
    let mut counted = Counted::default();
    let mut pace = Pace::new("gauges", Duration::from_secs(30), soft);
    while pace.keep(tick(&scheduler, &mut counted)).await {}
}

async fn tick(scheduler: &Scheduler, counted: &mut Counted) -> anyhow::Result<Duration> {
    let mut conn = scheduler.db.acquire().await?;
    let began = Instant::now();
    for lane in Lane::ALL {
        let staleness = job_state::staleness(&mut conn, lane).await?;
        gauge!("syncfleet_staleness_seconds", "lane" => lane.as_str()).set(staleness.as_secs_f64());
        if let Ok(waiting) = scheduler.bell.len(lane).await {
            #[expect(clippy::cast_precision_loss, reason = "the bell is bounded far below 2^52")]
            gauge!("syncfleet_bell_jobs", "lane" => lane.as_str()).set(waiting as f64);
        }
    }
    rates(&quotas::slowed(&mut conn).await?);
    failing("dns_record", dns_records::failing(&mut conn).await?);
    failing("dns_address", dns_addresses::failing(&mut conn).await?);
    let pause = OFTEN.max(began.elapsed() * PAUSE);
    let began = Instant::now();
    if counted.next.is_none_or(|next| next <= began) {
        counted.show(job_state::count(&mut conn).await?);
        let ended = Instant::now();
        counted.next = Some(ended + COUNT_EVERY.max((ended - began) * COUNT_PAUSE));
    }
    Ok(pause)
}

/// Shows the rates of calls in use. What is not among those that are slowed uses all.
fn rates(slowed: &[quotas::Slowed]) {
    for api in [scopes::CALENDAR, scopes::DRIVE] {
        for (scope, of_account) in [("project", false), ("account", true)] {
            let lowest = slowed.iter().find(|slowed| slowed.api == api && slowed.of_account == of_account);
            gauge!("syncfleet_quota_rate_ratio", "api" => api, "scope" => scope)
                .set(lowest.map_or(1.0, |slowed| slowed.rate));
        }
    }
}

/// Shows how many names do not follow, and how many addresses are not told.
pub(super) fn failing(kind: &'static str, failing: i64) {
    #[expect(clippy::cast_precision_loss, reason = "no fleet has 2^52 names")]
    gauge!("syncfleet_dns_failing", "kind" => kind).set(failing as f64);
}

/// What was counted last: a state that has emptied is shown as 0.
#[derive(Debug, Default)]
struct Counted {
    next: Option<Instant>,
    shown: HashSet<(String, String)>,
}

impl Counted {
    fn show(&mut self, counts: Vec<Count>) {
        for (kind, state) in &self.shown {
            gauge!("syncfleet_jobs", "kind" => kind.clone(), "state" => state.clone()).set(0.0);
        }
        for count in counts {
            #[expect(clippy::cast_precision_loss, reason = "no fleet has 2^52 jobs")]
            gauge!("syncfleet_jobs", "kind" => count.kind.clone(), "state" => count.state.clone())
                .set(count.jobs as f64);
            self.shown.insert((count.kind, count.state));
        }
    }
}

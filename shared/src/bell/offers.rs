use std::{
    collections::HashMap,
    sync::{Mutex, PoisonError},
    time::{Duration, Instant},
};

use super::Ring;
use crate::job::{JobId, Lane, TenantId};

/// A lane's bell with fewer ids than this is short.
const SHORT: usize = 1_000;

/// What one tenant may ring by itself in a lane in one second. Beyond it the dispatcher decides, who sees all tenants.
const SHARE: u32 = 250;

/// What this process knows of the bell's length and of its tenants' shares.
#[derive(Debug, Default)]
pub(super) struct Offers {
    lanes: [Mutex<Known>; Lane::ALL.len()],
}

#[derive(Debug, Default)]
struct Known {
    length: Option<(usize, Instant)>,
    since: Option<Instant>,
    rung: HashMap<TenantId, u32>,
}

impl Offers {
    /// Those jobs of a lane that may be rung at once.
    pub(super) fn fair(&self, lane: Lane, rings: &[Ring], now: Instant) -> Vec<JobId> {
        let mut known = self.lanes[lane as usize].lock().unwrap_or_else(PoisonError::into_inner);
        let second = Duration::from_secs(1);
        if known.since.is_none_or(|since| now.duration_since(since) >= second) {
            known.since = Some(now);
            known.rung.clear();
        }
        // What was learnt long ago says nothing.
        let length =
            known.length.filter(|(_, at)| now.duration_since(*at) < second).map_or(0, |(length, _)| length);
        let mut room = SHORT.saturating_sub(length);
        let mut jobs = Vec::new();
        for ring in rings.iter().filter(|ring| ring.lane == lane) {
            let rung = known.rung.entry(ring.tenant).or_default();
            if room > 0 && *rung < SHARE {
                *rung += 1;
                room -= 1;
                jobs.push(ring.job);
            }
        }
        jobs
    }

    pub(super) fn learn(&self, lane: Lane, length: usize, now: Instant) {
        self.lanes[lane as usize].lock().unwrap_or_else(PoisonError::into_inner).length = Some((length, now));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rings(tenant: TenantId, jobs: std::ops::Range<JobId>) -> Vec<Ring> {
        jobs.map(|job| Ring { job, tenant, lane: Lane::Normal }).collect()
    }

    #[test]
    fn a_tenant_rings_its_share_and_another_one_still_rings() {
        let (offers, now) = (Offers::default(), Instant::now());
        assert_eq!(offers.fair(Lane::Normal, &rings(1, 0..10_000), now).len(), SHARE as usize);
        assert_eq!(offers.fair(Lane::Normal, &rings(2, 0..1), now), [0]);
        assert_eq!(offers.fair(Lane::Normal, &rings(1, 0..10_000), now + Duration::from_secs(1)).len(), 250);
    }

    #[test]
    fn a_long_bell_is_not_made_longer_until_the_news_is_old() {
        let (offers, now) = (Offers::default(), Instant::now());
        offers.learn(Lane::Normal, SHORT, now);
        assert_eq!(offers.fair(Lane::Normal, &rings(1, 0..5), now), Vec::<JobId>::new());
        assert_eq!(offers.fair(Lane::Normal, &rings(1, 0..5), now + Duration::from_secs(1)).len(), 5);
    }

    #[test]
    fn only_jobs_of_the_lane_are_rung() {
        let offers = Offers::default();
        let mut jobs = rings(1, 0..2);
        jobs[0].lane = Lane::Bulk;
        assert_eq!(offers.fair(Lane::Normal, &jobs, Instant::now()), [1]);
    }
}

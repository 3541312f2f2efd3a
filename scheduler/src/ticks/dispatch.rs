//! Rings what is due. Reads only: a scheduler that dies here has changed nothing, and two of them ring some ids twice.
//!
//! Per lane there are two ways through the due rows, both in the order of `(run_at, job)`:
//!
//! - the *front* goes on from where it stopped, as far as the bell has room: twice the fleet's slots. Every second it begins
//!   again at the first row, for what it passed over, what has come before it, and what the bell has lost. Where that costs
//!   much it begins a little before the row that was the first one, and only now and then at the very first: as long as a
//!   transaction of somebody else's is open, PostgreSQL keeps all that was due since, and each read steps over it. Once at
//!   the end, it goes on with what becomes due, and steps over what stands behind closed gates once a round.
//! - the *scout*, while there are more due rows than the front can ring, looks past them twice a second for tenants and
//!   accounts that have had little, and rings some of theirs in a room of its own. So a tenant with 100,000 due jobs delays
//!   another's one by half a second at the most.
//!
//! An id that was rung is not rung again for five seconds while its row stays as it was.

mod front;
mod rung;
mod scout;

use std::time::{Duration, Instant};

use chrono::{DateTime, Utc};
use metrics::counter;
use shared::{
    bell::{Away, Bell},
    job::{JobId, Lane, Lanes},
    store::{PgConnection, workers},
};
use tokio_util::sync::CancellationToken;

use self::{front::Front, rung::Rung, scout::Scout};
use super::{Pace, Scheduler};

/// The pause when nothing is due beyond what was rung.
const IDLE: Duration = Duration::from_millis(200);

/// The pause while more is due than the bell has room for.
const BUSY: Duration = Duration::from_millis(20);

/// How often the fleet's slots are counted.
const COUNT: Duration = Duration::from_secs(2);

/// A dispatcher's memory. None of it matters when it is lost.
#[derive(Debug, Default)]
pub struct Dispatcher {
    lanes: [LaneMemory; Lane::ALL.len()],
    fleet: Option<Fleet>,
}

/// The fleet when it was counted.
#[derive(Debug, Clone, Copy)]
struct Fleet {
    slots: Lanes,
    /// The database's time.
    clock: DateTime<Utc>,
    at: Instant,
}

#[derive(Debug, Default)]
struct LaneMemory {
    front: Front,
    scout: Scout,
    rung: Rung,
}

impl Dispatcher {
    /// Looks at all lanes once, and says how many ids it rang and whether more are due.
    ///
    /// A bell that is away is no failure: workers find what is due by themselves.
    pub async fn tick(
        &mut self,
        conn: &mut PgConnection,
        bell: &Bell,
        now: Instant,
    ) -> Result<(usize, bool), sqlx::Error> {
        let fleet = match self.fleet {
            Some(fleet) if now.duration_since(fleet.at) < COUNT => fleet,
            _ => {
                let (slots, clock) = workers::fleet_slots(conn).await?;
                Fleet { slots, clock, at: now }
            }
        };
        self.fleet = Some(fleet);
        let (mut rung, mut more) = (0, false);
        for lane in Lane::ALL {
            // Nobody takes from this lane's bell.
            let slots = fleet.slots.of(lane) as usize;
            if slots == 0 {
                continue;
            }
            let memory = &mut self.lanes[lane as usize];
            let Ok(waiting) = bell.len(lane).await else { continue };
            let (ids, is_more) = memory.pick(conn, lane, slots, waiting, now, fleet.clock).await?;
            more |= is_more;
            if !ids.is_empty() && ring(bell, lane, &ids).await.is_ok() {
                rung += ids.len();
            }
        }
        Ok((rung, more))
    }
}

impl LaneMemory {
    async fn pick(
        &mut self,
        conn: &mut PgConnection,
        lane: Lane,
        slots: usize,
        waiting: usize,
        now: Instant,
        clock: DateTime<Utc>,
    ) -> Result<(Vec<JobId>, bool), sqlx::Error> {
        self.rung.forget(now);
        let room = (slots * 2).saturating_sub(waiting);
        let mut ids = self.front.next(conn, lane, room, &mut self.rung, now, clock).await?;
        let backlog = !self.front.reached_end();
        if backlog {
            ids.extend(self.scout.look(conn, lane, slots, self.front.mark(), &mut self.rung, now).await?);
        }
        Ok((ids, backlog))
    }
}

async fn ring(bell: &Bell, lane: Lane, ids: &[JobId]) -> Result<(), Away> {
    bell.ring(lane, ids).await?;
    counter!("syncfleet_jobs_rung_total", "lane" => lane.as_str()).increment(ids.len() as u64);
    Ok(())
}

pub(super) async fn run(scheduler: Scheduler, soft: CancellationToken) {
    let mut dispatcher = Dispatcher::default();
    let mut pace = Pace::new("dispatch", Duration::from_secs(15), soft);
    while pace.keep(tick(&scheduler, &mut dispatcher)).await {}
}

async fn tick(scheduler: &Scheduler, dispatcher: &mut Dispatcher) -> anyhow::Result<Duration> {
    let mut conn = scheduler.db.acquire().await?;
    let (_, more) = dispatcher.tick(&mut conn, &scheduler.bell, Instant::now()).await?;
    Ok(if more { BUSY } else { IDLE })
}

mod work;

use std::{
    collections::HashMap,
    time::{Duration, Instant},
};

use anyhow::{Context, Result, ensure};
use chrono::{DateTime, Utc};
use scheduler::ticks::dispatch::Dispatcher;
use shared::{
    bell::Bell,
    job::{JobId, Lane, Policy, Retry, Run, RunId, TenantId, WorkerId},
    store::{
        gates::{self, Gate, Reason},
        job_state, jobs, tenants,
    },
};
use sqlx::{
    PgPool,
    postgres::{PgConnectOptions, PgPoolOptions},
};
use uuid::Uuid;

use crate::{
    Event, Fate, How,
    model::{self, Job, Row},
};

pub const JOBS: usize = 5;
pub const TENANTS: usize = 2;
pub const WORKERS: usize = 3;
pub const SCHEDULERS: usize = 2;

const POLICY: Policy = Policy {
    kind: "test",
    about: "",
    lane: Lane::Normal,
    interval: None,
    min_interval: Duration::ZERO,
    limit: Duration::from_secs(1),
    retry: Retry { base: Duration::from_secs(1), cap: Duration::from_secs(10), attempts: None },
    per_account: None,
    api: None,
};

/// A worker's memory.
struct Worker {
    id: WorkerId,
    /// When it last beat, in shifted seconds.
    beat: Option<Instant>,
    runs: Vec<Run>,
}

impl Worker {
    fn new() -> Self {
        Self { id: Uuid::now_v7(), beat: None, runs: Vec::new() }
    }
}

/// The fleet, and the model of its jobs.
pub struct Fleet {
    /// One connection, because the clock's shift is a setting of the session.
    db: PgPool,
    bell: Bell,
    schedulers: [Dispatcher; SCHEDULERS],
    workers: [Worker; WORKERS],
    shift: Duration,
    ids: Vec<JobId>,
    tenants: Vec<TenantId>,
    jobs: HashMap<JobId, Job>,
    /// Claims that stand and whose worker does not know of them, or has forgotten.
    strangers: Vec<(JobId, RunId)>,
}

impl Fleet {
    pub async fn connect(database: PgConnectOptions) -> Self {
        let db = PgPoolOptions::new().max_connections(1).connect_with(database).await.unwrap();
        sqlx::raw_sql("create table mirror (job_id bigint primary key, steps bigint not null default 0)")
            .execute(&db)
            .await
            .unwrap();
        Self {
            db,
            bell: Bell::in_memory(),
            schedulers: Default::default(),
            workers: std::array::from_fn(|_| Worker::new()),
            shift: Duration::ZERO,
            ids: Vec::new(),
            tenants: Vec::new(),
            jobs: HashMap::new(),
            strangers: Vec::new(),
        }
    }

    /// Begins anew, lets all events happen, and then lets everything get done.
    pub async fn live_through(&mut self, events: &[Event]) -> Result<()> {
        self.begin().await?;
        for (place, event) in events.iter().enumerate() {
            self.happen(event).await.with_context(|| format!("event {place}, {event:?}"))?;
            self.check().await.with_context(|| format!("after event {place}, {event:?}"))?;
        }
        self.get_everything_done().await
    }

    async fn begin(&mut self) -> Result<()> {
        let mut conn = self.db.acquire().await?;
        sqlx::raw_sql("truncate tenants, jobs, job_state, gates, workers, runs, mirror cascade")
            .execute(&mut *conn)
            .await?;
        self.tenants.clear();
        for tenant in 0..TENANTS {
            self.tenants.push(tenants::ensure(&mut conn, &format!("tenant-{tenant}")).await?);
        }
        let new: Vec<_> = (0..JOBS)
            .map(|job| jobs::NewJob {
                key: job.to_string(),
                tenant: self.tenants[job % TENANTS],
                account: None,
                first: None,
            })
            .collect();
        self.ids = jobs::ensure(&mut conn, &POLICY, &new).await?;
        sqlx::query("insert into mirror select unnest($1::bigint[])")
            .bind(&self.ids)
            .execute(&mut *conn)
            .await?;
        drop(conn);
        self.bell = Bell::in_memory();
        self.schedulers = Default::default();
        self.workers = std::array::from_fn(|_| Worker::new());
        self.jobs = self.ids.iter().map(|id| (*id, Job::default())).collect();
        self.strangers.clear();
        self.shift = Duration::ZERO;
        self.pass(0).await
    }

    async fn pass(&mut self, seconds: u32) -> Result<()> {
        self.shift += Duration::from_secs(seconds.into());
        sqlx::query("select set_config('syncfleet.clock_shift', $1, false)")
            .bind(format!("{} s", self.shift.as_secs()))
            .execute(&self.db)
            .await?;
        Ok(())
    }

    fn now(&self) -> Instant {
        Instant::now() + self.shift
    }

    async fn happen(&mut self, event: &Event) -> Result<()> {
        match *event {
            Event::Want { job, later, raise } => self.want(job, later, raise).await,
            Event::Dispatch { scheduler } => self.dispatch(scheduler).await,
            Event::Claim { worker, answered } => {
                let ids = self.bell.take(Lane::Normal, 3, Duration::ZERO).await?;
                let more = self.bell.take(Lane::Interactive, 3, Duration::ZERO).await?;
                self.claim(worker, [ids, more].concat(), answered).await
            }
            Event::ClaimDue { worker } => {
                let mut conn = self.db.acquire().await?;
                let due = job_state::due(&mut conn, Lane::Normal, (DateTime::UNIX_EPOCH, 0), 2).await?;
                drop(conn);
                self.claim(worker, due.iter().map(|due| due.job).collect(), true).await
            }
            Event::FlushBell => {
                self.bell = Bell::in_memory();
                Ok(())
            }
            Event::End { worker, run, how, fate } => self.end(worker, run, how, fate).await,
            Event::Beat { worker } => self.beat(worker).await,
            Event::Crash { worker } => {
                let dead = std::mem::replace(&mut self.workers[worker], Worker::new());
                self.strangers.extend(dead.runs.iter().map(|run| (run.job, run.id)));
                Ok(())
            }
            Event::Stall { worker } => self.stall(worker).await,
            Event::HandBack { worker } => self.hand_back(worker).await,
            Event::Reap => self.reap().await,
            Event::Gates => self.gates().await.map(drop),
            Event::Pass { seconds } => self.pass(seconds).await,
            Event::Pause { job, paused } => {
                let mut conn = self.db.acquire().await?;
                job_state::pause(&mut conn, &[self.ids[job]], paused).await?;
                Ok(())
            }
            Event::Close { tenant, lasting } => {
                let mut conn = self.db.acquire().await?;
                let gate = Gate::Tenant(self.tenants[tenant]);
                let (reason, time) = if lasting {
                    (Reason::Paused, None)
                } else {
                    (Reason::Throttled, Some(Duration::from_secs(5)))
                };
                gates::close(&mut conn, &gate, reason, time, "").await?;
                Ok(())
            }
            Event::Open { tenant } => {
                let mut conn = self.db.acquire().await?;
                gates::open(&mut conn, &Gate::Tenant(self.tenants[tenant]), Reason::Paused).await?;
                Ok(())
            }
            Event::Release { job } => {
                let mut conn = self.db.acquire().await?;
                job_state::release(&mut conn, &[self.ids[job]]).await?;
                Ok(())
            }
        }
    }

    async fn want(&mut self, job: usize, later: bool, raise: bool) -> Result<()> {
        let mut conn = self.db.acquire().await?;
        let at: Option<DateTime<Utc>> = if later {
            Some(sqlx::query_scalar("select clock() + interval '5 s'").fetch_one(&mut *conn).await?)
        } else {
            None
        };
        let lane = raise.then_some(Lane::Interactive);
        let wanted = job_state::want(&mut conn, &[self.ids[job]], at, lane).await?;
        self.bell.offer(wanted.iter().filter_map(job_state::Wanted::ring), self.now()).await;
        self.jobs.get_mut(&self.ids[job]).unwrap().wanted += 1;
        let near: bool = sqlx::query_scalar(
            "select phase <> 'idle' or run_at <= greatest(floor_at, backoff_until, coalesce($2, clock()))
            from job_state where job_id = $1",
        )
        .bind(self.ids[job])
        .bind(at)
        .fetch_one(&mut *conn)
        .await?;
        ensure!(near, "a want did not pull its job near");
        Ok(())
    }

    async fn dispatch(&mut self, scheduler: usize) -> Result<()> {
        let now = self.now();
        let mut conn = self.db.acquire().await?;
        self.schedulers[scheduler].tick(&mut conn, &self.bell, now).await?;
        Ok(())
    }

    fn is_fresh(&self, worker: usize) -> bool {
        self.workers[worker].beat.is_some_and(|beat| self.now().duration_since(beat) < Duration::from_secs(7))
    }

    async fn rows(&self) -> Result<Vec<Row>> {
        Ok(sqlx::query_as(
            "select s.job_id, wanted, seen, done, lease, phase::text, run_at = 'infinity' as never, m.steps
            from job_state s join mirror m using (job_id)",
        )
        .fetch_all(&self.db)
        .await?)
    }

    async fn check(&self) -> Result<()> {
        model::compare(&self.jobs, &self.rows().await?)
    }

    /// Takes all obstacles away; then one worker and one scheduler must get everything done.
    async fn get_everything_done(&mut self) -> Result<()> {
        let mut conn = self.db.acquire().await?;
        job_state::pause(&mut conn, &self.ids, false).await?;
        for tenant in &self.tenants {
            gates::open(&mut conn, &Gate::Tenant(*tenant), Reason::Paused).await?;
        }
        drop(conn);
        for round in 0.. {
            self.pass(11).await?;
            self.beat(0).await?;
            self.reap().await?;
            self.hand_back(0).await?;
            self.gates().await?;
            self.dispatch(0).await?;
            for _ in 0..JOBS {
                self.happen(&Event::Claim { worker: 0, answered: true }).await?;
                self.end(0, 0, How::Complete, Fate::Answered).await?;
            }
            self.check().await.with_context(|| format!("round {round} of the end"))?;
            let open: Vec<_> = self
                .rows()
                .await?
                .into_iter()
                .filter(|row| row.wanted > row.done || row.seen.is_some())
                .collect();
            if open.is_empty() {
                return Ok(());
            }
            // What a permanent error or five crashes have parked waits for a person. The rest must come by itself.
            let mut conn = self.db.acquire().await?;
            let parked: Vec<JobId> = sqlx::query_scalar(
                "select job_id from job_state where phase = 'parked' and parked in ('failed', 'crashed')",
            )
            .fetch_all(&mut *conn)
            .await?;
            job_state::release(&mut conn, &parked).await?;
            ensure!(round < 30, "still not done after {round} rounds: {open:#?}");
        }
        Ok(())
    }
}

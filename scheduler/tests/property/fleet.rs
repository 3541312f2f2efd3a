use std::{
    collections::HashMap,
    time::{Duration, Instant},
};

use anyhow::{Context, Result, bail, ensure};
use chrono::{DateTime, Utc};
use scheduler::ticks::{dispatch::Dispatcher, reap};
use shared::{
    bell::Bell,
    job::{JobId, Lane, Lanes, Parked, Policy, Retry, Run, RunId, TenantId, WorkerId},
    store::{
        gates::{self, Gate, Reason},
        job_state::{self, Claimer, Completion, Finished, LeaseLost, PutBack},
        jobs, runs, tenants, workers,
    },
};
use sqlx::{
    PgConnection, PgPool,
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

    async fn claim(&mut self, worker: usize, mut ids: Vec<JobId>, answered: bool) -> Result<()> {
        // A worker whose beat is silent claims nothing.
        if !self.is_fresh(worker) || ids.is_empty() {
            return Ok(());
        }
        ids.sort_unstable();
        ids.dedup();
        let leases: Vec<RunId> = ids.iter().map(|_| Uuid::now_v7()).collect();
        let kinds = [POLICY.kind.to_owned()];
        let claimer = Claimer { worker: self.workers[worker].id, kinds: &kinds, suspects: true };
        let mut conn = self.db.acquire().await?;
        let claimed = job_state::claim(&mut conn, &claimer, &ids, &leases).await?;
        for run in &claimed {
            let job = self.jobs.get_mut(&run.job).unwrap();
            ensure!(job.lease.is_none(), "job {} was claimed although {:?} runs it", run.job, job.lease);
            job.lease = Some(run.id);
            job.seen.get_or_insert(job.wanted);
        }
        if answered {
            self.workers[worker].runs.extend(claimed);
        } else {
            self.strangers.extend(claimed.iter().map(|run| (run.job, run.id)));
        }
        Ok(())
    }

    async fn end(&mut self, worker: usize, place: usize, how: How, fate: Fate) -> Result<()> {
        let runs = &mut self.workers[worker].runs;
        if runs.is_empty() {
            return Ok(());
        }
        let run = runs.remove(place % runs.len());
        let stands = self.jobs[&run.job].lease == Some(run.id);
        let mut tx = self.db.begin().await?;
        sqlx::query("update mirror set steps = steps + 1 where job_id = $1")
            .bind(run.job)
            .execute(&mut *tx)
            .await?;
        let ended = end(&mut tx, self.workers[worker].id, &run, how).await;
        match ended {
            Ok(()) => ensure!(stands, "a stale lease ended its run"),
            Err(LeaseLost::Lost(_)) => {
                ensure!(!stands, "the lease stood and was refused");
                return Ok(());
            }
            Err(LeaseLost::Database(error)) => bail!(error),
        }
        if matches!(fate, Fate::RolledBack) {
            drop(tx);
            self.strangers.push((run.job, run.id));
            return Ok(());
        }
        tx.commit().await?;
        let job = self.jobs.get_mut(&run.job).unwrap();
        job.steps += 1;
        job.lease = None;
        if matches!(how, How::Complete) {
            job.done = job.seen.take().unwrap();
        }
        if matches!(fate, Fate::AnswerLost) {
            let mut conn = self.db.acquire().await?;
            ensure!(
                runs::recorded(&mut conn, &[run.id]).await? == [run.id],
                "a commit that stands was not found"
            );
        }
        Ok(())
    }

    async fn beat(&mut self, worker: usize) -> Result<()> {
        let now = self.now();
        let slots = Lanes { interactive: 1, normal: 2, bulk: 1 };
        let worker = &mut self.workers[worker];
        let beat = workers::Beat {
            worker: worker.id,
            name: "test".to_owned(),
            version: "0",
            kinds: &[],
            slots,
            busy: slots,
        };
        let mut conn = self.db.acquire().await?;
        workers::beat(&mut conn, &beat).await?;
        // After a silence it has ended its own runs; the ends of such runs are tried all the same, as a stopped process would.
        worker.beat = Some(now);
        Ok(())
    }

    async fn stall(&mut self, worker: usize) -> Result<()> {
        self.pass(11).await?;
        for other in (0..WORKERS).filter(|other| *other != worker) {
            self.beat(other).await?;
        }
        self.reap().await?;
        let mut conn = self.db.acquire().await?;
        let due = job_state::due(&mut conn, Lane::Normal, (DateTime::UNIX_EPOCH, 0), 2).await?;
        drop(conn);
        self.claim((worker + 1) % WORKERS, due.iter().map(|due| due.job).collect(), true).await
    }

    async fn hand_back(&mut self, worker: usize) -> Result<()> {
        let known: Vec<RunId> = self.workers[worker].runs.iter().map(|run| run.id).collect();
        let id = self.workers[worker].id;
        let back = job_state::hand_back(&self.db, id, &known, Uuid::max()).await?;
        for (job, _) in back {
            self.forget_stranger(job)?;
        }
        Ok(())
    }

    /// A lease that nobody will end was taken back.
    fn forget_stranger(&mut self, job: JobId) -> Result<()> {
        let model = self.jobs.get_mut(&job).unwrap();
        let lease = model.lease.take().context("a job was taken back that nobody ran")?;
        ensure!(
            self.strangers.contains(&(job, lease)),
            "job {job} was handed back while its worker knew of it"
        );
        Ok(())
    }

    async fn reap(&mut self) -> Result<()> {
        let reaped = job_state::reap(&self.db, reap::DEAD, 100).await?;
        for job in reaped {
            let model = self.jobs.get_mut(&job.job).unwrap();
            let lease = model.lease.take().context("a job was reaped that nobody ran")?;
            let holder = self.workers.iter().position(|worker| worker.runs.iter().any(|run| run.id == lease));
            if let Some(holder) = holder {
                ensure!(!self.is_fresh(holder), "job {} was reaped from a worker that beats", job.job);
            }
        }
        Ok(())
    }

    async fn gates(&mut self) -> Result<u64> {
        let mut conn = self.db.acquire().await?;
        let back = job_state::unpark_opened(&mut conn, Duration::from_secs(5), 100).await?;
        Ok(back + job_state::park_gated(&mut conn, 100).await?)
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

async fn end(conn: &mut PgConnection, worker: WorkerId, run: &Run, how: How) -> Result<(), LeaseLost> {
    let finished = Finished {
        run: run.id,
        job: run.job,
        worker,
        lane: run.lane,
        attempt: 1,
        started_at: run.started_at,
        changed: 1,
    };
    let back = |outcome, seconds, backoff, good| PutBack {
        outcome,
        after: Duration::from_secs(seconds),
        backoff,
        attempt: i32::from(backoff),
        good,
        lane: None,
        note: None,
    };
    match how {
        How::Complete => {
            let completion = Completion { finished, next: None, floor: Duration::ZERO, lane: Lane::Normal };
            let done = job_state::complete(conn, &[completion]).await?;
            if done.is_empty() { Err(LeaseLost::Lost(run.id)) } else { Ok(()) }
        }
        How::Continue => job_state::put_back(conn, &finished, &back("continue", 0, false, true)).await,
        How::Wait => job_state::put_back(conn, &finished, &back("wait", 20, false, true)).await,
        How::Retry => job_state::put_back(conn, &finished, &back("retry", 8, true, false)).await,
        How::Throttled => {
            gates::close(
                conn,
                &Gate::Tenant(run.tenant),
                Reason::Throttled,
                Some(Duration::from_secs(9)),
                "",
            )
            .await?;
            job_state::put_back(conn, &finished, &back("throttled", 9, false, false)).await
        }
        How::Park => job_state::park(conn, &finished, Parked::Failed, "for ever").await,
    }
}

//! What workers do to jobs, and what is done for those that died.

use std::time::Duration;

use anyhow::{Context, Result, bail, ensure};
use chrono::DateTime;
use scheduler::ticks::reap;
use shared::{
    job::{JobId, Lane, Lanes, Parked, Run, RunId, WorkerId},
    store::{
        gates::{self, Gate, Reason},
        job_state::{self, Claimer, Completion, Finished, LeaseLost, PutBack},
        runs, workers,
    },
};
use sqlx::PgConnection;
use uuid::Uuid;

use super::{Fleet, POLICY, WORKERS};
use crate::{Fate, How};

impl Fleet {
    pub(super) async fn claim(&mut self, worker: usize, mut ids: Vec<JobId>, answered: bool) -> Result<()> {
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

    pub(super) async fn end(&mut self, worker: usize, place: usize, how: How, fate: Fate) -> Result<()> {
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
        if matches!(how, How::Wait) {
            // Whether a want came during the step or comes later, it pulls the job near.
            let wanted = self.jobs[&run.job].wanted > run.wanted;
            let near: bool = sqlx::query_scalar(
                "select run_at <= greatest(floor_at, clock()) from job_state where job_id = $1",
            )
            .bind(run.job)
            .fetch_one(&self.db)
            .await?;
            ensure!(near == wanted, "after a wait the job is due: {near}; it was wanted meanwhile: {wanted}");
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

    pub(super) async fn beat(&mut self, worker: usize) -> Result<()> {
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

    pub(super) async fn stall(&mut self, worker: usize) -> Result<()> {
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

    pub(super) async fn hand_back(&mut self, worker: usize) -> Result<()> {
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

    pub(super) async fn reap(&mut self) -> Result<()> {
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

    pub(super) async fn gates(&mut self) -> Result<u64> {
        let mut conn = self.db.acquire().await?;
        let back = job_state::unpark_opened(&mut conn, Duration::from_secs(5), 100).await?;
        Ok(back + job_state::park_gated(&mut conn, 100).await?)
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
        floor: None,
        wanted: (outcome == "wait").then_some(run.wanted),
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
        How::Continue => put_back(conn, &finished, &back("continue", 0, false, true)).await,
        How::Wait => put_back(conn, &finished, &back("wait", 20, false, true)).await,
        How::Retry => put_back(conn, &finished, &back("retry", 8, true, false)).await,
        How::Throttled => {
            gates::close(
                conn,
                &Gate::Tenant(run.tenant),
                Reason::Throttled,
                Some(Duration::from_secs(9)),
                "",
            )
            .await?;
            put_back(conn, &finished, &back("throttled", 9, false, false)).await
        }
        How::Park => job_state::park(conn, &finished, Parked::Failed, "for ever").await,
    }
}

async fn put_back(conn: &mut PgConnection, finished: &Finished, back: &PutBack) -> Result<(), LeaseLost> {
    job_state::put_back(conn, finished, back).await.map(drop)
}

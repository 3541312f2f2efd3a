use std::time::Duration;

use chrono::{DateTime, Utc};
use sqlx::PgConnection;

use crate::{
    job::{JobId, Lane, Parked, RunId, TenantId, WorkerId},
    store::seconds,
};

/// The run's lease does not stand any more: another may run the job by now. Roll back.
#[derive(Debug, thiserror::Error)]
pub enum LeaseLost {
    /// Zero rows matched the guard.
    #[error("run {0} has lost its lease")]
    Lost(RunId),
    /// The database did not answer.
    #[error(transparent)]
    Database(#[from] sqlx::Error),
}

/// Somebody else runs the job, and this run's commit will be refused, too.
impl From<LeaseLost> for crate::job::Failure {
    fn from(lost: LeaseLost) -> Self {
        Self::retry(lost, None)
    }
}

/// What every verdict records of its run.
#[derive(Debug, Clone)]
pub struct Finished {
    /// The run, and its lease.
    pub run: RunId,
    /// Its job.
    pub job: JobId,
    /// Its worker.
    pub worker: WorkerId,
    /// The lane it was claimed in.
    pub lane: Lane,
    /// The attempt that it was, from 1.
    pub attempt: i32,
    /// When it was claimed.
    pub started_at: DateTime<Utc>,
    /// Rows of the mirror that it changed.
    pub changed: i32,
}

/// A pass that is over.
#[derive(Debug, Clone)]
pub struct Completion {
    /// The run.
    pub finished: Finished,
    /// The time to the next pass if nobody wants one; none: no next pass.
    pub next: Option<Duration>,
    /// The provider's minimum before the next pass.
    pub floor: Duration,
    /// The kind's own lane.
    pub lane: Lane,
}

/// What became of a completed job.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Completed {
    /// The run.
    pub run: RunId,
    /// The job.
    pub job: JobId,
    /// Its tenant.
    pub tenant: TenantId,
    /// The lane that it is in now.
    pub lane: Lane,
    /// It was wanted meanwhile and is due again.
    pub due: bool,
}

/// Completes passes: `done = seen`. The runs that are missing in the answer had lost their lease.
pub async fn complete(
    conn: &mut PgConnection,
    completions: &[Completion],
) -> Result<Vec<Completed>, sqlx::Error> {
    let mut columns = Columns::default();
    for completion in completions {
        columns.push(completion);
    }
    sqlx::query_as!(
        Completed,
        r#"-- job_state::complete
        with locked as (
            select o.*
            -- The select hides the array's length from the planner: it makes one plan for all lengths, and keeps it.
            from unnest(
                (select $1::uuid[]), $2::bigint[], $3::uuid[], $4::lane[], $5::int[], $6::timestamptz[], $7::int[],
                $8::float8[], $9::float8[], $10::lane[]
            ) as o (run_id, job_id, worker_id, ran_in, attempt, started_at, changed, next, floor, own_lane)
            join job_state s on s.job_id = o.job_id and s.lease = o.run_id
            order by o.job_id
            for update of s
        ), updated as (
            update job_state s set
                phase = 'idle', lease = null, claimed_by = null,
                done = s.seen, seen = null,
                attempt = 0, crashes = 0, backoff_until = '-infinity',
                dirty_since = s.dirty_again, dirty_again = null, due_since = null,
                floor_at = clock() + make_interval(secs => o.floor),
                run_at = greatest(
                    clock() + make_interval(secs => o.floor),
                    case
                        when s.wanted > s.seen then clock()
                        else coalesce(clock() + make_interval(secs => o.next), 'infinity')
                    end
                ),
                lane = case when s.wanted > s.seen then least(s.lane, o.own_lane) else o.own_lane end
            from locked o
            where s.job_id = o.job_id
            returning s.job_id, s.tenant_id, s.kind, s.lane, s.wanted > s.done and s.run_at <= clock() as due,
                o.run_id, o.worker_id, o.ran_in, o.attempt, o.started_at, o.changed
        ), history as (
            insert into runs (
                id, job_id, worker_id, tenant_id, kind, lane, attempt, outcome, changed, started_at, ended_at
            )
            select
                run_id, job_id, worker_id, tenant_id, kind, ran_in, attempt, 'complete', changed, started_at, clock()
            from updated
        )
        select
            run_id as "run!", job_id as "job!", tenant_id as "tenant!", lane as "lane!: Lane", due as "due!"
        from updated"#,
        &columns.run,
        &columns.job,
        &columns.worker,
        &columns.ran_in as &[Lane],
        &columns.attempt,
        &columns.started_at,
        &columns.changed,
        &columns.next as &[Option<f64>],
        &columns.floor,
        &columns.own_lane as &[Lane],
    )
    .fetch_all(conn)
    .await
}

/// Completions, turned into arrays.
#[derive(Default)]
struct Columns {
    run: Vec<RunId>,
    job: Vec<JobId>,
    worker: Vec<WorkerId>,
    ran_in: Vec<Lane>,
    attempt: Vec<i32>,
    started_at: Vec<DateTime<Utc>>,
    changed: Vec<i32>,
    next: Vec<Option<f64>>,
    floor: Vec<f64>,
    own_lane: Vec<Lane>,
}

impl Columns {
    fn push(&mut self, completion: &Completion) {
        let finished = &completion.finished;
        self.run.push(finished.run);
        self.job.push(finished.job);
        self.worker.push(finished.worker);
        self.ran_in.push(finished.lane);
        self.attempt.push(finished.attempt);
        self.started_at.push(finished.started_at);
        self.changed.push(finished.changed);
        self.next.push(completion.next.map(seconds));
        self.floor.push(seconds(completion.floor));
        self.own_lane.push(completion.lane);
    }
}

/// How a job whose pass is not over becomes idle again.
#[derive(Debug, Clone)]
pub struct PutBack {
    /// The history's word: continue, wait, retry, throttled, `handed_back`.
    pub outcome: &'static str,
    /// When it is due again, from now.
    pub after: Duration,
    /// Wants do not shorten `after`.
    pub backoff: bool,
    /// Nothing runs the job before this time is over; none: before the floor that it has.
    pub floor: Option<Duration>,
    /// The job's wants when the step began, if one that came during it makes the job due at once and keeps the lane that it raised
    /// the job to, as one that comes later would; none: it does not.
    pub wanted: Option<i64>,
    /// Failed attempts of the pass from now on.
    pub attempt: i32,
    /// The step was good: the job is not suspect any more.
    pub good: bool,
    /// The lane from now on; none: it stays.
    pub lane: Option<Lane>,
    /// What is to be told to people.
    pub note: Option<String>,
}

/// Ends a step whose pass goes on later. `seen` is kept, so wants that came meanwhile stay open. Says in which lane the job is due
/// at once, if it is.
pub async fn put_back(
    conn: &mut PgConnection,
    finished: &Finished,
    back: &PutBack,
) -> Result<Option<Lane>, LeaseLost> {
    let row = sqlx::query!(
        r#"-- job_state::put_back
        with updated as (
            update job_state s set
                phase = 'idle', lease = null, claimed_by = null,
                floor_at = coalesce(clock() + make_interval(secs => $16), s.floor_at),
                run_at = greatest(
                    coalesce(clock() + make_interval(secs => $16), s.floor_at),
                    clock() + case when s.wanted > $15 then '0' else make_interval(secs => $3) end
                ),
                backoff_until = case
                    when $4 then clock() + make_interval(secs => $3)
                    when $6 then '-infinity'
                    else s.backoff_until
                end,
                attempt = $5,
                crashes = case when $6 then 0 else s.crashes end,
                lane = case when s.wanted > $15 then least(s.lane, $7) else coalesce($7, s.lane) end
            where s.job_id = $1 and s.lease = $2 and s.phase = 'running'
            returning s.job_id, s.tenant_id, s.kind, s.lane, s.run_at <= clock() as due
        ), history as (
            insert into runs (
                id, job_id, worker_id, tenant_id, kind, lane, attempt, outcome, changed, started_at, ended_at, note
            )
            select $2, job_id, $8, tenant_id, kind, $9, $10, $11, $12, $13, clock(), $14 from updated
        ), noted as (
            update jobs set note = $14, noted_at = clock()
            from updated where jobs.id = updated.job_id and $14 is not null
        )
        select due as "due!", lane as "lane!: Lane" from updated"#,
        finished.job,
        finished.run,
        seconds(back.after),
        back.backoff,
        back.attempt,
        back.good,
        back.lane as Option<Lane>,
        finished.worker,
        finished.lane as Lane,
        finished.attempt,
        back.outcome,
        finished.changed,
        finished.started_at,
        back.note,
        back.wanted,
        back.floor.map(seconds),
    )
    .fetch_optional(conn)
    .await?;
    row.map(|row| row.due.then_some(row.lane)).ok_or(LeaseLost::Lost(finished.run))
}

/// Ends a step whose pass cannot go on until an event changes that.
pub async fn park(
    conn: &mut PgConnection,
    finished: &Finished,
    parked: Parked,
    note: &str,
) -> Result<(), LeaseLost> {
    let updated = sqlx::query_scalar!(
        r#"-- job_state::park
        with updated as (
            update job_state s set
                phase = 'parked', parked = $3, lease = null, claimed_by = null, run_at = 'infinity'
            where s.job_id = $1 and s.lease = $2 and s.phase = 'running'
            returning s.job_id, s.tenant_id, s.kind
        ), history as (
            insert into runs (
                id, job_id, worker_id, tenant_id, kind, lane, attempt, outcome, changed, started_at, ended_at, note
            )
            select $2, job_id, $5, tenant_id, kind, $6, $7, 'park', $8, $9, clock(), $4 from updated
        ), noted as (
            update jobs set note = $4, noted_at = clock() from updated where jobs.id = updated.job_id
        )
        select count(*) as "count!" from updated"#,
        finished.job,
        finished.run,
        parked.as_str(),
        note,
        finished.worker,
        finished.lane as Lane,
        finished.attempt,
        finished.changed,
        finished.started_at,
    )
    .fetch_one(conn)
    .await?;
    if updated == 1 { Ok(()) } else { Err(LeaseLost::Lost(finished.run)) }
}

use chrono::{DateTime, Utc};
use sqlx::PgConnection;

use crate::{
    bell::Ring,
    job::{JobId, Lane, TenantId},
};

/// A job that was wanted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Wanted {
    /// The job.
    pub job: JobId,
    /// Its kind.
    pub kind: String,
    /// Its tenant.
    pub tenant: TenantId,
    /// The lane that it is in now.
    pub lane: Lane,
    /// Its counter: this want is answered when `done` has reached it.
    pub counter: i64,
    /// Whether it could be claimed at once, so that ringing it makes sense.
    pub due: bool,
}

impl Wanted {
    /// What is to be rung for it, if ringing makes sense.
    #[must_use]
    pub fn ring(&self) -> Option<Ring> {
        self.due.then_some(Ring { job: self.job, tenant: self.tenant, lane: self.lane })
    }
}

/// Locks the jobs' rows until the transaction ends, in the order of their ids. Who writes several jobs' rows in several statements
/// locks them all before.
pub async fn lock(conn: &mut PgConnection, jobs: &[JobId]) -> Result<(), sqlx::Error> {
    sqlx::query!(
        "-- job_state::lock
        select from job_state where job_id = any($1) order by job_id for update",
        jobs,
    )
    .execute(conn)
    .await
    .map(drop)
}

/// Wants the jobs: each one's counter goes up by one, however often it stands in `jobs`.
///
/// `at` is when they should run (none: now). An idle job's `run_at` only ever comes nearer by it, and never under its floor
/// or backoff. `lane` raises the job (none: it stays). Jobs that do not exist are left out of the answer.
pub async fn want(
    conn: &mut PgConnection,
    jobs: &[JobId],
    at: Option<DateTime<Utc>>,
    lane: Option<Lane>,
) -> Result<Vec<Wanted>, sqlx::Error> {
    sqlx::query_as!(
        Wanted,
        r#"-- job_state::want
        with locked as (
            select job_id from job_state where job_id = any($1) order by job_id for update
        )
        update job_state s set
            wanted = s.wanted + 1,
            dirty_since = coalesce(s.dirty_since, clock()),
            dirty_again = case when s.seen is not null then coalesce(s.dirty_again, clock()) end,
            run_at = case
                when s.phase = 'idle' then
                    greatest(s.floor_at, s.backoff_until, least(s.run_at, coalesce($2, clock())))
                else s.run_at
            end,
            lane = least(s.lane, $3)
        from locked
        where s.job_id = locked.job_id
        returning
            s.job_id as "job!", s.kind as "kind!", s.tenant_id as "tenant!", s.lane as "lane!: Lane", s.wanted as counter,
            (s.phase = 'idle' and not s.paused and s.run_at <= clock()) as "due!""#,
        jobs,
        at,
        lane as Option<Lane>,
    )
    .fetch_all(conn)
    .await
}

use sqlx::PgConnection;

use crate::job::{JobId, Lane, Run, RunId, WorkerId};

/// Who claims, and what it can run.
#[derive(Debug, Clone)]
pub struct Claimer<'a> {
    /// The process.
    pub worker: WorkerId,
    /// The kinds that it knows. Jobs of others are left to others.
    pub kinds: &'a [String],
    /// Whether it has room for a job whose last worker died with it.
    pub suspects: bool,
}

/// Claims those of the jobs that are due, open and not taken, each under its own lease.
///
/// `jobs` and `leases` have the same length, no id twice. A job that is not in the answer was somebody else's or not due.
pub async fn claim(
    conn: &mut PgConnection,
    claimer: &Claimer<'_>,
    jobs: &[JobId],
    leases: &[RunId],
) -> Result<Vec<Run>, sqlx::Error> {
    let rows = sqlx::query!(
        r#"-- job_state::claim
        with offered as (
            -- The select hides the array's length from the planner: it makes one plan for all lengths, and keeps it.
            select * from unnest((select $1::bigint[]), $2::uuid[]) as o (job_id, lease)
        ), locked as (
            -- One look-up by key per id, whatever the planner thinks of the number of due jobs: `offset 0` sees to it.
            select d.*, o.lease as new_lease
            from (select * from offered order by job_id) o
            cross join lateral (
                select job_id, run_at, seen is not null as goes_on
                from due_jobs
                where job_id = o.job_id and kind = any($4) and (crashes = 0 or $5)
                offset 0
                for update skip locked
            ) d
        )
        update job_state s set
            phase = 'running',
            lease = locked.new_lease,
            claimed_by = $3,
            seen = coalesce(s.seen, s.wanted),
            due_since = coalesce(s.due_since, s.run_at),
            run_at = 'infinity'
        from locked join jobs j on j.id = locked.job_id
        where s.job_id = locked.job_id
        returning
            s.job_id, locked.new_lease as "lease!", s.kind, j.key, s.tenant_id, s.account_id, s.lane as "lane: Lane",
            s.attempt, s.crashes, s.wanted, locked.goes_on as "goes_on!", locked.run_at as "due_at!", s.due_since as "due_since!", s.dirty_since,
            clock() as "started_at!""#,
        jobs,
        leases,
        claimer.worker,
        claimer.kinds,
        claimer.suspects,
    )
    .fetch_all(conn)
    .await?;
    Ok(rows
        .into_iter()
        .map(|row| Run {
            id: row.lease,
            job: row.job_id,
            kind: row.kind,
            key: row.key,
            tenant: row.tenant_id,
            account: row.account_id,
            lane: row.lane,
            attempt: row.attempt.unsigned_abs(),
            crashes: row.crashes.unsigned_abs().into(),
            goes_on: row.goes_on,
            wanted: row.wanted,
            due_at: row.due_at,
            due_since: row.due_since,
            dirty_since: row.dirty_since,
            started_at: row.started_at,
        })
        .collect())
}

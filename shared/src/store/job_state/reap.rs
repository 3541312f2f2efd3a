use std::time::Duration;

use sqlx::PgPool;

use crate::{
    job::{JobId, Lane, RunId, TenantId, WorkerId},
    store::seconds,
};

/// A job that was taken back from a dead worker.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Reaped {
    /// The job.
    pub job: JobId,
    /// Its tenant.
    pub tenant: TenantId,
    /// Its lane.
    pub lane: Lane,
    /// It may be claimed at once.
    pub due: bool,
    /// It crashed too often and is parked now.
    pub parked: bool,
}

/// Takes back the jobs of workers whose beat is older than `dead_after`, or who have no row; at most `limit` jobs a call.
///
/// A job's first crash costs it nothing. Each further one backs off longer, and the fifth parks it: it may be the cause.
pub async fn reap(db: &PgPool, dead_after: Duration, limit: i64) -> Result<Vec<Reaped>, sqlx::Error> {
    let mut tx = db.begin().await?;
    sqlx::query!(
        r#"-- job_state::reap (1)
        delete from workers where id in (
            select id from workers
            where beat_at < clock() - make_interval(secs => $1)
            order by id
            for update skip locked
        )"#,
        seconds(dead_after),
    )
    .execute(&mut *tx)
    .await?;
    let reaped = sqlx::query_as!(
        Reaped,
        r#"-- job_state::reap (2)
        with gaps as (
            -- Between the ids of the workers that have a row: what runs there runs in a dead one's name. So the index is
            -- not read through where the living have their entries, however many of them stand for runs long over.
            select coalesce(lag(id) over (order by id), uuid_v7_floor('epoch')) as above, id as below from workers
            union all
            select coalesce((select id from workers order by id desc limit 1), uuid_v7_floor('epoch')),
                'ffffffff-ffff-ffff-ffff-ffffffffffff'
        ), lost as (
            select s.job_id, s.lease, s.claimed_by, s.attempt
            from job_state s
            where s.job_id in (
                    select dead.job_id
                    from gaps
                    cross join lateral (
                        select job_id from job_state
                        where phase = 'running' and claimed_by > gaps.above and claimed_by < gaps.below
                        offset 0
                    ) dead
                )
                and s.phase = 'running' and not exists (select from workers w where w.id = s.claimed_by)
            order by s.job_id
            limit $1
            for update of s skip locked
        ), updated as (
            update job_state s set
                phase = case when s.crashes >= 4 then 'parked'::job_phase else 'idle' end,
                parked = case when s.crashes >= 4 then 'crashed' end,
                lease = null, claimed_by = null,
                crashes = s.crashes + 1,
                run_at = case
                    when s.crashes >= 4 then 'infinity'
                    else greatest(s.floor_at, clock() + s.crashes ^ 2 * interval '5 s')
                end,
                backoff_until = clock() + s.crashes ^ 2 * interval '5 s'
            from lost
            where s.job_id = lost.job_id
            returning s.job_id, s.tenant_id, s.kind, s.lane, s.run_at <= clock() as due, s.phase = 'parked' as parked
        ), history as (
            insert into runs (
                id, job_id, worker_id, tenant_id, kind, lane, attempt, outcome, changed, started_at, ended_at, note
            )
            select
                lost.lease, job_id, lost.claimed_by, tenant_id, kind, lane, lost.attempt + 1, 'lost', 0,
                least(uuid_v7_time(lost.lease), clock()), clock(), 'its worker died'
            from updated join lost using (job_id)
        ), noted as (
            update jobs set note = 'its workers died with it five times in a row', noted_at = clock()
            from updated where jobs.id = updated.job_id and updated.parked
        )
        select
            job_id as "job!", tenant_id as "tenant!", lane as "lane!: Lane", due as "due!", parked as "parked!"
        from updated"#,
        limit,
    )
    .fetch_all(&mut *tx)
    .await?;
    tx.commit().await?;
    Ok(reaped)
}

/// Makes due again what runs in the worker's name under none of the leases that it knows of: a claim whose answer was lost.
/// Leases that were drawn after `before` are left alone, because `known` may be older than they are.
pub async fn hand_back(
    db: &PgPool,
    worker: WorkerId,
    known: &[RunId],
    before: RunId,
) -> Result<Vec<(JobId, Lane)>, sqlx::Error> {
    let rows = sqlx::query!(
        r#"-- job_state::hand_back
        with lost as (
            select job_id, lease, attempt
            from job_state
            where phase = 'running' and claimed_by = $1 and lease <> all($2) and lease < $3
            order by job_id
            for update skip locked
        ), updated as (
            update job_state s set
                phase = 'idle', lease = null, claimed_by = null, run_at = greatest(s.floor_at, clock())
            from lost
            where s.job_id = lost.job_id
            returning s.job_id, s.tenant_id, s.kind, s.lane
        ), history as (
            insert into runs (
                id, job_id, worker_id, tenant_id, kind, lane, attempt, outcome, changed, started_at, ended_at, note
            )
            select
                lost.lease, job_id, $1, tenant_id, kind, lane, lost.attempt + 1, 'handed_back', 0,
                least(uuid_v7_time(lost.lease), clock()), clock(), 'the claim''s answer was lost'
            from updated join lost using (job_id)
        )
        select job_id as "job!", lane as "lane!: Lane" from updated"#,
        worker,
        known,
        before,
    )
    .fetch_all(db)
    .await?;
    Ok(rows.into_iter().map(|row| (row.job, row.lane)).collect())
}

use std::time::Duration;

use sqlx::PgConnection;

use crate::{
    job::{AccountId, JobId, Lane},
    store::seconds,
};

/// A gate that stays closed for longer than this is lasting: the jobs behind it are parked, so that dispatch need not pass
/// over them again and again.
pub const LASTING: Duration = Duration::from_mins(1);

/// Parks due jobs behind lasting gates, at most `limit`. Says how many. Not behind those that spare the lane interactive: a want
/// does not wake a parked job, and a push is what such a gate waits for.
pub async fn park_gated(conn: &mut PgConnection, limit: i64) -> Result<u64, sqlx::Error> {
    sqlx::query!(
        r#"-- job_state::park_gated
        with lasting as materialized (
            select scope, target
            from gates
            where reason <> 'share' and (until is null or until > clock() + make_interval(secs => $1))
            order by scope, target, reason
            for share
        ), behind as (
            select job_id
            from job_state s
            where (select exists (select from lasting))
                -- All lanes, so that the index `job_state_due` leads to what is due.
                and phase = 'idle' and not paused and lane = any($3) and run_at < 'infinity' and run_at <= clock()
                and (
                    kind in (select target from lasting where scope = 'kind')
                    or lane::text in (select target from lasting where scope = 'lane')
                    or tenant_id::text in (select target from lasting where scope = 'tenant')
                    or account_id::text in (select target from lasting where scope = 'account')
                )
            order by job_id
            limit $2
            for update of s skip locked
        )
        update job_state s set phase = 'parked', parked = 'gate', run_at = 'infinity'
        from behind
        where s.job_id = behind.job_id"#,
        seconds(LASTING),
        limit,
        &Lane::ALL as &[Lane],
    )
    .execute(conn)
    .await
    .map(|done| done.rows_affected())
}

/// Makes due again, spread over `spread`, the jobs that are parked behind gates that have opened and behind none that is closed,
/// at most `limit`; and takes away the opened gates that hold nobody any more. Says how many jobs went.
pub async fn unpark_opened(
    conn: &mut PgConnection,
    spread: Duration,
    limit: i64,
) -> Result<u64, sqlx::Error> {
    let unparked = sqlx::query!(
        r#"-- job_state::unpark_opened (1)
        with opened as materialized (
            select scope, target, reason from gates where until <= clock()
        ), behind as (
            select job_id
            from job_state s
            where (select exists (select from opened))
                and phase = 'parked'
                and (
                    parked = 'gate' and (
                        kind in (select target from opened where scope = 'kind')
                        or lane::text in (select target from opened where scope = 'lane')
                        or tenant_id::text in (select target from opened where scope = 'tenant')
                        or account_id::text in (select target from opened where scope = 'account')
                    ) and not is_gated(s.kind, s.lane, s.tenant_id, s.account_id)
                    or parked = 'sign_in'
                        and account_id::text in (
                            select target from opened where scope = 'account' and reason = 'sign_in'
                        )
                )
            order by job_id
            limit $2
            for update of s skip locked
        )
        update job_state s set
            phase = 'idle', parked = null,
            run_at = greatest(s.floor_at, s.backoff_until, clock() + random() * make_interval(secs => $1))
        from behind
        where s.job_id = behind.job_id"#,
        seconds(spread),
        limit,
    )
    .execute(&mut *conn)
    .await?
    .rows_affected();
    if unparked == 0 {
        sqlx::query!(
            r#"-- job_state::unpark_opened (2)
            delete from gates g
            where until <= clock() and not exists (
                select from job_state s
                where phase = 'parked' and (
                    parked = 'gate' and (
                        g.scope = 'kind' and s.kind = g.target
                        or g.scope = 'lane' and s.lane::text = g.target
                        or g.scope = 'tenant' and s.tenant_id::text = g.target
                        or g.scope = 'account' and s.account_id::text = g.target
                    ) and not is_gated(s.kind, s.lane, s.tenant_id, s.account_id)
                    or parked = 'sign_in' and g.scope = 'account' and g.reason = 'sign_in'
                        and s.account_id::text = g.target
                )
            )"#,
        )
        .execute(conn)
        .await?;
    }
    Ok(unparked)
}

/// An operator's retry: lifts backoffs, forgets failures and crashes with what was noted of them, and makes parked jobs idle and due,
/// whatever parked them. A provider's minimum interval stays. Running jobs are left alone. Says how many.
pub async fn release(conn: &mut PgConnection, jobs: &[JobId]) -> Result<u64, sqlx::Error> {
    sqlx::query_scalar!(
        r#"-- job_state::release
        with locked as (
            select job_id, phase = 'parked' or attempt > 0 or crashes > 0 as failed
            from job_state
            where job_id = any($1) and phase <> 'running'
            order by job_id
            for update
        ), released as (
            update job_state s set
                phase = 'idle', parked = null, attempt = 0, crashes = 0, backoff_until = '-infinity',
                run_at = greatest(s.floor_at, clock())
            from locked
            where s.job_id = locked.job_id and s.phase <> 'running'
            returning s.job_id, locked.failed
        ), forgotten as (
            update jobs set note = null, noted_at = null
            from released
            where jobs.id = released.job_id and released.failed and jobs.note is not null
        )
        select count(*) as "count!" from released"#,
        jobs,
    )
    .fetch_one(conn)
    .await
    .map(i64::unsigned_abs)
}

/// Gives up the passes under way of idle jobs: the next claim begins one that answers for every want so far. For kinds whose steps look at
/// everything anew; of others what was wanted in the midst of a pass would be taken for answered.
pub async fn begin_anew(conn: &mut PgConnection, jobs: &[JobId]) -> Result<(), sqlx::Error> {
    sqlx::query!(
        r#"-- job_state::begin_anew
        with locked as (
            select job_id from job_state
            where job_id = any($1) and phase = 'idle' and seen is not null
            order by job_id
            for update
        )
        update job_state s set seen = null, dirty_again = null, due_since = null
        from locked
        where s.job_id = locked.job_id and s.phase = 'idle'"#,
        jobs,
    )
    .execute(conn)
    .await
    .map(drop)
}

/// Whether any job of the account runs.
pub async fn is_running(conn: &mut PgConnection, account: AccountId) -> Result<bool, sqlx::Error> {
    sqlx::query_scalar!(
        r#"-- job_state::is_running
        select exists (select from job_state where account_id = $1 and phase = 'running') as "running!""#,
        account,
    )
    .fetch_one(conn)
    .await
}

/// Pauses the jobs, or ends their pause. A run under way goes on; no next one begins. Says how many changed.
pub async fn pause(conn: &mut PgConnection, jobs: &[JobId], paused: bool) -> Result<u64, sqlx::Error> {
    sqlx::query!(
        r#"-- job_state::pause
        with locked as (
            select job_id from job_state where job_id = any($1) order by job_id for update
        )
        update job_state s set paused = $2
        from locked
        where s.job_id = locked.job_id and s.paused <> $2"#,
        jobs,
        paused,
    )
    .execute(conn)
    .await
    .map(|done| done.rows_affected())
}

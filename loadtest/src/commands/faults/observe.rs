//! What the database tells of the fleet.

use std::time::Duration;

use anyhow::bail;
use chrono::{DateTime, Utc};
use sqlx::{PgPool, Row};
use uuid::Uuid;

/// A job that ran on a worker when it crashed.
#[derive(Debug, Clone, Copy)]
pub struct Held {
    pub job: i64,
    pub lease: Uuid,
}

/// The jobs that run on the worker with this process id.
pub async fn held(db: &PgPool, pid: u32) -> Result<Vec<Held>, sqlx::Error> {
    let rows = sqlx::query(
        "select s.job_id, s.lease from job_state s join workers w on w.id = s.claimed_by
        where s.phase = 'running' and w.name ~ ('\\m' || $1 || '$')",
    )
    .bind(pid.to_string())
    .fetch_all(db)
    .await?;
    rows.iter().map(|row| Ok(Held { job: row.try_get(0)?, lease: row.try_get(1)? })).collect()
}

/// How the jobs stand.
#[derive(Debug, Clone, Copy)]
pub struct Standing {
    pub jobs: i64,
    pub running: i64,
    /// Wanted more often than done, and not parked.
    pub dirty: i64,
    pub parked: i64,
    /// In a pass that goes on later.
    pub unfinished: i64,
    /// Nobody has wanted them, and their time has come.
    pub due: i64,
}

impl Standing {
    /// Whether there is nothing left to do.
    pub const fn is_settled(&self) -> bool {
        self.running == 0 && self.dirty == 0 && self.unfinished == 0 && self.due == 0
    }
}

/// How the jobs stand now.
pub async fn standing(db: &PgPool) -> Result<Standing, sqlx::Error> {
    let row = sqlx::query(
        "select count(*), count(*) filter (where phase = 'running'),
            count(*) filter (where wanted <> done and phase <> 'parked'),
            count(*) filter (where phase = 'parked'),
            count(*) filter (where seen is not null and phase = 'idle'),
            count(*) filter (where run_at <= clock() and phase = 'idle' and not paused)
        from job_state",
    )
    .fetch_one(db)
    .await?;
    Ok(Standing {
        jobs: row.try_get(0)?,
        running: row.try_get(1)?,
        dirty: row.try_get(2)?,
        parked: row.try_get(3)?,
        unfinished: row.try_get(4)?,
        due: row.try_get(5)?,
    })
}

/// Jobs that are not as they should be, in words.
pub async fn unsettled(db: &PgPool) -> Result<Vec<String>, sqlx::Error> {
    sqlx::query_scalar(
        "select format('%s %s: %s, wanted %s, seen %s, done %s, attempt %s, crashes %s, due %s, not before %s, note: %s',
            s.kind, j.key, s.phase, wanted, seen, done, attempt, crashes, run_at, backoff_until, coalesce(note, '-'))
        from job_state s join jobs j on j.id = s.job_id
        where phase = 'running' or seen is not null or wanted <> done or run_at <= clock() and phase = 'idle'
        order by s.job_id",
    )
    .fetch_all(db)
    .await
}

/// Parked jobs in words, without those whose calendar is not among the readable ones.
pub async fn parked(db: &PgPool, readable: &[(String, String)]) -> Result<Vec<String>, sqlx::Error> {
    let (emails, calendars): (Vec<_>, Vec<_>) = readable.iter().cloned().unzip();
    sqlx::query_scalar(
        "select format('%s %s (%s): %s', s.kind, j.key, s.parked, coalesce(j.note, '-'))
        from job_state s join jobs j on j.id = s.job_id
        where s.phase = 'parked' and not (s.kind = 'calendar_events' and not exists (
            select from calendars c join accounts a on a.id = c.account_id
            join unnest($1::text[], $2::text[]) r (email, calendar) on r.email = a.email and r.calendar = c.google_id
            where c.id::text = j.key
        ))
        order by s.job_id",
    )
    .bind(emails)
    .bind(calendars)
    .fetch_all(db)
    .await
}

/// How long the most overdue job waits to be in step, in seconds.
pub async fn staleness(db: &PgPool) -> Result<f64, sqlx::Error> {
    sqlx::query_scalar(
        "select coalesce(extract(epoch from max(clock() - least(dirty_since, due_since)))::float8, 0)
        from job_state where phase <> 'parked' and not paused",
    )
    .fetch_one(db)
    .await
}

/// Runs whose verdict stands and that began before an earlier one of the same job had ended.
pub async fn overlaps(db: &PgPool) -> Result<Vec<String>, sqlx::Error> {
    sqlx::query_scalar(
        "select format('job %s: run %s began at %s, an earlier one ended at %s', job_id, id, started_at, before)
        from (
            select job_id, id, started_at, max(ended_at) over (
                partition by job_id order by started_at, ended_at
                rows between unbounded preceding and 1 preceding
            ) as before
            from runs
            where outcome <> 'lost' and note is distinct from 'the claim''s answer was lost'
        ) r
        where started_at < before
        order by started_at",
    )
    .fetch_all(db)
    .await
}

/// Runs by outcome.
pub async fn outcomes(db: &PgPool) -> Result<Vec<(String, i64)>, sqlx::Error> {
    let rows = sqlx::query("select outcome, count(*) from runs group by outcome order by outcome");
    rows.fetch_all(db).await?.iter().map(|row| Ok((row.try_get(0)?, row.try_get(1)?))).collect()
}

/// What became of a job that a crashed worker held.
#[derive(Debug, Clone, Copy)]
pub enum Rerun {
    /// Its run was committed all the same, or handed back by the worker itself.
    NotNeeded,
    /// It was taken back, and began again, after so many seconds.
    After { back: f64, again: f64 },
    /// It never began again.
    Never,
}

/// What became of a held job.
pub async fn rerun(db: &PgPool, held: Held, since: DateTime<Utc>) -> Result<Rerun, sqlx::Error> {
    let row = sqlx::query(
        "select exists (select from job_state where job_id = $1),
            exists (select from runs where id = $2 and outcome <> 'lost'),
            (select extract(epoch from min(started_at) - $3)::float8 from runs
                where job_id = $1 and id <> $2 and started_at > $3),
            (select extract(epoch from ended_at - $3)::float8 from runs where id = $2)",
    )
    .bind(held.job)
    .bind(held.lease)
    .bind(since)
    .fetch_one(db)
    .await?;
    let (exists, stands): (bool, bool) = (row.try_get(0)?, row.try_get(1)?);
    let (after, back): (Option<f64>, Option<f64>) = (row.try_get(2)?, row.try_get(3)?);
    Ok(match after {
        _ if stands => Rerun::NotNeeded,
        Some(again) => Rerun::After { back: back.unwrap_or(again), again },
        None if exists => Rerun::Never,
        None => Rerun::NotNeeded,
    })
}

/// Channels that were asked for, and those that have taken another one's place; what is polled as it has none.
pub async fn channels(db: &PgPool) -> Result<(i64, i64, i64), sqlx::Error> {
    sqlx::query_as(
        "select count(*) filter (where state <> 'asked'),
            count(*) filter (where state <> 'asked') - count(distinct job_id) filter (where state <> 'asked'),
            (select count(*) from channel_refusals)
        from channels",
    )
    .fetch_one(db)
    .await
}

/// How long the last list is held that was refused its tokens again and again.
async fn longest_hold(db: &PgPool) -> anyhow::Result<Duration> {
    let seconds: f64 = sqlx::query_scalar(
        "select coalesce(extract(epoch from max(resync_at) - clock()), 0)::float8 from (
            select resync_at from calendars union all select resync_at from calendar_lists
            union all select resync_at from drives
        ) lists
        where resync_at > clock()",
    )
    .fetch_one(db)
    .await?;
    Ok(Duration::try_from_secs_f64(seconds)?)
}

/// Waits until nothing is left to do; `limit` is counted from when the last list is held no more.
pub async fn settle(db: &PgPool, limit: Duration) -> anyhow::Result<()> {
    let limit = limit + longest_hold(db).await?;
    let began = std::time::Instant::now();
    loop {
        let standing = standing(db).await?;
        if standing.is_settled() {
            return Ok(());
        }
        if began.elapsed() > limit {
            let left = unsettled(db).await?;
            bail!("{} jobs are not done after {limit:?} of peace:\n{}", left.len(), left.join("\n"));
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
}

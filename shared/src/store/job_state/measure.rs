use std::time::Duration;

use sqlx::PgConnection;

use crate::job::Lane;

/// How long the most overdue job of a lane has waited to be in step: since its first want that no pass has answered, or since
/// its time came. Parked and paused jobs do not count: they wait for somebody, not for the fleet.
pub async fn staleness(conn: &mut PgConnection, lane: Lane) -> Result<Duration, sqlx::Error> {
    let seconds = sqlx::query_scalar!(
        r#"-- job_state::staleness
        select extract(epoch from clock() - least(
            -- Due: the first entry of the lane.
            (
                select run_at from job_state
                where phase = 'idle' and not paused and run_at < 'infinity' and lane = $1
                order by run_at limit 1
            ),
            -- Waiting for something, with an unanswered want.
            (
                select least(dirty_since, due_since) from job_state
                where phase = 'idle' and not paused and least(dirty_since, due_since) is not null and lane = $1
                order by least(dirty_since, due_since) limit 1
            ),
            (select min(least(dirty_since, due_since)) from job_state where phase = 'running' and lane = $1)
        ))::float8"#,
        lane as Lane,
    )
    .fetch_one(conn)
    .await?;
    Ok(Duration::from_secs_f64(seconds.unwrap_or(0.0).max(0.0)))
}

/// How many jobs of a kind are in a state.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Count {
    /// The kind.
    pub kind: String,
    /// idle, due, running, paused, or parked with the reason, as in `parked_sign_in`.
    pub state: String,
    /// How many.
    pub jobs: i64,
}

/// Counts all jobs. Reads the whole table.
pub async fn count(conn: &mut PgConnection) -> Result<Vec<Count>, sqlx::Error> {
    sqlx::query_as!(
        Count,
        r#"-- job_state::count
        select
            kind,
            case
                when phase = 'parked' then 'parked_' || parked
                when phase = 'running' then 'running'
                when paused then 'paused'
                when run_at <= clock() then 'due'
                else 'idle'
            end as "state!",
            count(*) as "jobs!"
        from job_state
        group by 1, 2"#
    )
    .fetch_all(conn)
    .await
}

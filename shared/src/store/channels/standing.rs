//! What a job's channels are worth: whether they tell of what changes.

use chrono::{DateTime, Utc};
use sqlx::PgConnection;

use crate::job::JobId;

/// A pass that nobody had wanted found changes: the job's live channels have not told of them.
pub async fn missed(conn: &mut PgConnection, job: JobId) -> Result<u64, sqlx::Error> {
    let done = sqlx::query!(
        "-- channels::missed
        with locked as (select id from channels where job_id = $1 and state = 'live' order by id for update)
        update channels c set missed = c.missed + 1 from locked where c.id = locked.id",
        job,
    )
    .execute(conn)
    .await?;
    Ok(done.rows_affected())
}

/// What a job's channels say of a pass.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Standing {
    /// A channel is live.
    pub live: bool,
    /// A live channel has delivered, and missed nothing since.
    pub proven: bool,
    /// The pass's first want came from a notification.
    pub pushed: bool,
}

/// What a job's channels say of a pass that is wanted since `dirty_since`.
pub async fn standing(
    conn: &mut PgConnection,
    job: JobId,
    dirty_since: Option<DateTime<Utc>>,
) -> Result<Standing, sqlx::Error> {
    sqlx::query_as!(
        Standing,
        r#"-- channels::standing
        select
            coalesce(bool_or(is_live), false) as "live!",
            coalesce(bool_or(is_live and heard_at is not null and missed = 0), false) as "proven!",
            coalesce(bool_or($2 in (pushed_at, pushed_before)), false) as "pushed!"
        from (
            select *, state = 'live' and expires_at > clock() as is_live from channels where job_id = $1
        ) c"#,
        job,
        dirty_since,
    )
    .fetch_one(conn)
    .await
}

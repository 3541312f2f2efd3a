//! What has no push channel for now, and is polled: table `channel_refusals`.

use std::time::Duration;

use sqlx::PgConnection;

use super::seconds;
use crate::job::{AccountId, JobId};

/// Why there is no channel.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Reason {
    /// Google does not push this resource.
    Unsupported,
    /// Google refused the watch for another lasting reason.
    Refused,
    /// An operator has stopped it.
    Operator,
}

impl Reason {
    /// The word in SQL and the CLI.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Unsupported => "unsupported",
            Self::Refused => "refused",
            Self::Operator => "operator",
        }
    }
}

/// No channel is asked for while `lasts` (none: until an operator says so).
pub async fn put(
    conn: &mut PgConnection,
    account: AccountId,
    job: JobId,
    reason: Reason,
    note: &str,
    lasts: Option<Duration>,
) -> Result<(), sqlx::Error> {
    sqlx::query!(
        "-- channel_refusals::put
        insert into channel_refusals (job_id, account_id, reason, note, until)
        select id, $2, $3, $4, coalesce(clock() + make_interval(secs => $5), 'infinity') from jobs where id = $1
        on conflict (job_id) do update set
            reason = excluded.reason, note = excluded.note, refused_at = clock(), until = excluded.until",
        job,
        account,
        reason.as_str(),
        note,
        lasts.map(seconds),
    )
    .execute(conn)
    .await
    .map(drop)
}

/// Channels of these jobs may be asked for again.
pub async fn lift(conn: &mut PgConnection, jobs: &[JobId]) -> Result<u64, sqlx::Error> {
    let done = sqlx::query!(
        "-- channel_refusals::lift
        delete from channel_refusals where job_id = any($1)",
        jobs,
    )
    .execute(conn)
    .await?;
    Ok(done.rows_affected())
}

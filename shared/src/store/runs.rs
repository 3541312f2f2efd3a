//! History: table `runs`, one row per run, in daily partitions.

use std::time::Duration;

use sqlx::{PgConnection, PgPool};

use super::{partitions, seconds};
use crate::job::RunId;

/// How many days of partitions stand ready.
const AHEAD: i32 = 14;

/// The advisory lock of whoever changes the partitions.
const LOCK: i64 = 0x7372_756e_7301;

/// Which of the runs were committed: the answer to a commit whose own answer was lost.
pub async fn recorded(conn: &mut PgConnection, runs: &[RunId]) -> Result<Vec<RunId>, sqlx::Error> {
    sqlx::query_scalar!("-- runs::recorded\nselect id from runs where id = any($1)", runs)
        .fetch_all(conn)
        .await
}

/// What a round of retention did.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Retained {
    /// Partitions made.
    pub made: u32,
    /// Partitions dropped, by name.
    pub dropped: Vec<String>,
}

/// Makes the partitions of the days to come and drops those whose last run is older than `keep`.
///
/// Nobody waits for it: another that does the same at the moment wins, and a partition in use is left for the next round.
pub async fn retain(db: &PgPool, keep: Duration) -> Result<Retained, sqlx::Error> {
    let mut tx = db.begin().await?;
    if !partitions::lock(&mut tx, LOCK).await? {
        return Ok(Retained::default());
    }
    let made = sqlx::query_scalar!(
        r#"-- runs::retain (make)
        select runs_make_partitions($1) as "made!""#,
        AHEAD
    )
    .fetch_one(&mut *tx)
    .await?;
    let old = partitions::older_than(&mut tx, "runs", keep).await?;
    for name in &old {
        partitions::drop(&mut tx, name).await?;
    }
    sqlx::query!(
        "-- runs::retain (other)
        delete from runs_other where ended_at < clock() - make_interval(secs => $1)",
        seconds(keep)
    )
    .execute(&mut *tx)
    .await?;
    tx.commit().await?;
    Ok(Retained { made: made.unsigned_abs(), dropped: old })
}

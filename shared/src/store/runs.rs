//! History: table `runs`, one row per run, in daily partitions.

use std::time::Duration;

use sqlx::{PgConnection, PgPool};

use super::seconds;
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
    let locked = sqlx::query_scalar!(
        r#"-- runs::retain (lock)
        select pg_try_advisory_xact_lock($1) as "locked!""#,
        LOCK
    )
    .fetch_one(&mut *tx)
    .await?;
    if !locked {
        return Ok(Retained::default());
    }
    sqlx::raw_sql("-- runs::retain (timeout)\nset local lock_timeout = '500ms'").execute(&mut *tx).await?;
    let made = sqlx::query_scalar!(
        r#"-- runs::retain (make)
        select runs_make_partitions($1) as "made!""#,
        AHEAD
    )
    .fetch_one(&mut *tx)
    .await?;
    let old = old_partitions(&mut tx, keep).await?;
    for name in &old {
        // The name comes from the catalogue, quoted by it.
        sqlx::raw_sql(sqlx::AssertSqlSafe(format!("-- runs::retain (drop)\ndrop table {name}")))
            .execute(&mut *tx)
            .await?;
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

async fn old_partitions(conn: &mut PgConnection, keep: Duration) -> Result<Vec<String>, sqlx::Error> {
    sqlx::query_scalar!(
        r#"-- runs::old_partitions
        select quote_ident(c.relname) as "name!"
        from pg_inherits i
        join pg_class c on c.oid = i.inhrelid
        where i.inhparent = 'runs'::regclass
            and c.relname ~ '^runs_[0-9]{8}$'
            and to_date(substr(c.relname, 6), 'YYYYMMDD') + 1
                < (clock() - make_interval(secs => $1)) at time zone 'utc'
        order by c.relname"#,
        seconds(keep)
    )
    .fetch_all(conn)
    .await
}

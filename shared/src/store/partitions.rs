//! Tables that are partitioned by the day, each partition named `TABLE_YYYYMMDD`.

use std::time::Duration;

use sqlx::PgConnection;

use super::seconds;

/// The partitions of a table whose last row is older than `keep`, the oldest first; names as SQL takes them.
pub(super) async fn older_than(
    conn: &mut PgConnection,
    table: &str,
    keep: Duration,
) -> Result<Vec<String>, sqlx::Error> {
    sqlx::query_scalar!(
        r#"-- partitions::older_than
        select quote_ident(c.relname) as "name!"
        from pg_inherits i
        join pg_class c on c.oid = i.inhrelid
        where i.inhparent = $1::text::regclass
            and c.relname ~ ('^' || $1 || '_[0-9]{8}$')
            and to_date(right(c.relname, 8), 'YYYYMMDD') + 1 < (clock() - make_interval(secs => $2)) at time zone 'utc'
        order by c.relname"#,
        table,
        seconds(keep)
    )
    .fetch_all(conn)
    .await
}

/// Tries to be the one that changes a table's partitions until the transaction ends. Nobody waits for it, and it waits for
/// nobody: another that does the same at the moment wins, and a partition in use is left for the next round.
pub(super) async fn lock(conn: &mut PgConnection, lock: i64) -> Result<bool, sqlx::Error> {
    let locked = sqlx::query_scalar!(
        r#"-- partitions::lock
        select pg_try_advisory_xact_lock($1) as "locked!""#,
        lock
    )
    .fetch_one(&mut *conn)
    .await?;
    sqlx::raw_sql("-- partitions::lock (timeout)\nset local lock_timeout = '500ms'").execute(conn).await?;
    Ok(locked)
}

/// Drops a partition.
pub(super) async fn drop(conn: &mut PgConnection, name: &str) -> Result<(), sqlx::Error> {
    // The name comes from the catalogue, quoted by it.
    let statement = format!("-- partitions::drop\ndrop table {name}");
    sqlx::raw_sql(sqlx::AssertSqlSafe(statement)).execute(conn).await.map(std::mem::drop)
}

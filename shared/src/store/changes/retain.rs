use std::time::Duration;

use sqlx::{PgConnection, PgPool};

use crate::store::{partitions, runs::Retained, seconds};

/// How many days of partitions stand ready.
const AHEAD: i32 = 7;

/// The advisory lock of whoever changes the partitions.
const LOCK: i64 = 0x7372_756e_7302;

/// Makes the partitions of the days to come and drops those whose last change is older than `keep`, as [`crate::store::runs::retain`].
/// What each tenant loses by it is noted, so that a reader who comes too late is told.
pub async fn retain(db: &PgPool, keep: Duration) -> Result<Retained, sqlx::Error> {
    let mut tx = db.begin().await?;
    if !partitions::lock(&mut tx, LOCK).await? {
        return Ok(Retained::default());
    }
    let made = sqlx::query_scalar!(
        r#"-- changes::retain (make)
        select changes_make_partitions($1) as "made!""#,
        AHEAD
    )
    .fetch_one(&mut *tx)
    .await?;
    let old = partitions::older_than(&mut tx, "changes", keep).await?;
    for name in &old {
        note_last(&mut tx, name).await?;
        partitions::drop(&mut tx, name).await?;
    }
    drop_other(&mut tx, keep).await?;
    tx.commit().await?;
    Ok(Retained { made: made.unsigned_abs(), dropped: old })
}

/// Notes each tenant's last change in a partition: one look into its index per tenant.
async fn note_last(conn: &mut PgConnection, partition: &str) -> Result<(), sqlx::Error> {
    // The name comes from the catalogue, quoted by it.
    let statement = format!(
        "-- changes::note_last
        insert into feed_dropped as d (tenant_id, epoch, xid, id)
        select t.id, last.epoch, last.xid, last.id
        from tenants t
        cross join lateral (
            select epoch, xid, id from {partition} where tenant_id = t.id
            order by epoch desc, xid desc, id desc limit 1
        ) last
        order by t.id
        on conflict (tenant_id) do update set epoch = excluded.epoch, xid = excluded.xid, id = excluded.id
        where (d.epoch, d.xid, d.id) < (excluded.epoch, excluded.xid, excluded.id)"
    );
    sqlx::raw_sql(sqlx::AssertSqlSafe(statement)).execute(conn).await.map(drop)
}

async fn drop_other(conn: &mut PgConnection, keep: Duration) -> Result<(), sqlx::Error> {
    sqlx::query!(
        "-- changes::drop_other
        with dropped as (
            delete from changes_other where at < clock() - make_interval(secs => $1)
            returning tenant_id, epoch, xid, id
        )
        insert into feed_dropped as d (tenant_id, epoch, xid, id)
        select distinct on (tenant_id) tenant_id, epoch, xid, id
        from dropped
        where tenant_id in (select id from tenants)
        order by tenant_id, epoch desc, xid desc, id desc
        on conflict (tenant_id) do update set epoch = excluded.epoch, xid = excluded.xid, id = excluded.id
        where (d.epoch, d.xid, d.id) < (excluded.epoch, excluded.xid, excluded.id)",
        seconds(keep),
    )
    .execute(conn)
    .await
    .map(drop)
}

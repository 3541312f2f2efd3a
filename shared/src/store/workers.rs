//! One row per worker process: table `workers`. Its beat is the sign of life of all the leases that it holds.

use chrono::{DateTime, Utc};
use sqlx::PgConnection;

use crate::job::{Lanes, WorkerId};

/// What a beat tells of its worker.
#[derive(Debug, Clone)]
pub struct Beat<'a> {
    /// The process.
    pub worker: WorkerId,
    /// For people: host and process id.
    pub name: String,
    /// The program's version.
    pub version: &'static str,
    /// The kinds that it knows.
    pub kinds: &'a [String],
    /// Slots in each lane.
    pub slots: Lanes,
    /// Slots in use.
    pub busy: Lanes,
}

/// Writes the worker's row anew, whether it is still there or not, and tells the database's time.
pub async fn beat(conn: &mut PgConnection, beat: &Beat<'_>) -> Result<DateTime<Utc>, sqlx::Error> {
    sqlx::query_scalar!(
        r#"-- workers::beat
        insert into workers (id, name, version, kinds, slots, busy, started_at, beat_at)
        values ($1, $2, $3, $4, $5, $6, clock(), clock())
        on conflict (id) do update set slots = excluded.slots, busy = excluded.busy, beat_at = clock()
        returning beat_at"#,
        beat.worker,
        beat.name,
        beat.version,
        beat.kinds,
        sqlx::types::Json(beat.slots) as _,
        sqlx::types::Json(beat.busy) as _,
    )
    .fetch_one(conn)
    .await
}

/// Takes away the row of a worker that has ended and holds no lease any more.
pub async fn leave(conn: &mut PgConnection, worker: WorkerId) -> Result<(), sqlx::Error> {
    sqlx::query!("-- workers::leave\ndelete from workers where id = $1", worker).execute(conn).await.map(drop)
}

/// The slots of all living workers together, and the database's time.
pub async fn fleet_slots(conn: &mut PgConnection) -> Result<(Lanes, DateTime<Utc>), sqlx::Error> {
    let row = sqlx::query!(
        r#"-- workers::fleet_slots
        select
            coalesce(sum((slots ->> 'interactive')::int), 0) as "interactive!",
            coalesce(sum((slots ->> 'normal')::int), 0) as "normal!",
            coalesce(sum((slots ->> 'bulk')::int), 0) as "bulk!",
            clock() as "clock!"
        from workers
        where beat_at > clock() - interval '10 s'"#
    )
    .fetch_one(conn)
    .await?;
    let slots = |sum: i64| u32::try_from(sum).unwrap_or(u32::MAX);
    let lanes =
        Lanes { interactive: slots(row.interactive), normal: slots(row.normal), bulk: slots(row.bulk) };
    Ok((lanes, row.clock))
}

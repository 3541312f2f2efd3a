//! `worker`: the processes of the fleet.

use chrono::{DateTime, Utc};
use serde::Serialize;
use sqlx::{PgConnection, types::Json};

use super::AdminError;
use crate::job::{Lanes, WorkerId};

/// A worker whose row stands.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Worker {
    /// The process, new at each start.
    pub id: WorkerId,
    /// For people: host and process id.
    pub name: String,
    /// The program's version.
    pub version: String,
    /// Slots by lane.
    pub slots: Lanes,
    /// Slots in use, as of its last beat.
    pub busy: Lanes,
    /// Jobs that run in its name.
    pub running: i64,
    /// When it was started.
    pub started_at: DateTime<Utc>,
    /// Its last sign of life.
    pub beat_at: DateTime<Utc>,
    /// Whether that is young enough.
    pub alive: bool,
}

/// All workers, by name.
pub async fn ls(conn: &mut PgConnection) -> Result<Vec<Worker>, AdminError> {
    let rows = sqlx::query!(
        r#"-- admin::worker::ls
        select w.id, w.name, w.version, w.slots as "slots: Json<Lanes>", w.busy as "busy: Json<Option<Lanes>>",
            w.started_at, w.beat_at, w.beat_at > clock() - interval '10 s' as "alive!",
            (select count(*) from job_state s where s.phase = 'running' and s.claimed_by = w.id) as "running!"
        from workers w
        order by w.name, w.started_at"#
    )
    .fetch_all(conn)
    .await?;
    Ok(rows
        .into_iter()
        .map(|row| Worker {
            id: row.id,
            name: row.name,
            version: row.version,
            slots: row.slots.0,
            busy: row.busy.0.unwrap_or(Lanes { interactive: 0, normal: 0, bulk: 0 }),
            running: row.running,
            started_at: row.started_at,
            beat_at: row.beat_at,
            alive: row.alive,
        })
        .collect())
}

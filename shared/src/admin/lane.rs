//! `lane`: the fleet's slots, by urgency.

use serde::Serialize;
use sqlx::{PgConnection, PgPool};

use super::{Actor, AdminError, Switched, gate};
use crate::{job::Lane, store::gates};

/// A lane and how it stands.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct LaneState {
    /// Its name.
    pub lane: Lane,
    /// Slots of all living workers.
    pub slots: i64,
    /// Those of them that are in use.
    pub busy: i64,
    /// Jobs that could run now.
    pub due: i64,
    /// Jobs that run.
    pub running: i64,
    /// Whether an operator has paused it.
    pub paused: bool,
}

/// All lanes, most urgent first.
pub async fn ls(conn: &mut PgConnection) -> Result<Vec<LaneState>, AdminError> {
    Ok(sqlx::query_as!(
        LaneState,
        r#"-- admin::lane::ls
        select
            l.lane as "lane!: Lane",
            coalesce(w.slots, 0) as "slots!", coalesce(w.busy, 0) as "busy!",
            (select count(*) from due_jobs d where d.lane = l.lane and d.run_at < 'infinity') as "due!",
            (select count(*) from job_state s where s.phase = 'running' and s.lane = l.lane) as "running!",
            exists (
                select from gates g
                where g.scope = 'lane' and g.target = l.lane::text and g.reason = 'paused'
                    and (g.until is null or g.until > clock())
            ) as "paused!"
        from unnest(enum_range(null::lane)) as l (lane)
        cross join lateral (
            select sum((slots ->> l.lane::text)::bigint)::bigint as slots,
                sum((busy ->> l.lane::text)::bigint)::bigint as busy
            from workers
            where beat_at > clock() - interval '10 s'
        ) w
        order by l.lane"#
    )
    .fetch_all(conn)
    .await?)
}

/// Runs no job of the lane until [`resume`].
pub async fn pause(db: &PgPool, actor: &Actor, lane: Lane, note: &str) -> Result<Switched, AdminError> {
    gate::pause(db, actor, &gates::Gate::Lane(lane), ("lane", lane.as_str()), note).await
}

/// Ends a pause.
pub async fn resume(db: &PgPool, actor: &Actor, lane: Lane) -> Result<Switched, AdminError> {
    gate::resume(db, actor, &gates::Gate::Lane(lane), ("lane", lane.as_str())).await
}

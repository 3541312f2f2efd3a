//! `run`: history, one row per execution of a job.

use std::time::Duration;

use chrono::{DateTime, Utc};
use serde::Serialize;
use sqlx::PgConnection;

use super::{AdminError, must_be_kind};
use crate::{
    job::{JobId, Lane, Policy, RunId, WorkerId},
    store::seconds,
};

/// How a run can end.
pub const OUTCOMES: [&str; 8] =
    ["complete", "continue", "wait", "retry", "throttled", "park", "handed_back", "lost"];

/// A run that has ended.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Run {
    /// Its id, which was its lease.
    pub id: RunId,
    /// Its job.
    pub job: JobId,
    /// The job's kind.
    pub kind: String,
    /// The job's key; none: the job is gone.
    pub key: Option<String>,
    /// The tenant; none: it is gone.
    pub tenant: Option<String>,
    /// The lane it was claimed in.
    pub lane: Lane,
    /// The attempt that it was, from 1.
    pub attempt: i32,
    /// How it ended: one of [`OUTCOMES`].
    pub outcome: String,
    /// Rows of the mirror that it changed.
    pub changed: i32,
    /// When it was claimed.
    pub started_at: DateTime<Utc>,
    /// When it was committed.
    pub ended_at: DateTime<Utc>,
    /// Who ran it.
    pub worker: WorkerId,
    /// That worker's name; none: it has ended.
    pub worker_name: Option<String>,
    /// What went wrong, or what it waits for.
    pub note: Option<String>,
}

/// Which runs.
#[derive(Debug, Clone, Default)]
pub struct Filter {
    /// The one of this id.
    pub id: Option<RunId>,
    /// Of this job only.
    pub job: Option<JobId>,
    /// Of this kind only.
    pub kind: Option<String>,
    /// With this outcome only.
    pub outcome: Option<String>,
    /// Begun not longer ago than this.
    pub since: Option<Duration>,
    /// At most so many.
    pub limit: i64,
}

/// The newest runs first.
pub async fn ls(
    conn: &mut PgConnection,
    policies: &[Policy],
    filter: &Filter,
) -> Result<Vec<Run>, AdminError> {
    if let Some(kind) = &filter.kind {
        must_be_kind(conn, policies, kind).await?;
    }
    list(conn, filter).await
}

pub(super) async fn list(conn: &mut PgConnection, filter: &Filter) -> Result<Vec<Run>, AdminError> {
    // Ids are ordered by time, so `since` reads the partitions of its days only.
    Ok(sqlx::query_as!(
        Run,
        r#"-- admin::run::list
        select r.id, r.job_id as job, r.kind, j.key as "key?", t.name as "tenant?", r.lane as "lane: Lane", r.attempt,
            r.outcome, r.changed, r.started_at, r.ended_at, r.worker_id as worker, w.name as "worker_name?", r.note
        from runs r
        left join jobs j on j.id = r.job_id
        left join tenants t on t.id = r.tenant_id
        left join workers w on w.id = r.worker_id
        where ($1::uuid is null or r.id = $1)
            and ($2::bigint is null or r.job_id = $2)
            and ($3::text is null or r.kind = $3)
            and ($4::text is null or r.outcome = $4)
            and ($5::float8 is null or r.id >= uuid_v7_floor(clock() - make_interval(secs => $5)))
        order by r.id desc
        limit $6"#,
        filter.id,
        filter.job,
        filter.kind,
        filter.outcome,
        filter.since.map(seconds),
        filter.limit,
    )
    .fetch_all(conn)
    .await?)
}

/// One run.
pub async fn show(conn: &mut PgConnection, id: RunId) -> Result<Run, AdminError> {
    let filter = Filter { id: Some(id), limit: 1, ..Filter::default() };
    list(conn, &filter).await?.pop().ok_or_else(|| {
        AdminError::not_found("run", id, "a run is recorded when it ends, and kept for some days only")
    })
}

//! `job`: what is kept in step, and how it stands.

pub mod explain;
mod find;
mod switch;

use chrono::{DateTime, Utc};
use serde::Serialize;
use sqlx::PgConnection;

pub use self::{
    find::JobRef,
    switch::{Retried, pause, resume, retry},
};
use super::{AdminError, must_be_kind, run, tenant};
use crate::job::{AccountId, JobId, Lane, Policy, TenantId};

/// How a job stands, in one word. `Paused` and `Due` are idle in the database.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, sqlx::Type)]
#[serde(rename_all = "lowercase")]
#[sqlx(type_name = "text", rename_all = "lowercase")]
pub enum State {
    /// Its time has not come.
    Idle,
    /// Its time has come. A gate may stand before it, or others may be before it.
    Due,
    /// A worker is at it.
    Running,
    /// Waits for an event.
    Parked,
    /// An operator has paused it.
    Paused,
}

/// A job.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Job {
    /// Its number.
    pub id: JobId,
    /// Its kind.
    pub kind: String,
    /// What it keeps in step, in the words of its kind.
    pub key: String,
    /// Whose it is.
    pub tenant: String,
    /// Whose account it works with.
    pub account: Option<AccountId>,
    /// The lane it is in now.
    pub lane: Lane,
    /// How it stands.
    pub state: State,
    /// An operator has paused it; a run under way goes on.
    pub paused: bool,
    /// Somebody wants it and has not been answered.
    pub dirty: bool,
    /// How often anybody asked.
    pub wanted: i64,
    /// The `wanted` that the pass under way answers for; none: no pass is under way.
    pub seen: Option<i64>,
    /// The `wanted` that the last completed pass answered for.
    pub done: i64,
    /// When it runs next; none: when it is wanted, or it runs or is parked.
    pub run_at: Option<DateTime<Utc>>,
    /// Failed attempts of the pass under way.
    pub attempt: i32,
    /// Crashes of its workers since the last good commit.
    pub crashes: i16,
    /// Why it is parked.
    pub parked: Option<String>,
    /// Why its last step that did not go on went wrong, or what it waits for.
    pub note: Option<String>,
    /// When that was noted.
    pub noted_at: Option<DateTime<Utc>>,
    /// When it was made.
    pub created_at: DateTime<Utc>,
}

/// A job with its last runs.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Shown {
    /// The job.
    #[serde(flatten)]
    pub job: Job,
    /// Its last runs, newest first.
    pub runs: Vec<run::Run>,
}

/// The words of [`Filter::state`].
pub const STATES: [&str; 6] = ["idle", "due", "running", "parked", "paused", "dirty"];

/// Which jobs.
#[derive(Debug, Clone, Default)]
pub struct Filter {
    /// Of this kind only.
    pub kind: Option<String>,
    /// Of this tenant only, by name.
    pub tenant: Option<String>,
    /// Of this account only.
    pub account: Option<AccountId>,
    /// Only those that stand so: one of [`STATES`].
    pub state: Option<String>,
    /// Only those after this one.
    pub after: JobId,
    /// At most so many.
    pub limit: i64,
}

/// Jobs in the order of their ids.
pub async fn ls(
    conn: &mut PgConnection,
    policies: &[Policy],
    filter: &Filter,
) -> Result<Vec<Job>, AdminError> {
    if let Some(kind) = &filter.kind {
        must_be_kind(conn, policies, kind).await?;
    }
    let tenant = match &filter.tenant {
        Some(name) => Some(tenant::find(conn, name).await?),
        None => None,
    };
    list(conn, None, tenant, filter).await
}

/// One job and its last runs.
pub async fn show(conn: &mut PgConnection, job: &JobRef) -> Result<Shown, AdminError> {
    let id = job.find(conn).await?;
    let job = get(conn, id).await?;
    let runs = last_runs(conn, id).await?;
    Ok(Shown { job, runs })
}

async fn get(conn: &mut PgConnection, id: JobId) -> Result<Job, AdminError> {
    let filter = Filter { limit: 1, ..Filter::default() };
    list(conn, Some(id), None, &filter).await?.pop().ok_or_else(|| AdminError::not_found("job", id, ""))
}

async fn last_runs(conn: &mut PgConnection, id: JobId) -> Result<Vec<run::Run>, AdminError> {
    run::list(conn, &run::Filter { job: Some(id), limit: 5, ..run::Filter::default() }).await
}

async fn list(
    conn: &mut PgConnection,
    id: Option<JobId>,
    tenant: Option<TenantId>,
    filter: &Filter,
) -> Result<Vec<Job>, AdminError> {
    Ok(sqlx::query_as!(
        Job,
        r#"-- admin::job::list
        select j.id, j.kind, j.key, t.name as tenant, j.account_id as account, s.lane as "lane: Lane",
            case
                when s.phase = 'running' then 'running'
                when s.phase = 'parked' then 'parked'
                when s.paused then 'paused'
                when s.run_at <= clock() then 'due'
                else 'idle'
            end as "state!: State",
            s.paused, s.wanted > s.done as "dirty!", s.wanted, s.seen, s.done,
            nullif(s.run_at, 'infinity') as run_at,
            s.attempt, s.crashes, s.parked, j.note, j.noted_at, j.created_at
        from jobs j
        join job_state s on s.job_id = j.id
        join tenants t on t.id = j.tenant_id
        where j.id > $1
            and ($2::bigint is null or j.id = $2)
            and ($3::text is null or j.kind = $3)
            and ($4::bigint is null or j.tenant_id = $4)
            and ($5::bigint is null or j.account_id = $5)
            and case $6
                when 'idle' then s.phase = 'idle' and not s.paused and s.run_at > clock()
                when 'due' then s.phase = 'idle' and not s.paused and s.run_at <= clock()
                when 'running' then s.phase = 'running'
                when 'parked' then s.phase = 'parked'
                when 'paused' then s.paused
                when 'dirty' then s.wanted > s.done
                else true
            end
        order by j.id
        limit $7"#,
        filter.after,
        id,
        filter.kind,
        tenant,
        filter.account,
        filter.state,
        filter.limit,
    )
    .fetch_all(conn)
    .await?)
}

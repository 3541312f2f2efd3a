use serde::Serialize;
use serde_json::json;
use sqlx::PgPool;

use super::{Job, JobRef, State, get};
use crate::{
    admin::{Actor, AdminError},
    store::{
        audit,
        job_state::{self, Wanted},
    },
};

/// What an operator's retry came to.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Retried {
    /// The job as it stands now.
    #[serde(flatten)]
    pub job: Job,
    /// Whether there was anything to lift: it is not so while the job runs.
    pub changed: bool,
    /// For the bell, after the commit.
    #[serde(skip)]
    pub bell: Wanted,
}

/// Lifts a backoff, forgets failures and crashes, and takes the job out of its parking place. It is due at once, unless a
/// provider's minimum interval says otherwise.
pub async fn retry(db: &PgPool, actor: &Actor, job: &JobRef) -> Result<Retried, AdminError> {
    let mut tx = db.begin().await?;
    let id = job.find(&mut tx).await?;
    let before = get(&mut tx, id).await?;
    let changed = job_state::release(&mut tx, &[id]).await? > 0;
    if changed {
        let detail = json!({ "was": before.state, "attempt": before.attempt, "parked": before.parked });
        audit::write(&mut tx, actor.as_str(), "job.retry", &target(&before), &detail).await?;
    }
    let job = get(&mut tx, id).await?;
    let tenant = sqlx::query_scalar!("-- admin::job::retry\nselect tenant_id from jobs where id = $1", id)
        .fetch_one(&mut *tx)
        .await?;
    tx.commit().await?;
    let bell = Wanted {
        job: id,
        kind: job.kind.clone(),
        tenant,
        lane: job.lane,
        counter: job.wanted,
        due: job.state == State::Due,
    };
    Ok(Retried { job, changed, bell })
}

/// Begins no run of the job until [`resume`]. One under way goes on to the end of its step.
pub async fn pause(db: &PgPool, actor: &Actor, job: &JobRef) -> Result<Job, AdminError> {
    switch(db, actor, job, true).await
}

/// Ends a pause.
pub async fn resume(db: &PgPool, actor: &Actor, job: &JobRef) -> Result<Job, AdminError> {
    switch(db, actor, job, false).await
}

async fn switch(db: &PgPool, actor: &Actor, job: &JobRef, paused: bool) -> Result<Job, AdminError> {
    let mut tx = db.begin().await?;
    let id = job.find(&mut tx).await?;
    let changed = job_state::pause(&mut tx, &[id], paused).await? > 0;
    let job = get(&mut tx, id).await?;
    if changed {
        let action = if paused { "job.pause" } else { "job.resume" };
        audit::write(&mut tx, actor.as_str(), action, &target(&job), &json!({})).await?;
    }
    tx.commit().await?;
    Ok(job)
}

fn target(job: &Job) -> String {
    format!("{}/{}", job.kind, job.key)
}

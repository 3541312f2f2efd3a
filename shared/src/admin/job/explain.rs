//! Why a job is not running, or what it does: one answer, from one consistent read.

mod answer;
mod facts;
mod push;
mod text;
mod unserved;

use serde::Serialize;
use sqlx::{PgConnection, PgPool};

pub use self::{answer::Answer, facts::Facts, push::Push, unserved::Unserved};
use super::{Job, JobRef, get, last_runs};
use crate::admin::{AdminError, run};

/// The answer, and what it rests on.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Explanation {
    /// The answer in one sentence, for people.
    pub text: String,
    /// The answer, for programs.
    pub answer: Answer,
    /// The job.
    pub job: Job,
    /// What else was read.
    pub facts: Facts,
    /// How it hears of changes; none: nothing is pushed for jobs of its kind.
    pub push: Option<Push>,
    /// Families of a name for which nothing is sent, however its job stands.
    pub unserved: Vec<Unserved>,
    /// The job's last runs, newest first.
    pub runs: Vec<run::Run>,
}

/// Explains how a job stands.
pub async fn explain(db: &PgPool, job: &JobRef) -> Result<Explanation, AdminError> {
    let mut tx = db.begin_with("begin isolation level repeatable read read only").await?;
    let explanation = within(&mut tx, job).await?;
    tx.commit().await?;
    Ok(explanation)
}

/// The same within a transaction, which must be of the isolation level repeatable read: the answer rests on several reads.
pub async fn within(conn: &mut PgConnection, job: &JobRef) -> Result<Explanation, AdminError> {
    let id = job.find(&mut *conn).await?;
    let job = get(&mut *conn, id).await?;
    let runs = last_runs(&mut *conn, id).await?;
    let facts = facts::read(&mut *conn, &job).await?;
    let push = push::read(&mut *conn, &job).await?;
    let unserved = unserved::read(conn, &job).await?;
    let answer = answer::answer(&job, &facts, &runs);
    let mut text = text::sentence(&answer, &job, facts.now);
    // One that is parked as a whole says why itself.
    if !unserved.is_empty() && !matches!(answer, Answer::Parked { .. }) {
        let told: Vec<String> = unserved.iter().map(ToString::to_string).collect();
        text = format!("{}; beside that: {text}", told.join("; "));
    }
    Ok(Explanation { text, answer, job, facts, push, unserved, runs })
}

//! `kind`: the sorts of jobs, and how they are run.

use std::collections::BTreeMap;

use serde::Serialize;
use sqlx::{PgConnection, PgPool};

use super::{Actor, AdminError, Gate, Switched, gate, policy};
use crate::{
    job::{Lane, Policy},
    store::gates,
};

/// A kind: its policy, and how its jobs stand.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Kind {
    /// Its name.
    pub name: String,
    /// How its jobs are run; none: this program does not know it.
    pub policy: Option<Rules>,
    /// Its jobs.
    pub jobs: i64,
    /// Those whose time has come.
    pub due: i64,
    /// Those that run.
    pub running: i64,
    /// Those that are parked.
    pub parked: i64,
    /// Its closed gates.
    pub gates: Vec<Gate>,
}

/// A policy, in seconds.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Rules {
    /// What a job of the kind does.
    pub about: String,
    /// The lane of its jobs.
    pub lane: Lane,
    /// How often a job runs when nobody wants it; none: on a want only.
    pub interval_s: Option<u64>,
    /// The least time between two passes.
    pub min_interval_s: u64,
    /// How long a step may take.
    pub limit_s: u64,
    /// Failed attempts after which a job is parked; none: it is retried for ever.
    pub attempts: Option<u32>,
    /// The provider whose accounts have one job of the kind each.
    pub per_account: Option<String>,
}

impl From<&Policy> for Rules {
    fn from(policy: &Policy) -> Self {
        Self {
            about: policy.about.to_owned(),
            lane: policy.lane,
            interval_s: policy.interval.map(|interval| interval.as_secs()),
            min_interval_s: policy.min_interval.as_secs(),
            limit_s: policy.limit.as_secs(),
            attempts: policy.retry.attempts,
            per_account: policy.per_account.map(str::to_owned),
        }
    }
}

/// All kinds that the program knows or that have jobs, by name.
pub async fn ls(conn: &mut PgConnection, policies: &[Policy]) -> Result<Vec<Kind>, AdminError> {
    let mut kinds: BTreeMap<String, Kind> = BTreeMap::new();
    for policy in policies {
        let kind = empty(policy.kind, Some(policy.into()));
        kinds.insert(kind.name.clone(), kind);
    }
    let counts = sqlx::query!(
        r#"-- admin::kind::ls
        select kind, count(*) as "jobs!",
            count(*) filter (where phase = 'idle' and not paused and run_at <= clock()) as "due!",
            count(*) filter (where phase = 'running') as "running!",
            count(*) filter (where phase = 'parked') as "parked!"
        from job_state
        group by kind"#
    )
    .fetch_all(&mut *conn)
    .await?;
    for row in counts {
        let kind = kinds.entry(row.kind.clone()).or_insert_with(|| empty(&row.kind, None));
        (kind.jobs, kind.due, kind.running, kind.parked) = (row.jobs, row.due, row.running, row.parked);
    }
    for gate in gates::closed(conn, Some("kind")).await? {
        if let Some(kind) = kinds.get_mut(&gate.target) {
            kind.gates.push(gate.into());
        }
    }
    Ok(kinds.into_values().collect())
}

fn empty(name: &str, policy: Option<Rules>) -> Kind {
    Kind { name: name.to_owned(), policy, jobs: 0, due: 0, running: 0, parked: 0, gates: Vec::new() }
}

/// Runs no job of the kind until [`resume`].
pub async fn pause(
    db: &PgPool,
    actor: &Actor,
    policies: &[Policy],
    kind: &str,
    note: &str,
) -> Result<Switched, AdminError> {
    policy(policies, kind)?;
    gate::pause(db, actor, &gates::Gate::Kind(kind.to_owned()), ("kind", kind), note).await
}

/// Ends a pause.
pub async fn resume(
    db: &PgPool,
    actor: &Actor,
    policies: &[Policy],
    kind: &str,
) -> Result<Switched, AdminError> {
    policy(policies, kind)?;
    gate::resume(db, actor, &gates::Gate::Kind(kind.to_owned()), ("kind", kind)).await
}

use serde::Serialize;
use serde_json::json;
use sqlx::PgPool;

use super::{Actor, AdminError};
use crate::store::{
    audit,
    gates::{self, Reason},
};

/// A closed gate, for people.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Gate {
    /// kind, lane, tenant or account.
    pub scope: String,
    /// The kind's or lane's name, or the tenant's or account's id.
    pub target: String,
    /// paused, throttled, budget or `sign_in`.
    pub reason: String,
    /// When it opens by itself; none: somebody must open it.
    pub until: Option<chrono::DateTime<chrono::Utc>>,
    /// Why.
    pub note: String,
}

impl From<gates::Closed> for Gate {
    fn from(gate: gates::Closed) -> Self {
        let gates::Closed { scope, target, reason, until, note } = gate;
        Self { scope, target, reason, until, note }
    }
}

/// What a pause or its end came to.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Switched {
    /// kind, lane or tenant.
    pub scope: String,
    /// Its name.
    pub name: String,
    /// How it stands now.
    pub paused: bool,
    /// Whether it stood otherwise before.
    pub changed: bool,
}

/// Pauses what stands behind the gate, until [`resume`].
pub(super) async fn pause(
    db: &PgPool,
    actor: &Actor,
    gate: &gates::Gate,
    (scope, name): (&str, &str),
    note: &str,
) -> Result<Switched, AdminError> {
    let mut tx = db.begin().await?;
    let (_, target) = gate.columns();
    let before = gates::closed(&mut tx, Some(scope)).await?;
    let changed = !before.iter().any(|g| g.target == target && g.reason == Reason::Paused.as_str());
    gates::close(&mut tx, gate, Reason::Paused, None, note).await?;
    if changed {
        audit::write(&mut tx, actor.as_str(), &format!("{scope}.pause"), name, &json!({ "note": note }))
            .await?;
    }
    tx.commit().await?;
    Ok(Switched { scope: scope.to_owned(), name: name.to_owned(), paused: true, changed })
}

/// Ends a pause. Its jobs come back by the scheduler, spread over time.
pub(super) async fn resume(
    db: &PgPool,
    actor: &Actor,
    gate: &gates::Gate,
    (scope, name): (&str, &str),
) -> Result<Switched, AdminError> {
    let mut tx = db.begin().await?;
    let changed = gates::open(&mut tx, gate, Reason::Paused).await?;
    if changed {
        audit::write(&mut tx, actor.as_str(), &format!("{scope}.resume"), name, &json!({})).await?;
    }
    tx.commit().await?;
    Ok(Switched { scope: scope.to_owned(), name: name.to_owned(), paused: false, changed })
}

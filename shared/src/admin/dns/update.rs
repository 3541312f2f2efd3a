//! `dns update`: somebody wants a name looked at now.

use chrono::{DateTime, Utc};
use serde::Serialize;
use serde_json::json;
use sqlx::PgPool;

use super::{
    RecordRef,
    record::{get, want},
};
use crate::{
    admin::{Actor, AdminError},
    job::Policy,
    store::{
        audit,
        dns_records::{self, RecordFamily, RecordId},
        job_state::Wanted,
    },
};

/// What wanting a record came to.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Updating {
    /// Its number.
    pub id: RecordId,
    /// Its name.
    pub host: String,
    /// Whether what was sent is sent again.
    pub force: bool,
    /// Nothing is sent before; none: at once.
    pub not_before: Option<DateTime<Utc>>,
    /// Why not.
    pub not_before_why: Option<String>,
    /// It has its address already, and nothing is to be sent.
    pub follows: bool,
    /// Families that nothing is sent for until a person acts, each with the reason.
    pub parked: Vec<String>,
    /// The database's time.
    #[serde(skip)]
    pub now: DateTime<Utc>,
    /// For the bell, after the commit.
    #[serde(skip)]
    pub bell: Vec<Wanted>,
}

/// Has a record's job run at once. With `force` what was parked is served again, and what was sent is sent again although it did not
/// change; never before the provider's minimum interval is over.
pub async fn update(
    db: &PgPool,
    actor: &Actor,
    policies: &[Policy],
    (record, of): (&RecordRef, Option<&str>),
    force: bool,
) -> Result<Updating, AdminError> {
    let mut tx = db.begin().await?;
    let before = get(&mut tx, record, of).await?;
    if force {
        dns_records::release(&mut tx, before.id, true).await?;
    }
    // To release the job of a record that is parked is to serve it again.
    let is_parked = before.families.iter().any(|family| family.parked.is_some());
    let bell = want(&mut tx, policies, (before.id, before.tenant), force || !is_parked).await?;
    let detail = json!({ "id": before.id, "force": force });
    audit::write(&mut tx, actor.as_str(), "dns.update", before.host.as_str(), &detail).await?;
    tx.commit().await?;
    let parked = before.families.iter().filter(|_| !force).filter_map(|family| {
        let why = family.parked_why.as_deref().unwrap_or_default();
        family.parked.as_ref().map(|parked| format!("{}: {parked}: {why}", super::word(family.family)))
    });
    let follows = |family: &RecordFamily| family.follows(before.verify) && !family.resend;
    let follows = !force && !before.families.is_empty() && before.families.iter().all(follows);
    let not_before = before.not_before.filter(|at| *at > before.now);
    Ok(Updating {
        id: before.id,
        host: before.host.to_string(),
        force,
        not_before,
        not_before_why: not_before.and(before.not_before_why),
        follows,
        parked: parked.collect(),
        now: before.now,
        bell,
    })
}

//! Records: names at providers that follow an address.

mod change;
mod ready;

use std::{net::SocketAddr, time::Duration};

use secrecy::SecretString;
use serde::Serialize;
use serde_json::json;
use sqlx::{PgConnection, PgPool};

pub(super) use self::ready::{Ready, ready, stand_in};
pub use self::{
    change::{Becomes, Change, set},
    ready::Families,
};
use super::{RecordRef, owner, refused, store_error, word};
use crate::{
    admin::{Actor, AdminError, policy, remove::retried},
    dns::{Host, Provider},
    job::{Lane, Policy, TenantId},
    secrets::KeyRing,
    store::{
        audit,
        changes::{self, What},
        dns_records,
        dns_records::{KIND, NewRecord, RecordId},
        job_state::{self, Wanted},
        jobs::{self, NewJob},
        secrets,
    },
};

/// The longest time between two updates.
pub const LONGEST_INTERVAL: Duration = Duration::from_hours(7 * 24);

/// How soon what was sent may be sent again although it did not change.
pub const FORCED: (Duration, Duration) = (Duration::from_hours(24), Duration::from_hours(365 * 24));

/// A record to be.
#[derive(Debug, Clone)]
pub struct New<'a> {
    /// Whose it is, by name.
    pub tenant: &'a str,
    /// The name.
    pub host: &'a Host,
    /// The address that it follows, by name.
    pub address: &'a str,
    /// Who holds it.
    pub provider: &'a Provider,
    /// The provider's secret.
    pub secret: &'a SecretString,
    /// In which families it is kept.
    pub families: Families,
    /// Seconds; none: what is there, or the provider's own.
    pub ttl: Option<u32>,
    /// The least time between two updates; none: the provider's.
    pub min_interval: Option<Duration>,
    /// What was sent is sent again after this time; none: never.
    pub forced_interval: Option<Duration>,
    /// Whether the zone's servers are asked after an update.
    pub verify: bool,
    /// The servers to ask; empty: those that the zone names.
    pub verify_servers: &'a [SocketAddr],
}

/// What adding, changing or removing came to.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Done {
    /// Its number.
    pub id: RecordId,
    /// Its name.
    pub host: String,
    /// For the bell, after the commit.
    #[serde(skip)]
    pub bell: Vec<Wanted>,
}

/// Adds a record with its sealed secret and its job, which is wanted at once.
pub async fn add(
    db: &PgPool,
    actor: &Actor,
    keys: &KeyRing,
    policies: &[Policy],
    new: &New<'_>,
) -> Result<Done, AdminError> {
    let mut tx = db.begin().await?;
    let done = insert(&mut tx, actor, keys, policies, new).await?.ok_or_else(|| {
        refused(format!(
            "tenant {} has a record of {} at {} already: `syncfleet dns set` changes it",
            new.tenant,
            new.host,
            new.provider.name()
        ))
    })?;
    tx.commit().await?;
    Ok(done)
}

/// Adds a record; none: there is one of that name at that provider.
pub(super) async fn insert(
    conn: &mut PgConnection,
    actor: &Actor,
    keys: &KeyRing,
    policies: &[Policy],
    new: &New<'_>,
) -> Result<Option<Done>, AdminError> {
    let ready = ready(conn, new).await?;
    let row = NewRecord {
        tenant: ready.tenant,
        address: ready.address,
        host: new.host,
        provider: new.provider,
        ttl: new.ttl,
        min_interval: ready.min_interval,
        forced_interval: ready.forced_interval,
        verify: new.verify,
        verify_servers: (!new.verify_servers.is_empty()).then_some(new.verify_servers),
        families: &ready.families,
    };
    let Some(id) = dns_records::insert(conn, &row).await? else { return Ok(None) };
    secrets::put(conn, keys, owner(id), new.secret, None).await.map_err(store_error)?;
    let bell = want(conn, policies, (id, ready.tenant), true).await?;
    let families: Vec<_> = ready.families.iter().map(|(family, _)| word(*family)).collect();
    let detail = json!({
        "tenant": new.tenant, "id": id, "address": new.address, "provider": new.provider.name(), "families": families,
    });
    audit::write(conn, actor.as_str(), "dns.add", new.host.as_str(), &detail).await?;
    Ok(Some(Done { id, host: new.host.to_string(), bell }))
}

/// Makes the record's job if it has none, and wants it; `release`: also lifts its backoff and takes it out of its parking place.
pub(super) async fn want(
    conn: &mut PgConnection,
    policies: &[Policy],
    (id, tenant): (RecordId, TenantId),
    release: bool,
) -> Result<Vec<Wanted>, AdminError> {
    let job = NewJob { key: id.to_string(), tenant, account: None, first: None };
    let jobs = jobs::ensure(conn, policy(policies, KIND)?, &[job]).await?;
    if release {
        job_state::release(conn, &jobs).await?;
    }
    // A step sees all that a person has changed. Else whoever waits for the want would wait for the pass after this one.
    job_state::begin_anew(conn, &jobs).await?;
    Ok(job_state::want(conn, &jobs, None, Some(Lane::Interactive)).await?)
}

/// A record as it is read, if there is exactly one such record.
pub(super) async fn get(
    conn: &mut PgConnection,
    record: &RecordRef,
    of: Option<&str>,
) -> Result<dns_records::Record, AdminError> {
    let id = record.find(conn, of).await?;
    dns_records::get(conn, id).await?.ok_or_else(|| AdminError::not_found("record", record, ""))
}

/// Removes a record with its secret, its history and its job. The name at its provider stays as it is.
pub async fn rm(
    db: &PgPool,
    actor: &Actor,
    record: &RecordRef,
    of: Option<&str>,
) -> Result<Done, AdminError> {
    retried(async || {
        let mut tx = db.begin().await?;
        let found = get(&mut tx, record, of).await?;
        // In the order of a step's commit, which comes before this or not at all.
        dns_records::hold(&mut tx, found.id).await?;
        jobs::remove(&mut tx, KIND, &[found.id.to_string()]).await?;
        changes::dns_record(&mut tx, found.id, What::Deleted, None).await?;
        dns_records::remove(&mut tx, found.id).await?;
        secrets::remove(&mut tx, KIND, found.id).await?;
        let detail = json!({ "id": found.id, "provider": found.provider.name() });
        audit::write(&mut tx, actor.as_str(), "dns.rm", found.host.as_str(), &detail).await?;
        tx.commit().await?;
        changes::tell(db, found.tenant).await;
        Ok(Done { id: found.id, host: found.host.to_string(), bell: Vec::new() })
    })
    .await
}

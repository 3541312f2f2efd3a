//! `dns import`: configurations of other clients become records: all that could be read of a file at once, or none.

use std::time::Duration;

use serde::Serialize;
use sqlx::PgPool;

use super::record::{Families, New, insert, ready};
use crate::{
    admin::{Actor, AdminError},
    dns::{
        Host, Provider,
        import::{self, Places},
    },
    job::Policy,
    secrets::KeyRing,
    store::{dns_records::RecordId, job_state::Wanted},
};

/// What applies to all names of a file.
#[derive(Debug, Clone)]
pub struct To<'a> {
    /// Whose they are to be, by name.
    pub tenant: &'a str,
    /// The address that they follow, by name.
    pub address: &'a str,
    /// In which families they are kept.
    pub families: Families,
    /// Seconds; none: what is there, or the provider's own.
    pub ttl: Option<u32>,
    /// What was sent is sent again after this time; none: never.
    pub forced_interval: Option<Duration>,
    /// Whether the zone's servers are asked after an update.
    pub verify: bool,
}

/// What came of a file.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize)]
pub struct Imported {
    /// Whether it is stored; false: it was a dry run.
    pub stored: bool,
    /// The names, in the order of the lines.
    pub records: Vec<Taken>,
    /// What could not be taken over, and every fault that was seen.
    pub faults: Vec<Fault>,
    /// What the places are counted in.
    #[serde(skip)]
    pub places: Places,
    /// For the bell, after the commit.
    #[serde(skip)]
    pub bell: Vec<Wanted>,
}

/// A name that was read.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Taken {
    /// Where it stands, from 1: its line, in JSON the number of its setting.
    pub line: usize,
    /// The name.
    pub host: String,
    /// Who holds it.
    pub provider: &'static str,
    /// Its record; none: it was a dry run, or there was one already.
    pub id: Option<RecordId>,
    /// Whether there was a record of that name at that provider already, which stays as it is.
    pub there: bool,
}

/// Something to be seen to.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Fault {
    /// Its line, from 1, in JSON the number of its setting; 0: the file as a whole.
    pub line: usize,
    /// What, and what to do.
    pub what: String,
}

/// Takes over what could be read of a file; what could not was left out with a fault. Names that do not fit to the address or its
/// families refuse the whole file. Without `keys` it is a dry
/// run.
pub async fn import(
    db: &PgPool,
    actor: &Actor,
    keys: Option<&KeyRing>,
    policies: &[Policy],
    read: &import::Import,
    to: &To<'_>,
) -> Result<Imported, AdminError> {
    let mut imported = Imported { stored: keys.is_some(), places: read.places, ..Imported::default() };
    imported.faults =
        read.faults.iter().map(|fault| Fault { line: fault.line, what: fault.what.clone() }).collect();
    let mut seen: Vec<(&Host, &'static str)> = Vec::new();
    let mut tx = db.begin().await?;
    for record in &read.records {
        let place = (&record.host, record.provider.name());
        if seen.contains(&place) {
            let what = format!("{} at {}: one before is taken, this one is left out", place.0, place.1);
            imported.faults.push(Fault { line: record.line, what });
            continue;
        }
        seen.push(place);
        let new = new(record, to);
        let named = |error| match error {
            AdminError::Refused(why) => {
                AdminError::Refused(format!("{}: {}: {why}", read.places.name(record.line), record.host))
            }
            error => error,
        };
        let mut taken = Taken {
            line: record.line,
            host: record.host.to_string(),
            provider: record.provider.name(),
            id: None,
            there: false,
        };
        match keys {
            None => {
                let ready = ready(&mut tx, &new).await.map_err(named)?;
                taken.there = is_there(&mut tx, ready.tenant, &record.host, &record.provider).await?;
            }
            Some(keys) => match insert(&mut tx, actor, keys, policies, &new).await.map_err(named)? {
                Some(done) => {
                    taken.id = Some(done.id);
                    imported.bell.extend(done.bell);
                }
                None => taken.there = true,
            },
        }
        imported.records.push(taken);
    }
    tx.commit().await?;
    imported.faults.sort_by_key(|fault| fault.line);
    Ok(imported)
}

fn new<'a>(record: &'a import::Record, to: &To<'a>) -> New<'a> {
    New {
        tenant: to.tenant,
        host: &record.host,
        address: to.address,
        provider: &record.provider,
        secret: &record.secret,
        families: to.families,
        ttl: to.ttl,
        min_interval: None,
        forced_interval: to.forced_interval,
        verify: to.verify,
        verify_servers: &[],
    }
}

async fn is_there(
    conn: &mut sqlx::PgConnection,
    tenant: i64,
    host: &Host,
    provider: &Provider,
) -> Result<bool, sqlx::Error> {
    sqlx::query_scalar!(
        r#"-- admin::dns::import::is_there
        select exists (
            select from dns_records where tenant_id = $1 and host = $2 and provider ->> 'provider' = $3
        ) as "there!""#,
        tenant,
        host.as_str(),
        provider.name(),
    )
    .fetch_one(conn)
    .await
}

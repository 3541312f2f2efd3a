//! `dns import`: configurations of other clients become records: all that could be read of a file at once, or none.

use std::time::Duration;

use serde::Serialize;
use sqlx::PgPool;

use super::{
    record::{Families, New, insert, ready},
    word,
};
use crate::{
    admin::{Actor, AdminError},
    dns::{
        Host, Provider,
        address::Family,
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
    /// In which families they are kept. None of both: in those that the file says, else in all that the address has.
    pub families: Families,
    /// Seconds; none: what the file says, else what is there, or the provider's own.
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
    /// What a `place` counts.
    pub places: Places,
    /// The names, in the order of their places.
    pub records: Vec<Taken>,
    /// What could not be taken over, and every fault that was seen.
    pub faults: Vec<Fault>,
    /// For the bell, after the commit.
    #[serde(skip)]
    pub bell: Vec<Wanted>,
}

/// A name that was read.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Taken {
    /// Where it stands, from 1: its line, in a file in JSON the number of its setting.
    pub place: usize,
    /// The name.
    pub host: String,
    /// Who holds it.
    pub provider: &'static str,
    /// Its record; none: it was a dry run, or there was one already.
    pub id: Option<RecordId>,
    /// Whether there was a record of that name at that provider already, which stays as it is.
    pub there: bool,
    /// The families that it is to be kept in; empty: all that its address has.
    pub families: Vec<Family>,
    /// Its TTL in seconds; none: what is there, or the provider's own.
    pub ttl: Option<u32>,
}

/// Something to be seen to.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Fault {
    /// Where it stands, from 1: its line, in a file in JSON the number of its setting; 0: the file as a whole.
    pub place: usize,
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
        read.faults.iter().map(|fault| Fault { place: fault.place, what: fault.what.clone() }).collect();
    let mut seen: Vec<(&Host, &'static str)> = Vec::new();
    let mut tx = db.begin().await?;
    for record in &read.records {
        let place = (&record.host, record.provider.name());
        if seen.contains(&place) {
            let what = format!("{} at {}: one before is taken, this one is left out", place.0, place.1);
            imported.faults.push(Fault { place: record.place, what });
            continue;
        }
        seen.push(place);
        let (kept, left) = kept(record, to);
        let told = |what| Fault { place: record.place, what: format!("{}: {what}", record.host) };
        imported.faults.extend(left.into_iter().map(told));
        let new = new(record, to, kept);
        let at = |why| format!("{}: {}: {why}", read.places.name(record.place), record.host);
        let named = |error| match error {
            AdminError::Refused(why) => AdminError::Refused(at(why)),
            AdminError::Invalid(why) => AdminError::Invalid(at(why)),
            error => error,
        };
        let mut taken = Taken {
            place: record.place,
            host: record.host.to_string(),
            provider: record.provider.name(),
            id: None,
            there: false,
            families: new.families.named(),
            ttl: new.ttl,
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
    imported.faults.sort_by_key(|fault| fault.place);
    Ok(imported)
}

/// In which families a name is kept and with which TTL: as the command says, else as the file does. And what is not taken over of both.
fn kept(record: &import::Record, to: &To<'_>) -> ((Families, Option<u32>), Vec<String>) {
    let mut left = Vec::new();
    let has = |family| record.families.contains(&family);
    let of_file = Families { ipv4: has(Family::Ipv4), ipv6: has(Family::Ipv6), host_id: None };
    let families = match (record.families.is_empty(), to.families.named()) {
        (false, chosen) if chosen.is_empty() => of_file,
        (false, chosen) if chosen != of_file.named() => {
            let words: Vec<_> = of_file.named().into_iter().map(word).collect();
            let words = words.join(" and ");
            left.push(format!("the families of the file ({words}) give way to those of the command"));
            to.families
        }
        _ => to.families,
    };
    let ttl = match (to.ttl, record.ttl) {
        (Some(_), _) if !record.provider.takes_ttl() => {
            left.push(format!("--ttl is left out: {} lets none be chosen", record.provider.name()));
            None
        }
        (Some(ttl), Some(other)) if ttl != other => {
            left.push(format!("ttl {other} of the file gives way to --ttl"));
            Some(ttl)
        }
        (ttl, of_file) => ttl.or(of_file),
    };
    ((families, ttl), left)
}

fn new<'a>(record: &'a import::Record, to: &To<'a>, (families, ttl): (Families, Option<u32>)) -> New<'a> {
    New {
        tenant: to.tenant,
        host: &record.host,
        address: to.address,
        provider: &record.provider,
        secret: &record.secret,
        families,
        ttl,
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

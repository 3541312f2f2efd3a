//! Dry runs: exactly what would be sent, with `***` for the secret. Nothing is written, and nothing is sent.

use std::net::IpAddr;

use chrono::{DateTime, Utc};
use serde::Serialize;
use sqlx::PgConnection;

use super::{
    RecordRef,
    record::{New, Ready, get, ready, stand_in},
};
use crate::{
    admin::{AdminError, words},
    dns::{
        address::{Family, NoAddress},
        provider::Step,
    },
    store::dns_records::{Record, RecordFamily},
};

/// What an update would be.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Plan {
    /// The name.
    pub host: String,
    /// Who holds it.
    pub provider: &'static str,
    /// What would become of each family.
    pub families: Vec<Planned>,
    /// Nothing is sent before; none: at once.
    pub not_before: Option<DateTime<Utc>>,
    /// Why not.
    pub not_before_why: Option<String>,
    /// What would be sent, step by step; with addresses for documentation in place of those that nobody has told yet.
    pub steps: Vec<Step>,
}

/// What would become of a family.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Planned {
    /// The family.
    pub family: Family,
    /// The address that is meant; none: there is none yet.
    pub address: Option<IpAddr>,
    /// Whether it would be sent.
    pub sent: bool,
    /// What would be done, or why nothing is.
    pub what: String,
}

/// What adding a record would send. Everything is looked at as when it is added.
pub async fn of_new(conn: &mut PgConnection, new: &New<'_>, now: DateTime<Utc>) -> Result<Plan, AdminError> {
    let Ready { families, wanted, unknown, .. } = ready(conn, new).await?;
    let planned = families.iter().map(|(family, _)| {
        let unknown = unknown.iter().find(|(unknown, _)| unknown == family);
        let address = wanted.addresses().into_iter().find(|address| family.has(*address));
        Planned {
            family: *family,
            address: address.filter(|_| unknown.is_none()),
            sent: unknown.is_none(),
            what: match (address, unknown) {
                (Some(address), Some((_, why))) => stood_for(*why, address),
                _ => "is sent".to_owned(),
            },
        }
    });
    Ok(Plan {
        host: new.host.to_string(),
        provider: new.provider.name(),
        families: planned.collect(),
        not_before: None,
        not_before_why: None,
        steps: new.provider.plan(&wanted, now),
    })
}

/// What an update of a record would send now.
pub async fn of_record(
    conn: &mut PgConnection,
    record: &RecordRef,
    of: Option<&str>,
    force: bool,
) -> Result<Plan, AdminError> {
    let record = get(conn, record, of).await?;
    Ok(plan(&record, force))
}

/// Why nothing is sent of a family, and what stands for its address.
fn stood_for(why: NoAddress, address: IpAddr) -> String {
    format!("{why}: nothing is sent until then; {address} stands for it here")
}

fn plan(record: &Record, force: bool) -> Plan {
    // Of a name that has nothing to follow yet the steps are shown all the same.
    let untold = record.families.iter().all(|family| family.to_have().is_err());
    let families: Vec<Planned> =
        record.families.iter().map(|family| planned(record, family, force, untold)).collect();
    let sent: Vec<IpAddr> =
        families.iter().filter(|planned| planned.sent).filter_map(|planned| planned.address).collect();
    let not_before = record.not_before.filter(|at| !sent.is_empty() && *at > record.now);
    let shown = if untold {
        record.families.iter().map(|family| stand_in(family.family, family.host_id)).collect()
    } else {
        sent
    };
    Plan {
        host: record.host.to_string(),
        provider: record.provider.name(),
        not_before,
        not_before_why: not_before.and(record.not_before_why.clone()),
        steps: if shown.is_empty() {
            Vec::new()
        } else {
            record.provider.plan(&record.given(&shown), record.now)
        },
        families,
    }
}

fn planned(record: &Record, family: &RecordFamily, force: bool, untold: bool) -> Planned {
    let address = family.to_have();
    let (sent, what) = match (address, &family.parked, family.sending) {
        (Err(why), ..) if untold => (false, stood_for(why, stand_in(family.family, family.host_id))),
        (Err(why), ..) => (false, format!("{why}: nothing is sent until then")),
        (_, Some(parked), _) if !force => {
            let why = family.parked_why.as_deref().unwrap_or_default();
            (false, format!("parked ({parked}: {why}): nothing is sent until --force or `syncfleet dns set`"))
        }
        (_, _, Some(open)) => (
            true,
            format!(
                "whether {open} has arrived is not known: the zone's servers are asked first, and it is sent only if it has not"
            ),
        ),
        (Ok(address), ..)
            if family.sent == Some(address) && !family.resend && !force && !is_over(record, family) =>
        {
            let ago = family.sent_at.map(|at| words::when(at, record.now)).unwrap_or_default();
            (false, format!("was sent {ago}: nothing is sent"))
        }
        _ => (true, "is sent".to_owned()),
    };
    Planned { family: family.family, address: address.ok(), sent, what }
}

/// Whether it is time to send again what was sent.
fn is_over(record: &Record, family: &RecordFamily) -> bool {
    match (record.forced_interval, family.sent_at) {
        (Some(forced), Some(at)) => {
            record.now - at >= chrono::TimeDelta::from_std(forced).unwrap_or(chrono::TimeDelta::MAX)
        }
        _ => false,
    }
}

//! Families of a name for which nothing is sent: a job may have nothing to do although its name does not follow.

use std::fmt;

use serde::Serialize;
use sqlx::PgConnection;

use crate::{
    admin::{AdminError, job::Job},
    dns::address::{Family, NoAddress},
    store::{
        dns_addresses,
        dns_records::{self, Record, RecordFamily},
    },
};

/// A family of a name for which nothing is sent until somebody acts.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Unserved {
    /// The family.
    pub family: Family,
    /// Why not.
    pub why: String,
    /// What to do.
    pub remedy: String,
}

impl fmt::Display for Unserved {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}; {}", self.family, self.why, self.remedy)
    }
}

/// Those of the name that a job keeps; none of a job of another kind.
pub(super) async fn read(conn: &mut PgConnection, job: &Job) -> Result<Vec<Unserved>, AdminError> {
    let id = job.key.parse().ok().filter(|_| job.kind == dns_records::KIND);
    let Some(id) = id else { return Ok(Vec::new()) };
    let Some(record) = dns_records::get(&mut *conn, id).await? else { return Ok(Vec::new()) };
    let is_parked = job.parked.as_ref().is_some_and(|parked| parked != "gate");
    let record = if is_parked { record } else { record.released() };
    let address = dns_addresses::get(conn, record.address).await?;
    let address = address.map_or_else(|| record.address.to_string(), |address| address.name);
    Ok(record.families.iter().filter_map(|family| of(&record, family, &address)).collect())
}

fn of(record: &Record, family: &RecordFamily, address: &str) -> Option<Unserved> {
    let host = &record.host;
    let (why, remedy) = match (&family.parked, family.to_have()) {
        (Some(parked), _) => (
            format!("parked: {parked} ({})", family.parked_why.as_deref().unwrap_or_default()),
            format!(
                "mend the cause by `syncfleet dns set {host}`, or at the provider and then `syncfleet dns update {host} --force`"
            ),
        ),
        (None, Err(why @ NoAddress::Untold)) => {
            (why.to_string(), format!("`syncfleet dns address show {address}` says who is to tell it"))
        }
        (None, Err(why @ NoAddress::NetworkAlone)) => {
            (why.to_string(), format!("`syncfleet dns set {host} --host-id ID` gives it one"))
        }
        (None, Ok(_)) => return None,
    };
    Some(Unserved { family: family.family, why, remedy })
}

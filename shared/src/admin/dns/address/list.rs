use std::{collections::BTreeMap, net::IpAddr};

use chrono::{DateTime, Utc};
use serde::Serialize;
use sqlx::PgConnection;

use super::named;
use crate::{
    admin::{AdminError, dns::source, tenant},
    dns::address::Family,
    job::JobId,
    store::dns_addresses::{self, AddressId},
};

/// An address that moves.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Address {
    /// Its number.
    pub id: AddressId,
    /// Whose it is.
    pub tenant: String,
    /// Its name.
    pub name: String,
    /// Its families, IPv4 first.
    pub families: Vec<AddressFamily>,
    /// How often sources are asked, in seconds.
    pub every_seconds: u64,
    /// Networks that it may lie in although they are not of the public internet.
    pub allowed: Vec<String>,
    /// How many records point at it.
    pub records: i64,
    /// The names that routers call to tell it, the first hundred.
    pub told_as: Vec<String>,
    /// The job that asks its sources; none: only routers tell it.
    pub job: Option<JobId>,
    /// When it was added.
    pub created_at: DateTime<Utc>,
}

/// A family of an address.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct AddressFamily {
    /// The family.
    pub family: Family,
    /// Its source, as it is typed.
    pub source: String,
    /// What it is; none: nobody has told it yet.
    pub address: Option<IpAddr>,
    /// Since when it is so.
    pub since: Option<DateTime<Utc>>,
    /// When it was told last.
    pub told_at: Option<DateTime<Utc>>,
    /// By whom: `source`, or a login's user name.
    pub told_by: Option<String>,
    /// Since when its source tells nothing, or a router what cannot be used.
    pub failing_since: Option<DateTime<Utc>>,
    /// Why.
    pub failing_why: Option<String>,
}

impl From<dns_addresses::AddressFamily> for AddressFamily {
    fn from(row: dns_addresses::AddressFamily) -> Self {
        Self {
            family: row.family,
            source: source::text(row.source.as_ref()),
            address: row.address,
            since: row.since,
            told_at: row.told_at,
            told_by: row.told_by,
            failing_since: row.failing_since,
            failing_why: row.failing_why,
        }
    }
}

/// Which addresses.
#[derive(Debug, Clone, Default)]
pub struct Filter {
    /// Of this tenant only, by name.
    pub tenant: Option<String>,
    /// Only those after this number.
    pub after: AddressId,
    /// At most so many.
    pub limit: i64,
}

/// Addresses in the order of their numbers.
pub async fn ls(conn: &mut PgConnection, filter: &Filter) -> Result<Vec<Address>, AdminError> {
    let tenant = match &filter.tenant {
        Some(name) => Some(tenant::find(conn, name).await?),
        None => None,
    };
    let ids = dns_addresses::ids(conn, tenant, filter.after, filter.limit).await?;
    of(conn, &ids).await
}

/// One address.
pub async fn show(conn: &mut PgConnection, name: &str, of: Option<&str>) -> Result<Address, AdminError> {
    let id = named(conn, name, of).await?.id;
    self::of(conn, &[id]).await?.pop().ok_or_else(|| AdminError::not_found("address", name, ""))
}

async fn of(conn: &mut PgConnection, ids: &[AddressId]) -> Result<Vec<Address>, AdminError> {
    let beside = sqlx::query!(
        r#"-- admin::dns::address::of
        select a.id, t.name as tenant, a.created_at,
            (select count(*) from dns_records r where r.address_id = a.id) as "records!",
            array(select h.hostname from dns_hosts h where h.address_id = a.id order by 1 limit 100) as "told_as!",
            (select j.id from jobs j where j.kind = 'dns_address' and j.key = a.id::text) as job
        from dns_addresses a
        join tenants t on t.id = a.tenant_id
        where a.id = any($1)"#,
        ids,
    )
    .fetch_all(&mut *conn)
    .await?;
    let mut beside: BTreeMap<AddressId, _> = beside.into_iter().map(|row| (row.id, row)).collect();
    let addresses = dns_addresses::of(conn, ids).await?;
    // One that was removed between the two reads is left out.
    let all = addresses.into_iter().filter_map(|address| {
        let row = beside.remove(&address.id)?;
        Some(Address {
            id: address.id,
            tenant: row.tenant,
            name: address.name,
            families: address.families.into_iter().map(Into::into).collect(),
            every_seconds: address.interval.as_secs(),
            allowed: super::texts(&address.allowed),
            records: row.records,
            told_as: row.told_as,
            job: row.job,
            created_at: row.created_at,
        })
    });
    Ok(all.collect())
}

//! Addresses that move: table `dns_addresses`; how each family of them stands is in `families`. An address that has a source has
//! one job of the kind `dns_address`, whose key is its number.

mod families;
mod turn;

use std::{net::IpAddr, time::Duration};

use chrono::{DateTime, Utc};
use serde::Serialize;
use sqlx::PgConnection;

pub use self::{
    families::{await_router, failed, found, put_family, remove_family},
    turn::tell_turn,
};
use super::{parsed, whole_seconds};
use crate::{
    dns::address::{Family, Source},
    guard::Network,
    job::{JobId, TenantId},
};

/// The kind of an address's job.
pub const KIND: &str = "dns_address";

/// An address's row.
pub type AddressId = i64;

/// An address to be.
#[derive(Debug, Clone)]
pub struct NewAddress<'a> {
    /// Whose it is.
    pub tenant: TenantId,
    /// Its name, of lower-case letters, digits and `._-`.
    pub name: &'a str,
    /// How often its sources are asked: a minute to a day.
    pub interval: Duration,
    /// Networks that it may lie in although they are not of the public internet.
    pub allowed: &'a [Network],
}

/// An address, with its families.
#[derive(Debug, Clone)]
pub struct Address {
    /// Its row.
    pub id: AddressId,
    /// Whose it is.
    pub tenant: TenantId,
    /// Its name.
    pub name: String,
    /// How often its sources are asked.
    pub interval: Duration,
    /// Networks that it may lie in although they are not of the public internet.
    pub allowed: Vec<Network>,
    /// Its families, IPv4 first.
    pub families: Vec<AddressFamily>,
}

/// How a family of an address stands.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct AddressFamily {
    /// The family.
    pub family: Family,
    /// Where it comes from; none: only routers tell it.
    pub source: Option<Source>,
    /// What it is; none: nobody has told it yet.
    pub address: Option<IpAddr>,
    /// Since when it is so.
    pub since: Option<DateTime<Utc>>,
    /// When it was told last.
    pub told_at: Option<DateTime<Utc>>,
    /// By whom: `source`, or a login's user name.
    pub told_by: Option<String>,
    /// Since when it is not told: its source tells nothing, or, where only routers tell it, what one told cannot be used. None: it was told
    /// the last time.
    pub failing_since: Option<DateTime<Utc>>,
    /// Why.
    pub failing_why: Option<String>,
}

/// Adds an address without families; none: the tenant has one of that name.
pub async fn insert(conn: &mut PgConnection, new: &NewAddress<'_>) -> Result<Option<AddressId>, sqlx::Error> {
    let allowed: Vec<String> = new.allowed.iter().map(ToString::to_string).collect();
    sqlx::query_scalar!(
        "-- dns_addresses::insert
        insert into dns_addresses (tenant_id, name, interval_seconds, allowed, created_at)
        values ($1, $2, $3, $4, clock())
        on conflict (tenant_id, name) do nothing
        returning id",
        new.tenant,
        new.name,
        whole_seconds(new.interval),
        &allowed,
    )
    .fetch_optional(conn)
    .await
}

/// Changes how often the sources are asked, and what is allowed. Says whether there is such an address.
pub async fn set(
    conn: &mut PgConnection,
    id: AddressId,
    interval: Duration,
    allowed: &[Network],
) -> Result<bool, sqlx::Error> {
    let allowed: Vec<String> = allowed.iter().map(ToString::to_string).collect();
    sqlx::query!(
        "-- dns_addresses::set
        update dns_addresses set interval_seconds = $2, allowed = $3 where id = $1",
        id,
        whole_seconds(interval),
        &allowed,
    )
    .execute(conn)
    .await
    .map(|done| done.rows_affected() == 1)
}

/// An address; none: there is none of that number.
pub async fn get(conn: &mut PgConnection, id: AddressId) -> Result<Option<Address>, sqlx::Error> {
    Ok(of(conn, &[id]).await?.pop())
}

/// The same, held: until the transaction ends nobody else changes it, nor tells whether it fails. What routers tell is written all the same.
pub async fn hold(conn: &mut PgConnection, id: AddressId) -> Result<Option<Address>, sqlx::Error> {
    sqlx::query!("-- dns_addresses::hold\nselect id from dns_addresses where id = $1 for no key update", id)
        .fetch_optional(&mut *conn)
        .await?;
    get(conn, id).await
}

/// A tenant's address by its name; none: it has none of that name.
pub async fn find(
    conn: &mut PgConnection,
    tenant: TenantId,
    name: &str,
) -> Result<Option<AddressId>, sqlx::Error> {
    sqlx::query_scalar!(
        "-- dns_addresses::find\nselect id from dns_addresses where tenant_id = $1 and name = $2",
        tenant,
        name,
    )
    .fetch_optional(conn)
    .await
}

/// The next `limit` addresses after a number, of one tenant or of all.
pub async fn ids(
    conn: &mut PgConnection,
    tenant: Option<TenantId>,
    after: AddressId,
    limit: i64,
) -> Result<Vec<AddressId>, sqlx::Error> {
    sqlx::query_scalar!(
        "-- dns_addresses::ids
        select id from dns_addresses where id > $2 and ($1::bigint is null or tenant_id = $1) order by id limit $3",
        tenant,
        after,
        limit,
    )
    .fetch_all(conn)
    .await
}

/// These addresses, in the order of their numbers. Those that are not there are left out.
pub async fn of(conn: &mut PgConnection, ids: &[AddressId]) -> Result<Vec<Address>, sqlx::Error> {
    let rows = sqlx::query!(
        r#"-- dns_addresses::of
        select a.id, a.tenant_id, a.name, a.interval_seconds, a.allowed, f.family as "family?: Family", f.source as "source?",
            host(f.address) as "address?", f.since as "since?", f.told_at as "told_at?", f.told_by as "told_by?",
            f.failing_since as "failing_since?", f.failing_why as "failing_why?"
        from dns_addresses a
        left join dns_address_families f on f.address_id = a.id
        where a.id = any($1)
        order by a.id, f.family"#,
        ids,
    )
    .fetch_all(conn)
    .await?;
    let mut found: Vec<Address> = Vec::new();
    for row in rows {
        if found.last().is_none_or(|last| last.id != row.id) {
            found.push(Address {
                id: row.id,
                tenant: row.tenant_id,
                name: row.name,
                interval: Duration::from_secs(row.interval_seconds.unsigned_abs().into()),
                allowed: row.allowed.iter().map(|network| parsed(network)).collect::<Result<_, _>>()?,
                families: Vec::new(),
            });
        }
        let (Some(family), Some(address)) = (row.family, found.last_mut()) else { continue };
        let source = row.source.map(serde_json::from_value).transpose();
        address.families.push(AddressFamily {
            family,
            source: source.map_err(|error| sqlx::Error::Decode(error.into()))?,
            address: row.address.as_deref().map(parsed).transpose()?,
            since: row.since,
            told_at: row.told_at,
            told_by: row.told_by,
            failing_since: row.failing_since,
            failing_why: row.failing_why,
        });
    }
    Ok(found)
}

/// The jobs of the records that point at these addresses: what is to be wanted when they move.
pub async fn records_of(conn: &mut PgConnection, addresses: &[AddressId]) -> Result<Vec<JobId>, sqlx::Error> {
    sqlx::query_scalar!(
        r#"-- dns_addresses::records_of
        select j.id as "id!"
        from dns_records r
        -- A look at the index for each record: the planner, left alone, reads all jobs of the kind rather than thousands.
        cross join lateral (select id from jobs where kind = 'dns_record' and key = r.id::text offset 0) j
        where r.address_id = any($1)
        order by j.id"#,
        addresses,
    )
    .fetch_all(conn)
    .await
}

/// Removes an address, to which no record points any more, with its families and the names that routers call for it. Its job
/// is removed by [`super::jobs::remove`], before. Says whether it was there.
pub async fn remove(conn: &mut PgConnection, id: AddressId) -> Result<bool, sqlx::Error> {
    sqlx::query!("-- dns_addresses::remove\ndelete from dns_addresses where id = $1", id)
        .execute(conn)
        .await
        .map(|done| done.rows_affected() == 1)
}

/// How many addresses are not told: their source tells nothing, or a router what cannot be used.
pub async fn failing(conn: &mut PgConnection) -> Result<i64, sqlx::Error> {
    sqlx::query_scalar!(
        r#"-- dns_addresses::failing
        select count(distinct address_id) as "failing!" from dns_address_families where failing_since is not null"#,
    )
    .fetch_one(conn)
    .await
}

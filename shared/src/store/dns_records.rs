//! Names at providers that point at addresses: tables `dns_records` and `dns_record_families`. Each record has one job of the kind
//! `dns_record`, whose key is its number. What a step writes is in `keep`.

mod keep;
mod read;
mod release;

use std::{net::SocketAddr, time::Duration};

use sqlx::PgConnection;

pub use self::{
    keep::{MovedError, begin_sending, write},
    read::{Record, RecordFamily, get, hold, of},
    release::{ACCEPTED, Parked, parked, release, release_parked},
};
use super::{dns_addresses::AddressId, whole_seconds};
use crate::{
    dns::{
        Host, Provider,
        address::{Family, HostId},
    },
    job::TenantId,
};

/// The kind of a record's job.
pub const KIND: &str = "dns_record";

/// The name of a record's secret among its sealed values.
pub const SECRET: &str = "secret";

/// A record's row.
pub type RecordId = i64;

/// A record to be, or its settings to be.
#[derive(Debug, Clone)]
pub struct NewRecord<'a> {
    /// Whose it is.
    pub tenant: TenantId,
    /// The address that it points at.
    pub address: AddressId,
    /// The name.
    pub host: &'a Host,
    /// Who holds it.
    pub provider: &'a Provider,
    /// Seconds; none: what is there, or the provider's own.
    pub ttl: Option<u32>,
    /// The least time between two updates: not below the provider's.
    pub min_interval: Duration,
    /// What was sent is sent again after this time, of a day to a year; none: never.
    pub forced_interval: Option<Duration>,
    /// Whether the zone's servers are asked after an update.
    pub verify: bool,
    /// The servers to ask; none: those that the zone names.
    pub verify_servers: Option<&'a [SocketAddr]>,
    /// The families that it is kept in, each once, with the host's own part of an IPv6 address.
    pub families: &'a [(Family, Option<HostId>)],
}

impl NewRecord<'_> {
    fn ttl(&self) -> Option<i32> {
        self.ttl.map(|ttl| i32::try_from(ttl).unwrap_or(i32::MAX))
    }

    fn servers(&self) -> Option<Vec<String>> {
        self.verify_servers.map(|servers| servers.iter().map(ToString::to_string).collect())
    }

    fn provider(&self) -> Result<serde_json::Value, sqlx::Error> {
        serde_json::to_value(self.provider).map_err(|error| sqlx::Error::Encode(error.into()))
    }
}

/// Adds a record; none: the tenant has one of that name at that provider. Its secret, its job and the first want are the caller's.
pub async fn insert(conn: &mut PgConnection, new: &NewRecord<'_>) -> Result<Option<RecordId>, sqlx::Error> {
    let servers = new.servers();
    let id = sqlx::query_scalar!(
        "-- dns_records::insert
        insert into dns_records (
            tenant_id, address_id, host, provider, ttl, min_interval_seconds, forced_interval_seconds, verify,
            verify_servers, created_at
        )
        values ($1, $2, $3, $4, $5, $6, $7, $8, $9, clock())
        on conflict (tenant_id, host, (provider ->> 'provider')) do nothing
        returning id",
        new.tenant,
        new.address,
        new.host.as_str(),
        new.provider()?,
        new.ttl(),
        whole_seconds(new.min_interval),
        new.forced_interval.map(whole_seconds),
        new.verify,
        servers.as_deref(),
    )
    .fetch_optional(&mut *conn)
    .await?;
    if let Some(id) = id {
        set_families(conn, id, new.families).await?;
    }
    Ok(id)
}

/// Changes all settings of a record but its tenant and its name. Says whether there is such a record. As what a person changes may be what
/// the provider refused, [`release`] is to follow.
pub async fn set(conn: &mut PgConnection, id: RecordId, new: &NewRecord<'_>) -> Result<bool, sqlx::Error> {
    let servers = new.servers();
    let done = sqlx::query!(
        "-- dns_records::set
        update dns_records set
            address_id = $2, provider = $3, ttl = $4, min_interval_seconds = $5, forced_interval_seconds = $6,
            verify = $7, verify_servers = $8, kept_since = clock(), step = step + 1
        where id = $1",
        id,
        new.address,
        new.provider()?,
        new.ttl(),
        whole_seconds(new.min_interval),
        new.forced_interval.map(whole_seconds),
        new.verify,
        servers.as_deref(),
    )
    .execute(&mut *conn)
    .await?;
    if done.rows_affected() == 0 {
        return Ok(false);
    }
    set_families(conn, id, new.families).await?;
    Ok(true)
}

async fn set_families(
    conn: &mut PgConnection,
    id: RecordId,
    families: &[(Family, Option<HostId>)],
) -> Result<(), sqlx::Error> {
    let (families, host_ids): (Vec<Family>, Vec<Option<HostId>>) = families.iter().copied().unzip();
    let host_ids: Vec<Option<String>> = host_ids.into_iter().map(|id| id.map(|id| id.to_string())).collect();
    sqlx::query!(
        "-- dns_records::set_families (1)
        delete from dns_record_families where record_id = $1 and family <> all($2)",
        id,
        &families as &[Family],
    )
    .execute(&mut *conn)
    .await?;
    sqlx::query!(
        "-- dns_records::set_families (2)
        insert into dns_record_families (record_id, family, host_id)
        select $1, family, host_id from unnest($2::address_family[], $3::text[]) as n (family, host_id) order by family
        on conflict (record_id, family) do update set host_id = excluded.host_id",
        id,
        &families as &[Family],
        &host_ids as &[Option<String>],
    )
    .execute(conn)
    .await
    .map(drop)
}

/// The next `limit` records after a number, of one tenant or of all.
pub async fn ids(
    conn: &mut PgConnection,
    tenant: Option<TenantId>,
    after: RecordId,
    limit: i64,
) -> Result<Vec<RecordId>, sqlx::Error> {
    sqlx::query_scalar!(
        "-- dns_records::ids
        select id from dns_records where id > $2 and ($1::bigint is null or tenant_id = $1) order by id limit $3",
        tenant,
        after,
        limit,
    )
    .fetch_all(conn)
    .await
}

/// A tenant's records of a name, one for each provider that holds it.
pub async fn find(
    conn: &mut PgConnection,
    tenant: TenantId,
    host: &Host,
) -> Result<Vec<RecordId>, sqlx::Error> {
    sqlx::query_scalar!(
        "-- dns_records::find\nselect id from dns_records where tenant_id = $1 and host = $2 order by id",
        tenant,
        host.as_str(),
    )
    .fetch_all(conn)
    .await
}

/// Removes a record with its history; the name at its provider stays. Its job is removed by [`super::jobs::remove`], before, and its
/// secret by [`super::secrets::remove`]. Says whether it was there.
pub async fn remove(conn: &mut PgConnection, id: RecordId) -> Result<bool, sqlx::Error> {
    sqlx::query!("-- dns_records::remove\ndelete from dns_records where id = $1", id)
        .execute(conn)
        .await
        .map(|done| done.rows_affected() == 1)
}

/// How many records do not follow their address.
pub async fn failing(conn: &mut PgConnection) -> Result<i64, sqlx::Error> {
    sqlx::query_scalar!(
        r#"-- dns_records::failing
        select count(distinct record_id) as "failing!" from dns_record_families where failing_since is not null"#,
    )
    .fetch_one(conn)
    .await
}

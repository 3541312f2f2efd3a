use std::{
    net::{IpAddr, SocketAddr},
    time::Duration,
};

use chrono::{DateTime, Utc};
use serde::Serialize;
use sqlx::PgConnection;

use super::RecordId;
use crate::{
    dns::{
        Host, Provider, Wanted,
        address::{Family, HostId, NoAddress, of_host},
    },
    job::TenantId,
    store::{dns_addresses::AddressId, parsed},
};

/// A record, with its families and the addresses that they are to have: all of one moment.
#[derive(Debug, Clone)]
pub struct Record {
    /// Its row.
    pub id: RecordId,
    /// Whose it is.
    pub tenant: TenantId,
    /// The address that it points at.
    pub address: AddressId,
    /// The name.
    pub host: Host,
    /// Who holds it.
    pub provider: Provider,
    /// Seconds; none: what is there, or the provider's own.
    pub ttl: Option<u32>,
    /// The least time between two updates.
    pub min_interval: Duration,
    /// What was sent is sent again after this time; none: never.
    pub forced_interval: Option<Duration>,
    /// Whether the zone's servers are asked after an update.
    pub verify: bool,
    /// The servers to ask; none: those that the zone names.
    pub verify_servers: Option<Vec<SocketAddr>>,
    /// Nothing is sent before; none: it may be sent at once.
    pub not_before: Option<DateTime<Utc>>,
    /// Why.
    pub not_before_why: Option<String>,
    /// Since when it is kept as it is set.
    pub kept_since: DateTime<Utc>,
    /// Counts writes.
    pub step: i64,
    /// The families that it is kept in, IPv4 first.
    pub families: Vec<RecordFamily>,
    /// The database's time of the read.
    pub now: DateTime<Utc>,
}

impl Record {
    /// The record as its job finds it that is not parked, although all families are: a person has released it.
    #[must_use]
    pub fn released(self) -> Self {
        if self.families.iter().any(|family| family.parked.is_none()) {
            return self;
        }
        Self { families: self.families.iter().map(RecordFamily::released).collect(), ..self }
    }

    /// What its provider is given with an update of these addresses, one of a family.
    #[must_use]
    pub fn given(&self, addresses: &[IpAddr]) -> Wanted {
        let mut wanted = Wanted { host: self.host.clone(), v4: None, v6: None, beside: None, ttl: self.ttl };
        for address in addresses {
            match address {
                IpAddr::V4(address) => wanted.v4 = Some(*address),
                IpAddr::V6(address) => wanted.v6 = Some(*address),
            }
        }
        let mut others = self
            .families
            .iter()
            .filter(|family| !addresses.iter().any(|address| family.family.has(*address)));
        wanted.beside = others.find_map(|family| family.sent);
        wanted
    }
}

/// How a record's family stands.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct RecordFamily {
    /// The family.
    pub family: Family,
    /// The host's own part of an IPv6 address; none: the address as it is.
    pub host_id: Option<HostId>,
    /// What the address is that it points at; none: nobody has told it yet.
    pub address: Option<IpAddr>,
    /// Since when it is so.
    pub since: Option<DateTime<Utc>>,
    /// What is being sent, from before the call until its outcome is known; none: nothing is.
    pub sending: Option<IpAddr>,
    /// Since when.
    pub sending_since: Option<DateTime<Utc>>,
    /// What the provider accepted last; none: nothing yet.
    pub sent: Option<IpAddr>,
    /// It is to be sent again all the same.
    pub resend: bool,
    /// When that was sent.
    pub sent_at: Option<DateTime<Utc>>,
    /// When the zone's servers answered with it; none: not yet, or they were not asked.
    pub verified_at: Option<DateTime<Utc>>,
    /// How long that took since it was sent, in milliseconds.
    pub verify_ms: Option<i64>,
    /// When it was given up to see it there; none: it was not.
    pub unverified_at: Option<DateTime<Utc>>,
    /// How often in a row the provider said that it had it already.
    pub no_changes: i32,
    /// How often in a row it refused for a reason not known to last.
    pub refusals: i32,
    /// Why nothing is sent until a person acts, in a word; none: it is sent.
    pub parked: Option<String>,
    /// The same in the provider's words.
    pub parked_why: Option<String>,
    /// Since when the name does not follow; none: it does.
    pub failing_since: Option<DateTime<Utc>>,
    /// Why.
    pub failing_why: Option<String>,
}

impl RecordFamily {
    /// What the name is to have: the address, with the host's own part if it has one. Else why there is nothing to have.
    pub fn to_have(&self) -> Result<IpAddr, NoAddress> {
        of_host(self.address, self.host_id)
    }

    /// The same; none: there is nothing to have.
    #[must_use]
    pub fn wanted(&self) -> Option<IpAddr> {
        self.to_have().ok()
    }

    /// Whether the name has its address, as far as is to be known: `verify` says whether the zone's servers are asked.
    #[must_use]
    pub fn follows(&self, verify: bool) -> bool {
        self.parked.is_none()
            && self.sending.is_none()
            && self.sent.is_some()
            && self.sent == self.wanted()
            && (self.verified_at.is_some() || !verify)
    }
}

/// A record; none: there is none of that number.
pub async fn get(conn: &mut PgConnection, id: RecordId) -> Result<Option<Record>, sqlx::Error> {
    Ok(of(conn, &[id]).await?.pop())
}

/// The same, held: nobody else changes it before the transaction ends.
pub async fn hold(conn: &mut PgConnection, id: RecordId) -> Result<Option<Record>, sqlx::Error> {
    sqlx::query!("-- dns_records::hold\nselect id from dns_records where id = $1 for no key update", id)
        .fetch_optional(&mut *conn)
        .await?;
    get(conn, id).await
}

/// These records, in the order of their numbers. Those that are not there are left out.
pub async fn of(conn: &mut PgConnection, ids: &[RecordId]) -> Result<Vec<Record>, sqlx::Error> {
    let rows = sqlx::query!(
        r#"-- dns_records::of
        select r.id, r.tenant_id, r.address_id, r.host, r.provider, r.ttl, r.min_interval_seconds, r.forced_interval_seconds,
            r.verify, r.verify_servers, nullif(r.not_before, '-infinity') as not_before, r.not_before_why, r.kept_since, r.step,
            clock() as "now!", f.family as "family?: Family", f.host_id as "host_id?", host(f.sending) as "sending?",
            f.sending_since as "sending_since?", host(f.sent) as "sent?", f.resend as "resend?", f.sent_at as "sent_at?",
            f.verified_at as "verified_at?", f.verify_ms as "verify_ms?", f.unverified_at as "unverified_at?",
            f.no_changes as "no_changes?", f.refusals as "refusals?", f.parked as "parked?", f.parked_why as "parked_why?",
            f.failing_since as "failing_since?", f.failing_why as "failing_why?",
            host(a.address) as "address?", a.since as "since?"
        from dns_records r
        left join dns_record_families f on f.record_id = r.id
        -- `offset 0`: a look at the index for each, not a scan of all addresses, which the planner takes for cheap up to thousands.
        left join lateral (
            select address, since from dns_address_families where address_id = r.address_id and family = f.family offset 0
        ) a on true
        -- The select hides the array's length from the planner: it makes one plan for all lengths, and keeps it.
        where r.id = any((select $1::bigint[])::bigint[])
        order by r.id, f.family"#,
        ids,
    )
    .fetch_all(conn)
    .await?;
    let decode = |why: String| sqlx::Error::Decode(why.into());
    let mut found: Vec<Record> = Vec::new();
    for row in rows {
        if found.last().is_none_or(|last| last.id != row.id) {
            let servers = row.verify_servers.map(|servers| servers.iter().map(|s| parsed(s)).collect());
            found.push(Record {
                id: row.id,
                tenant: row.tenant_id,
                address: row.address_id,
                host: parsed(&row.host)?,
                provider: Provider::parse(row.provider)
                    .map_err(|error| decode(format!("the provider of record {}: {error}", row.id)))?,
                ttl: row.ttl.map(i32::unsigned_abs),
                min_interval: Duration::from_secs(row.min_interval_seconds.unsigned_abs().into()),
                forced_interval: row
                    .forced_interval_seconds
                    .map(|seconds| Duration::from_secs(seconds.unsigned_abs().into())),
                verify: row.verify,
                verify_servers: servers.transpose()?,
                not_before: row.not_before,
                not_before_why: row.not_before_why,
                kept_since: row.kept_since,
                step: row.step,
                families: Vec::new(),
                now: row.now,
            });
        }
        let (Some(family), Some(record)) = (row.family, found.last_mut()) else { continue };
        record.families.push(RecordFamily {
            family,
            host_id: row.host_id.as_deref().map(parsed).transpose()?,
            address: row.address.as_deref().map(parsed).transpose()?,
            since: row.since,
            sending: row.sending.as_deref().map(parsed).transpose()?,
            sending_since: row.sending_since,
            sent: row.sent.as_deref().map(parsed).transpose()?,
            resend: row.resend.unwrap_or_default(),
            sent_at: row.sent_at,
            verified_at: row.verified_at,
            verify_ms: row.verify_ms,
            unverified_at: row.unverified_at,
            no_changes: row.no_changes.unwrap_or_default(),
            refusals: row.refusals.unwrap_or_default(),
            parked: row.parked,
            parked_why: row.parked_why,
            failing_since: row.failing_since,
            failing_why: row.failing_why,
        });
    }
    Ok(found)
}

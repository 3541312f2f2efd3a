//! Records as they are listed and shown.

use std::{collections::BTreeMap, net::IpAddr};

use chrono::{DateTime, Utc};
use serde::Serialize;
use serde_json::Value;
use sqlx::PgConnection;

use super::{RecordRef, address};
use crate::{
    admin::{AdminError, tenant, words},
    dns::{Provider, address::NoAddress},
    job::JobId,
    store::dns_records::{self, RecordFamily, RecordId},
};

/// A record.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Record {
    /// Its number.
    pub id: RecordId,
    /// Whose it is.
    pub tenant: String,
    /// The name.
    pub host: String,
    /// The address that it follows.
    pub address: String,
    /// Who holds it.
    pub provider: &'static str,
    /// The provider's settings.
    pub settings: Value,
    /// The families that it is kept in, IPv4 first.
    pub families: Vec<Family>,
    /// How it stands, in words.
    pub state: String,
    /// Seconds; none: what is there, or the provider's own.
    pub ttl: Option<u32>,
    /// The least time between two updates.
    pub min_interval_seconds: u64,
    /// What was sent is sent again after this time; none: never.
    pub forced_interval_seconds: Option<u64>,
    /// Whether the zone's servers are asked after an update.
    pub verify: bool,
    /// The servers to ask; empty: those that the zone names.
    pub verify_servers: Vec<String>,
    /// Nothing is sent before; none: it may be sent at once.
    pub not_before: Option<DateTime<Utc>>,
    /// Why.
    pub not_before_why: Option<String>,
    /// Its job.
    pub job: Option<JobId>,
    /// When it was added.
    pub created_at: DateTime<Utc>,
}

/// A family of a record.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Family {
    /// What the name is to have; none: nobody has told the address yet, or only a network, which is no host's.
    pub wanted: Option<IpAddr>,
    /// How it stands, in words.
    pub state: String,
    /// The row.
    #[serde(flatten)]
    pub row: RecordFamily,
}

/// Which records.
#[derive(Debug, Clone, Default)]
pub struct Filter {
    /// Of this tenant only, by name.
    pub tenant: Option<String>,
    /// Following this address only, by name.
    pub address: Option<String>,
    /// Only those that do not follow.
    pub failing: bool,
    /// Only those after this number.
    pub after: RecordId,
    /// At most so many.
    pub limit: i64,
}

/// Records in the order of their numbers.
pub async fn ls(conn: &mut PgConnection, filter: &Filter) -> Result<Vec<Record>, AdminError> {
    let address = match &filter.address {
        Some(name) => Some(address::named(conn, name, filter.tenant.as_deref()).await?.id),
        None => None,
    };
    let tenant = match &filter.tenant {
        Some(name) => Some(tenant::find(conn, name).await?),
        None => None,
    };
    let ids = sqlx::query_scalar!(
        "-- admin::dns::show::ls
        select id
        from dns_records r
        where id > $1 and ($2::bigint is null or tenant_id = $2) and ($3::bigint is null or address_id = $3)
            and (not $4 or exists (
                select from dns_record_families f
                where f.record_id = r.id and (f.failing_since is not null or f.parked is not null)
            ))
        order by id
        limit $5",
        filter.after,
        tenant,
        address,
        filter.failing,
        filter.limit,
    )
    .fetch_all(&mut *conn)
    .await?;
    of(conn, &ids).await
}

/// One record.
pub async fn show(
    conn: &mut PgConnection,
    record: &RecordRef,
    tenant: Option<&str>,
) -> Result<Record, AdminError> {
    let id = record.find(conn, tenant).await?;
    of(conn, &[id]).await?.pop().ok_or_else(|| AdminError::not_found("record", record, ""))
}

async fn of(conn: &mut PgConnection, ids: &[RecordId]) -> Result<Vec<Record>, AdminError> {
    let beside = sqlx::query!(
        r#"-- admin::dns::show::of
        select r.id, t.name as tenant, a.name as address, r.created_at, j.id as "job?",
            coalesce(s.phase = 'parked' and s.parked <> 'gate', true) as "parked!"
        from dns_records r
        join tenants t on t.id = r.tenant_id
        join dns_addresses a on a.id = r.address_id
        left join jobs j on j.kind = 'dns_record' and j.key = r.id::text
        left join job_state s on s.job_id = j.id
        where r.id = any($1)"#,
        ids,
    )
    .fetch_all(&mut *conn)
    .await?;
    let mut beside: BTreeMap<RecordId, _> = beside.into_iter().map(|row| (row.id, row)).collect();
    let records = dns_records::of(conn, ids).await?;
    // One that was removed between the two reads is left out.
    let all = records.into_iter().filter_map(|record| {
        let row = beside.remove(&record.id)?;
        let record = if row.parked { record } else { record.released() };
        let families: Vec<Family> = record
            .families
            .iter()
            .map(|family| Family {
                wanted: family.wanted(),
                state: state(&record, family),
                row: family.clone(),
            })
            .collect();
        Some(Record {
            id: record.id,
            tenant: row.tenant,
            host: record.host.to_string(),
            address: row.address,
            provider: record.provider.name(),
            settings: settings(&record.provider),
            state: together(&families),
            families,
            ttl: record.ttl,
            min_interval_seconds: record.min_interval.as_secs(),
            forced_interval_seconds: record.forced_interval.map(|span| span.as_secs()),
            verify: record.verify,
            verify_servers: record.verify_servers.iter().flatten().map(ToString::to_string).collect(),
            not_before: record.not_before.filter(|at| *at > record.now),
            not_before_why: record
                .not_before_why
                .filter(|_| record.not_before.is_some_and(|at| at > record.now)),
            job: row.job,
            created_at: row.created_at,
        })
    });
    Ok(all.collect())
}

/// The settings without the provider's name, which stands beside them.
fn settings(provider: &Provider) -> Value {
    let mut settings = serde_json::to_value(provider).unwrap_or_default();
    if let Some(settings) = settings.as_object_mut() {
        settings.remove("provider");
    }
    settings
}

/// How a family stands, in words.
fn state(record: &dns_records::Record, family: &RecordFamily) -> String {
    if let Some(parked) = &family.parked {
        return format!("parked: {parked}");
    }
    let wanted = match family.to_have() {
        Ok(wanted) => Some(wanted),
        Err(NoAddress::Untold) => return "no address yet".to_owned(),
        Err(why @ NoAddress::NetworkAlone) => return why.to_string(),
    };
    if family.sending.is_some() && family.failing_since.is_none() {
        return "being sent".to_owned();
    }
    if family.sent != wanted || family.resend {
        return match record.not_before.filter(|at| *at > record.now) {
            Some(at) => format!("to be sent {}", words::when(at, record.now)),
            None if family.failing_since.is_some() => "failing".to_owned(),
            None => "to be sent".to_owned(),
        };
    }
    if family.unverified_at.is_some() {
        return "sent, never seen".to_owned();
    }
    if record.verify && family.verified_at.is_none() && family.sending.is_none() {
        return "sent, not seen yet".to_owned();
    }
    if family.failing_since.is_some() {
        return "failing".to_owned();
    }
    "follows".to_owned()
}

/// One word for all families, if they stand alike.
fn together(families: &[Family]) -> String {
    match families {
        [] => "kept in no family".to_owned(),
        [first, rest @ ..] if rest.iter().all(|family| family.state == first.state) => first.state.clone(),
        several => several
            .iter()
            .map(|family| format!("{}: {}", super::word(family.row.family), family.state))
            .collect::<Vec<_>>()
            .join("; "),
    }
}

use std::{net::SocketAddr, time::Duration};

use secrecy::SecretString;
use serde_json::{Value, json};
use sqlx::{PgConnection, PgPool};

use super::{
    Done,
    ready::{forced_interval, lacks, min_interval, wanted},
    want,
};
use crate::{
    admin::{
        Actor, AdminError,
        dns::{RecordRef, address::named, owner, refused, secret, settings, store_error, word},
        remove::retried,
    },
    dns::{
        Provider,
        address::{Family, HostId},
    },
    job::Policy,
    secrets::KeyRing,
    store::{
        audit,
        changes::{self, What},
        dns_addresses::{self, Address},
        dns_records::{self, NewRecord, Record},
        secrets,
    },
};

/// What becomes of a setting that there need not be.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Becomes<T> {
    /// It stays as it is.
    #[default]
    Same,
    /// There is none any more.
    None,
    /// This.
    Value(T),
}

impl<T> Becomes<T> {
    fn over(self, before: Option<T>) -> Option<T> {
        match self {
            Self::Same => before,
            Self::None => None,
            Self::Value(value) => Some(value),
        }
    }

    /// For the audit table.
    fn told(self, tell: impl FnOnce(T) -> Value) -> Value {
        match self {
            Self::Same => Value::Null,
            Self::None => json!("none"),
            Self::Value(value) => tell(value),
        }
    }
}

/// What is to change of a record; what is none or empty stays.
#[derive(Debug, Clone, Default)]
pub struct Change {
    /// The address that it follows from now on, by name.
    pub address: Option<String>,
    /// Settings of the provider, `key=value`; an empty value takes one away.
    pub settings: Vec<(String, String)>,
    /// The provider's secret.
    pub secret: Option<SecretString>,
    /// Families that it is kept in from now on.
    pub with: Vec<Family>,
    /// Families that it is kept in no more. What is there at the provider stays.
    pub without: Vec<Family>,
    /// The host's own part of its IPv6 address, or that it has none.
    pub host_id: Becomes<HostId>,
    /// Seconds, or what is there.
    pub ttl: Becomes<u32>,
    /// The least time between two updates.
    pub min_interval: Option<Duration>,
    /// What was sent is sent again after this time, or never.
    pub forced_interval: Becomes<Duration>,
    /// Whether the zone's servers are asked after an update.
    pub verify: Option<bool>,
    /// The servers to ask; empty: those that the zone names.
    pub verify_servers: Option<Vec<SocketAddr>>,
}

/// Changes a record. What was parked is served again, and the job runs at once; no minimum interval is shortened. If settings of the
/// provider changed, what was sent is sent again, as it may be another place.
pub async fn set(
    db: &PgPool,
    actor: &Actor,
    keys: &KeyRing,
    policies: &[Policy],
    (record, of): (&RecordRef, Option<&str>),
    change: &Change,
) -> Result<Done, AdminError> {
    retried(async || {
        let mut tx = db.begin().await?;
        // Of two that change it at once the second one begins with what the first one has made of it.
        let id = record.find(&mut tx, of).await?;
        let before = dns_records::hold(&mut tx, id)
            .await?
            .ok_or_else(|| AdminError::not_found("record", record, ""))?;
        let provider = provider(&before, change)?;
        let secret = match &change.secret {
            Some(secret) => secret.clone(),
            None => secret(&mut tx, keys, before.id).await?,
        };
        let address = address(&mut tx, &before, change, of).await?;
        let families = families(&before, &address, change)?;
        let ttl = change.ttl.over(before.ttl);
        // One that is there already counts until somebody touches it, or the settings that it goes by.
        if let Some(ttl) = ttl
            && (change.ttl != Becomes::Same || provider != before.provider)
        {
            provider.check_ttl(ttl)?;
        }
        provider.check(&wanted(&before.host, &address, &families, ttl).0, &secret)?;
        let least =
            change.min_interval.or_else(|| Some(before.min_interval.max(provider.minimum_interval())));
        let servers =
            change.verify_servers.clone().or_else(|| before.verify_servers.clone()).unwrap_or_default();
        let row = NewRecord {
            tenant: before.tenant,
            address: address.id,
            host: &before.host,
            provider: &provider,
            ttl,
            min_interval: min_interval(&provider, least)?,
            forced_interval: forced_interval(change.forced_interval.over(before.forced_interval))?,
            verify: change.verify.unwrap_or(before.verify),
            verify_servers: (!servers.is_empty()).then_some(&servers[..]),
            families: &families,
        };
        if !dns_records::set(&mut tx, before.id, &row).await? {
            return Err(AdminError::not_found("record", record, ""));
        }
        if let Some(secret) = &change.secret {
            secrets::put(&mut tx, keys, owner(before.id), secret, None).await.map_err(store_error)?;
        }
        let again = provider != before.provider || ttl != before.ttl && writes_ttl(&provider);
        dns_records::release(&mut tx, before.id, again).await?;
        let bell = want(&mut tx, policies, (before.id, before.tenant), true).await?;
        audit::write(&mut tx, actor.as_str(), "dns.set", before.host.as_str(), &detail(&before, change))
            .await?;
        let is_told = tell_turn(&mut tx, &before, &families).await?;
        tx.commit().await?;
        if is_told {
            changes::tell(db, before.tenant).await;
        }
        Ok(Done { id: before.id, host: before.host.to_string(), bell })
    })
    .await
}

fn provider(before: &Record, change: &Change) -> Result<Provider, AdminError> {
    if let Some((_, name)) = change.settings.iter().find(|(key, _)| key == "provider")
        && name != before.provider.name()
    {
        return Err(refused(format!(
            "{} is a record at {}: one at {name} is another record (`syncfleet dns add`)",
            before.host,
            before.provider.name()
        )));
    }
    let Ok(Value::Object(base)) = serde_json::to_value(&before.provider) else {
        return Err(refused(format!("the settings of record {} cannot be read", before.id)));
    };
    Ok(settings::read(base, &change.settings)?)
}

async fn address(
    conn: &mut PgConnection,
    before: &Record,
    change: &Change,
    of: Option<&str>,
) -> Result<Address, AdminError> {
    let mut id = before.address;
    if let Some(name) = &change.address {
        let Some(found) = dns_addresses::find(conn, before.tenant, name).await? else {
            // For the words of what is not there.
            named(conn, name, of).await?;
            return Err(refused(format!("the address {name} is another tenant's than {}", before.host)));
        };
        id = found;
    }
    dns_addresses::get(conn, id).await?.ok_or_else(|| AdminError::not_found("address", id, ""))
}

fn families(
    before: &Record,
    address: &Address,
    change: &Change,
) -> Result<Vec<(Family, Option<HostId>)>, AdminError> {
    let mut families = Vec::new();
    for family in Family::ALL {
        let kept = before.families.iter().find(|found| found.family == family);
        let with = change.with.contains(&family);
        if change.without.contains(&family) {
            if kept.is_none() {
                return Err(refused(format!("{} is not kept in {}", before.host, word(family))));
            }
            continue;
        }
        if kept.is_none() && !with {
            if family == Family::Ipv6 && matches!(change.host_id, Becomes::Value(_)) {
                return Err(refused(format!(
                    "host-id: it is a part of an IPv6 address, and {} is not kept in ipv6: give --ipv6 too",
                    before.host
                )));
            }
            continue;
        }
        if !address.families.iter().any(|found| found.family == family) {
            return Err(lacks(address, family));
        }
        let host_id = change.host_id.over(kept.and_then(|kept| kept.host_id));
        families.push((family, host_id.filter(|_| family == Family::Ipv6)));
    }
    if families.is_empty() {
        return Err(refused(format!(
            "{} would be kept in no family: `syncfleet dns rm {}` removes the record",
            before.host, before.id
        )));
    }
    Ok(families)
}

/// Tells those who listen for changes that the name fails no more, if what failed is not kept any more. Says whether there was
/// anything to tell.
async fn tell_turn(
    conn: &mut PgConnection,
    before: &Record,
    kept: &[(Family, Option<HostId>)],
) -> Result<bool, sqlx::Error> {
    let failed: Vec<Family> = before
        .families
        .iter()
        .filter(|family| family.failing_since.is_some())
        .map(|family| family.family)
        .collect();
    let still = failed.iter().any(|failed| kept.iter().any(|(family, _)| family == failed));
    let Some(turn) = What::turned(!failed.is_empty(), still) else { return Ok(false) };
    let failed: Vec<String> = failed.iter().map(ToString::to_string).collect();
    let detail = format!("it is not kept in {} any more", failed.join(" and "));
    changes::dns_record(conn, before.id, turn, Some(&detail)).await?;
    Ok(true)
}

/// Whether an update writes the TTL of a record that is there.
fn writes_ttl(provider: &Provider) -> bool {
    matches!(provider, Provider::Rfc2136(_) | Provider::Route53(_) | Provider::Template(_))
}

/// For the audit table: which settings changed, and no values that somebody may have taken for secrets.
fn detail(before: &Record, change: &Change) -> Value {
    let settings: Vec<&str> = change.settings.iter().map(|(key, _)| key.as_str()).collect();
    let words = |families: &[Family]| families.iter().map(|family| word(*family)).collect::<Vec<_>>();
    json!({
        "id": before.id, "address": change.address, "settings": settings, "secret": change.secret.is_some(),
        "with": words(&change.with), "without": words(&change.without),
        "host_id": change.host_id.told(|id| json!(id.to_string())), "ttl": change.ttl.told(|ttl| json!(ttl)),
        "min_interval_seconds": change.min_interval.map(|span| span.as_secs()),
        "forced_interval_seconds": change.forced_interval.told(|span| json!(span.as_secs())),
        "verify": change.verify,
    })
}

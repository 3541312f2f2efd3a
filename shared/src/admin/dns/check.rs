//! `dns check`: whether a name can follow, found out without changing anything.

use std::{net::SocketAddr, time::Duration};

use secrecy::SecretString;
use serde::Serialize;
use sqlx::PgConnection;

use super::{RecordRef, record::get, secret};
use crate::{
    admin::AdminError,
    config::Dns,
    dns::{
        Http, Limits,
        address::Family,
        check::{Finding, Kept, Target, Verdict, check},
        verify::Resolvers,
    },
    guard,
    secrets::KeyRing,
    store::dns_records::{Record, RecordId},
};

/// How long one server may take for one answer.
const PATIENCE: Duration = Duration::from_secs(5);

/// A record that is to be looked at, with its secret.
#[derive(Debug)]
pub struct Suspect {
    record: Record,
    secret: SecretString,
}

/// What was found.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Checked {
    /// The record.
    pub id: RecordId,
    /// Its name.
    pub host: String,
    /// Whether nothing is bad.
    pub ok: bool,
    /// What was looked at, in that order.
    pub findings: Vec<Finding>,
}

/// Reads what is to be looked at.
pub async fn suspect(
    conn: &mut PgConnection,
    keys: &KeyRing,
    record: &RecordRef,
    of: Option<&str>,
) -> Result<Suspect, AdminError> {
    let record = get(conn, record, of).await?;
    let secret = secret(conn, keys, record.id).await?;
    Ok(Suspect { record, secret })
}

/// Looks: at the credentials as far as that goes by reading, and at what the zone's servers answer. `dns` says who finds these.
/// Whoever asks calls from their own machine, so private networks are allowed unless something else is said.
pub async fn look(suspect: &Suspect, dns: &Dns) -> anyhow::Result<Checked> {
    let Suspect { record, secret } = suspect;
    let dns = dns.clone().at_home();
    let http = Http::with(Limits::default(), &dns.allow(), &guard::system())?;
    let servers: Option<&[SocketAddr]> = record.verify_servers.as_deref();
    let resolvers = match dns.resolvers() {
        Some(resolvers) => resolvers,
        None => match Resolvers::of_system(PATIENCE).await {
            Ok(resolvers) => resolvers.allowing(dns.allow()),
            // Who names all servers needs no resolver.
            Err(_) if servers.is_some() => {
                Resolvers { servers: Vec::new(), port: 53, limit: PATIENCE, allow: dns.allow() }
            }
            Err(error) => return Err(error),
        },
    };
    let kept = |family| match record.families.iter().find(|found| found.family == family) {
        None => Kept::No,
        Some(found) => found.sent.map_or(Kept::Unsent, Kept::Sent),
    };
    let target = Target {
        host: &record.host,
        provider: &record.provider,
        secret,
        v4: kept(Family::Ipv4),
        v6: kept(Family::Ipv6),
        servers,
    };
    let mut findings = check(&http, &resolvers, &target, record.now).await;
    findings.extend(parked(record));
    Ok(Checked {
        id: record.id,
        host: record.host.to_string(),
        ok: findings.iter().all(|finding| finding.verdict != Verdict::Bad),
        findings,
    })
}

/// What the provider refused before.
fn parked(record: &Record) -> impl Iterator<Item = Finding> {
    record.families.iter().filter_map(|family| {
        let why = family.parked_why.as_deref().unwrap_or_default();
        let parked = family.parked.as_ref()?;
        Some(Finding {
            what: "parked",
            verdict: Verdict::Bad,
            found: format!(
                "nothing is sent for {}: {parked}: {why}; when it is mended, `syncfleet dns update {} --force`",
                super::word(family.family),
                record.id
            ),
        })
    })
}

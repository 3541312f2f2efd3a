//! Looks at who speaks for the zone: whether an open outcome has arrived, and whether what was sent is there.

use std::{
    net::IpAddr,
    time::{Duration, Instant},
};

use chrono::{DateTime, Utc};
use futures_util::future::join_all;
use metrics::histogram;
use shared::{
    dns::{
        Held, Provider,
        verify::{PORT, Resolvers, Seen, Zone, own_servers, verify},
    },
    job::{Failure, Step, Verdict},
    store::{
        dns_history::{New, What},
        dns_records::{Record, RecordFamily},
    },
};

use super::{
    Change, send,
    standing::{self, LOOKED_FOR},
};
use crate::jobs::Context;

/// How long one server may take for one answer.
const ANSWER: Duration = Duration::from_secs(5);

/// How long a look may take, with the way to the zone's servers.
pub(super) const LOOK: Duration = Duration::from_secs(30);

/// How long the one right after an update may take.
pub(super) const FIRST: Duration = Duration::from_secs(2);

/// Looks whether what was being sent when a step ended without a record of it has arrived. None: nothing of the kind is open, or it is
/// not to be seen. What was sent again although the name had it cannot be seen: the zone has had it all along.
pub(super) async fn for_open_outcomes(context: &Context, record: &Record) -> Result<Option<Step>, Failure> {
    let open = record.families.iter().filter_map(|family| {
        let sending = family.sending.filter(|sending| family.sent != Some(*sending))?;
        Some((family, sending))
    });
    let found = join_all(open.map(|(family, address)| async move {
        (family, address, look(context, record, address, Of::Open, LOOK).await)
    }))
    .await;
    let mut change = Change::default();
    for (family, address, found) in found {
        let there = match found {
            Ok((there, _)) => there,
            Err(why) => {
                tracing::debug!(host = %record.host, %address, "an open outcome is not to be seen: {why}");
                continue;
            }
        };
        super::count(record, What::Observed);
        let arrived = RecordFamily {
            sent: Some(address),
            sent_at: family.sending_since,
            sending: None,
            sending_since: None,
            verified_at: None,
            verify_ms: None,
            unverified_at: None,
            refusals: 0,
            ..family.clone()
        };
        let (seen, took) = seen(record.now, &arrived);
        // What the provider holds, its servers may not have yet.
        let family = if there == There::AtZone || !record.verify { seen } else { arrived };
        let said = "it had arrived, although its outcome was not recorded".to_owned();
        change.history.push(New {
            family: family.family,
            address: Some(address),
            what: What::Observed,
            said,
            took: Some(took),
        });
        change.families.push(family);
    }
    if change.families.is_empty() {
        return Ok(None);
    }
    // It may have arrived just now: a server that was stopped takes what nobody waits for any more.
    if standing::held(record).is_none_or(|left| left < record.min_interval) {
        change.hold = Some((record.min_interval, send::MIN_INTERVAL));
    }
    super::commit(context, record, change, Verdict::Continue { lane: None }).await.map(Some)
}

/// What looking for what was sent has come to.
#[derive(Debug, Default)]
pub(super) struct Looked<'a> {
    /// What is to be written.
    pub(super) change: Change<'a>,
    /// When it is looked again, and what the servers say; none: all is seen, or given up.
    pub(super) again: Option<(Duration, String)>,
    /// Whether something is given up that is looked for now and then.
    pub(super) given_up: bool,
}

/// Looks for what was sent and not seen yet.
pub(super) async fn for_what_was_sent(
    context: &Context,
    record: &Record,
    limit: Duration,
) -> Looked<'static> {
    let began = Instant::now();
    let unseen =
        record.families.iter().filter_map(|family| Some((family, standing::unseen(record, family)?)));
    let found = join_all(unseen.map(|(family, address)| async move {
        (family, address, look(context, record, address, Of::Sent, limit).await)
    }))
    .await;
    let mut looked = Looked::default();
    let now = record.now + began.elapsed();
    for (family, address, found) in found {
        let elapsed = family.sent_at.and_then(|at| (now - at).to_std().ok());
        let (next, what, said, took) = match found {
            Ok((_, servers)) => {
                let (next, took) = seen(now, family);
                histogram!("syncfleet_dns_verify_seconds").record(took.as_secs_f64());
                (next, What::Verified, servers, took)
            }
            Err(_) if family.unverified_at.is_some() => {
                looked.given_up = true;
                continue;
            }
            // A first look is too short to give something up.
            Err(why) if elapsed.is_none_or(|elapsed| elapsed < LOOKED_FOR) || limit < LOOK => {
                let after = standing::next_look(elapsed);
                if looked.again.as_ref().is_none_or(|(first, _)| after < *first) {
                    looked.again = Some((after, why));
                }
                continue;
            }
            Err(why) => {
                looked.given_up = true;
                let why = format!("not seen within {} minutes: {why}", LOOKED_FOR.as_secs() / 60);
                tracing::warn!(host = %record.host, %address, "{why}");
                let next = RecordFamily {
                    unverified_at: Some(now),
                    failing_since: family.failing_since.or(Some(now)),
                    failing_why: Some(why.clone()),
                    ..family.clone()
                };
                (next, What::Unverified, why, elapsed.unwrap_or_default())
            }
        };
        let (family, took) = (next.family, Some(took));
        looked.change.history.push(New { family, address: Some(address), what, said, took });
        looked.change.families.push(next);
    }
    looked
}

/// A family whose address is seen, and how long after it was sent. It fails on if that is not what it is to have, or if it is parked.
fn seen(now: DateTime<Utc>, family: &RecordFamily) -> (RecordFamily, Duration) {
    let took = family.sent_at.map(|at| standing::since(at, now)).unwrap_or_default();
    let mut seen = RecordFamily {
        verified_at: Some(now),
        verify_ms: Some(i64::try_from(took.as_millis()).unwrap_or(i64::MAX)),
        unverified_at: None,
        ..family.clone()
    };
    if family.parked.is_none() && !standing::is_behind(family) {
        (seen.failing_since, seen.failing_why) = (None, None);
    }
    (seen, took)
}

/// Who speaks for an address.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Of {
    /// The provider too, by what it says that it holds.
    Open,
    /// The zone's servers; the provider only where it answers for the name with addresses of its own.
    Sent,
}

/// Where an address is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum There {
    /// Whoever asks for the name gets it, or an address that the provider stands before it with.
    AtZone,
    /// The provider holds it; its servers do not answer with it.
    AtProvider,
}

/// Whether the address is there, and in words; else what is there.
async fn look(
    context: &Context,
    record: &Record,
    address: IpAddr,
    of: Of,
    limit: Duration,
) -> Result<(There, String), String> {
    let late = |_| Err(format!("no answer within {} s", limit.as_secs()));
    let zone = tokio::time::timeout(limit, at_zone(context, record, address)).await.unwrap_or_else(late);
    let zone = zone.map(|servers| (There::AtZone, servers));
    let may_be_proxied = matches!(record.provider, Provider::Cloudflare(_));
    if zone.is_ok() || of == Of::Sent && !may_be_proxied {
        return zone;
    }
    let held = tokio::time::timeout(limit, at_provider(context, record, address)).await;
    match held.ok().flatten() {
        Some(held) if held.just(address) && held.proxied => {
            Ok((There::AtZone, "the provider holds it, and stands before it".to_owned()))
        }
        Some(held) if held.just(address) && of == Of::Open => {
            Ok((There::AtProvider, "the provider holds it".to_owned()))
        }
        _ => zone,
    }
}

async fn at_provider(context: &Context, record: &Record, address: IpAddr) -> Option<Held> {
    let http = &context.dns.as_ref()?.http;
    if !record.provider.can_be_read() {
        return None;
    }
    let secret = super::secret(context, record).await.ok()?.ok()?;
    let wanted = record.given(&[address]);
    record.provider.observe(http, &secret, &wanted, send::wall_clock()).await?.ok()
}

async fn at_zone(context: &Context, record: &Record, address: IpAddr) -> Result<String, String> {
    if !record.verify {
        return Err("the zone's servers are not asked for this record".to_owned());
    }
    let zone = zone(context, record).await?;
    let seen = verify(&zone, &record.host, address, (ANSWER, ANSWER, Duration::ZERO)).await;
    let is_unknown = record.verify_servers.is_none() && seen.is_unknown();
    match seen {
        Seen::Everywhere { servers: 1, .. } => Ok("1 server answers with it".to_owned()),
        Seen::Everywhere { servers, .. } => Ok(format!("all {servers} servers answer with it")),
        Seen::NotYet { others, .. } => {
            let others: Vec<_> =
                others.into_iter().map(|(server, says)| format!("{server}: {says}")).collect();
            let others: String = others.join("; ").chars().take(200).collect();
            Err(if is_unknown { format!("{others}; {}", own_servers(&record.host)) } else { others })
        }
    }
}

async fn zone(context: &Context, record: &Record) -> Result<Zone, String> {
    let allow = context.dns.as_ref().map(|dns| dns.allow.clone()).unwrap_or_default();
    if let Some(servers) = &record.verify_servers {
        let servers: Vec<_> = servers.iter().map(ToString::to_string).collect();
        let nobody = Resolvers { servers: Vec::new(), port: PORT, limit: ANSWER, allow };
        return nobody.named(&record.host, &servers).await;
    }
    let resolvers = context.dns.as_ref().and_then(|dns| dns.resolvers.clone());
    let resolvers = match resolvers {
        Some(resolvers) => resolvers,
        None => Resolvers::of_system(ANSWER).await.map_err(|error| format!("{error:#}"))?.allowing(allow),
    };
    resolvers.zone(&record.host).await
}

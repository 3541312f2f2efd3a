//! What the zone's servers answer now, whatever a cache says.

use std::{
    collections::BTreeMap,
    net::{IpAddr, SocketAddr},
    time::Duration,
};

use futures_util::future::join_all;
use hickory_proto::{
    op::{Message, ResponseCode},
    rr::{DNSClass, Name, RData, RecordType},
};
use tokio::{net::lookup_host, time::timeout};

use super::{Finding, Kept, Target};
use crate::dns::{
    Provider,
    address::Family,
    exchange::{Question, ask},
    provider::Rfc2136,
    verify::Resolvers,
};

/// A server's answers.
struct Heard {
    server: String,
    /// Of A and of AAAA: addresses, or what came instead.
    answers: [Result<Told, String>; 2],
}

struct Told {
    addresses: Vec<IpAddr>,
    alias: Option<String>,
}

pub(super) async fn check(resolvers: &Resolvers, target: &Target<'_>, proxied: bool) -> Vec<Finding> {
    let mut findings = Vec::new();
    let servers = match target.servers {
        Some(servers) => servers.iter().map(|server| (server.to_string(), *server)).collect(),
        None => match resolvers.zone(target.host).await {
            Ok(zone) => {
                let mut names: Vec<&str> =
                    zone.servers.iter().map(|(name, _)| name.trim_end_matches('.')).collect();
                names.dedup();
                let found = format!("{} is served by {}", zone.name.trim_end_matches('.'), names.join(", "));
                findings.push(Finding::good("servers", found));
                zone.servers
            }
            Err(why) => {
                findings.push(Finding::bad("servers", format!("the zone's servers are not found: {why}")));
                return findings;
            }
        },
    };
    let heard = join_all(servers.iter().map(|(name, server)| hear(resolvers, target, name, *server))).await;
    if let Some(alias) = heard.iter().find_map(Heard::alias) {
        findings.push(Finding::bad(
            "alias",
            format!("the name is an alias of {alias} (CNAME): no address can stand beside it; remove the alias, or follow {alias} itself"),
        ));
        return findings;
    }
    for (place, family, kept) in [(0, Family::Ipv4, target.v4), (1, Family::Ipv6, target.v6)] {
        findings.extend(answers(&heard, place, family, kept, proxied));
    }
    if let (Provider::Rfc2136(provider), Some((_, server))) = (target.provider, servers.first()) {
        findings.push(primary(resolvers, provider, *server).await);
    }
    findings
}

impl Heard {
    fn alias(&self) -> Option<&str> {
        self.answers.iter().flatten().find_map(|told| told.alias.as_deref())
    }
}

async fn hear(resolvers: &Resolvers, target: &Target<'_>, name: &str, server: SocketAddr) -> Heard {
    let one = async |kind| {
        let mut host = Name::from_ascii(target.host.as_str()).map_err(|error| error.to_string())?;
        host.set_fqdn(true);
        let question = Question { name: &host, kind, class: DNSClass::IN, recurse: false };
        read(&ask(server, &question, resolvers.limit).await?)
    };
    let (a, aaaa) = tokio::join!(one(RecordType::A), one(RecordType::AAAA));
    Heard { server: name.trim_end_matches('.').to_owned(), answers: [a, aaaa] }
}

fn read(answer: &Message) -> Result<Told, String> {
    let code = answer.metadata.response_code;
    if !answer.metadata.authoritative {
        return Err(format!("{code}, and it does not speak for the zone (lame delegation)"));
    }
    if code != ResponseCode::NoError && code != ResponseCode::NXDomain {
        return Err(code.to_string());
    }
    let alias = answer.answers.iter().find_map(|record| match &record.data {
        RData::CNAME(alias) => Some(alias.0.to_ascii().trim_end_matches('.').to_owned()),
        _ => None,
    });
    let mut addresses: Vec<IpAddr> =
        answer.answers.iter().filter_map(|record| record.data.ip_addr()).collect();
    addresses.sort_unstable();
    Ok(Told { addresses, alias })
}

/// What the servers say of one family, as one sentence if they agree.
fn answers(heard: &[Heard], place: usize, family: Family, kept: Kept, proxied: bool) -> Option<Finding> {
    let what = if family == Family::Ipv4 { "A" } else { "AAAA" };
    let mut said: BTreeMap<String, Vec<&str>> = BTreeMap::new();
    for one in heard {
        let words = match &one.answers[place] {
            Ok(told) if told.addresses.is_empty() => "no address".to_owned(),
            Ok(told) => told.addresses.iter().map(ToString::to_string).collect::<Vec<_>>().join(", "),
            Err(why) => why.clone(),
        };
        said.entry(words).or_default().push(&one.server);
    }
    let words = if said.len() == 1 {
        said.keys().next().cloned().unwrap_or_default()
    } else {
        said.iter()
            .map(|(words, servers)| format!("{words} ({})", servers.join(", ")))
            .collect::<Vec<_>>()
            .join("; ")
    };
    let any =
        heard.iter().any(|one| one.answers[place].as_ref().is_ok_and(|told| !told.addresses.is_empty()));
    let failed = heard.iter().any(|one| one.answers[place].is_err());
    let right = |address: IpAddr| {
        heard.iter().all(|one| one.answers[place].as_ref().is_ok_and(|told| told.addresses == [address]))
    };
    Some(match kept {
        Kept::No if any => Finding::note(
            what,
            format!(
                "{words}: it is not kept here and stays as it is; who prefers {family} goes there. Keep it too (`syncfleet dns set HOST --{}`), or remove it at the provider",
                if family == Family::Ipv4 { "ipv4" } else { "ipv6" }
            ),
        ),
        Kept::No => return None,
        Kept::Sent(_) if proxied => Finding::note(
            what,
            format!("{words}: the name is proxied, so the provider answers with addresses of its own"),
        ),
        Kept::Sent(address) if right(address) => Finding::good(what, words),
        Kept::Sent(address) => Finding::bad(what, format!("{words}; {address} was sent")),
        Kept::Unsent if failed => Finding::bad(what, words),
        Kept::Unsent => Finding::note(what, format!("{words}; nothing was sent yet")),
    })
}

/// Whether the server that is updated is the primary that the zone names (SOA MNAME, RFC 1035 section 3.3.13).
async fn primary(resolvers: &Resolvers, provider: &Rfc2136, server: SocketAddr) -> Finding {
    let looked = async {
        let mut zone = Name::from_ascii(provider.zone.as_str()).map_err(|error| error.to_string())?;
        zone.set_fqdn(true);
        let question = Question { name: &zone, kind: RecordType::SOA, class: DNSClass::IN, recurse: false };
        let answer = ask(server, &question, resolvers.limit).await?;
        let primary = answer.answers.iter().find_map(|record| match &record.data {
            RData::SOA(soa) => Some(soa.mname.clone()),
            _ => None,
        });
        primary.ok_or_else(|| format!("{} has no SOA at {server}: is it the zone's name?", provider.zone))
    };
    let name = match looked.await {
        Ok(name) => name,
        Err(why) => return Finding::note("primary", why),
    };
    let shown = name.to_ascii();
    let shown = shown.trim_end_matches('.');
    let configured = match addresses(&provider.server, resolvers.limit).await {
        Ok(addresses) => addresses,
        Err(why) => return Finding::bad("primary", why),
    };
    // In-zone names are known to the zone's own servers, others to the resolvers.
    let mut addresses = Vec::new();
    for kind in [RecordType::A, RecordType::AAAA] {
        let question = Question { name: &name, kind, class: DNSClass::IN, recurse: false };
        if let Ok(answer) = ask(server, &question, resolvers.limit).await {
            addresses.extend(answer.answers.iter().filter_map(|record| record.data.ip_addr()));
        }
    }
    if addresses.is_empty() {
        addresses = resolvers.ips(&name).await;
    }
    if addresses.is_empty() {
        Finding::note("primary", format!("the zone names {shown} as its primary, which has no address"))
    } else if configured.iter().any(|server| addresses.contains(server)) {
        Finding::good("primary", format!("{shown} ({}) is what the zone names", provider.server))
    } else {
        let all: Vec<String> = addresses.iter().map(ToString::to_string).collect();
        Finding::note(
            "primary",
            format!(
                "the zone names {shown} ({}) as its primary, not {}: right if that one is hidden",
                all.join(", "),
                provider.server
            ),
        )
    }
}

/// The addresses of a server that is named as `ns1.example.org`, `192.0.2.1:53` or `[2001:db8::1]:53`.
async fn addresses(server: &str, limit: Duration) -> Result<Vec<IpAddr>, String> {
    if let Ok(address) = server.trim_matches(['[', ']']).parse::<IpAddr>() {
        return Ok(vec![address]);
    }
    let with_port = if server.contains(':') { server.to_owned() } else { format!("{server}:53") };
    match timeout(limit, lookup_host(&with_port)).await {
        Ok(Ok(found)) => Ok(found.map(|address| address.ip()).collect()),
        Ok(Err(error)) => Err(format!("{server} is not found: {error}")),
        Err(_) => Err(format!("{server} is not found in time")),
    }
}

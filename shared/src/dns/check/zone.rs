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
    exchange::{Question, Unanswered, ask},
    provider::Rfc2136,
    verify::{Heard, Resolvers, Zone, counted},
};

/// What servers answer: addresses, or what came instead.
type Answers<'a> = Vec<Heard<'a, Result<Told, String>>>;

struct Told {
    addresses: Vec<IpAddr>,
    alias: Option<String>,
}

pub(super) async fn check(resolvers: &Resolvers, target: &Target<'_>, proxied: bool) -> Vec<Finding> {
    let mut findings = Vec::new();
    let servers = match target.servers {
        Some(servers) => {
            let servers = servers.iter().map(|server| (server.to_string(), *server)).collect();
            match resolvers.allowed(Zone { name: target.host.to_string(), servers }) {
                Ok(zone) => zone.servers,
                Err(why) => {
                    findings.push(Finding::bad("servers", why));
                    return findings;
                }
            }
        }
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
    let (a, aaaa) = tokio::join!(
        hear(resolvers, target, &servers, RecordType::A),
        hear(resolvers, target, &servers, RecordType::AAAA)
    );
    let told = || a.iter().chain(&aaaa).filter_map(|one| one.answer.as_ref().ok()?.as_ref().ok());
    if let Some(alias) = told().find_map(|told| told.alias.as_deref()) {
        findings.push(Finding::bad(
            "alias",
            format!("the name is an alias of {alias} (CNAME): no address can stand beside it; remove the alias, or follow {alias} itself"),
        ));
        return findings;
    }
    for (heard, family, kept) in [(&a, Family::Ipv4, target.v4), (&aaaa, Family::Ipv6, target.v6)] {
        findings.extend(answers(heard, family, kept, proxied));
    }
    let answering = a.iter().find(|one| one.answer.is_ok()).or(a.first());
    if let (Provider::Rfc2136(provider), Some(one)) = (target.provider, answering) {
        findings.push(primary(resolvers, provider, one.server).await);
    }
    findings
}

async fn hear<'a>(
    resolvers: &Resolvers,
    target: &Target<'_>,
    servers: &'a [(String, SocketAddr)],
    kind: RecordType,
) -> Answers<'a> {
    let one = async |server| {
        let mut host =
            Name::from_ascii(target.host.as_str()).map_err(|error| Unanswered::Silent(error.to_string()))?;
        host.set_fqdn(true);
        let question = Question { name: &host, kind, class: DNSClass::IN, recurse: false };
        Ok(read(&ask(server, &question, resolvers.limit).await?))
    };
    let one = &one;
    join_all(servers.iter().map(|(name, server)| async move {
        Heard { name: name.trim_end_matches('.'), server: *server, answer: one(*server).await }
    }))
    .await
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
fn answers(heard: &Answers<'_>, family: Family, kept: Kept, proxied: bool) -> Option<Finding> {
    let what = if family == Family::Ipv4 { "A" } else { "AAAA" };
    let answers: Vec<(&str, Result<&Told, String>)> = counted(heard)
        .into_iter()
        .map(|one| {
            let answer = match &one.answer {
                Ok(answer) => answer.as_ref().map_err(Clone::clone),
                Err(unanswered) => Err(unanswered.clone().into()),
            };
            (one.name, answer)
        })
        .collect();
    let mut said: BTreeMap<String, Vec<&str>> = BTreeMap::new();
    for (server, answer) in &answers {
        let words = match answer {
            Ok(told) if told.addresses.is_empty() => "no address".to_owned(),
            Ok(told) => told.addresses.iter().map(ToString::to_string).collect::<Vec<_>>().join(", "),
            Err(why) => why.clone(),
        };
        let servers = said.entry(words).or_default();
        if !servers.contains(server) {
            servers.push(server);
        }
    }
    let words = if said.len() == 1 {
        said.keys().next().cloned().unwrap_or_default()
    } else {
        said.iter()
            .map(|(words, servers)| format!("{words} ({})", servers.join(", ")))
            .collect::<Vec<_>>()
            .join("; ")
    };
    let mut told = answers.iter().map(|(_, answer)| answer.as_ref());
    let any = told.clone().any(|told| told.is_ok_and(|told| !told.addresses.is_empty()));
    let failed = told.clone().any(|told| told.is_err());
    let mut right = |address: IpAddr| told.all(|told| told.is_ok_and(|told| told.addresses == [address]));
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
        let answer = ask(server, &question, resolvers.limit).await.map_err(String::from)?;
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

#[cfg(test)]
mod tests {
    use super::{super::Verdict, *};

    #[test]
    fn a_server_need_not_answer_by_each_of_its_addresses() {
        let right: IpAddr = "192.0.2.7".parse().unwrap();
        let found = |all: &[(&'static str, &str)]| {
            let heard: Answers<'_> = all
                .iter()
                .map(|(name, says)| {
                    let answer = match *says {
                        "no way" => Err(Unanswered::NoWay("no way".to_owned())),
                        "silent" => Err(Unanswered::Silent("silent".to_owned())),
                        "lame" => Ok(Err("lame".to_owned())),
                        address => Ok(Ok(Told { addresses: vec![address.parse().unwrap()], alias: None })),
                    };
                    Heard { name, server: SocketAddr::from(([192, 0, 2, 53], 53)), answer }
                })
                .collect();
            let finding = answers(&heard, Family::Ipv4, Kept::Sent(right), false).unwrap();
            (finding.verdict == Verdict::Good, finding.found)
        };
        let good = (true, "192.0.2.7".to_owned());
        assert_eq!(found(&[("a", "192.0.2.7"), ("a", "no way"), ("b", "192.0.2.7"), ("b", "silent")]), good);
        assert_eq!(found(&[("a", "192.0.2.7"), ("b", "no way")]), good);
        for (all, told) in [
            (
                &[("a", "192.0.2.7"), ("a", "192.0.2.6"), ("a", "silent")][..],
                "192.0.2.6 (a); 192.0.2.7 (a); 192.0.2.7 was sent",
            ),
            (
                &[("a", "192.0.2.7"), ("b", "silent"), ("b", "silent")],
                "192.0.2.7 (a); silent (b); 192.0.2.7 was sent",
            ),
            (&[("a", "192.0.2.7"), ("b", "lame")], "192.0.2.7 (a); lame (b); 192.0.2.7 was sent"),
            (&[("a", "no way"), ("b", "no way")], "no way; 192.0.2.7 was sent"),
        ] {
            assert_eq!(found(all), (false, told.to_owned()));
        }
    }
}

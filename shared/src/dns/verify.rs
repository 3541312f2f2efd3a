//! Whether a zone's own servers answer with an address, asked of each of them and not of a cache.
//!
//! The servers are those that the zone names (NS), found through the system's resolvers. All of them must answer with just
//! the address, each by at least one of its own addresses and with nothing else by any; what does not yet is told with its answer.
//! Addresses that this machine has no way to are left out as long as somebody answers. A change is seen at the primary at once
//! and at the others after a transfer, so they are asked again until the time is over.
//!
//! Whoever keeps a zone chooses what its servers' names lead to. So only addresses that may be called are asked ([`crate::guard`]), and
//! they are asked for one thing alone, in one packet or one short connection.

mod count;

use std::{
    collections::BTreeSet,
    net::{IpAddr, SocketAddr},
    time::Duration,
};

use futures_util::future::join_all;
use hickory_proto::{
    op::{Message, ResponseCode},
    rr::{DNSClass, Name, RData, RecordType},
};
use tokio::time::Instant;

pub(super) use self::count::{Heard, counted};
use super::{
    Host,
    exchange::{Question, Unanswered, ask, server},
    http::guard,
};
use crate::guard::Allow;

/// Where resolvers are named: <https://man7.org/linux/man-pages/man5/resolv.conf.5.html>.
const RESOLVERS: &str = "/etc/resolv.conf";

/// The port of DNS.
pub const PORT: u16 = 53;

/// How it is asked.
#[derive(Debug, Clone)]
pub struct Resolvers {
    /// Who finds the zone's servers.
    pub servers: Vec<SocketAddr>,
    /// The port of the zone's servers: 53, but for tests.
    pub port: u16,
    /// How long one server may take for one answer.
    pub limit: Duration,
    /// Where the zone's servers may be, beside the public internet.
    pub allow: Allow,
}

/// A zone, with those of its servers that may be asked. Made by [`Resolvers`] alone.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Zone {
    /// Its name.
    pub name: String,
    /// Names and addresses of its servers; one with several addresses stands here with each.
    pub servers: Vec<(String, SocketAddr)>,
}

/// How a look ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Seen {
    /// All servers that can be reached answer with the address.
    Everywhere {
        /// How long it took until they did.
        took: Duration,
        /// How many servers they are, by their names.
        servers: usize,
    },
    /// The time is over.
    NotYet {
        /// Servers that do not answer with the address, each with what it says instead.
        others: Vec<(String, String)>,
        /// How many servers answer with it.
        right: usize,
    },
}

impl Seen {
    /// Whether all who were asked say that there is no such name.
    #[must_use]
    pub fn is_unknown(&self) -> bool {
        let unknown = ResponseCode::NXDomain.to_string();
        matches!(self, Self::NotYet { others, right: 0 } if others.iter().all(|(_, says)| *says == unknown))
    }
}

/// What to do for a name that the world does not know, but servers of its own.
#[must_use]
pub fn own_servers(host: &Host) -> String {
    format!("if servers of your own speak for it, name them: `syncfleet dns set {host} --verify-server ADDR`")
}

impl Resolvers {
    /// The system's, for zones whose servers are of the public internet.
    pub async fn of_system(limit: Duration) -> anyhow::Result<Self> {
        use anyhow::Context as _;
        let text =
            tokio::fs::read_to_string(RESOLVERS).await.with_context(|| format!("cannot read {RESOLVERS}"))?;
        let servers = name_servers(&text);
        anyhow::ensure!(!servers.is_empty(), "{RESOLVERS} names no nameserver by its address");
        Ok(Self { servers, port: PORT, limit, allow: Allow::default() })
    }

    /// The same, for zones whose servers are in these networks, too.
    #[must_use]
    pub fn allowing(self, allow: Allow) -> Self {
        Self { allow, ..self }
    }

    /// Servers that are named by people, as `192.0.2.1:53` or `ns1.example.org`, instead of those that the zone names.
    pub async fn named(&self, host: &Host, servers: &[String]) -> Result<Zone, String> {
        let mut found = Vec::new();
        for text in servers {
            let (name, port) = server(text)?;
            let addresses = if let Ok(address) = name.parse() {
                vec![address]
            } else {
                let name =
                    Name::from_ascii(format!("{name}.")).map_err(|error| format!("{name}: {error}"))?;
                self.addresses(&name).await
            };
            found.extend(addresses.into_iter().map(|ip| (name.to_owned(), SocketAddr::new(ip, port))));
        }
        self.allowed(Zone { name: host.to_string(), servers: found })
    }

    /// The zone with those of its servers that may be asked.
    pub(super) fn allowed(&self, zone: Zone) -> Result<Zone, String> {
        let guard = guard(self.allow.clone());
        let mut refusal = format!("none of the servers of the zone {} has an address", zone.name);
        let mut servers = Vec::new();
        for (name, server) in zone.servers {
            match guard.check(server.ip()) {
                Ok(()) => servers.push((name, server)),
                Err(blocked) => refusal = format!("{name}: {blocked}"),
            }
        }
        if servers.is_empty() { Err(refusal) } else { Ok(Zone { servers, ..zone }) }
    }

    /// The zone of a name, and its servers.
    pub async fn zone(&self, host: &Host) -> Result<Zone, String> {
        let mut above = Name::from_ascii(host.as_str()).map_err(|error| error.to_string())?;
        above.set_fqdn(true);
        if above.is_wildcard() {
            above = above.base_name();
        }
        while !above.is_root() {
            let found: Vec<Name> = self
                .ask(&above, RecordType::NS)
                .await?
                .answers
                .into_iter()
                .filter(|record| record.name == above)
                .filter_map(|record| if let RData::NS(ns) = record.data { Some(ns.0) } else { None })
                .collect();
            if !found.is_empty() {
                let servers = join_all(found.iter().map(|name| async {
                    let addresses = self.addresses(name).await;
                    addresses.into_iter().map(|ip| (name.to_ascii(), SocketAddr::new(ip, self.port)))
                }));
                let servers = servers.await.into_iter().flatten().collect();
                return self.allowed(Zone { name: above.to_ascii(), servers });
            }
            above = above.base_name();
        }
        Err(format!("no zone of {host} is found; {}", own_servers(host)))
    }

    async fn addresses(&self, name: &Name) -> Vec<IpAddr> {
        let mut found = Vec::new();
        for kind in [RecordType::A, RecordType::AAAA] {
            // Without addresses of one family the other will do.
            let Ok(answer) = self.ask(name, kind).await else { continue };
            found.extend(answer.answers.iter().filter_map(|record| record.data.ip_addr()));
        }
        found
    }

    /// All addresses of a name.
    pub(super) async fn ips(&self, name: &Name) -> Vec<IpAddr> {
        self.addresses(name).await
    }

    /// The first resolver that answers.
    async fn ask(&self, name: &Name, kind: RecordType) -> Result<Message, String> {
        let mut why = "no resolver is known".to_owned();
        for server in &self.servers {
            let question = Question { name, kind, class: DNSClass::IN, recurse: true };
            match ask(*server, &question, self.limit).await {
                Ok(answer)
                    if [ResponseCode::NoError, ResponseCode::NXDomain]
                        .contains(&answer.metadata.response_code) =>
                {
                    return Ok(answer);
                }
                Ok(answer) => why = format!("{server}: {}", answer.metadata.response_code),
                Err(error) => why = error.into(),
            }
        }
        Err(why)
    }
}

/// Asks the zone's servers, every `pause`, until all answer with the address or `within` is over.
pub async fn verify(
    zone: &Zone,
    host: &Host,
    address: IpAddr,
    (limit, pause, within): (Duration, Duration, Duration),
) -> Seen {
    let started = Instant::now();
    loop {
        let heard = join_all(zone.servers.iter().map(|(name, server)| async move {
            Heard { name, server: *server, answer: answer(*server, host, address, limit).await }
        }));
        let (right, others) = tally(&heard.await);
        let took = started.elapsed();
        if others.is_empty() {
            return Seen::Everywhere { took, servers: right };
        }
        if took + pause > within {
            return Seen::NotYet { others, right };
        }
        tokio::time::sleep(pause).await;
    }
}

/// How many servers are right, and what the others say.
fn tally(heard: &[Heard<'_, Result<(), String>>]) -> (usize, Vec<(String, String)>) {
    let (right, wrong): (Vec<_>, Vec<_>) =
        counted(heard).into_iter().partition(|one| matches!(one.answer, Ok(Ok(()))));
    let wrong_servers: BTreeSet<_> = wrong.iter().map(|one| one.who()).collect();
    let right: BTreeSet<_> =
        right.iter().map(|one| one.who()).filter(|who| !wrong_servers.contains(who)).collect();
    let says = |one: &Heard<'_, Result<(), String>>| match &one.answer {
        Ok(answer) => answer.clone().err().unwrap_or_default(),
        Err(unanswered) => unanswered.clone().into(),
    };
    let others = wrong.iter().map(|one| (format!("{} {}", one.name, one.server.ip()), says(one))).collect();
    (right.len(), others)
}

/// Whether a server answers with just the address; else what it says.
async fn answer(
    server: SocketAddr,
    host: &Host,
    address: IpAddr,
    limit: Duration,
) -> Result<Result<(), String>, Unanswered> {
    let mut name = Name::from_ascii(host.as_str()).map_err(|error| Unanswered::Silent(error.to_string()))?;
    name.set_fqdn(true);
    let kind = if address.is_ipv4() { RecordType::A } else { RecordType::AAAA };
    let question = Question { name: &name, kind, class: DNSClass::IN, recurse: false };
    let answer = ask(server, &question, limit).await?;
    Ok(judge(&answer, address))
}

fn judge(answer: &Message, address: IpAddr) -> Result<(), String> {
    let code = answer.metadata.response_code;
    if code != ResponseCode::NoError {
        return Err(code.to_string());
    }
    if !answer.metadata.authoritative {
        return Err("it does not speak for the zone (lame delegation)".to_owned());
    }
    if let Some(alias) = answer.answers.iter().find_map(|record| match &record.data {
        RData::CNAME(alias) => Some(alias.0.to_ascii()),
        _ => None,
    }) {
        return Err(format!("the name is an alias of {alias} (CNAME)"));
    }
    let found: Vec<IpAddr> = answer.answers.iter().filter_map(|record| record.data.ip_addr()).collect();
    if found == [address] {
        return Ok(());
    }
    if found.is_empty() {
        return Err("no address".to_owned());
    }
    Err(found.iter().map(ToString::to_string).collect::<Vec<_>>().join(", "))
}

fn name_servers(text: &str) -> Vec<SocketAddr> {
    text.lines()
        .filter_map(|line| line.trim().strip_prefix("nameserver"))
        .filter(|rest| rest.starts_with(char::is_whitespace))
        .filter_map(|rest| rest.split_whitespace().next()?.parse().ok())
        .map(|ip| SocketAddr::new(ip, PORT))
        .collect()
}

#[cfg(test)]
mod tests {
    use hickory_proto::{
        op::OpCode,
        rr::{
            Record,
            rdata::{A, CNAME},
        },
    };

    use super::*;

    #[test]
    fn resolvers_are_read() {
        let text = "# a comment\nsearch example.org\nnameserver 192.0.2.53\n nameserver\t2001:db8::53 # x\nnameserverx 1.1.1.1\nnameserver fe80::1%eth0\n";
        let found: Vec<_> = name_servers(text).iter().map(ToString::to_string).collect();
        assert_eq!(found, ["192.0.2.53:53", "[2001:db8::53]:53"]);
    }

    #[tokio::test]
    async fn a_zone_that_nobody_knows_is_told_with_the_way_out() {
        let resolver = tokio::net::UdpSocket::bind("127.0.0.1:0").await.unwrap();
        let resolvers = Resolvers {
            servers: vec![resolver.local_addr().unwrap()],
            port: PORT,
            limit: Duration::from_mins(1),
            allow: Allow::default(),
        };
        let answering = async {
            let mut message = [0; 4096];
            loop {
                let (length, asker) = resolver.recv_from(&mut message).await.unwrap();
                // The question as it is, made an answer: there is no such name (RFC 1035 section 4.1.1).
                message[2] |= 0x80;
                message[3] = message[3] & 0xf0 | 3;
                resolver.send_to(&message[..length], asker).await.unwrap();
            }
        };
        let host = "nas.lan.test".parse().unwrap();
        let found = tokio::select! {
            found = resolvers.zone(&host) => found,
            () = answering => unreachable!(),
        };
        let error = found.unwrap_err();
        assert!(error.starts_with("no zone of nas.lan.test is found; "), "{error}");
        assert!(error.ends_with("`syncfleet dns set nas.lan.test --verify-server ADDR`"), "{error}");
    }

    #[test]
    fn a_name_is_unknown_if_all_say_so() {
        let unknown = ResponseCode::NXDomain.to_string();
        let seen = |says: &[&str], right| Seen::NotYet {
            others: says
                .iter()
                .map(|says| ("ns.example.org. 192.0.2.1".to_owned(), (*says).to_owned()))
                .collect(),
            right,
        };
        assert!(seen(&[&unknown, &unknown], 0).is_unknown());
        assert!(!seen(&[&unknown, "no address"], 0).is_unknown());
        assert!(!seen(&[&unknown], 1).is_unknown());
        assert!(!Seen::Everywhere { took: Duration::ZERO, servers: 1 }.is_unknown());
    }

    #[test]
    fn only_the_address_alone_from_who_speaks_for_the_zone_is_right() {
        let name: Name = "home.example.org.".parse().unwrap();
        let address: IpAddr = "192.0.2.7".parse().unwrap();
        let with = |datas: Vec<RData>| {
            let mut answer = Message::response(1, OpCode::Query);
            answer.metadata.authoritative = true;
            for data in datas {
                answer.add_answer(Record::from_rdata(name.clone(), 60, data));
            }
            answer
        };
        let a = |text: &str| RData::A(A(text.parse().unwrap()));
        assert_eq!(judge(&with(vec![a("192.0.2.7")]), address), Ok(()));
        let mut lame = with(vec![a("192.0.2.7")]);
        lame.metadata.authoritative = false;
        let mut failed = with(vec![]);
        failed.metadata.response_code = ResponseCode::ServFail;
        for (answer, why) in [
            (lame, "lame"),
            (failed, "Server Failure"),
            (with(vec![]), "no address"),
            (with(vec![a("192.0.2.6")]), "192.0.2.6"),
            (with(vec![a("192.0.2.7"), a("192.0.2.6")]), "192.0.2.7, 192.0.2.6"),
            (
                with(vec![RData::CNAME(CNAME("x.example.".parse().unwrap())), a("192.0.2.7")]),
                "alias of x.example.",
            ),
        ] {
            let error = judge(&answer, address).unwrap_err();
            assert!(error.contains(why), "{error}");
        }
    }
}

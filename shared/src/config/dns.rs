use std::{
    fmt,
    net::{IpAddr, SocketAddr},
    str::FromStr,
    time::Duration,
};

use super::trimmed;
use crate::{
    dns::verify::Resolvers,
    guard::{Allow, Network},
};

/// The port of DNS.
const PORT: u16 = 53;

/// How long one server may take for one answer.
const ANSWER: Duration = Duration::from_secs(5);

/// The networks of homes and sites, and this machine: RFC 1918, RFC 4193, loopback. Neither link-local ones, where clouds keep what
/// their machines are, nor those that a provider's customers share.
const PRIVATE: [&str; 6] =
    ["10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16", "127.0.0.0/8", "fc00::/7", "::1/128"];

/// Whether an address lies in one of them.
pub(super) fn is_private(address: IpAddr) -> bool {
    private().any(|network| network.contains(address))
}

fn private() -> impl Iterator<Item = Network> {
    PRIVATE.iter().filter_map(|text| text.parse().ok())
}

/// How names that follow addresses are looked at, and what may be called for them.
///
/// In a fleet whoever may add a record could otherwise make it call what only the fleet can reach. In `up` that is whoever runs the
/// machine, and a name server or a router in the same network is the usual case: there private networks are allowed unless something else
/// is said.
#[derive(Debug, Clone, Default, clap::Args)]
pub struct Dns {
    /// Who is asked for the servers of a zone, to see there whether a name has its address: `192.0.2.53,[2001:db8::53]:5353`; without
    /// it the system's resolvers
    #[arg(
        long = "dns-resolvers", env = "SYNCFLEET_DNS_RESOLVERS", value_name = "ADDRESS,…", value_delimiter = ',',
        value_parser = resolver, help_heading = "Settings"
    )]
    dns_resolvers: Vec<Option<SocketAddr>>,
    #[command(flatten)]
    allow: DnsAllow,
}

/// What may be called for names that follow addresses.
#[derive(Debug, Clone, Default, clap::Args)]
pub struct DnsAllow {
    /// Networks that providers of names and name servers may be in beside the public internet: `192.168.1.53,fd00::/8`; `private` is
    /// all private networks and this machine, `public` none; `up` allows `private` unless it is set
    #[arg(
        long = "dns-allow", env = "SYNCFLEET_DNS_ALLOW", value_name = "NETWORK,…", value_delimiter = ',',
        value_parser = part, help_heading = "Settings"
    )]
    dns_allow: Vec<Option<Part>>,
}

/// Nothing at all is no resolver, and no mistake: an empty variable is as good as none.
fn resolver(text: &str) -> Result<Option<SocketAddr>, String> {
    if text.trim().is_empty() {
        return Ok(None);
    }
    let alone = trimmed::<IpAddr>(text).map(|address| SocketAddr::new(address, PORT));
    alone.or_else(|_| trimmed(text)).map(Some).map_err(|_| {
        "not an address; allowed are 192.0.2.53, 192.0.2.53:5353, 2001:db8::53 and [2001:db8::53]:5353"
            .to_owned()
    })
}

/// What can stand between two commas.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Part {
    Private,
    Public,
    Network(Network),
}

impl FromStr for Part {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text {
            "private" => Ok(Self::Private),
            "public" => Ok(Self::Public),
            network => {
                network.parse().map(Self::Network).map_err(|why: String| format!("{why}, private or public"))
            }
        }
    }
}

impl fmt::Display for Part {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Private => f.write_str("private"),
            Self::Public => f.write_str("public"),
            Self::Network(network) => network.fmt(f),
        }
    }
}

/// Nothing at all is no network, and no mistake: an empty variable is as good as none.
fn part(text: &str) -> Result<Option<Part>, String> {
    if text.trim().is_empty() { Ok(None) } else { trimmed(text).map(Some) }
}

impl Dns {
    /// The resolvers, as another process reads them; none: the system's.
    #[must_use]
    pub fn text(&self) -> Option<String> {
        let servers: Vec<_> = self.dns_resolvers.iter().flatten().map(ToString::to_string).collect();
        (!servers.is_empty()).then(|| servers.join(","))
    }

    /// Who is asked; none: the system's, as they are at that moment.
    #[must_use]
    pub fn resolvers(&self) -> Option<Resolvers> {
        let servers: Vec<_> = self.dns_resolvers.iter().flatten().copied().collect();
        (!servers.is_empty()).then_some(Resolvers { servers, port: PORT, limit: ANSWER, allow: self.allow() })
    }

    /// The same, with private networks allowed if nothing was said: for the machine of one person.
    #[must_use]
    pub fn at_home(self) -> Self {
        Self { allow: self.allow.at_home(), ..self }
    }

    /// What is allowed, as another process reads it; none: nothing was said.
    #[must_use]
    pub fn allow_text(&self) -> Option<String> {
        self.allow.text()
    }

    /// What is allowed.
    #[must_use]
    pub fn allow(&self) -> Allow {
        self.allow.networks()
    }
}

impl DnsAllow {
    /// The same, with private networks allowed if nothing was said: for the machine of one person.
    #[must_use]
    pub fn at_home(self) -> Self {
        if self.dns_allow.iter().flatten().next().is_some() {
            self
        } else {
            Self { dns_allow: vec![Some(Part::Private)] }
        }
    }

    fn text(&self) -> Option<String> {
        let parts: Vec<_> = self.dns_allow.iter().flatten().map(ToString::to_string).collect();
        (!parts.is_empty()).then(|| parts.join(","))
    }

    /// What is allowed.
    #[must_use]
    pub fn networks(&self) -> Allow {
        let networks = self.dns_allow.iter().flatten().flat_map(|part| match part {
            Part::Private => private().collect(),
            Part::Public => Vec::new(),
            Part::Network(network) => vec![*network],
        });
        Allow::new(&networks.collect::<Vec<_>>())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(text: &str) -> Dns {
        let dns_allow = text.split(',').map(|text| part(text).unwrap()).collect();
        Dns { allow: DnsAllow { dns_allow }, ..Dns::default() }
    }

    #[test]
    fn at_home_private_networks_are_allowed_unless_something_is_said() {
        let allows = |dns: &Dns, address: &str| dns.allow().contains(address.parse().unwrap());
        let home = of("").at_home();
        assert_eq!((of("").allow_text(), home.allow_text().as_deref()), (None, Some("private")));
        for address in ["192.168.178.53", "10.1.2.3", "172.20.0.1", "127.0.0.1", "::1", "fd12::1"] {
            assert!(allows(&home, address) && !allows(&of(""), address), "{address}");
        }
        // What a cloud tells its machines, and what belongs to a provider.
        for address in ["169.254.169.254", "fe80::1", "100.64.0.1", "0.0.0.0"] {
            assert!(!allows(&home, address), "{address}");
        }
        let strict = of("public").at_home();
        assert!(!allows(&strict, "192.168.1.1") && strict.allow_text().as_deref() == Some("public"));
        let one = of(" 192.168.1.53 , fd00::/8").at_home();
        assert!(allows(&one, "192.168.1.53") && !allows(&one, "192.168.1.1"));
        assert_eq!(one.allow_text().as_deref(), Some("192.168.1.53/32,fd00::/8"));
        assert!(part("home").unwrap_err().contains("private or public"));
        assert_eq!(PRIVATE.iter().filter_map(|text| text.parse::<Network>().ok()).count(), PRIVATE.len());
    }
}

//! Where calls may go that tenants have named: webhooks, providers of names, name servers. Whoever may name a URL must not reach by it
//! what only the fleet can reach: the machine itself, its neighbours, the metadata of its cloud.
//!
//! The address is looked at after the name was resolved, and the very addresses that were looked at are connected to: a name
//! cannot change its mind in between. Redirects are not followed, and no proxy is used, so nothing else is connected to.

use std::{
    fmt,
    net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr},
    str::FromStr,
    sync::Arc,
};

use futures_util::{FutureExt, future::BoxFuture};
use reqwest::dns::{Addrs, Name, Resolve, Resolving};
use url::{Host, Url};

/// Networks of IPv4 that are not the public internet: <https://www.iana.org/assignments/iana-ipv4-special-registry>.
const SPECIAL_V4: [(Ipv4Addr, u8, &str); 16] = [
    (Ipv4Addr::UNSPECIFIED, 8, "this network"),
    (Ipv4Addr::new(10, 0, 0, 0), 8, "private"),
    (Ipv4Addr::new(100, 64, 0, 0), 10, "shared by a provider's customers"),
    (Ipv4Addr::new(127, 0, 0, 0), 8, "loopback"),
    (Ipv4Addr::new(169, 254, 0, 0), 16, "link-local"),
    (Ipv4Addr::new(172, 16, 0, 0), 12, "private"),
    (Ipv4Addr::new(192, 0, 0, 0), 24, "reserved for protocols"),
    (Ipv4Addr::new(192, 0, 2, 0), 24, "for documentation"),
    (Ipv4Addr::new(192, 88, 99, 0), 24, "a 6to4 relay"),
    (Ipv4Addr::new(192, 168, 0, 0), 16, "private"),
    (Ipv4Addr::new(198, 18, 0, 0), 15, "for benchmarks"),
    (Ipv4Addr::new(198, 51, 100, 0), 24, "for documentation"),
    (Ipv4Addr::new(203, 0, 113, 0), 24, "for documentation"),
    (Ipv4Addr::new(224, 0, 0, 0), 4, "multicast"),
    (Ipv4Addr::BROADCAST, 32, "broadcast"),
    (Ipv4Addr::new(240, 0, 0, 0), 4, "reserved"),
];

/// Networks of IPv6 that are not the public internet, with what they are; nothing beyond `2000::/3` is:
/// <https://www.iana.org/assignments/iana-ipv6-special-registry>. Those that carry an IPv4 address are not sorted by it: nobody
/// needs them, and they have opened many a guard.
const SPECIAL_V6: [(Ipv6Addr, u8, &str); 9] = [
    (Ipv6Addr::LOCALHOST, 128, "loopback"),
    (Ipv6Addr::new(0, 0, 0, 0, 0, 0xffff, 0, 0), 96, "an IPv4 address written as IPv6"),
    (Ipv6Addr::new(0xfc00, 0, 0, 0, 0, 0, 0, 0), 7, "unique local"),
    (Ipv6Addr::new(0xfe80, 0, 0, 0, 0, 0, 0, 0), 10, "link-local"),
    (Ipv6Addr::new(0xff00, 0, 0, 0, 0, 0, 0, 0), 8, "multicast"),
    (Ipv6Addr::new(0x2001, 0, 0, 0, 0, 0, 0, 0), 23, "reserved for protocols (Teredo among them)"),
    (Ipv6Addr::new(0x2001, 0x0db8, 0, 0, 0, 0, 0, 0), 32, "for documentation"),
    (Ipv6Addr::new(0x2002, 0, 0, 0, 0, 0, 0, 0), 16, "6to4"),
    (Ipv6Addr::new(0x3fff, 0, 0, 0, 0, 0, 0, 0), 20, "for documentation"),
];

const PUBLIC_V6: (Ipv6Addr, u8) = (Ipv6Addr::new(0x2000, 0, 0, 0, 0, 0, 0, 0), 3);

/// A network, as `10.0.0.0/8`; an address alone is a network of one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Network {
    first: IpAddr,
    prefix: u8,
}

impl Network {
    const fn new(first: IpAddr, prefix: u8) -> Self {
        Self { first, prefix }
    }

    /// Whether the address lies in it. An IPv4 address does not lie in a network of IPv6, nor the other way round.
    #[must_use]
    pub fn contains(&self, address: IpAddr) -> bool {
        match (self.first, address) {
            (IpAddr::V4(first), IpAddr::V4(address)) => {
                let mask = u32::MAX.checked_shl(32 - u32::from(self.prefix)).unwrap_or(0);
                (first.to_bits() ^ address.to_bits()) & mask == 0
            }
            (IpAddr::V6(first), IpAddr::V6(address)) => {
                let mask = u128::MAX.checked_shl(128 - u32::from(self.prefix)).unwrap_or(0);
                (first.to_bits() ^ address.to_bits()) & mask == 0
            }
            _ => false,
        }
    }
}

impl fmt::Display for Network {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.first, self.prefix)
    }
}

impl FromStr for Network {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let bad =
            || format!("{text:?} is no network: give an address, or a network as 10.0.0.0/8 or fd00::/8");
        let (address, prefix) =
            text.trim().split_once('/').map_or((text.trim(), None), |(a, p)| (a, Some(p)));
        let first: IpAddr = address.parse().map_err(|_| bad())?;
        let most = if first.is_ipv4() { 32 } else { 128 };
        let prefix = match prefix {
            None => most,
            Some(prefix) => prefix.parse().ok().filter(|prefix| *prefix <= most).ok_or_else(bad)?,
        };
        Ok(Self { first, prefix })
    }
}

/// Networks that are allowed beside the public internet.
#[derive(Debug, Clone, Default)]
pub struct Allow(Arc<[Network]>);

impl Allow {
    /// Allows these.
    #[must_use]
    pub fn new(networks: &[Network]) -> Self {
        Self(networks.into())
    }

    /// Whether nothing is.
    pub(crate) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Whether an address lies in one of them.
    pub(crate) fn contains(&self, address: IpAddr) -> bool {
        self.0.iter().any(|network| network.contains(address))
    }
}

/// Why an address is none of the public internet; none: it is.
#[must_use]
pub fn forbidden(address: IpAddr) -> Option<&'static str> {
    match address {
        IpAddr::V4(_) => SPECIAL_V4
            .iter()
            .find(|(first, prefix, _)| Network::new((*first).into(), *prefix).contains(address))
            .map(|(_, _, why)| *why),
        IpAddr::V6(_) => {
            let public = Network::new(PUBLIC_V6.0.into(), PUBLIC_V6.1);
            SPECIAL_V6
                .iter()
                .find(|(first, prefix, _)| Network::new((*first).into(), *prefix).contains(address))
                .map(|(_, _, why)| *why)
                .or_else(|| (!public.contains(address)).then_some("not public"))
        }
    }
}

/// The network by which an address is none of the public internet, as `100.64.0.0/10`: the one to allow if it is meant. An address that
/// lies in none of those that have a name is a network of one.
#[must_use]
pub fn network_of(address: IpAddr) -> Network {
    let special = match address {
        IpAddr::V4(_) => SPECIAL_V4
            .iter()
            .map(|(first, prefix, _)| Network::new((*first).into(), *prefix))
            .find(|network| network.contains(address)),
        IpAddr::V6(_) => SPECIAL_V6
            .iter()
            .map(|(first, prefix, _)| Network::new((*first).into(), *prefix))
            .find(|network| network.contains(address)),
    };
    special.unwrap_or_else(|| Network::new(address, if address.is_ipv4() { 32 } else { 128 }))
}

/// An address that must not be called.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct Blocked(String);

impl Blocked {
    pub(crate) fn new(why: impl Into<String>) -> Self {
        Self(why.into())
    }
}

/// Looks at addresses before they are called.
#[derive(Debug, Clone)]
pub(crate) struct Guard {
    allow: Allow,
    /// Without TLS only what is allowed by name of its network.
    plain: bool,
    /// The setting that allows more.
    setting: &'static str,
}

impl Guard {
    pub(crate) const fn new(allow: Allow, plain: bool, setting: &'static str) -> Self {
        Self { allow, plain, setting }
    }

    /// Whether an address may be called.
    pub(crate) fn check(&self, address: IpAddr) -> Result<(), Blocked> {
        if self.allow.contains(address) {
            return Ok(());
        }
        let setting = format!("{} does not name its network", self.setting);
        match forbidden(address) {
            Some(why) => Err(Blocked(format!("{address} must not be called: it is {why}, and {setting}"))),
            None if self.plain => {
                Err(Blocked(format!("{address} must not be called without TLS: use https; {setting}")))
            }
            None => Ok(()),
        }
    }

    /// Whether an address is one that is allowed by name of its network: being public is not enough.
    pub(crate) fn is_named(&self, address: IpAddr) -> bool {
        self.allow.contains(address)
    }

    /// Whether the address that stands in a URL may be called. A name is looked at when it is resolved.
    pub(crate) fn check_host(&self, url: &Url) -> Result<(), Blocked> {
        match url.host() {
            Some(Host::Ipv4(address)) => self.check(address.into()),
            Some(Host::Ipv6(address)) => self.check(address.into()),
            Some(Host::Domain(_)) | None => Ok(()),
        }
    }

    /// Those of the addresses that may be called; the first refusal if there is none.
    pub(crate) fn those_of(&self, name: &str, addresses: &[IpAddr]) -> Result<Vec<IpAddr>, Blocked> {
        let mut refusal = Blocked(format!("the name {name} has no address"));
        let mut open = Vec::new();
        for address in addresses.iter().rev() {
            match self.check(*address) {
                Ok(()) => open.push(*address),
                Err(blocked) => refusal = Blocked(format!("{name}: {blocked}")),
            }
        }
        open.reverse();
        if open.is_empty() { Err(refusal) } else { Ok(open) }
    }
}

/// What turns a name into addresses.
pub type Lookup = Arc<dyn Fn(String) -> BoxFuture<'static, std::io::Result<Vec<IpAddr>>> + Send + Sync>;

/// The system's names.
#[must_use]
pub fn system() -> Lookup {
    Arc::new(|name| {
        async move {
            let found = tokio::net::lookup_host((name.as_str(), 0)).await?;
            Ok(found.map(|address| address.ip()).collect())
        }
        .boxed()
    })
}

/// Resolves names to what may be called.
pub(crate) struct Resolver {
    pub(crate) lookup: Lookup,
    pub(crate) guard: Guard,
}

impl Resolve for Resolver {
    fn resolve(&self, name: Name) -> Resolving {
        let name = name.as_str().to_owned();
        let (found, guard) = ((self.lookup)(name.clone()), self.guard.clone());
        Box::pin(async move {
            let open = guard.those_of(&name, &found.await?)?;
            // The client puts the URL's port in the place of 0.
            let addresses: Addrs = Box::new(open.into_iter().map(|address| SocketAddr::new(address, 0)));
            Ok(addresses)
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_not_public_is_forbidden() {
        for address in [
            "0.0.0.0",
            "0.1.2.3",
            "10.0.0.1",
            "10.255.255.255",
            "100.64.0.1",
            "100.127.255.255",
            "127.0.0.1",
            "127.255.0.1",
            "169.254.169.254",
            "172.16.0.1",
            "172.31.255.255",
            "192.0.0.1",
            "192.0.2.1",
            "192.88.99.1",
            "192.168.1.1",
            "198.18.0.1",
            "198.19.255.255",
            "198.51.100.1",
            "203.0.113.1",
            "224.0.0.1",
            "239.255.255.255",
            "240.0.0.1",
            "255.255.255.255",
            "::",
            "::1",
            "::7f00:1",
            "::ffff:127.0.0.1",
            "::ffff:8.8.8.8",
            "64:ff9b::7f00:1",
            "64:ff9b:1::1",
            "100::1",
            "2001::1",
            "2001:10::1",
            "2001:db8::1",
            "2002:7f00:1::1",
            "3fff::1",
            "5f00::1",
            "fc00::1",
            "fd12:3456::1",
            "fe80::1",
            "fec0::1",
            "ff02::1",
        ] {
            assert!(forbidden(address.parse().unwrap()).is_some(), "{address}");
        }
        for address in [
            "1.1.1.1",
            "8.8.8.8",
            "9.255.255.255",
            "11.0.0.0",
            "100.63.255.255",
            "100.128.0.0",
            "126.0.0.1",
            "128.0.0.1",
            "169.253.0.1",
            "172.15.255.255",
            "172.32.0.0",
            "192.0.1.1",
            "192.167.0.1",
            "198.17.0.1",
            "198.20.0.0",
            "223.255.255.255",
            "2606:4700::1111",
            "2a00:1450:4001::1",
            "2001:4860:4860::8888",
        ] {
            assert_eq!(forbidden(address.parse().unwrap()), None, "{address}");
        }
    }

    #[test]
    fn the_network_to_allow_is_the_one_that_forbids() {
        for (address, network) in [
            ("100.64.3.2", "100.64.0.0/10"),
            ("192.168.178.1", "192.168.0.0/16"),
            ("127.0.0.1", "127.0.0.0/8"),
            ("fd12:3456::1", "fc00::/7"),
            ("2001:db8::1", "2001:db8::/32"),
            ("4000::1", "4000::1/128"),
            ("8.8.8.8", "8.8.8.8/32"),
        ] {
            let address: IpAddr = address.parse().unwrap();
            assert_eq!(network_of(address).to_string(), network);
            assert!(network_of(address).contains(address));
        }
    }

    #[test]
    fn networks_are_read_and_hold_what_lies_in_them() {
        for (network, inside, outside) in [
            ("10.0.0.0/8", "10.1.2.3", "11.0.0.0"),
            ("127.0.0.1", "127.0.0.1", "127.0.0.2"),
            ("0.0.0.0/0", "255.1.1.1", "::1"),
            ("fd00::/8", "fdff::1", "fc00::1"),
            ("::/0", "ff::1", "10.0.0.1"),
            (" ::1/128", "::1", "::ffff:127.0.0.1"),
        ] {
            let network: Network = network.parse().unwrap();
            assert!(network.contains(inside.parse().unwrap()), "{network}");
            assert!(!network.contains(outside.parse().unwrap()), "{network}");
        }
        for bad in ["", "10.0.0.0/33", "10.0.0.0/-1", "10/8", "localhost", "::/129", "10.0.0.0/"] {
            assert!(bad.parse::<Network>().unwrap_err().contains("no network"), "{bad}");
        }
    }

    #[test]
    fn of_a_names_addresses_only_those_are_called_that_may_be() {
        let guard = Guard::new(Allow::default(), false, "SETTING");
        let addresses: Vec<IpAddr> =
            ["127.0.0.1", "8.8.8.8", "::1", "1.1.1.1"].map(|a| a.parse().unwrap()).into();
        let open = guard.those_of("a.example", &addresses).unwrap();
        assert_eq!(open, ["8.8.8.8", "1.1.1.1"].map(|a| a.parse::<IpAddr>().unwrap()));
        let why = guard.those_of("a.example", &addresses[..1]).unwrap_err().to_string();
        assert!(
            why.starts_with("a.example: 127.0.0.1 must not be called: it is loopback, and SETTING"),
            "{why}"
        );
        assert!(guard.those_of("a.example", &[]).unwrap_err().to_string().contains("has no address"));
    }
}

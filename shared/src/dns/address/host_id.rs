use std::{
    fmt,
    net::{IpAddr, Ipv6Addr},
    str::FromStr,
};

use serde::{Deserialize, Serialize};

use crate::dns::FieldError;

/// The part of an IPv6 address that stays when a provider hands out another prefix: the address of a machine behind the router, made from
/// that of the router. As text `::1:2:3:4`, or `::12:0:0:0:5/56` where the prefix is not of 64 bits.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct HostId {
    /// How many bits at the beginning are the network's, as 64 or 56.
    pub prefix: u8,
    /// The rest, as `::1:2:3:4`; for a prefix shorter than 64 with the number of the subnet.
    pub id: Ipv6Addr,
}

impl HostId {
    /// The prefix of a network in a home: RFC 4291 section 2.5.1.
    pub const PREFIX: u8 = 64;

    /// Whether the id fits behind the prefix, and names a host.
    pub fn check(&self) -> Result<(), FieldError> {
        if !(1..=127).contains(&self.prefix) {
            return Err(FieldError::new(
                "host_id.prefix",
                format!("{} is not allowed; allowed are 1 to 127", self.prefix),
            ));
        }
        if self.id.to_bits() & self.mask() != 0 {
            return Err(FieldError::new(
                "host_id.id",
                format!("{} has bits within the first {}, which are the network's", self.id, self.prefix),
            ));
        }
        if self.id.is_unspecified() {
            return Err(FieldError::new(
                "host_id.id",
                ":: names no host: that is the address of all routers of a network (RFC 4291 section 2.6.1)",
            ));
        }
        Ok(())
    }

    const fn mask(&self) -> u128 {
        match u128::MAX.checked_shl(128 - self.prefix as u32) {
            Some(mask) => mask,
            None => 0,
        }
    }

    /// The address with this id in the network of another address.
    #[must_use]
    pub fn within(&self, network: Ipv6Addr) -> Ipv6Addr {
        (network.to_bits() & self.mask() | self.id.to_bits() & !self.mask()).into()
    }
}

/// Why a name has no address to follow.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum NoAddress {
    /// Nobody has told the address yet.
    #[error("nobody has told the address yet")]
    Untold,
    /// A network is no host's address.
    #[error("only a network is told, and the name has no host's part of its own (--host-id)")]
    NetworkAlone,
}

/// The address of a host, by what was told and the host's own id: what was told, or the id in its network.
///
/// What has nothing behind its first 64 bits is a network's address, as a router tells it, and no host's: it is that of all routers there
/// (RFC 4291 section 2.6.1). Without an id nothing follows from it.
pub fn of_host(told: Option<IpAddr>, host_id: Option<HostId>) -> Result<IpAddr, NoAddress> {
    match (told, host_id) {
        (None, _) => Err(NoAddress::Untold),
        (Some(IpAddr::V6(network)), Some(host_id)) => Ok(host_id.within(network).into()),
        (Some(IpAddr::V6(told)), None) if told.to_bits().trailing_zeros() >= 64 => {
            Err(NoAddress::NetworkAlone)
        }
        (Some(told), _) => Ok(told),
    }
}

impl fmt::Display for HostId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.id)?;
        if self.prefix == Self::PREFIX { Ok(()) } else { write!(f, "/{}", self.prefix) }
    }
}

impl FromStr for HostId {
    type Err = FieldError;

    fn from_str(text: &str) -> Result<Self, FieldError> {
        let bad = || {
            let why =
                format!("{text:?} is none; allowed are ids as ::1:2:3:4, with a prefix as ::12:0:0:0:5/56");
            FieldError::new("host_id", why)
        };
        let (id, prefix) = text.trim().split_once('/').map_or((text.trim(), None), |(id, p)| (id, Some(p)));
        let host_id = Self {
            prefix: prefix.map_or(Ok(Self::PREFIX), |prefix| prefix.parse().map_err(|_| bad()))?,
            id: id.parse().map_err(|_| bad())?,
        };
        host_id.check()?;
        Ok(host_id)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_network_is_taken_and_the_id_kept() {
        for (prefix, id, network, address) in [
            (64, "::1:2:3:4", "2a00:1450:1:2:aaaa::1", "2a00:1450:1:2:1:2:3:4"),
            (56, "::12:0:0:0:5", "2a00:1450:1:34ff::1", "2a00:1450:1:3412::5"),
            (127, "::1", "2a00::4", "2a00::5"),
        ] {
            let host_id = HostId { prefix, id: id.parse().unwrap() };
            assert_eq!(host_id.check(), Ok(()));
            assert_eq!(host_id.within(network.parse().unwrap()), address.parse::<Ipv6Addr>().unwrap());
        }
        for (prefix, id) in [(0, "::1"), (128, "::"), (64, "1::1"), (56, "::123:0:0:0:5"), (64, "::")] {
            assert!(HostId { prefix, id: id.parse().unwrap() }.check().is_err(), "{id}/{prefix}");
        }
    }

    #[test]
    fn a_network_alone_is_no_hosts_address() {
        let of = |told: &str, host_id: Option<&str>| {
            let host_id = host_id.map(|id| id.parse().unwrap());
            of_host(Some(told.parse().unwrap()), host_id).map(|address| address.to_string())
        };
        let own = |text: &str| Ok(text.to_owned());
        for network in ["2a00:1450:0:100::", "2a00:1450:0:134::", "2a00:1450::"] {
            assert_eq!(of(network, None), Err(NoAddress::NetworkAlone), "{network}");
        }
        for address in ["2a00:1450:0:100::1", "2a00:1450:0:100:8000::", "2a00::1:0:0:0", "192.0.2.0"] {
            assert_eq!(of(address, None), own(address));
        }
        assert_eq!(of("2a00:1450:0:100::", Some("::5")), own("2a00:1450:0:100::5"));
        assert_eq!(of("2a00:1450:0:100::", Some("::34:0:0:0:5/56")), own("2a00:1450:0:134::5"));
        assert_eq!(of("192.0.2.7", Some("::5")), own("192.0.2.7"));
        assert_eq!(of_host(None, Some("::5".parse().unwrap())), Err(NoAddress::Untold));
    }

    #[test]
    fn it_is_read_from_text_and_written_the_same() {
        for (text, prefix, id, again) in [
            ("::1:2:3:4", 64, "::1:2:3:4", "::1:2:3:4"),
            (" ::5/64 ", 64, "::5", "::5"),
            ("0:0:0:12::5/56", 56, "::12:0:0:0:5", "::12:0:0:0:5/56"),
        ] {
            let host_id: HostId = text.parse().unwrap();
            assert_eq!(host_id, HostId { prefix, id: id.parse().unwrap() });
            assert_eq!(host_id.to_string(), again);
        }
        for (text, why) in [
            ("", "allowed are ids as"),
            ("::1/", "allowed are ids as"),
            ("::1/x", "allowed are ids as"),
            ("192.0.2.1", "allowed are ids as"),
            ("1::1", "bits within the first 64"),
            ("::1/0", "allowed are 1 to 127"),
            ("::/64", "names no host"),
        ] {
            let error = text.parse::<HostId>().unwrap_err().to_string();
            assert!(error.contains(why), "{text}: {error}");
        }
    }
}

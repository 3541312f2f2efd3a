use std::net::IpAddr;

use super::AddressError;
use crate::guard::{Network, forbidden, network_of};

/// Which addresses may stand in a record: those of the public internet, and those of networks that are named.
#[derive(Debug, Clone, Default)]
pub struct Rules {
    allow: Vec<Network>,
}

impl Rules {
    /// Allows these networks too.
    #[must_use]
    pub const fn new(allow: Vec<Network>) -> Self {
        Self { allow }
    }

    /// Whether an address may be used; else why not.
    pub fn check(&self, address: IpAddr) -> Result<(), AddressError> {
        if self.allow.iter().any(|network| network.contains(address)) {
            return Ok(());
        }
        forbidden(address).map_or(Ok(()), |why| {
            Err(AddressError::Forbidden(format!(
                "{address} is not of the public internet: it is {why}; nobody outside could reach it. If that is meant, \
                 allow its network by --allow (`syncfleet dns address add`, `set`, `find`)"
            )))
        })
    }

    /// The command that allows this address, too, for whoever keeps the one of that name. What is allowed already stays so.
    #[must_use]
    pub fn to_allow(&self, name: &str, address: IpAddr) -> String {
        let networks = self.allow.iter().copied().chain([network_of(address)]);
        let flags: Vec<String> = networks.map(|network| format!(" --allow {network}")).collect();
        format!("`syncfleet dns address set {name}{}`", flags.concat())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_not_public_is_refused_with_the_reason() {
        let rules = Rules::default();
        for (address, why) in [
            ("10.1.2.3", "private"),
            ("172.16.0.1", "private"),
            ("192.168.178.20", "private"),
            ("100.64.0.1", "shared by a provider's customers"),
            ("100.127.255.254", "shared by a provider's customers"),
            ("127.0.0.1", "loopback"),
            ("169.254.1.1", "link-local"),
            ("192.0.2.1", "for documentation"),
            ("198.51.100.1", "for documentation"),
            ("203.0.113.1", "for documentation"),
            ("0.0.0.0", "this network"),
            ("224.0.0.1", "multicast"),
            ("255.255.255.255", "reserved"),
            ("::1", "loopback"),
            ("fe80::1", "link-local"),
            ("fd12:3456::1", "unique local"),
            ("fc00::1", "unique local"),
            ("2001:db8::1", "for documentation"),
            ("3fff::1", "for documentation"),
            ("2001::1", "Teredo"),
            ("2002:c000:204::1", "6to4"),
            ("::ffff:8.8.8.8", "IPv4 address written as IPv6"),
            ("ff02::1", "multicast"),
            ("::", "not public"),
            ("64:ff9b::808:808", "not public"),
        ] {
            let error = rules.check(address.parse().unwrap()).unwrap_err().to_string();
            // The last address of IPv4 is reserved and broadcast at once.
            assert!(error.contains(why) || address == "255.255.255.255", "{address}: {error}");
            assert!(error.contains("by --allow (`syncfleet dns address add`, `set`"), "{address}: {error}");
        }
        for address in ["8.8.8.8", "100.63.255.255", "100.128.0.1", "2a00:1450::1", "2606:4700::1111"] {
            assert_eq!(rules.check(address.parse().unwrap()), Ok(()), "{address}");
        }
    }

    #[test]
    fn a_network_that_is_named_is_allowed_and_no_other() {
        let rules = Rules::new(vec!["fd12:3456::/32".parse().unwrap()]);
        assert_eq!(rules.check("fd12:3456::1".parse().unwrap()), Ok(()));
        assert!(rules.check("fd12:3457::1".parse().unwrap()).is_err());
        assert!(rules.check("10.0.0.1".parse().unwrap()).is_err());
    }

    #[test]
    fn the_command_that_allows_more_keeps_what_is_allowed() {
        let address = "100.64.3.2".parse().unwrap();
        let command = Rules::default().to_allow("home", address);
        assert_eq!(command, "`syncfleet dns address set home --allow 100.64.0.0/10`");
        let command = Rules::new(vec!["10.0.0.0/8".parse().unwrap()]).to_allow("home", address);
        assert_eq!(command, "`syncfleet dns address set home --allow 10.0.0.0/8 --allow 100.64.0.0/10`");
    }
}

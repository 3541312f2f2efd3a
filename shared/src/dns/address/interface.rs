//! The address of an interface of this machine.
//!
//! Of several the rules choose. Of IPv6 those that come and go are left out: temporary (RFC 8981), deprecated and tentative ones; the
//! kernel tells them in `/proc/net/if_inet6` (<https://www.kernel.org/doc/html/latest/networking/ipv6.html>).

use std::net::{IpAddr, Ipv6Addr};

use super::{AddressError, Family, Rules};

/// Flags of an address: `IFA_F_*` of <https://github.com/torvalds/linux/blob/master/include/uapi/linux/if_addr.h>.
const TEMPORARY: u8 = 0x01;
const DAD_FAILED: u8 = 0x08;
const DEPRECATED: u8 = 0x20;
const TENTATIVE: u8 = 0x40;

pub(super) fn address(name: &str, family: Family, rules: &Rules) -> Result<IpAddr, AddressError> {
    let all = if_addrs::get_if_addrs()
        .map_err(|error| AddressError::None(format!("the interfaces cannot be listed: {error}")))?;
    let passing = match family {
        // Where there is no such file, no address is known to be passing.
        Family::Ipv6 => passing(&std::fs::read_to_string("/proc/net/if_inet6").unwrap_or_default()),
        Family::Ipv4 => Vec::new(),
    };
    let found: Vec<(String, IpAddr)> =
        all.into_iter().map(|found| (found.name.clone(), found.ip())).collect();
    choose(&found, name, family, rules, &passing)
}

fn choose(
    all: &[(String, IpAddr)],
    name: &str,
    family: Family,
    rules: &Rules,
    passing: &[Ipv6Addr],
) -> Result<IpAddr, AddressError> {
    let mut names: Vec<&str> = all.iter().map(|(name, _)| name.as_str()).collect();
    names.sort_unstable();
    names.dedup();
    if !names.contains(&name) {
        let names = names.join(", ");
        return Err(AddressError::None(format!("no interface {name} has an address; there are {names}")));
    }
    let mut refusal = AddressError::None(format!("the interface {name} has no lasting address of {family}"));
    for address in all.iter().filter(|(found, _)| found == name).map(|(_, address)| *address) {
        let lasting = !matches!(address, IpAddr::V6(address) if passing.contains(&address));
        if family.has(address) && lasting {
            match rules.check(address) {
                Ok(()) => return Ok(address),
                Err(error) => refusal = error,
            }
        }
    }
    Err(refusal)
}

/// Addresses that come and go. A line is: address, index, length of the prefix, scope, flags (hexadecimal), name.
fn passing(table: &str) -> Vec<Ipv6Addr> {
    table
        .lines()
        .filter_map(|line| {
            let mut fields = line.split_whitespace();
            let address = u128::from_str_radix(fields.next()?, 16).ok()?;
            let flags = u8::from_str_radix(fields.nth(3)?, 16).ok()?;
            (flags & (TEMPORARY | DAD_FAILED | DEPRECATED | TENTATIVE) != 0).then(|| address.into())
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_lasting_public_address_is_chosen() {
        let table = "00000000000000000000000000000001 01 80 10 80       lo\n\
                     2a0014500000000000000000000000aa 02 40 00 01     eth0\n\
                     2a0014500000000000000000000000bb 02 40 00 80     eth0\n\
                     broken line\n";
        let passing = passing(table);
        assert_eq!(passing, ["2a00:1450::aa".parse::<Ipv6Addr>().unwrap()]);
        let all: Vec<(String, IpAddr)> = [
            ("lo", "127.0.0.1"),
            ("eth0", "192.168.1.5"),
            ("eth0", "fe80::1"),
            ("eth0", "2a00:1450::aa"),
            ("eth0", "2a00:1450::bb"),
            ("ppp0", "8.8.4.4"),
        ]
        .map(|(name, address)| (name.to_owned(), address.parse().unwrap()))
        .into();
        let of = |name, family| {
            choose(&all, name, family, &Rules::default(), &passing)
                .map(|address| address.to_string())
                .map_err(|error| error.to_string())
        };
        assert_eq!(of("eth0", Family::Ipv6), Ok("2a00:1450::bb".to_owned()));
        assert_eq!(of("ppp0", Family::Ipv4), Ok("8.8.4.4".to_owned()));
        assert!(of("eth0", Family::Ipv4).unwrap_err().contains("private"));
        assert!(of("ppp0", Family::Ipv6).unwrap_err().contains("no lasting address"));
        assert!(of("eth1", Family::Ipv4).unwrap_err().contains("there are eth0, lo, ppp0"));
    }

    #[test]
    fn this_machine_has_a_loopback() {
        let rules = Rules::new(vec!["127.0.0.0/8".parse().unwrap()]);
        let lo = if_addrs::get_if_addrs()
            .unwrap()
            .into_iter()
            .find(|found| found.ip().is_ipv4() && found.is_loopback());
        assert!(address(&lo.unwrap().name, Family::Ipv4, &rules).unwrap().is_loopback());
    }
}

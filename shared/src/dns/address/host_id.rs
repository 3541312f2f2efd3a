use std::net::Ipv6Addr;

use serde::{Deserialize, Serialize};

use crate::dns::FieldError;

/// The part of an IPv6 address that stays when a provider hands out another prefix: the address of a machine behind the router, made from
/// that of the router.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct HostId {
    /// How many bits at the beginning are the network's, as 64 or 56.
    pub prefix: u8,
    /// The rest, as `::1:2:3:4`; for a prefix shorter than 64 with the number of the subnet.
    pub id: Ipv6Addr,
}

impl HostId {
    /// Whether the id fits behind the prefix.
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
        for (prefix, id) in [(0, "::1"), (128, "::"), (64, "1::1"), (56, "::123:0:0:0:5")] {
            assert!(HostId { prefix, id: id.parse().unwrap() }.check().is_err(), "{id}/{prefix}");
        }
    }
}

//! Which names there are, which address each follows, and what that address is before and after its change.

use std::{
    collections::BTreeMap,
    fmt::Write as _,
    net::{IpAddr, Ipv4Addr},
};

use anyhow::ensure;
use loadtest::bind::{Bind, Zone};

/// All addresses lie in it: the network for benchmarks, RFC 2544.
pub const NETWORK: &str = "198.18.0.0/15";

/// Where addresses begin before the change, and after it.
const BEFORE: u32 = Ipv4Addr::new(198, 18, 0, 0).to_bits();
const AFTER: u32 = Ipv4Addr::new(198, 19, 0, 0).to_bits();

/// How many of how many.
#[derive(Debug, Clone, Copy)]
pub struct Names {
    pub records: u32,
    pub addresses: u32,
}

impl Names {
    /// The name of a record, by its number.
    pub fn host(record: u32, zone: &str) -> String {
        format!("r{record:07}.{zone}")
    }

    /// The number of the address that a record follows.
    pub const fn address_of(self, record: u32) -> u32 {
        record % self.addresses
    }

    /// What an address is before the change.
    pub const fn before(address: u32) -> Ipv4Addr {
        Ipv4Addr::from_bits(BEFORE + address)
    }

    /// What it is after it.
    pub const fn after(address: u32) -> Ipv4Addr {
        Ipv4Addr::from_bits(AFTER + address)
    }

    /// A zone in which all names have their addresses from before.
    pub fn zone(self, name: &str) -> Zone {
        let records = (0..self.records).fold(String::new(), |mut text, record| {
            let address = Self::before(self.address_of(record));
            // Writing to a text cannot fail.
            let _ = writeln!(text, "{}. A {address}", Self::host(record, name));
            text
        });
        Zone { name: name.to_owned(), records }
    }

    /// What nsupdate is to do that all names have their addresses from after, so many with one message.
    pub fn script(self, bind: &Bind, zone: &str, at_once: usize) -> String {
        let mut text = bind.nsupdate_head(zone);
        for record in 0..self.records {
            let (host, address) = (Self::host(record, zone), Self::after(self.address_of(record)));
            let _ = write!(text, "update delete {host}. A\nupdate add {host}. 60 A {address}\n");
            if (record as usize + 1).is_multiple_of(at_once) || record + 1 == self.records {
                text.push_str("send\n");
            }
        }
        text
    }

    /// How many names of a zone BIND has with another address than that from after.
    pub async fn wrong(self, bind: &Bind, zone: &str) -> anyhow::Result<usize> {
        Ok(self.differing(&bind.transfer(zone).await?, zone))
    }

    /// An error where [`Self::wrong`] finds any.
    pub async fn check(self, bind: &Bind, zone: &str) -> anyhow::Result<()> {
        let wrong = self.wrong(bind, zone).await?;
        ensure!(wrong == 0, "{wrong} of {} names of {zone} have a wrong address at BIND", self.records);
        Ok(())
    }

    fn differing(self, found: &BTreeMap<String, Vec<IpAddr>>, zone: &str) -> usize {
        let right = (0..self.records)
            .filter(|record| {
                let after = IpAddr::V4(Self::after(self.address_of(*record)));
                found.get(&Self::host(*record, zone)).is_some_and(|addresses| *addresses == [after])
            })
            .count();
        // A name too many is wrong as well.
        found.len().max(self.records as usize) - right
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_wrong_name_is_found() {
        let names = Names { records: 5, addresses: 2 };
        let after = |record| IpAddr::V4(Names::after(names.address_of(record)));
        let mut found: BTreeMap<_, _> =
            (0..5).map(|record| (Names::host(record, "a.test"), vec![after(record)])).collect();
        assert_eq!(names.differing(&found, "a.test"), 0);
        found.insert("other.a.test".to_owned(), vec![after(0)]);
        assert_eq!(names.differing(&found, "a.test"), 1);
        found.remove("other.a.test");
        found.insert(Names::host(2, "a.test"), vec![after(1)]);
        found.insert(Names::host(3, "a.test"), vec![after(3), after(0)]);
        assert_eq!(names.differing(&found, "a.test"), 2);
        found.remove(&Names::host(4, "a.test"));
        assert_eq!(names.differing(&found, "a.test"), 3);
        assert_eq!(names.differing(&BTreeMap::new(), "a.test"), 5);
    }

    #[test]
    fn addresses_before_and_after_are_never_the_same() {
        assert_eq!(Names::before(49_999).octets()[..2], [198, 18]);
        assert_eq!(Names::after(49_999).octets()[..2], [198, 19]);
        let names = Names { records: 4, addresses: 3 };
        assert_eq!((names.address_of(2), names.address_of(3)), (2, 0));
        assert!(names.zone("a.test").records.ends_with("r0000003.a.test. A 198.18.0.0\n"));
    }
}

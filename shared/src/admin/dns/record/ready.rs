use std::{
    net::{IpAddr, Ipv4Addr, Ipv6Addr},
    time::Duration,
};

use sqlx::PgConnection;

use super::{FORCED, LONGEST_INTERVAL, New};
use crate::{
    admin::{
        AdminError,
        dns::{
            address::{Named, named},
            invalid, refused, within, word,
        },
        tenant,
    },
    dns::{
        Host, Provider, Wanted,
        address::{Family, HostId, NoAddress, of_host},
    },
    job::TenantId,
    store::dns_addresses::{self, Address, AddressId},
};

/// What stands for an address that is not known yet: of the networks for documentation (RFC 5737, RFC 3849).
const STAND_IN: (Ipv4Addr, Ipv6Addr) =
    (Ipv4Addr::new(192, 0, 2, 1), Ipv6Addr::new(0x2001, 0xdb8, 0, 0, 0, 0, 0, 1));

/// In which families a record is kept. None of both: in all that its address has.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Families {
    /// IPv4.
    pub ipv4: bool,
    /// IPv6.
    pub ipv6: bool,
    /// The host's own part of its IPv6 address; it means IPv6, too.
    pub host_id: Option<HostId>,
}

impl Families {
    /// Those that are named; empty: none is.
    pub(in crate::admin::dns) fn named(self) -> Vec<Family> {
        let named = [(Family::Ipv4, self.ipv4), (Family::Ipv6, self.ipv6 || self.host_id.is_some())];
        named.into_iter().filter(|(_, named)| *named).map(|(family, _)| family).collect()
    }

    fn of(self, address: &Address) -> Result<Vec<(Family, Option<HostId>)>, AdminError> {
        let there = |family| address.families.iter().any(|found| found.family == family);
        let chosen = self.named();
        if self.host_id.is_some() && self.ipv4 && !self.ipv6 {
            return Err(invalid(
                "host-id: it is a part of an IPv6 address, and --ipv4 alone keeps none: give --ipv6 too, or leave one of them out",
            ));
        }
        if self.host_id.is_some() && !there(Family::Ipv6) {
            return Err(refused(format!(
                "host-id: it is a part of an IPv6 address, and {}",
                lacks(address, Family::Ipv6)
            )));
        }
        let mut families = Vec::new();
        for family in Family::ALL {
            let is_chosen = chosen.contains(&family);
            if is_chosen && !there(family) {
                return Err(lacks(address, family));
            }
            if is_chosen || chosen.is_empty() && there(family) {
                families.push((family, self.host_id.filter(|_| family == Family::Ipv6)));
            }
        }
        Ok(families)
    }
}

/// The address has no such family.
pub(super) fn lacks(address: &Address, family: Family) -> AdminError {
    refused(format!(
        "the address {0} has no {1}: `syncfleet dns address set {0} --{1} SOURCE` gives it one",
        address.name,
        word(family)
    ))
}

/// A record whose settings have been looked at.
pub(in crate::admin::dns) struct Ready {
    pub(in crate::admin::dns) tenant: TenantId,
    pub(in crate::admin::dns) address: AddressId,
    pub(in crate::admin::dns) families: Vec<(Family, Option<HostId>)>,
    pub(in crate::admin::dns) min_interval: Duration,
    pub(in crate::admin::dns) forced_interval: Option<Duration>,
    /// What would be sent now.
    pub(in crate::admin::dns) wanted: Wanted,
    /// The families that have no address yet, and why: another stands for it.
    pub(in crate::admin::dns) unknown: Vec<(Family, NoAddress)>,
}

/// Looks at a record to be: whether everything in it fits together.
pub(in crate::admin::dns) async fn ready(
    conn: &mut PgConnection,
    new: &New<'_>,
) -> Result<Ready, AdminError> {
    let tenant = tenant::find(conn, new.tenant).await?;
    let Named { id, .. } = named(conn, new.address, Some(new.tenant)).await?;
    let address = dns_addresses::get(conn, id)
        .await?
        .ok_or_else(|| AdminError::not_found("address", new.address, ""))?;
    let families = new.families.of(&address)?;
    let (wanted, unknown) = wanted(new.host, &address, &families, new.ttl);
    if let Some(ttl) = new.ttl {
        new.provider.check_ttl(ttl)?;
    }
    new.provider.check(&wanted, new.secret)?;
    Ok(Ready {
        tenant,
        address: id,
        families,
        min_interval: min_interval(new.provider, new.min_interval)?,
        forced_interval: forced_interval(new.forced_interval)?,
        wanted,
        unknown,
    })
}

/// What the name is to have; and the families for which an address stands that is not theirs, and why.
pub(super) fn wanted(
    host: &Host,
    address: &Address,
    families: &[(Family, Option<HostId>)],
    ttl: Option<u32>,
) -> (Wanted, Vec<(Family, NoAddress)>) {
    let mut wanted = Wanted { host: host.clone(), v4: None, v6: None, beside: None, ttl };
    let mut unknown = Vec::new();
    for (family, host_id) in families {
        let told = address.families.iter().find(|found| found.family == *family);
        let own = of_host(told.and_then(|found| found.address), *host_id);
        if let Err(why) = own {
            unknown.push((*family, why));
        }
        match own.unwrap_or_else(|_| stand_in(*family, *host_id)) {
            IpAddr::V4(own) => wanted.v4 = Some(own),
            IpAddr::V6(own) => wanted.v6 = Some(own),
        }
    }
    (wanted, unknown)
}

/// What stands for an address that is not known yet, with the host's own part if it has one.
pub(in crate::admin::dns) fn stand_in(family: Family, host_id: Option<HostId>) -> IpAddr {
    match family {
        Family::Ipv4 => STAND_IN.0.into(),
        Family::Ipv6 => host_id.map_or(STAND_IN.1, |host_id| host_id.within(STAND_IN.1)).into(),
    }
}

/// The least time between two updates: never under the provider's.
pub(super) fn min_interval(provider: &Provider, given: Option<Duration>) -> Result<Duration, AdminError> {
    let least = provider.minimum_interval();
    given.map_or(Ok(least), |given| within("min-interval", given, least, LONGEST_INTERVAL))
}

pub(super) fn forced_interval(given: Option<Duration>) -> Result<Option<Duration>, AdminError> {
    given.map(|given| within("forced-interval", given, FORCED.0, FORCED.1)).transpose()
}

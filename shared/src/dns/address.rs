//! Where the address comes from, one family at a time.
//!
//! Wanted: no record points at what only looks like the address. So services on the internet must agree ([`quorum()`]); an address that is
//! not of the public internet is refused with the reason, unless its network is allowed ([`Rules`]); and each source is
//! asked by the family that it is asked for. What cannot be found out is an error, never another address.

pub mod echo;
pub mod gateway;
mod host_id;
mod interface;
pub mod port_mapping;
mod quorum;
mod rules;
pub mod upnp;
pub mod whoami;

use std::{
    fmt,
    net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, SocketAddrV4},
};

use serde::{Deserialize, Serialize};

pub use self::{
    host_id::{HostId, NoAddress, of_host},
    quorum::{Told, quorum},
    rules::Rules,
};
use super::{
    Endpoint, FieldError, Limits,
    http::{Caller, guard},
};
use crate::guard::{Allow, Guard, Lookup, system};

/// A family of addresses.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, sqlx::Type)]
#[serde(rename_all = "lowercase")]
#[sqlx(type_name = "address_family", rename_all = "lowercase")]
pub enum Family {
    /// IPv4
    Ipv4,
    /// IPv6
    Ipv6,
}

impl Family {
    /// Both.
    pub const ALL: [Self; 2] = [Self::Ipv4, Self::Ipv6];

    /// The family of an address.
    #[must_use]
    pub const fn of(address: IpAddr) -> Self {
        match address {
            IpAddr::V4(_) => Self::Ipv4,
            IpAddr::V6(_) => Self::Ipv6,
        }
    }

    /// Whether an address is of it.
    #[must_use]
    pub const fn has(self, address: IpAddr) -> bool {
        matches!((self, address), (Self::Ipv4, IpAddr::V4(_)) | (Self::Ipv6, IpAddr::V6(_)))
    }

    /// Its unspecified address: to call from it is to call by this family.
    const fn any(self) -> IpAddr {
        match self {
            Self::Ipv4 => IpAddr::V4(Ipv4Addr::UNSPECIFIED),
            Self::Ipv6 => IpAddr::V6(Ipv6Addr::UNSPECIFIED),
        }
    }
}

impl fmt::Display for Family {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Ipv4 => "IPv4",
            Self::Ipv6 => "IPv6",
        })
    }
}

/// A source of an address.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum Source {
    /// Web services that say who calls them.
    Echo {
        /// Their URLs; none: [`echo::services`].
        #[serde(default)]
        services: Vec<Endpoint>,
        /// How many must agree.
        #[serde(default = "two")]
        agree: usize,
    },
    /// Name servers that say who asks them: [`whoami::services`].
    Whoami {
        /// How many must agree.
        #[serde(default = "two")]
        agree: usize,
    },
    /// An interface of this machine.
    Interface {
        /// Its name, as `eth0`.
        name: String,
    },
    /// The router, by UPnP-IGD. IPv4 alone.
    Upnp,
    /// The router, by NAT-PMP. IPv4 alone.
    NatPmp {
        /// Its address; none: the default route's gateway.
        #[serde(default)]
        gateway: Option<Ipv4Addr>,
    },
    /// The router, by PCP. IPv4 alone.
    Pcp {
        /// Its address; none: the default route's gateway.
        #[serde(default)]
        gateway: Option<Ipv4Addr>,
    },
    /// This.
    Fixed {
        /// The address.
        address: IpAddr,
    },
}

const fn two() -> usize {
    2
}

/// Why there is no address.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum AddressError {
    /// Too few of those who were asked say the same.
    #[error("{0}")]
    Disagree(String),
    /// The source did not answer, or has none.
    #[error("{0}")]
    None(String),
    /// There is one, but it must not be used.
    #[error("{0}")]
    Forbidden(String),
}

/// Who is asked where a source names nobody: well-known servers, but for tests.
#[derive(Debug, Clone)]
pub struct Known {
    /// For [`Source::Whoami`] by IPv4.
    pub whoami_v4: Vec<whoami::Service>,
    /// For [`Source::Whoami`] by IPv6.
    pub whoami_v6: Vec<whoami::Service>,
    /// Where [`Source::Upnp`] searches.
    pub search: SocketAddr,
}

impl Default for Known {
    fn default() -> Self {
        Self {
            whoami_v4: whoami::services(Family::Ipv4),
            whoami_v6: whoami::services(Family::Ipv6),
            search: upnp::EVERYBODY,
        }
    }
}

/// Finds addresses.
#[derive(Clone)]
pub struct Finder {
    v4: Caller,
    v6: Caller,
    guard: Guard,
    limits: Limits,
    known: Known,
}

impl fmt::Debug for Finder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Finder")
            .field("limits", &self.limits)
            .field("guard", &self.guard)
            .finish_non_exhaustive()
    }
}

impl Source {
    /// Whether it can be asked for a family.
    pub fn check(&self, family: Family) -> Result<(), FieldError> {
        match self {
            Self::Echo { services, agree } => {
                let twice =
                    services.iter().enumerate().find(|(at, service)| services[..*at].contains(service));
                if twice.is_some() {
                    let why = "one is there twice: each has one voice, and two must agree";
                    return Err(FieldError::new("echo.services", why));
                }
                let there = if services.is_empty() { echo::services(family).len() } else { services.len() };
                enough(*agree, there)
            }
            Self::Whoami { agree } => enough(*agree, whoami::services(family).len()),
            Self::Interface { name } if name.is_empty() || name.len() > 15 || name.contains(['/', ' ']) => {
                Err(FieldError::new("interface.name", "it is a name of 1 to 15 characters, as eth0"))
            }
            Self::Upnp | Self::NatPmp { .. } | Self::Pcp { .. } if family == Family::Ipv6 => {
                Err(FieldError::new(
                    "source",
                    "a router tells its IPv4 address alone; for IPv6 use interface or echo",
                ))
            }
            Self::Fixed { address } if !family.has(*address) => {
                Err(FieldError::new("fixed.address", format!("{address} is not of {family}")))
            }
            _ => Ok(()),
        }
    }
}

fn enough(agree: usize, there: usize) -> Result<(), FieldError> {
    if (1..=there).contains(&agree) {
        return Ok(());
    }
    Err(FieldError::new(
        "agree",
        format!("{agree} is not allowed: of {there} services 1 to {there} can agree"),
    ))
}

impl Finder {
    /// Asks the public internet alone, and this machine's interfaces: no router.
    pub fn new(limits: Limits) -> anyhow::Result<Self> {
        Self::with(limits, &Allow::default(), &system())
    }

    /// Asks these networks too, and finds names by `lookup`: [`system`], but for tests.
    pub fn with(limits: Limits, allow: &Allow, lookup: &Lookup) -> anyhow::Result<Self> {
        let caller = |family: Family| Caller::new(limits, Some(family.any()), allow, lookup);
        Ok(Self {
            v4: caller(Family::Ipv4)?,
            v6: caller(Family::Ipv6)?,
            guard: guard(allow.clone()),
            limits,
            known: Known::default(),
        })
    }

    /// The same, that asks these.
    #[must_use]
    pub fn knowing(self, known: Known) -> Self {
        Self { known, ..self }
    }

    /// The address that a source has now, if the rules allow it.
    pub async fn find(&self, source: &Source, family: Family, rules: &Rules) -> Result<IpAddr, AddressError> {
        let address = self.ask(source, family, rules).await?;
        if !family.has(address) {
            return Err(AddressError::None(format!("{address} is not of {family}, which was asked for")));
        }
        rules.check(address)?;
        Ok(address)
    }

    async fn ask(&self, source: &Source, family: Family, rules: &Rules) -> Result<IpAddr, AddressError> {
        let limit = self.limits.call;
        match source {
            Source::Echo { services, agree } => {
                let services = if services.is_empty() { echo::services(family) } else { services.clone() };
                quorum(&echo::ask(self.caller(family), &services, family).await, *agree)
            }
            Source::Whoami { agree } => {
                let services = match family {
                    Family::Ipv4 => &self.known.whoami_v4,
                    Family::Ipv6 => &self.known.whoami_v6,
                };
                quorum(&whoami::ask(services, family, limit).await, *agree)
            }
            Source::Interface { name } => interface::address(name, family, rules),
            Source::Upnp => {
                let found = upnp::address(&self.v4, self.limits.connect, self.known.search).await;
                found.map_err(AddressError::None)
            }
            Source::NatPmp { gateway } => {
                let server = self.router(*gateway).await?;
                port_mapping::nat_pmp(server, limit).await.map_err(AddressError::None)
            }
            Source::Pcp { gateway } => {
                let server = self.router(*gateway).await?;
                port_mapping::pcp(server, limit).await.map_err(AddressError::None)
            }
            Source::Fixed { address } => Ok(*address),
        }
    }

    /// Where the router listens, if it may be asked.
    async fn router(&self, given: Option<Ipv4Addr>) -> Result<SocketAddr, AddressError> {
        let address = match given {
            Some(address) => address,
            None => gateway::of_default_route().await.map_err(AddressError::None)?,
        };
        self.guard.check(address.into()).map_err(|blocked| AddressError::None(blocked.to_string()))?;
        Ok(SocketAddrV4::new(address, port_mapping::PORT).into())
    }

    const fn caller(&self, family: Family) -> &Caller {
        match family {
            Family::Ipv4 => &self.v4,
            Family::Ipv6 => &self.v6,
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn sources_are_read_and_fit_their_family() {
        for (settings, v4, v6) in [
            (json!({"echo": {}}), "", ""),
            (json!({"echo": {"agree": 9}}), "of 3 services", "of 3 services"),
            (json!({"echo": {"services": ["https://a.example/"], "agree": 1}}), "", ""),
            (json!({"echo": {"services": ["https://a.example/", "https://a.example"]}}), "twice", "twice"),
            (json!({"whoami": {"agree": 0}}), "1 to 3", "1 to 3"),
            (json!({"interface": {"name": "eth0"}}), "", ""),
            (json!({"interface": {"name": ""}}), "as eth0", "as eth0"),
            (json!("upnp"), "", "IPv4 address alone"),
            (json!({"nat_pmp": {}}), "", "IPv4 address alone"),
            (json!({"pcp": {"gateway": "192.168.1.1"}}), "", "IPv4 address alone"),
            (json!({"fixed": {"address": "192.0.2.1"}}), "", "not of IPv6"),
        ] {
            let source: Source = serde_json::from_value(settings.clone()).unwrap();
            for (family, why) in [(Family::Ipv4, v4), (Family::Ipv6, v6)] {
                let found = source.check(family).err().map(|error| error.to_string());
                assert_eq!(found.is_none(), why.is_empty(), "{settings} {family}: {found:?}");
                assert!(found.unwrap_or_default().contains(why), "{settings} {family}");
            }
        }
        for bad in [
            json!({"ecko": {}}),
            json!({"echo": {"services": ["http://a.example/"]}}),
            json!({"echo": {"agre": 2}}),
        ] {
            assert!(serde_json::from_value::<Source>(bad.clone()).is_err(), "{bad}");
        }
    }

    #[tokio::test]
    async fn a_fixed_address_obeys_the_rules_too() {
        let finder = Finder::new(Limits::default()).unwrap();
        let source = Source::Fixed { address: "100.64.3.4".parse().unwrap() };
        let error = finder.find(&source, Family::Ipv4, &Rules::default()).await.unwrap_err();
        assert!(matches!(&error, AddressError::Forbidden(why) if why.contains("customers")), "{error}");
        let rules = Rules::new(vec!["100.64.0.0/10".parse().unwrap()]);
        assert!(finder.find(&source, Family::Ipv4, &rules).await.is_ok());
    }
}

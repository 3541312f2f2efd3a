use std::{
    net::{IpAddr, SocketAddr},
    time::Duration,
};

use super::trimmed;
use crate::dns::verify::Resolvers;

/// The port of DNS.
const PORT: u16 = 53;

/// How long one server may take for one answer.
const ANSWER: Duration = Duration::from_secs(5);

/// How names that follow addresses are looked at.
#[derive(Debug, Clone, Default, clap::Args)]
pub struct Dns {
    /// Who is asked for the servers of a zone, to see there whether a name has its address: `192.0.2.53,[2001:db8::53]:5353`; without
    /// it the system's resolvers
    #[arg(
        long = "dns-resolvers", env = "SYNCFLEET_DNS_RESOLVERS", value_name = "ADDRESS,…", value_delimiter = ',',
        value_parser = resolver, help_heading = "Settings"
    )]
    dns_resolvers: Vec<Option<SocketAddr>>,
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

impl Dns {
    /// The setting, as another process reads it; none: the system's.
    #[must_use]
    pub fn text(&self) -> Option<String> {
        let servers: Vec<_> = self.dns_resolvers.iter().flatten().map(ToString::to_string).collect();
        (!servers.is_empty()).then(|| servers.join(","))
    }

    /// Who is asked; none: the system's, as they are at that moment.
    #[must_use]
    pub fn resolvers(&self) -> Option<Resolvers> {
        let servers: Vec<_> = self.dns_resolvers.iter().flatten().copied().collect();
        (!servers.is_empty()).then_some(Resolvers { servers, port: PORT, limit: ANSWER })
    }
}

use std::time::Duration;

use shared::{admin::dns::record::Families, dns::address::HostId};

use super::{host_id, ttl};
use crate::admin::span;

/// How names are kept that are new here.
#[derive(Debug, clap::Args)]
pub struct Kept {
    /// Keep A records [default: both, as far as the address has them; of an import those that the file says]
    #[arg(long)]
    ipv4: bool,
    /// Keep AAAA records
    #[arg(long)]
    ipv6: bool,
    /// The host's own part of the IPv6 address, behind the network of the address: `::1234`, or `::12:0:0:0:5/56` with its prefix
    #[arg(long, value_name = "ID", value_parser = host_id)]
    host_id: Option<HostId>,
    /// How long others may keep it, in seconds, where the provider lets it be chosen (`syncfleet dns providers`)
    #[arg(long, value_name = "SECONDS", value_parser = ttl, allow_negative_numbers = true)]
    pub ttl: Option<u32>,
    /// Send it again after this time although it did not change, for providers that forget names: 1day to 365days
    #[arg(long, value_name = "TIME", value_parser = span)]
    pub forced_interval: Option<Duration>,
    /// Do not ask the zone's servers after an update
    #[arg(long)]
    pub no_verify: bool,
}

impl Kept {
    /// In which families.
    pub const fn families(&self) -> Families {
        Families { ipv4: self.ipv4, ipv6: self.ipv6, host_id: self.host_id }
    }
}

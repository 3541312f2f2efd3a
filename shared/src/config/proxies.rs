use super::network;
use crate::guard::Network;

/// Who may say, in front of the public listener, who calls.
#[derive(Debug, Clone, Default, clap::Args)]
pub struct Proxies {
    /// Networks of proxies in front of the public listener: their X-Forwarded-For and Forwarded are believed, nobody else's:
    /// `10.0.0.0/8,fd00::/8`
    #[arg(
        long = "trusted-proxies", env = "SYNCFLEET_TRUSTED_PROXIES", value_name = "NETWORK,…", value_delimiter = ',',
        value_parser = network, help_heading = "Settings"
    )]
    trusted_proxies: Vec<Option<Network>>,
}

impl Proxies {
    /// The networks.
    #[must_use]
    pub fn trusted(&self) -> Vec<Network> {
        self.trusted_proxies.iter().copied().flatten().collect()
    }
}

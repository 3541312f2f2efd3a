use super::network;
use crate::guard::{Allow, Network};

/// Where messages to webhooks may go.
#[derive(Debug, Clone, Default, clap::Args)]
pub struct Webhooks {
    /// Networks that webhooks may lead to beside the public internet, and without TLS: `10.0.0.0/8,fd00::/8`
    #[arg(
        long = "webhook-allow", env = "SYNCFLEET_WEBHOOK_ALLOW", value_name = "NETWORK,…", value_delimiter = ',',
        value_parser = network, help_heading = "Settings"
    )]
    webhook_allow: Vec<Option<Network>>,
}

impl Webhooks {
    /// The setting, as another process reads it; none: nothing is allowed.
    #[must_use]
    pub fn text(&self) -> Option<String> {
        let networks: Vec<_> = self.webhook_allow.iter().flatten().map(ToString::to_string).collect();
        (!networks.is_empty()).then(|| networks.join(","))
    }

    /// What is allowed.
    #[must_use]
    pub fn allow(&self) -> Allow {
        Allow::new(&self.webhook_allow.iter().copied().flatten().collect::<Vec<_>>())
    }
}

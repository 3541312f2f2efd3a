use super::trimmed;
use crate::webhook::{Allow, Network};

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

/// Nothing at all is no network, and no mistake: an empty variable is as good as none.
fn network(text: &str) -> Result<Option<Network>, String> {
    if text.trim().is_empty() { Ok(None) } else { trimmed(text).map(Some) }
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

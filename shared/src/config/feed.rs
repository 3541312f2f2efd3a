use super::trimmed;

/// The change feed's limits.
#[derive(Debug, Clone, clap::Args)]
pub struct Feed {
    /// How many readers of its feed a tenant may have at each ingress
    #[arg(
        long = "feed-readers", env = "SYNCFLEET_FEED_READERS", value_name = "N", default_value = "20",
        value_parser = readers, help_heading = "Settings"
    )]
    pub feed_readers: u32,
}

fn readers(text: &str) -> Result<u32, String> {
    trimmed(text)
        .ok()
        .filter(|n| (1..=1_000).contains(n))
        .ok_or_else(|| "not a number from 1 to 1000".to_owned())
}

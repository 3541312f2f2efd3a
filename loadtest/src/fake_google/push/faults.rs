use anyhow::ensure;
use serde::{Deserialize, Serialize};

/// What goes wrong with pushes. Shares are from 0 to 1.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
#[expect(clippy::struct_excessive_bools, reason = "they are independent")]
pub struct PushFaults {
    /// The share of messages that are never sent; sync messages are not among them.
    pub lost: f64,
    /// Sync messages are lost, too.
    pub lost_sync: bool,
    /// The share of messages that are sent twice.
    pub twice: f64,
    /// The share of messages that come late.
    pub late: f64,
    /// How late.
    pub late_ms: u64,
    /// The share of messages that a later one overtakes.
    pub overtaken: f64,
    /// Each change is told so often, in messages of their own; 0 is as good as 1.
    pub burst: usize,
    /// Numbers of messages leave some out.
    pub gaps: bool,
    /// The sync message is sent, and answered, before the watch is.
    pub sync_first: bool,
    /// Channels end after so many seconds, whatever is asked for.
    pub lifetime_s: Option<u64>,
    /// Calendars whose events, and drives whose logs, are not pushed; `my drive` is everybody's own.
    pub unsupported: Vec<String>,
    /// So many watches to come are told that their id is taken.
    pub taken: u64,
    /// Watches are refused: this fleet's address may not be called.
    pub unauthorized: bool,
}

impl PushFaults {
    pub(in crate::fake_google) fn check(&self) -> anyhow::Result<()> {
        for (name, share) in
            [("lost", self.lost), ("twice", self.twice), ("late", self.late), ("overtaken", self.overtaken)]
        {
            ensure!((0.0..=1.0).contains(&share), "{name}: {share}: 0 to 1 is allowed");
        }
        ensure!(self.burst <= 10_000, "burst: {}: 0 to 10000 is allowed", self.burst);
        ensure!(self.late_ms <= 3_600_000, "late_ms: {}: 0 to 3600000 is allowed", self.late_ms);
        let lifetime = self.lifetime_s.unwrap_or(1);
        ensure!((1..=2_592_000).contains(&lifetime), "lifetime_s: {lifetime}: 1 to 2592000 is allowed");
        Ok(())
    }
}

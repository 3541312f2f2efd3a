//! `dns set`.

use std::{net::SocketAddr, path::PathBuf, time::Duration};

use shared::{
    admin::dns::record::{self, Becomes, Change},
    config,
    dns::address::{Family, HostId},
};

use super::{Which, host_id, server, settings::Flags, ttl};
use crate::{
    admin::{Access, ring, span, token},
    exit::{Exit, Usage},
    output::Output,
};

#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:
  syncfleet dns set home.example.org --secret-file token
  syncfleet dns set home.example.org --set proxied=false --ttl 300
  syncfleet dns set home.example.org --ipv6 --host-id ::1234")]
#[expect(clippy::struct_excessive_bools, reason = "each is a flag of its own")]
pub struct Set {
    #[command(flatten)]
    which: Which,
    /// The address that it follows from now on
    #[arg(long, value_name = "NAME")]
    address: Option<String>,
    #[command(flatten)]
    settings: Flags,
    /// A file with the provider's new secret; - is stdin
    #[arg(long, value_name = "FILE", help_heading = "Provider")]
    secret_file: Option<PathBuf>,
    /// Keep its A record from now on
    #[arg(long)]
    ipv4: bool,
    /// Keep its AAAA record from now on
    #[arg(long)]
    ipv6: bool,
    /// Keep its A record no more; it stays as it is
    #[arg(long, conflicts_with = "ipv4")]
    no_ipv4: bool,
    /// Keep its AAAA record no more; it stays as it is
    #[arg(long, conflicts_with_all = ["ipv6", "host_id"])]
    no_ipv6: bool,
    /// The host's own part of its IPv6 address, as `::1234`
    #[arg(long, value_name = "ID", value_parser = host_id)]
    host_id: Option<HostId>,
    /// Its IPv6 address is the address itself
    #[arg(long, conflicts_with = "host_id")]
    no_host_id: bool,
    /// How long others may keep it, in seconds, where the provider lets it be chosen (`syncfleet dns providers`)
    #[arg(long, value_name = "SECONDS", value_parser = ttl, allow_negative_numbers = true)]
    ttl: Option<u32>,
    /// As long as it is there, or as the provider says
    #[arg(long, conflicts_with = "ttl")]
    no_ttl: bool,
    /// The least time between two updates; never less than the provider's
    #[arg(long, value_name = "TIME", value_parser = span)]
    min_interval: Option<Duration>,
    /// Send it again after this time although it did not change: 1day to 365days
    #[arg(long, value_name = "TIME", value_parser = span)]
    forced_interval: Option<Duration>,
    /// Never send it again while it does not change
    #[arg(long, conflicts_with = "forced_interval")]
    no_forced_interval: bool,
    /// Ask the zone's servers after an update
    #[arg(long, conflicts_with = "no_verify")]
    verify: bool,
    /// Do not ask the zone's servers after an update
    #[arg(long, conflicts_with = "verify_servers")]
    no_verify: bool,
    /// A server to ask instead of those that the zone names; may be repeated
    #[arg(long = "verify-server", value_name = "ADDRESS", value_parser = server)]
    verify_servers: Vec<SocketAddr>,
    /// Ask the servers that the zone names
    #[arg(long, conflicts_with = "verify_servers")]
    no_verify_server: bool,
    #[command(flatten)]
    keys: config::Keys,
}

impl Set {
    fn change(&self) -> anyhow::Result<Change> {
        let pick = |chosen: [(Family, bool); 2]| -> Vec<Family> {
            chosen.into_iter().filter(|(_, meant)| *meant).map(|(family, _)| family).collect()
        };
        let verify = match (self.verify, self.no_verify, self.verify_servers.is_empty()) {
            (_, true, _) => Some(false),
            (true, ..) | (_, _, false) => Some(true),
            _ => None,
        };
        let servers = !self.verify_servers.is_empty() || self.no_verify_server;
        Ok(Change {
            address: self.address.clone(),
            settings: self.settings.pairs(),
            secret: self.secret_file.as_deref().map(token::file_or_stdin).transpose()?,
            with: pick([(Family::Ipv4, self.ipv4), (Family::Ipv6, self.ipv6)]),
            without: pick([(Family::Ipv4, self.no_ipv4), (Family::Ipv6, self.no_ipv6)]),
            host_id: becomes(self.host_id, self.no_host_id),
            ttl: becomes(self.ttl, self.no_ttl),
            min_interval: self.min_interval,
            forced_interval: becomes(self.forced_interval, self.no_forced_interval),
            verify,
            verify_servers: servers.then(|| self.verify_servers.clone()),
        })
    }

    fn is_empty(&self) -> bool {
        let flags = [
            self.ipv4,
            self.ipv6,
            self.no_ipv4,
            self.no_ipv6,
            self.no_host_id,
            self.no_ttl,
            self.no_forced_interval,
            self.verify,
            self.no_verify,
            self.no_verify_server,
        ];
        let values = [
            self.address.is_some(),
            self.secret_file.is_some(),
            self.host_id.is_some(),
            self.ttl.is_some(),
            self.min_interval.is_some(),
            self.forced_interval.is_some(),
            !self.verify_servers.is_empty(),
        ];
        self.settings.is_empty() && !flags.contains(&true) && !values.contains(&true)
    }
}

fn becomes<T>(value: Option<T>, gone: bool) -> Becomes<T> {
    match value {
        Some(value) => Becomes::Value(value),
        None if gone => Becomes::None,
        None => Becomes::Same,
    }
}

/// Runs the verb.
pub async fn run(access: &Access, set: &Set, out: Output) -> anyhow::Result<Exit> {
    if set.is_empty() {
        return Err(Usage("nothing is to change: give a flag, as --secret-file or --ttl".to_owned()).into());
    }
    let bell = access.bell()?;
    let keys = set.keys.key_ring()?;
    let change = set.change()?;
    let db = access.open().await?;
    let which = (&set.which.record, set.which.tenant.as_deref());
    let done = record::set(&db, &access.actor(), &keys, &worker::jobs::policies(), which, &change).await?;
    ring(bell.as_ref(), &done.bell).await?;
    out.result(&done, &format!("record {} of {} is changed; it is looked at now", done.id, done.host))?;
    Ok(Exit::Done)
}

//! `dns add`.

use std::{net::SocketAddr, path::PathBuf, time::Duration};

use shared::{
    admin::{
        self,
        dns::{
            plan,
            record::{self, New},
        },
    },
    config,
    dns::Host,
};

use super::{
    kept::Kept,
    plan as plans, server,
    settings::{self, Flags},
};
use crate::{
    admin::{Access, ring, span, token},
    exit::Exit,
    output::Output,
};

#[derive(Debug, clap::Args)]
#[command(
    after_help = "The secret comes from a file or from stdin, never from an argument, which others could see.

Examples:
  syncfleet dns add home.example.org --tenant acme --address home \\
    --provider cloudflare --secret-file token
  syncfleet dns add home.duckdns.org --tenant acme --address home \\
    --provider duckdns --secret-file token --dry-run
  syncfleet dns add home.example.org --tenant acme --address home \\
    --provider dyndns2 --url https://dyn.example.net/nic/update --user ada \\
    --secret-file password"
)]
pub struct Add {
    /// The name
    host: Host,
    /// Whose it is
    #[arg(long)]
    tenant: String,
    /// The address that it follows
    #[arg(long, value_name = "NAME")]
    address: String,
    /// Who holds it; `syncfleet dns providers` lists all
    #[arg(long, value_name = "NAME", help_heading = "Provider")]
    provider: Option<String>,
    /// A file with the provider's settings, a JSON object; flags come over it
    #[arg(long, value_name = "FILE", help_heading = "Provider")]
    settings_file: Option<PathBuf>,
    #[command(flatten)]
    settings: Flags,
    /// A file with the provider's secret; - is stdin [default: stdin]
    #[arg(long, value_name = "FILE", help_heading = "Provider")]
    secret_file: Option<PathBuf>,
    #[command(flatten)]
    kept: Kept,
    /// The least time between two updates; never less than the provider's
    #[arg(long, value_name = "TIME", value_parser = span)]
    min_interval: Option<Duration>,
    /// A server to ask instead of those that the zone names; may be repeated
    #[arg(long = "verify-server", value_name = "ADDRESS", value_parser = server, conflicts_with = "no_verify")]
    verify_servers: Vec<SocketAddr>,
    /// Show what would be sent; nothing is written, and nothing is sent
    #[arg(long)]
    dry_run: bool,
    #[command(flatten)]
    keys: config::Keys,
}

/// Runs the verb.
pub async fn run(access: &Access, add: &Add, out: Output) -> anyhow::Result<Exit> {
    let provider = settings::provider(add.provider.as_deref(), add.settings_file.as_ref(), &add.settings)?;
    let bell = access.bell()?;
    // Without a key ring this says which setting is missing.
    let keys = if add.dry_run { None } else { Some(add.keys.key_ring()?) };
    let secret = match &add.secret_file {
        Some(path) => token::file_or_stdin(path)?,
        None => token::read(None, "Secret of the provider")?,
    };
    let db = access.open().await?;
    let new = New {
        tenant: &add.tenant,
        host: &add.host,
        address: &add.address,
        provider: &provider,
        secret: &secret,
        families: add.kept.families(),
        ttl: add.kept.ttl,
        min_interval: add.min_interval,
        forced_interval: add.kept.forced_interval,
        verify: !add.kept.no_verify,
        verify_servers: &add.verify_servers,
    };
    let Some(keys) = keys else {
        let mut conn = db.acquire().await?;
        let now = admin::now(&mut conn).await?;
        let plan = plan::of_new(&mut conn, &new, now).await?;
        plans::print(&plan, now, out)?;
        return Ok(Exit::Done);
    };
    let done = record::add(&db, &access.actor(), &keys, &worker::jobs::policies(), &new).await?;
    ring(bell.as_ref(), &done.bell).await?;
    out.result(
        &done,
        &format!("record {} of {} is added; it follows {} from now on", done.id, done.host, add.address),
    )?;
    Ok(Exit::Done)
}

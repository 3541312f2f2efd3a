//! `dns`: names that follow addresses.

mod add;
mod address;
mod check;
mod import;
mod kept;
mod login;
mod plan;
mod set;
mod settings;
mod show;
mod update;

use std::net::{IpAddr, SocketAddr};

use clap::Subcommand;
use shared::{
    admin::dns::{RecordRef, record},
    config,
    dns::address::HostId,
};

use super::{Access, confirm::confirm};
use crate::{exit::Exit, output::Output};

/// Names that follow addresses
#[derive(Debug, clap::Args)]
#[command(
    after_help = "An address moves, and is told by a source or by a router; a record is a name at a provider that follows it. A record is named by its host, or by its number.

Examples:
  syncfleet dns address add home --tenant acme --ipv4 echo --ipv6 interface:eth0
  syncfleet dns add home.example.org --tenant acme --address home \\
    --provider cloudflare --secret-file token
  syncfleet dns add nas.example.org --tenant acme --address home \\
    --provider rfc2136 --server ns1.example.org --zone example.org \\
    --key ddns-key --secret-file key --host-id ::1234
  syncfleet dns check home.example.org
  syncfleet dns update home.example.org --dry-run
  syncfleet dns import /etc/ddclient.conf --tenant acme --address home --dry-run
  syncfleet dns login add router --tenant acme --address home \\
    --host home.example.org"
)]
pub struct Args {
    #[command(flatten)]
    access: Access,
    #[command(subcommand)]
    verb: Verb,
}

#[derive(Debug, Subcommand)]
enum Verb {
    /// Addresses that move, and who tells them
    #[command(subcommand)]
    Address(address::Verb),
    /// Logins of routers that tell an address
    #[command(subcommand)]
    Login(Box<login::Verb>),
    /// Have a name follow an address
    Add(Box<add::Add>),
    /// List records in the order of their numbers
    Ls(show::Ls),
    /// Show a record
    Show(Which),
    /// Change a record's settings or secret; what was parked is served again
    Set(Box<set::Set>),
    /// Look at a name now, and send what is to be sent
    Update(update::Update),
    /// Try the credentials and ask the zone's servers, without changing anything; exit code 1 if something is wrong
    Check {
        #[command(flatten)]
        which: Which,
        #[command(flatten)]
        keys: config::Keys,
        #[command(flatten)]
        dns: config::Dns,
    },
    /// Show what was done for a record, the newest first
    History(show::History),
    /// Take over the configuration of another client
    Import(Box<import::Import>),
    /// List who may hold a name, with settings and secret of each
    Providers,
    /// Remove a record; the name at its provider stays as it is
    Rm {
        #[command(flatten)]
        which: Which,
        /// Do not ask
        #[arg(long)]
        yes: bool,
    },
}

/// A record.
#[derive(Debug, clap::Args)]
struct Which {
    /// Its host, or its number
    #[arg(value_name = "HOST")]
    record: RecordRef,
    /// Whose it is, if several tenants have that host
    #[arg(long)]
    tenant: Option<String>,
}

/// Runs the noun.
pub async fn run(args: &Args, out: Output) -> anyhow::Result<Exit> {
    let access = &args.access;
    match &args.verb {
        Verb::Address(verb) => address::run(access, verb, out).await,
        Verb::Login(verb) => login::run(access, verb, out).await,
        Verb::Add(new) => add::run(access, new, out).await,
        Verb::Ls(ls) => show::ls(access, ls, out).await,
        Verb::Show(which) => show::show(access, which, out).await,
        Verb::Set(change) => set::run(access, change, out).await,
        Verb::Update(update) => update::run(access, update, out).await,
        Verb::Check { which, keys, dns } => check::run(access, which, (keys, dns), out).await,
        Verb::History(history) => show::history(access, history, out).await,
        Verb::Import(import) => import::run(access, import, out).await,
        Verb::Providers => show::providers(out),
        Verb::Rm { which, yes } => {
            let db = access.open().await?;
            let id = which.record.find(&mut *db.acquire().await?, which.tenant.as_deref()).await?;
            let holdings = "its secret and its history; the name at its provider stays as it is";
            confirm("record", &which.record.to_string(), holdings, *yes)?;
            let done = record::rm(&db, &access.actor(), &RecordRef::Id(id), None).await?;
            out.result(&done, &format!("record {id} of {} is removed", done.host))?;
            Ok(Exit::Done)
        }
    }
}

/// The host's own part of an IPv6 address; without a prefix behind 64 bits.
fn host_id(text: &str) -> Result<HostId, String> {
    let text = text.trim();
    let full = if text.contains('/') { text.to_owned() } else { format!("{text}/64") };
    full.parse::<HostId>().map_err(|error| error.why)
}

/// How long others may keep a name, in seconds.
fn ttl(text: &str) -> Result<u32, String> {
    let ttl = text.trim().parse().ok().filter(|ttl| (1..=86_400).contains(ttl));
    ttl.ok_or_else(|| "allowed are 1 to 86400 seconds, as a number alone".to_owned())
}

/// A server of DNS: an address, with a port if it is not 53.
fn server(text: &str) -> Result<SocketAddr, String> {
    let text = text.trim();
    let alone = || text.trim_matches(['[', ']']).parse::<IpAddr>().map(|ip| SocketAddr::new(ip, 53));
    let server: Option<SocketAddr> = text.parse().ok().or_else(|| alone().ok());
    server.filter(|server| server.port() != 0 && !server.ip().is_unspecified()).ok_or_else(|| {
        format!("{text:?} is no server's address: allowed are 192.0.2.1, 192.0.2.1:5353 and [2001:db8::1]:53")
    })
}

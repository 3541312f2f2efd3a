//! `dns address`.

use std::time::Duration;

use chrono::{DateTime, Utc};
use clap::Subcommand;
use shared::{
    admin::{
        self,
        dns::{
            address::{self, Address, AddressFamily, Asked, Change, Filter, New, Told},
            source::Teller,
        },
        words,
    },
    config,
    dns::address::Family,
    guard::Network,
};

use crate::{
    admin::{Access, confirm::confirm, limit, more, ring, span},
    exit::{Exit, Usage},
    output::{Output, json, line, say, when},
};

const SOURCES: &str = "A SOURCE tells the address:
  echo                 three web services that say who calls them; two must agree
  echo:URL,URL,URL     web services of your choice; two must agree
  whoami               name servers that say who asks them; two must agree
  interface:eth0       an interface of the worker's machine
  upnp, nat-pmp, pcp   the router; nat-pmp:192.168.1.1 names it
  fixed:192.0.2.1      this
  router               nobody is asked: routers call in (`syncfleet dns login`)";

#[derive(Debug, Subcommand)]
pub enum Verb {
    /// Add an address that moves
    #[command(after_help = SOURCES)]
    Add(Add),
    /// List addresses
    Ls {
        /// Of this tenant only
        #[arg(long)]
        tenant: Option<String>,
        /// Only those after this number
        #[arg(long, value_name = "ID", default_value_t = 0)]
        after: i64,
        /// At most so many
        #[arg(long, value_name = "N", default_value = "100", value_parser = limit)]
        limit: i64,
    },
    /// Show an address
    Show {
        #[command(flatten)]
        which: Which,
    },
    /// Change who tells an address, how often, or where it may lie
    #[command(after_help = SOURCES)]
    Set(Set),
    /// Ask a source now, and print what it says; exit code 1 if it tells no address
    #[command(after_help = SOURCES)]
    Find {
        /// The source
        source: Teller,
        /// Of IPv4 only
        #[arg(long, conflicts_with = "ipv6")]
        ipv4: bool,
        /// Of IPv6 only
        #[arg(long)]
        ipv6: bool,
        /// A network that the address may lie in although it is not of the public internet; may be repeated
        #[arg(long, value_name = "NET")]
        allow: Vec<Network>,
        #[command(flatten)]
        dns: config::DnsAllow,
    },
    /// Remove an address that no record follows
    Rm {
        #[command(flatten)]
        which: Which,
        /// Do not ask
        #[arg(long)]
        yes: bool,
    },
}

#[derive(Debug, clap::Args)]
pub struct Which {
    /// Its name
    name: String,
    /// Whose it is, if several tenants have one of that name
    #[arg(long)]
    tenant: Option<String>,
}

#[derive(Debug, clap::Args)]
pub struct Add {
    /// Its name: 1 to 63 of a-z 0-9 . _ - beginning with a letter or digit
    name: String,
    /// Whose it is
    #[arg(long)]
    tenant: String,
    /// Who tells its IPv4 address
    #[arg(long, value_name = "SOURCE")]
    ipv4: Option<Teller>,
    /// Who tells its IPv6 address
    #[arg(long, value_name = "SOURCE")]
    ipv6: Option<Teller>,
    /// How often sources are asked: 1m to 24h
    #[arg(long, value_name = "TIME", default_value = "5m", value_parser = span)]
    every: Duration,
    /// A network that it may lie in although it is not of the public internet; may be repeated
    #[arg(long, value_name = "NET")]
    allow: Vec<Network>,
}

#[derive(Debug, clap::Args)]
#[command(group(clap::ArgGroup::new("change").required(true).multiple(true)
    .args(["ipv4", "ipv6", "no_ipv4", "no_ipv6", "every", "allow", "no_allow"])))]
pub struct Set {
    #[command(flatten)]
    which: Which,
    /// Who tells its IPv4 address from now on
    #[arg(long, value_name = "SOURCE")]
    ipv4: Option<Teller>,
    /// Who tells its IPv6 address from now on
    #[arg(long, value_name = "SOURCE")]
    ipv6: Option<Teller>,
    /// It has no IPv4 address any more
    #[arg(long, conflicts_with = "ipv4")]
    no_ipv4: bool,
    /// It has no IPv6 address any more
    #[arg(long, conflicts_with = "ipv6")]
    no_ipv6: bool,
    /// How often sources are asked: 1m to 24h
    #[arg(long, value_name = "TIME", value_parser = span)]
    every: Option<Duration>,
    /// A network that it may lie in although it is not of the public internet, in place of those before; may be repeated
    #[arg(long, value_name = "NET")]
    allow: Vec<Network>,
    /// It may lie in the public internet alone
    #[arg(long, conflicts_with = "allow")]
    no_allow: bool,
}

fn tellers(ipv4: Option<&Teller>, ipv6: Option<&Teller>) -> Vec<Told> {
    [(Family::Ipv4, ipv4), (Family::Ipv6, ipv6)]
        .into_iter()
        .filter_map(|(family, teller)| teller.map(|teller| (family, teller.0.clone())))
        .collect()
}

/// Runs the verb.
pub async fn run(access: &Access, verb: &Verb, out: Output) -> anyhow::Result<Exit> {
    match verb {
        Verb::Add(new) => add(access, new, out).await?,
        Verb::Ls { tenant, after, limit } => {
            ls(access, &Filter { tenant: tenant.clone(), after: *after, limit: *limit }, out).await?;
        }
        Verb::Show { which } => {
            let db = access.open().await?;
            let mut conn = db.acquire().await?;
            let address = address::show(&mut conn, &which.name, which.tenant.as_deref()).await?;
            show(&address, admin::now(&mut conn).await?, out)?;
        }
        Verb::Set(change) => set(access, change, out).await?,
        Verb::Find { source, ipv4, ipv6, allow, dns } => {
            return find(source, (*ipv4, *ipv6), (allow, dns), out).await;
        }
        Verb::Rm { which, yes } => {
            let db = access.open().await?;
            let address =
                address::show(&mut *db.acquire().await?, &which.name, which.tenant.as_deref()).await?;
            let told_as = match address.told_as.as_slice() {
                [] => "what is known of it".to_owned(),
                names => format!(
                    "what is known of it, and the names by which routers tell it: {}",
                    names.join(", ")
                ),
            };
            confirm("address", &which.name, &told_as, *yes)?;
            let done = address::rm(&db, &access.actor(), &which.name, which.tenant.as_deref()).await?;
            out.result(&done, &format!("address {} is removed", done.name))?;
        }
    }
    Ok(Exit::Done)
}

async fn add(access: &Access, add: &Add, out: Output) -> anyhow::Result<()> {
    let families = tellers(add.ipv4.as_ref(), add.ipv6.as_ref());
    if families.is_empty() {
        return Err(Usage("give --ipv4 SOURCE, --ipv6 SOURCE or both".to_owned()).into());
    }
    let bell = access.bell()?;
    let db = access.open().await?;
    let new = New {
        tenant: &add.tenant,
        name: &add.name,
        families: &families,
        every: add.every,
        allowed: &add.allow,
    };
    let done = address::add(&db, &access.actor(), &worker::jobs::policies(), &new).await?;
    ring(bell.as_ref(), &done.bell).await?;
    let how = if done.bell.is_empty() {
        "routers tell it (`syncfleet dns login add`)".to_owned()
    } else {
        "its source is asked now".to_owned()
    };
    out.result(&done, &format!("address {} is added; {how}", done.name))
}

async fn set(access: &Access, set: &Set, out: Output) -> anyhow::Result<()> {
    let without = [(Family::Ipv4, set.no_ipv4), (Family::Ipv6, set.no_ipv6)];
    let change = Change {
        families: tellers(set.ipv4.as_ref(), set.ipv6.as_ref()),
        without: without.into_iter().filter(|(_, gone)| *gone).map(|(family, _)| family).collect(),
        every: set.every,
        allowed: (set.no_allow || !set.allow.is_empty()).then(|| set.allow.clone()),
    };
    let bell = access.bell()?;
    let db = access.open().await?;
    let which = (set.which.name.as_str(), set.which.tenant.as_deref());
    let done = address::set(&db, &access.actor(), &worker::jobs::policies(), which, &change).await?;
    ring(bell.as_ref(), &done.bell).await?;
    let how = if done.bell.is_empty() { "routers tell it" } else { "its source is asked now" };
    out.result(&done, &format!("address {} is changed; {how}", done.name))
}

async fn ls(access: &Access, filter: &Filter, out: Output) -> anyhow::Result<()> {
    let db = access.open().await?;
    let mut conn = db.acquire().await?;
    let addresses = address::ls(&mut conn, filter).await?;
    let now = admin::now(&mut conn).await?;
    let columns = ["ID", "NAME", "TENANT", "IPV4", "IPV6", "SINCE", "RECORDS", "EVERY", "WHY"];
    out.list(&addresses, "no addresses; `syncfleet dns address add` adds one", &columns, |address| {
        let of = |family| {
            let found = address.families.iter().find(|found| found.family == family);
            found.map_or_else(|| "-".to_owned(), known)
        };
        let since = address.families.iter().filter_map(|family| family.since).max();
        let why = address.families.iter().find_map(|family| family.failing_why.clone());
        vec![
            address.id.to_string(),
            address.name.clone(),
            address.tenant.clone(),
            of(Family::Ipv4),
            of(Family::Ipv6),
            when(since, now),
            address.records.to_string(),
            every(address),
            why.unwrap_or_default(),
        ]
    })?;
    more(addresses.len(), filter.limit, addresses.last().map(|address| address.id))
}

/// What a family is, or who will tell it.
fn known(family: &AddressFamily) -> String {
    family.address.map_or_else(|| format!("? ({})", family.source), |address| address.to_string())
}

fn every(address: &Address) -> String {
    if address.job.is_none() {
        return "-".to_owned();
    }
    words::span(i64::try_from(address.every_seconds).unwrap_or(i64::MAX))
}

fn show(address: &Address, now: DateTime<Utc>, out: Output) -> anyhow::Result<()> {
    if !out.is_table() {
        return json(address);
    }
    out.facts(
        address,
        &[
            ("name", address.name.clone()),
            ("id", address.id.to_string()),
            ("tenant", address.tenant.clone()),
            ("asked every", every(address)),
            ("allowed", address.allowed.join(", ")),
            ("records", address.records.to_string()),
            ("routers call", address.told_as.join(", ")),
            ("job", address.job.map(|job| job.to_string()).unwrap_or_default()),
            ("added", when(Some(address.created_at), now)),
        ],
    )?;
    line("")?;
    let columns = ["FAMILY", "SOURCE", "ADDRESS", "SINCE", "TOLD", "BY", "FAILING", "WHY"];
    out.list(&address.families, "no families", &columns, |family| {
        vec![
            family.family.to_string(),
            family.source.clone(),
            family.address.map_or_else(|| "not told yet".to_owned(), |address| address.to_string()),
            when(family.since, now),
            when(family.told_at, now),
            family.told_by.clone().unwrap_or_else(|| "-".to_owned()),
            when(family.failing_since, now),
            family.failing_why.clone().unwrap_or_default(),
        ]
    })
}

async fn find(
    source: &Teller,
    (ipv4, ipv6): (bool, bool),
    (allow, dns): (&[Network], &config::DnsAllow),
    out: Output,
) -> anyhow::Result<Exit> {
    let Some(source) = &source.0 else {
        return Err(Usage("nobody is asked: routers tell such an address by calling in".to_owned()).into());
    };
    let families: Vec<Family> = match (ipv4, ipv6) {
        (true, _) => vec![Family::Ipv4],
        (_, true) => vec![Family::Ipv6],
        _ => Vec::new(),
    };
    let asked = address::find(source, &families, allow, dns).await?;
    out.results(&asked, told)?;
    if out.is_table() && asked.iter().any(|asked| asked.why.is_some()) {
        for refused in asked.iter().filter_map(|asked| asked.why.as_ref()) {
            say(refused)?;
        }
    }
    Ok(if asked.iter().any(|asked| asked.address.is_some()) { Exit::Done } else { Exit::Failed })
}

fn told(asked: &Asked) -> String {
    asked.address.map_or_else(|| format!("{}: none", asked.family), |address| address.to_string())
}

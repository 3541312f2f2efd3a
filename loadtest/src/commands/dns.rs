//! `loadtest dns`: how long many names take to follow their addresses, and how many calls of routers one ingress takes durably.

mod calls;
mod change;
mod nsupdate;
mod report;
mod statistics;

use std::{ops::Sub, time::Duration};

use anyhow::{Context, ensure};
use loadtest::bind::Bind;
use secrecy::ExposeSecret;
use serde::Serialize;
use shared::{job::Lanes, secrets};

use self::{calls::Called, change::Changed, nsupdate::Peer};
use super::engine::Form;
use crate::stage::{
    Place, Server, Stage,
    fleet::{Fleet, Ingress, free},
    homes::{Homes, Names},
    on_stage,
    usage::{self, Cpu},
};

/// The zone that the fleet keeps, those that nsupdate changes with one message for each name and with many names in one, and that
/// of the names that routers call.
const FLEET: &str = "fleet.test";
const SINGLE: &str = "single.test";
const BATCHED: &str = "batched.test";
const CALLS: &str = "calls.test";

/// Names in one message of the batched nsupdate.
const BATCH: usize = 100;

/// Its arguments.
#[derive(Debug, clap::Args)]
pub struct Args {
    #[command(flatten)]
    place: Place,
    /// Records, in equal parts behind the addresses
    #[arg(long, default_value_t = 100_000, value_parser = clap::value_parser!(u32).range(1..=1_000_000))]
    records: u32,
    /// Addresses, each with a tenant and a login of its own
    #[arg(long, default_value_t = 1_000, value_parser = clap::value_parser!(u32).range(1..=50_000))]
    addresses: u32,
    /// Records that are watched from their change to BIND's right answer
    #[arg(long, default_value_t = 200, value_parser = clap::value_parser!(u32).range(1..=2_000))]
    sample: u32,
    /// How long the calls of routers are measured, those that change something and those that do not
    #[arg(long, default_value_t = 20, value_parser = clap::value_parser!(u64).range(1..=3_600))]
    seconds: u64,
    /// Calls under way at once
    #[arg(long, default_value_t = 64, value_parser = clap::value_parser!(u32).range(1..=2_000))]
    connections: u32,
    /// The worker's slots
    #[arg(long, default_value_t = Lanes::default())]
    lanes: Lanes,
    /// The longest that one part may take, in seconds
    #[arg(long, default_value_t = 3_600, value_parser = clap::value_parser!(u64).range(1..=86_400))]
    limit: u64,
    /// How the figures are printed
    #[arg(long, value_enum, default_value_t = Form::Table)]
    report: Form,
}

/// All figures of one call.
#[derive(Debug, Serialize)]
struct Report {
    server: Server,
    lanes: Lanes,
    records: u32,
    addresses: u32,
    connections: u32,
    /// Its name and version.
    bind: String,
    changed: Changed,
    nsupdate_single: Peer,
    nsupdate_batched: Peer,
    /// The first call of each login.
    first: Called,
    /// Calls that each change the address.
    good: Called,
    /// Calls that change nothing.
    nochg: Called,
}

/// CPU seconds.
#[derive(Debug, Clone, Copy, Default, Serialize)]
struct Used {
    #[serde(flatten)]
    fleet: Cpu,
    ingress: f64,
    bind: f64,
}

impl Used {
    async fn by_now(stage: &Stage, fleet: &Fleet, ingress: &Ingress, bind: &Bind) -> anyhow::Result<Self> {
        Ok(Self {
            fleet: stage.cpu(fleet).await?,
            ingress: usage::process_cpu(ingress.role.pid()?)?,
            bind: usage::process_cpu(bind.pid()?)?,
        })
    }
}

impl Sub for Used {
    type Output = Self;

    fn sub(self, earlier: Self) -> Self {
        Self {
            fleet: self.fleet - earlier.fleet,
            ingress: self.ingress - earlier.ingress,
            bind: self.bind - earlier.bind,
        }
    }
}

/// Measures, and prints the figures.
pub async fn run(args: Args) -> anyhow::Result<()> {
    ensure!(
        args.records >= args.addresses,
        "--records {}: each of the {} addresses needs one at least",
        args.records,
        args.addresses
    );
    let report = on_stage(&args.place, async |stage| measure(stage, &args).await).await?;
    report::print(&report, args.report)
}

async fn measure(stage: &Stage, args: &Args) -> anyhow::Result<Report> {
    let limit = Duration::from_secs(args.limit);
    let names = Names { records: args.records, addresses: args.addresses };
    let callers = Names { records: args.addresses, addresses: args.addresses };
    let folder = tempfile::tempdir().context("cannot make a folder for BIND")?;
    let zones = [names.zone(FLEET), names.zone(SINGLE), names.zone(BATCHED), callers.zone(CALLS)];
    let bind = Bind::start(folder.path(), &zones, false).await?;

    let nsupdate_single = nsupdate::measure(&bind, &names, SINGLE, 1, limit).await?;
    tracing::info!("nsupdate, a message for each name: {:.0} names/s", nsupdate_single.names_per_second);
    let nsupdate_batched = nsupdate::measure(&bind, &names, BATCHED, BATCH, limit).await?;
    tracing::info!("nsupdate, {BATCH} names a message: {:.0} names/s", nsupdate_batched.names_per_second);

    let key = secrets::generate_key("k1")?;
    let keys = secrets::KeyRing::parse(&key)?;
    let settings = [
        ("SYNCFLEET_KEYS", key.expose_secret().to_owned()),
        ("SYNCFLEET_DNS_ALLOW", bind.server.ip().to_string()),
    ];
    let homes = Homes::seed(&stage.db, &keys, &bind, names, FLEET).await?;
    let ingress = stage.ingress(free().await?, &settings).await?;
    let fleet = stage.fleet_with(&args.lanes.to_string(), &settings).await?;
    let changed = change::measure(stage, &fleet, &ingress, &bind, &homes, args).await?;
    tracing::info!("the fleet: {:.0} updates/s", changed.updates_per_second);
    ingress.stop().await?;
    fleet.stop().await.context("the fleet does not end")?;

    let callers = Homes::seed(&stage.db, &keys, &bind, callers, CALLS).await?;
    let ingress = stage.ingress(free().await?, &settings).await?;
    let first = calls::measure(stage, &ingress, &callers, calls::Sort::First, args).await?;
    let good = calls::measure(stage, &ingress, &callers, calls::Sort::Good, args).await?;
    tracing::info!("calls that change something: {:.0}/s", good.per_second);
    let nochg = calls::measure(stage, &ingress, &callers, calls::Sort::NoChange, args).await?;
    tracing::info!("calls that change nothing: {:.0}/s", nochg.per_second);
    ingress.stop().await?;
    Ok(Report {
        server: stage.server().await?,
        lanes: args.lanes,
        records: args.records,
        addresses: args.addresses,
        connections: args.connections,
        bind: statistics::version(&bind).await?,
        changed,
        nsupdate_single,
        nsupdate_batched,
        first,
        good,
        nochg,
    })
}

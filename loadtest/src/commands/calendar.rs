//! `loadtest calendar`: how fast calendars are mirrored the first time, and what it costs to find that nothing changed.

mod bare;
mod check;
mod first;
mod incremental;
mod report;

use std::{
    ops::{Add, Sub},
    time::Duration,
};

use anyhow::{Context, ensure};
use loadtest::fake_google::SeededAccount;
use rand::{SeedableRng, rngs::StdRng};
use secrecy::ExposeSecret;
use serde::Serialize;
use shared::{job::Lanes, secrets};

use self::{bare::Bare, first::First, incremental::Incremental};
use super::engine::Form;
use crate::stage::{
    Place, Server, Stage, accounts,
    fleet::Fleet,
    google::Google,
    on_stage,
    usage::{self, Cpu, Memory},
};

/// The kind whose passes are counted.
const EVENTS: &str = "calendar_events";

/// The kind that leads to them.
const LIST: &str = "calendar_list";

/// Calendars of each account of the incremental syncs.
const WATCHED_PER_ACCOUNT: u32 = 10;

/// Events in each of these calendars: what is quiet costs the same with more.
const WATCHED_EVENTS: usize = 10;

/// Its arguments.
#[derive(Debug, clap::Args)]
pub struct Args {
    #[command(flatten)]
    place: Place,
    /// Accounts of the first sync
    #[arg(long, default_value_t = 10, value_parser = clap::value_parser!(u32).range(1..=1_000))]
    accounts: u32,
    /// Calendars of each of them
    #[arg(long, default_value_t = 5, value_parser = clap::value_parser!(u32).range(1..=100))]
    calendars: u32,
    /// Events of each of these calendars
    #[arg(long, default_value_t = 2_000, value_parser = clap::value_parser!(u32).range(1..=50_000))]
    events: u32,
    /// Calendars of the incremental syncs, ten an account; small ones
    #[arg(long, default_value_t = 1_000, value_parser = clap::value_parser!(u32).range(10..=20_000))]
    watched: u32,
    /// Times that each of them is synced, after one time that is not counted
    #[arg(long, default_value_t = 10, value_parser = clap::value_parser!(u32).range(1..=1_000))]
    rounds: u32,
    /// Incremental syncs of a hundred that find something
    #[arg(long, default_value_t = 1, value_parser = clap::value_parser!(u32).range(0..=100))]
    changed: u32,
    /// The worker's slots
    #[arg(long, default_value_t = Lanes::default())]
    lanes: Lanes,
    /// The longest that one part may take, in seconds
    #[arg(long, default_value_t = 300, value_parser = clap::value_parser!(u64).range(1..=86_400))]
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
    bare: Vec<Bare>,
    first: First,
    incremental: Incremental,
    /// The worker's, after the first sync and at the end.
    worker_mib: [Memory; 2],
}

/// CPU seconds.
#[derive(Debug, Clone, Copy, Default, Serialize)]
pub struct Used {
    #[serde(flatten)]
    pub fleet: Cpu,
    pub google: f64,
}

impl Used {
    /// By all processes of the measurement.
    pub async fn by_now(stage: &Stage, fleet: &Fleet, google: &Google) -> anyhow::Result<Self> {
        Ok(Self { fleet: stage.cpu(fleet).await?, google: google.cpu()? })
    }
}

impl Sub for Used {
    type Output = Self;

    fn sub(self, earlier: Self) -> Self {
        Self { fleet: self.fleet - earlier.fleet, google: self.google - earlier.google }
    }
}

impl Add for Used {
    type Output = Self;

    fn add(self, other: Self) -> Self {
        Self { fleet: self.fleet + other.fleet, google: self.google + other.google }
    }
}

/// Measures, and prints the figures.
pub async fn run(args: Args) -> anyhow::Result<()> {
    let events = u64::from(args.accounts) * u64::from(args.calendars) * u64::from(args.events);
    ensure!(
        events <= 2_000_000,
        "--accounts, --calendars and --events make {events} events: up to 2000000 are allowed"
    );
    let report = on_stage(&args.place, async |stage| measure(stage, &args).await).await?;
    report::print(&report, args.report)
}

async fn measure(stage: &Stage, args: &Args) -> anyhow::Result<Report> {
    let limit = Duration::from_secs(args.limit);
    let google = Google::start(args.place.seed).await?;
    let large = google.seed(args.accounts as usize, args.calendars as usize, args.events as usize).await?;
    let mut bare = Vec::new();
    for connections in [1, 2, 4] {
        bare.push(bare::measure(stage, &google, &large, connections, limit).await?);
    }
    bare::clear(&stage.db).await?;

    let keys = secrets::generate_key("k1")?;
    let settings = google.settings(keys.expose_secret());
    let keys = secrets::KeyRing::parse(&keys)?;
    let fleet = stage.fleet_with(&args.lanes.to_string(), &settings).await?;
    let jobs = accounts::add(&stage.db, &keys, &large, LIST).await?;
    let first = first::measure(stage, &fleet, &google, &large, &jobs, limit).await?;
    tracing::info!("first sync: {:.0} events/s", first.events_per_second);
    check::mirror(&stage.db, &google).await?;
    let after_first = usage::memory(fleet.worker.pid()?)?;

    let small = google
        .seed(
            args.watched.div_ceil(WATCHED_PER_ACCOUNT) as usize,
            WATCHED_PER_ACCOUNT as usize,
            WATCHED_EVENTS,
        )
        .await?;
    let jobs = accounts::add(&stage.db, &keys, &small, LIST).await?;
    first::measure(stage, &fleet, &google, &small, &jobs, limit).await?;
    let watched = calendars(&small).take(args.watched as usize).map(str::to_owned).collect::<Vec<_>>();
    let jobs = accounts::jobs_of(&stage.db, &watched).await?;
    // Rounds may take longer than an interval.
    accounts::leave_alone_but(&stage.db, &jobs).await?;
    let mut rng = StdRng::seed_from_u64(args.place.seed);
    let syncs =
        incremental::Syncs { calendars: &watched, jobs: &jobs, rounds: args.rounds, changed: args.changed };
    let incremental = incremental::measure(stage, &fleet, &google, &syncs, &mut rng, limit).await?;
    check::mirror(&stage.db, &google).await?;
    let at_end = usage::memory(fleet.worker.pid()?)?;
    fleet.stop().await.context("the fleet does not end")?;
    let server = stage.server().await?;
    Ok(Report { server, lanes: args.lanes, bare, first, incremental, worker_mib: [after_first, at_end] })
}

fn calendars(accounts: &[SeededAccount]) -> impl Iterator<Item = &str> {
    accounts.iter().flat_map(|account| account.calendars.iter().map(String::as_str))
}

//! `loadtest fake-google`: a fake Google in a process of its own.

use std::{io::Write, path::PathBuf, time::Duration};

use anyhow::Context;
use loadtest::fake_google::{FakeGoogle, Options, Scenario};

/// Its arguments.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// Port on 127.0.0.1; 0 takes a free one
    #[arg(long, default_value_t = 0)]
    port: u16,
    /// Play a scenario, as docs/fake-google.md describes it, in place of the world that the other flags make
    #[arg(
        long,
        value_name = "FILE",
        conflicts_with_all = ["seed", "accounts", "calendars", "events", "churn", "page_size", "token_lifetime_s", "latency_ms", "http_callbacks"]
    )]
    scenario: Option<PathBuf>,
    /// What ids, events, faults and churn are drawn from
    #[arg(long, default_value_t = 0)]
    seed: u64,
    /// Accounts user<N>@example.com, with refresh tokens fake-refresh-<N>
    #[arg(long, default_value_t = 3)]
    accounts: usize,
    /// Calendars of each account
    #[arg(long, default_value_t = 2)]
    calendars: usize,
    /// Events of each calendar
    #[arg(long, default_value_t = 50)]
    events: usize,
    /// Changes a second, over all calendars; 0 for none
    #[arg(long, default_value_t = 0.0)]
    churn: f64,
    /// The longest page, whatever a caller asks for
    #[arg(long, default_value_t = 2500)]
    page_size: usize,
    /// Lifetime of access tokens, in seconds
    #[arg(long, default_value_t = 3599)]
    token_lifetime_s: u64,
    /// How long each answer takes, in milliseconds
    #[arg(long, default_value_t = 0)]
    latency_ms: u64,
    /// Take push channels whose address is http on loopback; Google takes https alone
    #[arg(long)]
    http_callbacks: bool,
}

/// Runs until Ctrl-C. Prints one line, the base URL, once it serves.
pub async fn run(args: Args) -> anyhow::Result<()> {
    let google = match &args.scenario {
        Some(file) => FakeGoogle::play(&Scenario::read(file)?, args.port).await?,
        None => of_flags(&args).await?,
    };
    writeln!(std::io::stdout(), "{}", google.base_url()).context("cannot print the base URL")?;
    tokio::signal::ctrl_c().await.context("cannot wait for Ctrl-C")?;
    google.stop().await
}

async fn of_flags(args: &Args) -> anyhow::Result<FakeGoogle> {
    let google = FakeGoogle::start(Options {
        port: args.port,
        seed: args.seed,
        page_size_cap: args.page_size,
        access_token_lifetime: Duration::from_secs(args.token_lifetime_s),
        latency: Duration::from_millis(args.latency_ms),
        http_callbacks: args.http_callbacks,
        ..Options::default()
    })
    .await?;
    google.seed_world(args.accounts, args.calendars, args.events)?;
    if args.churn != 0.0 {
        google.start_churn(args.churn, args.seed)?;
    }
    Ok(google)
}

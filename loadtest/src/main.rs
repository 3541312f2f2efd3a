//! Drives load and faults against syncfleet, and runs the fake providers on their own.

mod commands {
    pub mod calendar;
    pub mod dns;
    pub mod drive;
    pub mod engine;
    pub mod fairness;
    pub mod fake_google;
    pub mod faults;
    pub mod idle;
    mod mirror;
    pub mod push;
    pub mod soak;
}
mod stage;

use clap::{Parser, Subcommand};

#[derive(Parser)]
#[command(name = "loadtest", version, about)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Measure the engine with jobs that do nothing, beside the same SQL in a bare loop, and beside other queues
    Engine(commands::engine::Args),
    /// Measure whether one tenant's backlog delays another one's single job
    Fairness(commands::fairness::Args),
    /// Measure what a million idle jobs cost
    Idle(commands::idle::Args),
    /// Drive millions of runs with a long-running reader open
    Soak(commands::soak::Args),
    /// Measure first and incremental syncs of Google calendars, beside a bare loop that copies the same pages
    Calendar(commands::calendar::Args),
    /// Measure the first sweep of a Google drive, beside a bare loop that copies the same pages
    Drive(commands::drive::Args),
    /// Measure how many notifications an ingress takes durably, beside one INSERT for each, and how soon a change is mirrored
    Push(commands::push::Args),
    /// Measure how long many names take to follow their addresses, beside nsupdate, and how many calls of routers an ingress takes
    Dns(commands::dns::Args),
    #[command(hide = true)]
    PushPeer(commands::push::PeerArgs),
    /// Run a fake Google until Ctrl-C
    FakeGoogle(commands::fake_google::Args),
    /// Run a fleet under faults, and compare what it mirrored with the truth
    Faults(commands::faults::Args),
}

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    tracing_subscriber::fmt().with_writer(std::io::stderr).init();
    match Cli::parse().command {
        Command::Engine(args) => commands::engine::run(args).await,
        Command::Fairness(args) => commands::fairness::run(args).await,
        Command::Idle(args) => commands::idle::run(args).await,
        Command::Soak(args) => commands::soak::run(args).await,
        Command::Calendar(args) => commands::calendar::run(args).await,
        Command::Drive(args) => commands::drive::run(args).await,
        Command::Push(args) => commands::push::run(args).await,
        Command::Dns(args) => commands::dns::run(args).await,
        Command::PushPeer(args) => commands::push::peer(args).await,
        Command::FakeGoogle(args) => commands::fake_google::run(args).await,
        Command::Faults(args) => commands::faults::run(args).await,
    }
}

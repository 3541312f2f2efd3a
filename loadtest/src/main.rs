//! Drives load and faults against syncfleet, and runs the fake providers on their own.

mod commands {
    pub mod fake_google;
    pub mod faults;
}

use clap::{Parser, Subcommand};

#[derive(Parser)]
#[command(name = "loadtest", version, about)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Run a fake Google until Ctrl-C
    FakeGoogle(commands::fake_google::Args),
    /// Run a fleet under faults, and compare what it mirrored with the truth
    Faults(commands::faults::Args),
}

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    tracing_subscriber::fmt().with_writer(std::io::stderr).init();
    match Cli::parse().command {
        Command::FakeGoogle(args) => commands::fake_google::run(args).await,
        Command::Faults(args) => commands::faults::run(args).await,
    }
}

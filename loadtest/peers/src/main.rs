//! Measures stock apalis stores with tasks that do nothing, and prints one JSON line.
//!
//! Each is driven by its documented interface, at the settings that served it best: batches of 1,000, and a way of polling
//! that does not wait for the heartbeat. They leave nothing behind: a database and a Redis database of their own.

mod load;
mod postgres;
mod redis;

use std::io::Write;

use anyhow::Context;
use clap::Parser;
use load::{Load, Measured};
use serde::Serialize;

#[derive(Parser)]
#[command(version, about)]
struct Args {
    /// The server on which a database is made, and dropped afterwards
    #[arg(long, env = "DATABASE_URL", hide_env_values = true)]
    database_url: String,
    /// The server of which one empty database is used, and emptied afterwards
    #[arg(long, env = "REDIS_URL", hide_env_values = true)]
    redis_url: String,
    /// The number of that database
    #[arg(long, default_value_t = 15)]
    redis_database: i64,
    /// Tasks for apalis-postgres
    #[arg(long, default_value_t = 100_000)]
    tasks: u32,
    /// Tasks for apalis-redis: beyond 8,000 waiting ones its workers end
    #[arg(long, default_value_t = 7_000, value_parser = clap::value_parser!(u32).range(1..=7_900))]
    redis_tasks: u32,
    /// Tasks pushed each second where the time from push to start is measured
    #[arg(long, default_value_t = 100)]
    rate: u32,
    /// For how many seconds
    #[arg(long, default_value_t = 20)]
    seconds: u32,
    /// The longest that one queue may take to drain, in seconds
    #[arg(long, default_value_t = 300)]
    limit: u64,
}

#[derive(Serialize)]
struct Report {
    peers: Vec<Measured>,
}

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    tracing_subscriber::fmt()
        .with_writer(std::io::stderr)
        .with_max_level(tracing_subscriber::filter::LevelFilter::WARN)
        .init();
    let args = Args::parse();
    let load = |tasks| Load {
        tasks,
        rate: args.rate,
        seconds: args.seconds,
        limit: std::time::Duration::from_secs(args.limit),
    };
    let peers = vec![
        postgres::measure(&args.database_url, load(args.tasks)).await.context("apalis-postgres")?,
        redis::measure(&args.redis_url, args.redis_database, load(args.redis_tasks), true)
            .await
            .context("apalis-redis")?,
        redis::measure(&args.redis_url, args.redis_database, load(args.redis_tasks), false)
            .await
            .context("apalis-redis without locks")?,
    ];
    writeln!(std::io::stdout(), "{}", serde_json::to_string(&Report { peers })?).context("cannot print")
}

//! `loadtest engine`: how fast jobs that do nothing go from want to done, and how soon they start.

mod bare;
mod latency;
mod peers;
mod report;
pub mod throughput;

use std::{path::PathBuf, time::Duration};

use clap::ValueEnum;
use serde::Serialize;
use shared::job::JobId;

use self::{bare::Bare, latency::Latency, throughput::Round};
use crate::stage::{
    Place, Server, Stage, on_stage,
    usage::{self, Memory},
};

/// Its arguments.
#[derive(Debug, clap::Args)]
pub struct Args {
    #[command(flatten)]
    place: Place,
    /// Jobs, each wanted once a round
    #[arg(long, default_value_t = 100_000, value_parser = clap::value_parser!(u32).range(1_000..=10_000_000))]
    jobs: u32,
    /// Tenants that the jobs belong to, in equal parts
    #[arg(long, default_value_t = 20, value_parser = clap::value_parser!(u32).range(1..=100_000))]
    tenants: u32,
    /// Times that all jobs are wanted, with one fleet
    #[arg(long, default_value_t = 3, value_parser = clap::value_parser!(u32).range(1..=100))]
    rounds: u32,
    /// Times that all of it is done, each with a new fleet
    #[arg(long, default_value_t = 1, value_parser = clap::value_parser!(u32).range(1..=100))]
    runs: u32,
    /// Slots of the worker
    #[arg(long, default_value_t = 2_048, value_parser = clap::value_parser!(u32).range(1..=10_000))]
    slots: u32,
    /// Connections that want jobs at the same time
    #[arg(long, default_value_t = 1, value_parser = clap::value_parser!(u32).range(1..=16))]
    producers: u32,
    /// Wants a second where the time to the start is measured
    #[arg(long, default_value_t = 100, value_parser = clap::value_parser!(u32).range(1..=10_000))]
    rate: u32,
    /// For how many seconds
    #[arg(long, default_value_t = 20, value_parser = clap::value_parser!(u32).range(1..=600))]
    seconds: u32,
    /// The longest that one round may take, in seconds
    #[arg(long, default_value_t = 300)]
    limit: u64,
    /// The program that measures other queues (loadtest/peers); without it they are left out
    #[arg(long, value_name = "PATH")]
    peers: Option<PathBuf>,
    /// How the figures are printed
    #[arg(long, value_enum, default_value_t = Form::Table)]
    report: Form,
}

/// How figures are printed.
#[derive(Debug, Clone, Copy, ValueEnum)]
pub enum Form {
    Table,
    Json,
}

/// All figures of one call.
#[derive(Debug, Serialize)]
struct Report {
    server: Server,
    jobs: u32,
    tenants: u32,
    slots: u32,
    runs: Vec<Run>,
    /// As the peers' program prints them.
    peers: Vec<serde_json::Value>,
}

/// The figures of one fleet.
#[derive(Debug, Serialize)]
struct Run {
    bare: Vec<Bare>,
    rounds: Vec<Round>,
    latency: Latency,
    worker_mib: Memory,
    scheduler_mib: Memory,
}

/// Measures, and prints the figures.
pub async fn run(args: Args) -> anyhow::Result<()> {
    let peers = if let Some(program) = &args.peers {
        peers::measure(program).await?
    } else {
        tracing::info!("no peers: name their program with --peers");
        Vec::new()
    };
    let report = on_stage(&args.place, async |stage| {
        let jobs = stage.make_jobs("bench", args.tenants, args.jobs as usize, None, args.place.seed).await?;
        let mut runs = Vec::new();
        for number in 1..=args.runs {
            let run = measure(stage, &args, &jobs).await?;
            tracing::info!("run {number} of {}: {}", args.runs, report::line(&run));
            runs.push(run);
        }
        let server = stage.server().await?;
        Ok(Report { server, jobs: args.jobs, tenants: args.tenants, slots: args.slots, runs, peers })
    })
    .await?;
    report::print(&report, args.report)
}

async fn measure(stage: &Stage, args: &Args, jobs: &[JobId]) -> anyhow::Result<Run> {
    let limit = Duration::from_secs(args.limit);
    let mut bare = Vec::new();
    for connections in [1, 2] {
        bare.push(bare::measure(stage, jobs, connections, limit).await?);
    }
    let fleet = stage.fleet(&format!("normal={}", args.slots)).await?;
    let mut rounds = Vec::new();
    for _ in 0..args.rounds {
        rounds.push(throughput::measure(stage, &fleet, jobs, args.producers, limit).await?);
    }
    let latency = latency::measure(stage, jobs, args.rate, args.seconds, limit).await?;
    let worker_mib = usage::memory(fleet.worker.pid()?)?;
    let scheduler_mib = usage::memory(fleet.scheduler.pid()?)?;
    fleet.stop().await?;
    Ok(Run { bare, rounds, latency, worker_mib, scheduler_mib })
}

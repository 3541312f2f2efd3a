//! `loadtest idle`: what a million jobs cost of which almost none is due.

use std::{
    io::Write,
    time::{Duration, Instant},
};

use anyhow::{Context, ensure};
use scheduler::ticks::dispatch::Dispatcher;
use serde::Serialize;
use shared::{
    bell::Bell,
    job::{JobId, Lane, Lanes},
    store::{PgConnection, PgPool, workers},
};
use uuid::Uuid;

use super::engine::Form;
use crate::stage::{
    Place, Stage, on_stage,
    stats::{ms, percentile},
    usage::{self, Cpu, Memory},
};

/// Jobs that are due in each measured tick.
const DUE: usize = 100;

/// Measured ticks.
const TICKS: usize = 50;

/// How long the fleet is left alone before it is watched.
const SETTLE: Duration = Duration::from_secs(15);

/// Its arguments.
#[derive(Debug, clap::Args)]
pub struct Args {
    #[command(flatten)]
    place: Place,
    /// Idle jobs
    #[arg(long, default_value_t = 1_000_000, value_parser = clap::value_parser!(u32).range(1_000..=20_000_000))]
    jobs: u32,
    /// Tenants that they belong to, in equal parts
    #[arg(long, default_value_t = 1_000, value_parser = clap::value_parser!(u32).range(1..=100_000))]
    tenants: u32,
    /// How long the idle fleet is watched
    #[arg(long, default_value_t = 60, value_parser = clap::value_parser!(u32).range(5..=3_600))]
    seconds: u32,
    /// How the figures are printed
    #[arg(long, value_enum, default_value_t = Form::Table)]
    report: Form,
}

#[derive(Debug, Serialize)]
struct Report {
    jobs: u32,
    tick_p50_ms: f64,
    tick_max_ms: f64,
    /// A tick where nothing is due.
    empty_tick_p50_ms: f64,
    /// Share of one core.
    cpu: Cpu,
    worker_mib: Memory,
    scheduler_mib: Memory,
}

/// Measures, and prints the figures.
pub async fn run(args: Args) -> anyhow::Result<()> {
    let report = on_stage(&args.place, async |stage| measure(stage, &args).await).await?;
    let text = match args.report {
        Form::Json => serde_json::to_string(&report)?,
        Form::Table => table(&report),
    };
    writeln!(std::io::stdout(), "{text}").context("cannot print the figures")
}

fn table(report: &Report) -> String {
    let cpu = &report.cpu;
    format!(
        "| {} idle jobs | value |\n|---|---:|\n\
         | a dispatch tick with {DUE} due, p50 / max, ms | {:.1} / {:.1} |\n\
         | a dispatch tick with none due, p50, ms | {:.1} |\n\
         | an idle fleet, share of a core: worker / scheduler | {:.2} % / {:.2} % |\n\
         | the same: PostgreSQL / Redis | {:.2} % / {:.2} % |\n\
         | memory, MiB: worker / scheduler | {:.0} / {:.0} |",
        report.jobs,
        report.tick_p50_ms,
        report.tick_max_ms,
        report.empty_tick_p50_ms,
        cpu.worker * 100.0,
        cpu.scheduler * 100.0,
        cpu.postgres * 100.0,
        cpu.redis * 100.0,
        report.worker_mib.now,
        report.scheduler_mib.now,
    )
}

async fn measure(stage: &Stage, args: &Args) -> anyhow::Result<Report> {
    let month = Duration::from_hours(30 * 24);
    let jobs =
        stage.make_jobs("idle", args.tenants, args.jobs as usize, Some(month), args.place.seed).await?;
    // None of them is to fall due by itself meanwhile.
    sqlx::query!(
        "update job_state set run_at = run_at + interval '1 day' where run_at < clock() + interval '1 day'"
    )
    .execute(&stage.db)
    .await?;
    // What follows from making a million rows at once is no part of an idle fleet.
    sqlx::query("vacuum analyze job_state").execute(&stage.db).await?;
    sqlx::query("checkpoint").execute(&stage.db).await?;
    let (due, empty) = ticks(&stage.db, &jobs).await?;
    tracing::info!("a tick with {DUE} due: {:?} in the middle", percentile(&due, 50));

    let fleet = stage.fleet(&Lanes::default().to_string()).await?;
    tokio::time::sleep(SETTLE).await;
    let (before, began) = (stage.cpu(&fleet).await?, Instant::now());
    tokio::time::sleep(Duration::from_secs(args.seconds.into())).await;
    let (used, took) = (stage.cpu(&fleet).await? - before, began.elapsed().as_secs_f64());
    let report = Report {
        jobs: args.jobs,
        tick_p50_ms: ms(percentile(&due, 50)),
        tick_max_ms: ms(percentile(&due, 100)),
        empty_tick_p50_ms: ms(percentile(&empty, 50)),
        cpu: used / took,
        worker_mib: usage::memory(fleet.worker.pid()?)?,
        scheduler_mib: usage::memory(fleet.scheduler.pid()?)?,
    };
    fleet.stop().await?;
    Ok(report)
}

/// How long ticks take with [`DUE`] jobs due, and with none.
async fn ticks(db: &PgPool, jobs: &[JobId]) -> anyhow::Result<(Vec<Duration>, Vec<Duration>)> {
    let mut connection = db.acquire().await?;
    let worker = listening_worker(&mut connection).await?;
    let bell = Bell::in_memory();
    let mut dispatcher = Dispatcher::default();
    let (mut due, mut empty) = (Vec::new(), Vec::new());
    for some in jobs.chunks_exact(DUE).take(TICKS) {
        set_run_at(db, some, 0.0).await?;
        let began = Instant::now();
        let (rung, _) = dispatcher.tick(&mut connection, &bell, began).await?;
        due.push(began.elapsed());
        ensure!(rung == DUE, "the tick rang {rung} jobs, and {DUE} were due");
        set_run_at(db, some, 1e6).await?;
        bell.take(Lane::Normal, DUE, Duration::ZERO).await?;
        let began = Instant::now();
        dispatcher.tick(&mut connection, &bell, began).await?;
        empty.push(began.elapsed());
        // The dispatcher goes by the database's row of the worker, and the row by its beat.
        beat(&mut connection, worker).await?;
    }
    workers::leave(&mut connection, worker).await?;
    Ok((due, empty))
}

async fn listening_worker(connection: &mut PgConnection) -> anyhow::Result<Uuid> {
    let worker = Uuid::now_v7();
    beat(connection, worker).await?;
    Ok(worker)
}

async fn beat(connection: &mut PgConnection, worker: Uuid) -> anyhow::Result<()> {
    let idle = Lanes { interactive: 0, normal: 0, bulk: 0 };
    let beat = workers::Beat {
        worker,
        name: "loadtest".to_owned(),
        version: env!("CARGO_PKG_VERSION"),
        kinds: &[],
        slots: Lanes { normal: 1_000, ..Lanes::default() },
        busy: idle,
    };
    workers::beat(connection, &beat).await?;
    Ok(())
}

async fn set_run_at(db: &PgPool, jobs: &[JobId], seconds: f64) -> anyhow::Result<()> {
    sqlx::query!(
        "update job_state set run_at = clock() + make_interval(secs => $2) where job_id = any($1)",
        jobs,
        seconds,
    )
    .execute(db)
    .await?;
    Ok(())
}

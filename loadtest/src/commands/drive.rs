//! `loadtest drive`: how fast the files of a drive are mirrored the first time; `loadtest drive contents`: how fast what is in them.

mod bare;
mod contents;

use std::{
    fmt::Write as _,
    io::Write as _,
    time::{Duration, Instant},
};

use anyhow::{Context, ensure};
use loadtest::fake_google::{Consent, Operation};
use secrecy::ExposeSecret;
use serde::Serialize;
use serde_json::Value;
use shared::{job::Lanes, secrets, store::PgPool};

use self::bare::Bare;
use super::{calendar::Used, engine::Form};
use crate::stage::{
    Place, Server, Stage, accounts,
    google::Google,
    jobs::passes_of_kind,
    on_stage,
    stats::rate,
    until,
    usage::{self, Memory},
};

/// The kind whose passes are counted, and the one that leads to it.
const CHANGES: &str = "drive_changes";
const LIST: &str = "drive_list";

/// Its arguments.
#[derive(Debug, clap::Args)]
#[command(args_conflicts_with_subcommands = true)]
pub struct Args {
    #[command(subcommand)]
    part: Option<Part>,
    #[command(flatten)]
    place: Place,
    /// Files and folders of the drive
    #[arg(long, default_value_t = 200_000, value_parser = clap::value_parser!(u32).range(1_000..=1_000_000))]
    files: u32,
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

#[derive(Debug, clap::Subcommand)]
enum Part {
    /// Measure how fast the contents of files are stored, beside curl that fetches the same files
    Contents(contents::Args),
}

/// All figures of one call.
#[derive(Debug, Serialize)]
struct Report {
    server: Server,
    lanes: Lanes,
    files: usize,
    bare: Bare,
    /// From the want of the account's list to the last commit.
    files_per_second: f64,
    seconds: f64,
    cpu: Used,
    worker_mib: Memory,
}

/// Measures, and prints the figures.
pub async fn run(args: Args) -> anyhow::Result<()> {
    if let Some(Part::Contents(args)) = args.part {
        return contents::run(args).await;
    }
    let report = on_stage(&args.place, async |stage| measure(stage, &args).await).await?;
    let text = match args.report {
        Form::Json => serde_json::to_string(&report)? + "\n",
        Form::Table => table(&report)?,
    };
    std::io::stdout().write_all(text.as_bytes()).context("cannot print the figures")
}

async fn measure(stage: &Stage, args: &Args) -> anyhow::Result<Report> {
    let limit = Duration::from_secs(args.limit);
    let google = Google::start(args.place.seed).await?;
    let accounts = google.seed(1, 0, 0).await?;
    let account = accounts.first().context("no account was made")?;
    let email = account.email.clone();
    let consent = Consent::to(&["https://www.googleapis.com/auth/drive.readonly"]);
    google.apply::<Value>(&Operation::SetConsent { email: email.clone(), consent }).await?;
    // In parts: an answer must not take too long.
    for part in 0..args.files.div_ceil(20_000) {
        let files = usize::try_from((args.files - part * 20_000).min(20_000))?;
        let seed = Operation::SeedFiles { owner: email.clone(), drive: None, files };
        google.apply::<Value>(&seed).await?;
    }
    // The fake makes the checksums of a file when it is first listed: once for nothing.
    bare::measure(stage, &google, account, limit).await?;
    let bare = bare::measure(stage, &google, account, limit).await?;

    let keys = secrets::generate_key("k1")?;
    let settings = google.settings(keys.expose_secret());
    let keys = secrets::KeyRing::parse(&keys)?;
    let fleet = stage.fleet_with(&args.lanes.to_string(), &settings).await?;
    let lists = accounts::add(&stage.db, &keys, &accounts, LIST).await?;
    let cpu = Used::by_now(stage, &fleet, &google).await?;
    let began = Instant::now();
    stage.wanter().want(&lists).await?;
    until("the drive is mirrored", limit, Duration::from_millis(10), async || {
        Ok((passes_of_kind(&fleet, CHANGES).await? >= 1).then_some(()))
    })
    .await?;
    let took = began.elapsed();
    let cpu = Used::by_now(stage, &fleet, &google).await? - cpu;
    check(&stage.db, args.files as usize).await?;
    bare::clear(&stage.db).await?;
    let worker_mib = usage::memory(fleet.worker.pid()?)?;
    fleet.stop().await.context("the fleet does not end")?;
    let files = args.files as usize;
    Ok(Report {
        server: stage.server().await?,
        lanes: args.lanes,
        files,
        bare,
        files_per_second: rate(files, took),
        seconds: took.as_secs_f64(),
        cpu,
        worker_mib,
    })
}

/// Fails unless the mirror has the files that the bare loop has copied, each in the same version.
async fn check(db: &PgPool, files: usize) -> anyhow::Result<()> {
    let (mirrored, differ): (i64, i64) = sqlx::query_as(
        "select count(f.file_id), count(*) filter (where f.version is distinct from b.version)
        from files f full join bare_files b using (file_id)",
    )
    .fetch_one(db)
    .await?;
    ensure!(
        usize::try_from(mirrored)? == files && differ == 0,
        "the mirror is not the truth: {mirrored} of {files} files, and {differ} differ"
    );
    Ok(())
}

fn table(report: &Report) -> anyhow::Result<String> {
    let mut text = String::new();
    let (server, bare, cpu) = (&report.server, &report.bare, &report.cpu);
    let share = report.files_per_second / bare.files_per_second * 100.0;
    writeln!(
        text,
        "PostgreSQL {}, fsync {}, synchronous_commit {}, shared_buffers {}; {} cores; slots {}\n\n\
         | first sweep of {} files | files/s | of the bare loop |\n|---|---:|---:|\n\
         | syncfleet | {:.0} | {share:.0} % |\n\
         | a bare loop | {:.0} | 100 % |\n\n\
         Memory of the worker, peak: {:.0} MiB\n\n\
         | CPU seconds | worker | scheduler | PostgreSQL | Redis | who wants or copies | fake Google |\n\
         |---|---:|---:|---:|---:|---:|---:|\n\
         | the first sweep | {:.2} | {:.2} | {:.2} | {:.2} | {:.2} | {:.2} |\n\
         | a bare loop | | | {:.2} | | {:.2} | {:.2} |",
        server.version,
        server.fsync,
        server.synchronous_commit,
        server.shared_buffers,
        server.cores,
        report.lanes,
        report.files,
        report.files_per_second,
        bare.files_per_second,
        report.worker_mib.peak,
        cpu.fleet.worker,
        cpu.fleet.scheduler,
        cpu.fleet.postgres,
        cpu.fleet.redis,
        cpu.fleet.driver,
        cpu.google,
        bare.postgres_cpu,
        bare.own_cpu,
        bare.google_cpu,
    )?;
    Ok(text)
}

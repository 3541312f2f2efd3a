//! `loadtest push`: how many notifications one ingress takes durably, and how soon a change at Google is in the mirror.

mod accept;
mod follow;
mod load;
mod peer;

use std::{io::Write, time::Duration};

use anyhow::Context;
use secrecy::ExposeSecret;
use serde::Serialize;
use shared::{job::Lanes, secrets};

pub use self::peer::{Args as PeerArgs, run as peer};
use self::{accept::Taken, follow::Followed};
use super::engine::Form;
use crate::stage::{Place, Server, Stage, google::Google, on_stage};

/// Its arguments.
#[derive(Debug, clap::Args)]
pub struct Args {
    #[command(flatten)]
    place: Place,
    /// Calendars with a channel each
    #[arg(long, default_value_t = 1_000, value_parser = clap::value_parser!(u32).range(10..=20_000))]
    calendars: u32,
    /// How long each part is measured
    #[arg(long, default_value_t = 20, value_parser = clap::value_parser!(u64).range(1..=3_600))]
    seconds: u64,
    /// Notifications under way at once
    #[arg(long, default_value_t = 128, value_parser = clap::value_parser!(u32).range(1..=2_000))]
    connections: u32,
    /// Changes a second that are followed into the mirror
    #[arg(long, default_value_t = 100, value_parser = clap::value_parser!(u32).range(1..=10_000))]
    changes: u32,
    /// The worker's slots
    #[arg(long, default_value_t = Lanes::default())]
    lanes: Lanes,
    /// The longest that the fleet may take to watch all calendars, in seconds
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
    calendars: u32,
    connections: u32,
    /// One ingress.
    ingress: Taken,
    /// The same listener and checks, with a plain INSERT for each notification.
    insert: Taken,
    follow: Followed,
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

async fn measure(stage: &Stage, args: &Args) -> anyhow::Result<Report> {
    let google = Google::start(args.place.seed).await?;
    let key = secrets::generate_key("k1")?;
    let settings = google.settings(key.expose_secret());
    let keys = secrets::KeyRing::parse(&key)?;
    let time = Duration::from_secs(args.seconds);
    let channels = accept::channels(&stage.db, &keys, args.calendars, args.place.seed).await?;
    let ingress = accept::ingress(stage, &settings, &channels, args.connections as usize, time).await?;
    tracing::info!("ingress: {:.0} notifications/s", ingress.per_second);
    let insert = accept::insert(stage, &channels, &key, args.connections as usize, time).await?;
    tracing::info!("one INSERT each: {:.0} notifications/s", insert.per_second);
    accept::clear(&stage.db).await?;
    let follow = follow::measure(stage, &google, &keys, &settings, args).await?;
    Ok(Report {
        server: stage.server().await?,
        calendars: args.calendars,
        connections: args.connections,
        ingress,
        insert,
        follow,
    })
}

fn table(report: &Report) -> String {
    let Report { ingress, insert, follow, .. } = report;
    format!(
        "PostgreSQL {}, fsync {}, synchronous_commit {}; {} cores; {} calendars, {} notifications under way\n\n\
         | notifications taken durably | one ingress | one INSERT each |\n|---|---:|---:|\n\
         | a second | {:.0} | {:.0} |\n\
         | answered after, p50 / p99, ms | {:.1} / {:.1} | {:.1} / {:.1} |\n\
         | jobs wanted / rows written | {} | {} |\n\n\
         | from a change to its row | value |\n|---|---:|\n\
         | changes followed, a second | {} ({:.0}) |\n\
         | p50 / p99 / longest, ms | {:.1} / {:.1} / {:.1} |",
        report.server.version,
        report.server.fsync,
        report.server.synchronous_commit,
        report.server.cores,
        report.calendars,
        report.connections,
        ingress.per_second,
        insert.per_second,
        ingress.p50_ms,
        ingress.p99_ms,
        insert.p50_ms,
        insert.p99_ms,
        ingress.written,
        insert.written,
        follow.changes,
        follow.per_second,
        follow.p50_ms,
        follow.p99_ms,
        follow.max_ms,
    )
}

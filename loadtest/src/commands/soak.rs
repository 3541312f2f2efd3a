//! `loadtest soak`: millions of runs with a long-running reader open, and what becomes of rates and tables.

use std::{
    fmt::Write as _,
    io::Write as _,
    time::{Duration, Instant},
};

use anyhow::Context;
use serde::Serialize;
use shared::store::PgPool;

use super::engine::{Form, throughput};
use crate::stage::{Place, Stage, on_stage, stats::median, usage};

/// Its arguments.
#[derive(Debug, clap::Args)]
pub struct Args {
    #[command(flatten)]
    place: Place,
    /// Runs in all
    #[arg(long, default_value_t = 5_000_000, value_parser = clap::value_parser!(u32).range(1_000..=1_000_000_000))]
    runs: u32,
    /// Jobs, each wanted once a round
    #[arg(long, default_value_t = 100_000, value_parser = clap::value_parser!(u32).range(1_000..=10_000_000))]
    jobs: u32,
    /// Tenants that they belong to
    #[arg(long, default_value_t = 20, value_parser = clap::value_parser!(u32).range(1..=100_000))]
    tenants: u32,
    /// Slots of the worker
    #[arg(long, default_value_t = 2_048, value_parser = clap::value_parser!(u32).range(1..=10_000))]
    slots: u32,
    /// The longest that it may take: then the figures so far are printed
    #[arg(long, default_value_t = 60, value_parser = clap::value_parser!(u32).range(1..=1_440))]
    minutes: u32,
    /// Without the reader
    #[arg(long)]
    no_reader: bool,
    /// How the figures are printed
    #[arg(long, value_enum, default_value_t = Form::Table)]
    report: Form,
}

/// How things stand at a moment.
#[derive(Debug, Serialize)]
struct Standing {
    moment: &'static str,
    runs: u64,
    /// The middle of the rounds since the moment before.
    jobs_per_second: f64,
    sizes: Vec<Size>,
    worker_mib: f64,
}

/// A table and its indexes, or one index.
#[derive(Debug, Serialize)]
struct Size {
    name: String,
    mib: f64,
    dead_rows: Option<i64>,
}

/// Drives the runs, and prints the figures.
pub async fn run(args: Args) -> anyhow::Result<()> {
    let standings = on_stage(&args.place, async |stage| measure(stage, &args).await).await?;
    let text = match args.report {
        Form::Json => serde_json::to_string(&standings)?,
        Form::Table => table(&standings)?,
    };
    writeln!(std::io::stdout(), "{text}").context("cannot print the figures")
}

async fn measure(stage: &Stage, args: &Args) -> anyhow::Result<Vec<Standing>> {
    let jobs = stage.make_jobs("soak", args.tenants, args.jobs as usize, None, args.place.seed).await?;
    let fleet = stage.fleet(&format!("normal={}", args.slots)).await?;
    let began = Instant::now();
    let limit = Duration::from_mins(args.minutes.into());
    let mut runs = 0;
    let mut rates = Vec::new();
    let mut round = async |stage: &Stage, rates: &mut Vec<f64>| {
        let left = limit.saturating_sub(began.elapsed()).max(Duration::from_mins(1));
        let round = throughput::measure(stage, &fleet, &jobs, 1, left).await?;
        runs += u64::from(args.jobs);
        rates.push(round.jobs_per_second);
        tracing::info!("{runs} runs, {:.0} jobs/s", round.jobs_per_second);
        anyhow::Ok(runs)
    };
    let stand = async |moment, runs, rates: &mut Vec<f64>| {
        let jobs_per_second = median(std::mem::take(rates));
        let worker_mib = usage::memory(fleet.worker.pid()?)?.now;
        anyhow::Ok(Standing { moment, runs, jobs_per_second, sizes: sizes(&stage.db).await?, worker_mib })
    };

    let mut standings = Vec::new();
    let mut done = 0;
    // The first two warm things up.
    for _ in 0..3 {
        done = round(stage, &mut rates).await?;
    }
    standings.push(stand("start", done, &mut rates).await?);
    let reader = if args.no_reader { None } else { Some(reader(&stage.db).await?) };
    let target = u64::from(args.runs);
    let mut middle = false;
    while done < target && began.elapsed() < limit {
        done = round(stage, &mut rates).await?;
        if !middle && done >= target / 2 {
            middle = true;
            standings.push(stand("middle", done, &mut rates).await?);
        }
    }
    standings.push(stand("end", done, &mut rates).await?);
    if let Some(reader) = reader {
        reader.rollback().await?;
        sqlx::query("vacuum job_state").execute(&stage.db).await?;
        done = round(stage, &mut rates).await?;
        standings.push(stand("after the reader", done, &mut rates).await?);
    }
    fleet.stop().await?;
    Ok(standings)
}

/// A reader that keeps its view of the database, as a backup or a report does.
async fn reader(db: &PgPool) -> anyhow::Result<sqlx::Transaction<'static, sqlx::Postgres>> {
    let mut reader = db.begin_with("begin isolation level repeatable read").await?;
    sqlx::query("set local idle_in_transaction_session_timeout = 0").execute(&mut *reader).await?;
    sqlx::query("select count(*) from tenants").execute(&mut *reader).await?;
    Ok(reader)
}

/// The tables that runs write, with their indexes.
async fn sizes(db: &PgPool) -> anyhow::Result<Vec<Size>> {
    let rows = sqlx::query!(
        r#"select c.relname as "name!", pg_relation_size(c.oid) as "bytes!", t.n_dead_tup as "dead?"
        from pg_class c
        left join pg_stat_user_tables t on t.relid = c.oid
        left join pg_index i on i.indexrelid = c.oid
        join pg_class owner on owner.oid = coalesce(i.indrelid, c.oid)
        where owner.relname in ('jobs', 'job_state') or owner.relname ~ '^runs_[0-9]+$' and pg_relation_size(owner.oid) > 0
        order by owner.relname, i.indexrelid nulls first"#
    )
    .fetch_all(db)
    .await?;
    #[expect(clippy::cast_precision_loss, reason = "sizes here are far below 2^52 bytes")]
    Ok(rows
        .into_iter()
        .filter(|row| row.bytes > 0)
        .map(|row| Size { name: row.name, mib: row.bytes as f64 / 1_048_576.0, dead_rows: row.dead })
        .collect())
}

fn table(standings: &[Standing]) -> anyhow::Result<String> {
    let mut text = String::from("| soak |");
    for standing in standings {
        write!(text, " {}: {} runs |", standing.moment, standing.runs)?;
    }
    text.push_str("\n|---|");
    text.push_str(&"---:|".repeat(standings.len()));
    let mut row = |name: &str, value: &dyn Fn(&Standing) -> String| {
        write!(text, "\n| {name} |")
            .and_then(|()| standings.iter().try_for_each(|each| write!(text, " {} |", value(each))))
    };
    row("jobs/s, the middle round", &|standing| format!("{:.0}", standing.jobs_per_second))?;
    row("worker, MiB", &|standing| format!("{:.0}", standing.worker_mib))?;
    let names = standings.last().map_or(&[][..], |last| &last.sizes);
    for name in names.iter().map(|size| &size.name) {
        row(&format!("{name}, MiB"), &|standing| {
            let size = standing.sizes.iter().find(|size| &size.name == name);
            match size.map(|size| (size.mib, size.dead_rows)) {
                Some((mib, Some(dead))) => format!("{mib:.0} ({dead} dead rows)"),
                Some((mib, None)) => format!("{mib:.0}"),
                None => String::new(),
            }
        })?;
    }
    Ok(text)
}

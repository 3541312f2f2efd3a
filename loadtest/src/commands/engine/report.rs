//! The figures in words and tables.

use std::{fmt::Write as _, io::Write as _};

use anyhow::Context;

use super::{Form, Report, Run};
use crate::stage::{stats::median, usage::Cpu};

/// One run in a line.
pub fn line(run: &Run) -> String {
    let rounds: Vec<String> =
        run.rounds.iter().map(|round| format!("{:.0}", round.jobs_per_second)).collect();
    let bare =
        run.bare.iter().map(|bare| format!("{:.0} at {:.0} µs", bare.jobs_per_second, bare.postgres_cpu_us));
    let bare: Vec<String> = bare.collect();
    format!(
        "jobs/s {} (bare loop {}); start p50 {:.1} ms, p99 {:.1} ms; worker {:.0} MiB",
        rounds.join(", "),
        bare.join(", "),
        run.latency.start_p50_ms,
        run.latency.start_p99_ms,
        run.worker_mib.peak,
    )
}

/// Prints all of it to standard output.
pub fn print(report: &Report, form: Form) -> anyhow::Result<()> {
    let text = match form {
        Form::Json => serde_json::to_string(report)? + "\n",
        Form::Table => table(report)?,
    };
    std::io::stdout().write_all(text.as_bytes()).context("cannot print the figures")
}

fn table(report: &Report) -> anyhow::Result<String> {
    let mut text = String::new();
    let server = &report.server;
    writeln!(
        text,
        "PostgreSQL {}, fsync {}, synchronous_commit {}, shared_buffers {}; {} cores; {} jobs of {} tenants, {} slots\n",
        server.version,
        server.fsync,
        server.synchronous_commit,
        server.shared_buffers,
        server.cores,
        report.jobs,
        report.tenants,
        report.slots,
    )?;
    writeln!(
        text,
        "| no-op jobs | jobs/s | p50 / p99 to start, ms | peak memory, MiB |\n|---|---:|---:|---:|"
    )?;
    for (number, run) in (1..).zip(&report.runs) {
        row(&mut text, &format!("syncfleet, run {number}"), std::slice::from_ref(run))?;
    }
    if report.runs.len() > 1 {
        row(&mut text, "syncfleet, median", &report.runs)?;
    }
    for place in 0..report.runs.first().map_or(0, |run| run.bare.len()) {
        let connections = report.runs[0].bare[place].connections;
        let rate = median(report.runs.iter().map(|run| run.bare[place].jobs_per_second));
        writeln!(text, "| the same SQL in a bare loop, {connections} connections | {rate:.0} | | |")?;
    }
    for peer in &report.peers {
        let figure = |name: &str| peer[name].as_f64().unwrap_or_default();
        writeln!(
            text,
            "| {} ({} tasks) | {:.0} | {:.1} / {:.1} | |",
            peer["name"].as_str().unwrap_or("a peer"),
            peer["tasks"],
            figure("done_per_second"),
            figure("start_p50_ms"),
            figure("start_p99_ms"),
        )?;
    }
    writeln!(
        text,
        "\n| CPU, µs a job | worker | scheduler | PostgreSQL | Redis | who wants |\n|---|---:|---:|---:|---:|---:|"
    )?;
    for (number, run) in (1..).zip(&report.runs) {
        for (place, round) in (1..).zip(&run.rounds) {
            cpu_row(&mut text, &format!("run {number}, round {place}"), &round.cpu, f64::from(report.jobs))?;
        }
        for bare in &run.bare {
            writeln!(
                text,
                "| run {number}, bare loop, {} connections | | | {:.1} | | |",
                bare.connections, bare.postgres_cpu_us
            )?;
        }
    }
    writeln!(text, "\n| 100 wants/s, ms | p50 | p99 |\n|---|---:|---:|")?;
    let runs = &report.runs;
    let middle = |figure: fn(&Run) -> f64| median(runs.iter().map(figure));
    for (name, p50, p99) in [
        ("a want is durable", middle(|run| run.latency.want_p50_ms), middle(|run| run.latency.want_p99_ms)),
        (
            "from then to the claim",
            middle(|run| run.latency.start_p50_ms),
            middle(|run| run.latency.start_p99_ms),
        ),
        (
            "from then to the run's commit",
            middle(|run| run.latency.end_p50_ms),
            middle(|run| run.latency.end_p99_ms),
        ),
    ] {
        writeln!(text, "| {name} | {p50:.1} | {p99:.1} |")?;
    }
    Ok(text)
}

/// The medians of some runs.
fn row(text: &mut String, name: &str, runs: &[Run]) -> std::fmt::Result {
    writeln!(
        text,
        "| {name} | {:.0} | {:.1} / {:.1} | worker {:.0}, scheduler {:.0} |",
        median(runs.iter().flat_map(|run| &run.rounds).map(|round| round.jobs_per_second)),
        median(runs.iter().map(|run| run.latency.start_p50_ms)),
        median(runs.iter().map(|run| run.latency.start_p99_ms)),
        median(runs.iter().map(|run| run.worker_mib.peak)),
        median(runs.iter().map(|run| run.scheduler_mib.peak)),
    )
}

fn cpu_row(text: &mut String, name: &str, cpu: &Cpu, jobs: f64) -> std::fmt::Result {
    let cpu = *cpu / (jobs / 1e6);
    writeln!(
        text,
        "| {name} | {:.1} | {:.1} | {:.1} | {:.1} | {:.1} |",
        cpu.worker, cpu.scheduler, cpu.postgres, cpu.redis, cpu.driver,
    )
}

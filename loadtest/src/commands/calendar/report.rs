//! The figures in tables.

use std::{fmt::Write as _, io::Write as _};

use anyhow::Context;

use super::{Form, Report, Used};

/// What CPU time of quiet syncs is told for.
const PER: f64 = 10_000.0;

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
    let (server, first, incremental) = (&report.server, &report.first, &report.incremental);
    writeln!(
        text,
        "PostgreSQL {}, fsync {}, synchronous_commit {}, shared_buffers {}; {} cores; slots {}\n",
        server.version,
        server.fsync,
        server.synchronous_commit,
        server.shared_buffers,
        server.cores,
        report.lanes,
    )?;
    let best = report.bare.iter().map(|bare| bare.events_per_second).fold(0.0, f64::max);
    writeln!(
        text,
        "| first sync of {} events | events/s | of the best bare loop |\n|---|---:|---:|",
        first.events
    )?;
    let share = first.events_per_second / best * 100.0;
    writeln!(text, "| syncfleet | {:.0} | {share:.0} % |", first.events_per_second)?;
    for bare in &report.bare {
        let share = bare.events_per_second / best * 100.0;
        writeln!(
            text,
            "| a bare loop, {} connections | {:.0} | {share:.0} % |",
            bare.connections, bare.events_per_second
        )?;
    }
    writeln!(
        text,
        "\n| incremental | value |\n|---|---:|\n\
         | syncs, of them with changes | {}, {} |\n\
         | syncs/s | {:.0} |\n\
         | memory of the worker, peak after the first sync / at the end, MiB | {:.0} / {:.0} |",
        incremental.syncs,
        incremental.changed,
        incremental.syncs_per_second,
        report.worker_mib[0].peak,
        report.worker_mib[1].peak,
    )?;
    writeln!(
        text,
        "\n| CPU seconds | worker | scheduler | PostgreSQL | Redis | who wants or copies | fake Google |\n\
         |---|---:|---:|---:|---:|---:|---:|"
    )?;
    #[expect(clippy::cast_precision_loss, reason = "counts here are far below 2^52")]
    let times = PER / incremental.syncs as f64;
    row(&mut text, "the first sync", &first.cpu, 1.0)?;
    row(&mut text, "10,000 incremental syncs", &incremental.cpu, times)?;
    for bare in &report.bare {
        writeln!(
            text,
            "| a bare loop, {} connections | | | {:.2} | | {:.2} | {:.2} |",
            bare.connections, bare.postgres_cpu, bare.own_cpu, bare.google_cpu
        )?;
    }
    Ok(text)
}

fn row(text: &mut String, name: &str, cpu: &Used, times: f64) -> std::fmt::Result {
    let fleet = &cpu.fleet;
    let [worker, scheduler, postgres, redis, driver, google] =
        [fleet.worker, fleet.scheduler, fleet.postgres, fleet.redis, fleet.driver, cpu.google]
            .map(|seconds| seconds * times);
    writeln!(
        text,
        "| {name} | {worker:.2} | {scheduler:.2} | {postgres:.2} | {redis:.2} | {driver:.2} | {google:.2} |"
    )
}

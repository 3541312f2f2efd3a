//! The figures in tables.

use std::{fmt::Write as _, io::Write as _};

use anyhow::Context;

use super::{Form, Report, calls::Called, nsupdate::Peer};

/// Calls that CPU time is told for.
const PER: f64 = 1_000.0;

/// Prints all of it to standard output.
pub fn print(report: &Report, form: Form) -> anyhow::Result<()> {
    let text = match form {
        Form::Json => serde_json::to_string(report)? + "\n",
        Form::Table => table(report)?,
    };
    std::io::stdout().write_all(text.as_bytes()).context("cannot print the figures")
}

fn table(report: &Report) -> Result<String, std::fmt::Error> {
    let mut text = String::new();
    let (server, changed) = (&report.server, &report.changed);
    writeln!(
        text,
        "PostgreSQL {}, fsync {}, synchronous_commit {}; {}; {} cores; slots {}\n",
        server.version, server.fsync, server.synchronous_commit, report.bind, server.cores, report.lanes,
    )?;
    writeln!(
        text,
        "| {} names behind {} addresses that change at once | seconds | names/s |\n|---|---:|---:|",
        report.records, report.addresses
    )?;
    writeln!(text, "| syncfleet | {:.1} | {:.0} |", changed.seconds, changed.updates_per_second)?;
    for peer in [&report.nsupdate_single, &report.nsupdate_batched] {
        let Peer { at_once, seconds, names_per_second, .. } = peer;
        writeln!(text, "| nsupdate, {at_once} a message | {seconds:.1} | {names_per_second:.0} |")?;
    }
    let history: Vec<_> = changed.history.iter().map(|(what, count)| format!("{what} {count}")).collect();
    writeln!(
        text,
        "\n| the fleet | value |\n|---|---:|\n\
         | routers' calls answered after, s | {:.1} |\n\
         | nothing left to do after, s | {:.1} |\n\
         | from a call to BIND's right answer, {} names, p50 / p99 / longest, s | {:.1} / {:.1} / {:.1} |\n\
         | its own look after an update, p50 / p99, ms | {:.0} / {:.0} |\n\
         | updates that BIND got | {} |\n\
         | history | {} |\n\
         | memory of the worker, peak, MiB | {:.0} |",
        changed.calls_seconds,
        changed.settled_seconds,
        changed.watched,
        changed.p50_ms / 1e3,
        changed.p99_ms / 1e3,
        changed.max_ms / 1e3,
        changed.verify_p50_ms,
        changed.verify_p99_ms,
        changed.updates,
        history.join(", "),
        changed.worker_mib.peak,
    )?;
    writeln!(
        text,
        "\n| CPU seconds | worker | scheduler | ingress | PostgreSQL | Redis | BIND | who calls, nsupdate |\n\
         |---|---:|---:|---:|---:|---:|---:|---:|"
    )?;
    let (cpu, fleet) = (&changed.cpu, &changed.cpu.fleet);
    writeln!(
        text,
        "| syncfleet | {:.1} | {:.1} | {:.1} | {:.1} | {:.1} | {:.1} | {:.1} |",
        fleet.worker, fleet.scheduler, cpu.ingress, fleet.postgres, fleet.redis, cpu.bind, fleet.driver
    )?;
    for peer in [&report.nsupdate_single, &report.nsupdate_batched] {
        writeln!(
            text,
            "| nsupdate, {} a message | | | | | | {:.1} | {:.1} |",
            peer.at_once, peer.bind_cpu, peer.own_cpu
        )?;
    }
    writeln!(
        text,
        "\n| calls of routers, {} under way | calls/s | p50 / p99, ms | CPU seconds of {PER} calls: ingress, PostgreSQL |\n\
         |---|---:|---:|---:|",
        report.connections
    )?;
    row(&mut text, "the first of each login", &report.first)?;
    row(&mut text, "`good`", &report.good)?;
    row(&mut text, "`nochg`", &report.nochg)?;
    Ok(text)
}

fn row(text: &mut String, name: &str, called: &Called) -> std::fmt::Result {
    #[expect(clippy::cast_precision_loss, reason = "counts here are far below 2^52")]
    let times = PER / called.calls as f64;
    writeln!(
        text,
        "| {name} | {:.0} | {:.1} / {:.1} | {:.2}, {:.2} |",
        called.per_second,
        called.p50_ms,
        called.p99_ms,
        called.ingress_cpu * times,
        called.postgres_cpu * times,
    )
}

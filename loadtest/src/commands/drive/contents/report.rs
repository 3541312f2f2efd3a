//! The figures as tables.

use std::fmt::Write as _;

use super::{Part, Report};

pub fn table(report: &Report) -> anyhow::Result<String> {
    let mut text = String::new();
    let server = &report.server;
    writeln!(
        text,
        "PostgreSQL {}, fsync {}, synchronous_commit {}, shared_buffers {}; {} cores; slots {}; curl {} at once; seed {}\n\n\
         | contents | files | MB | syncfleet, MB/s | curl, MB/s | of curl | worker at its peak, MiB |\n\
         |---|---:|---:|---:|---:|---:|---:|",
        server.version,
        server.fsync,
        server.synchronous_commit,
        server.shared_buffers,
        server.cores,
        report.lanes,
        report.at_once,
        report.seed,
    )?;
    let parts = [("mixed files", &report.mixed), ("a large file", &report.large)];
    for (name, Part { files, bytes, curl, syncfleet }) in parts {
        let share = syncfleet.mb_per_second / curl.mb_per_second * 100.0;
        writeln!(
            text,
            "| {name} | {files} | {} | {:.1} | {:.1} | {share:.0} % | {:.0} |",
            bytes / 1_000_000,
            syncfleet.mb_per_second,
            curl.mb_per_second,
            syncfleet.worker_mib.peak,
        )?;
    }
    writeln!(
        text,
        "\nMemory of the worker before: {:.0} MiB. MB are 1,000,000 bytes; curl checks and syncs nothing.\n\n\
         | CPU seconds | worker | scheduler | PostgreSQL | Redis | who waits | fake Google | curl | fake Google, for curl |\n\
         |---|---:|---:|---:|---:|---:|---:|---:|---:|",
        report.idle_mib.now,
    )?;
    for (name, Part { curl, syncfleet, .. }) in parts {
        let cpu = &syncfleet.cpu;
        writeln!(
            text,
            "| {name} | {:.2} | {:.2} | {:.2} | {:.2} | {:.2} | {:.2} | {:.2} | {:.2} |",
            cpu.fleet.worker,
            cpu.fleet.scheduler,
            cpu.fleet.postgres,
            cpu.fleet.redis,
            cpu.fleet.driver,
            cpu.google,
            curl.own_cpu,
            curl.google_cpu,
        )?;
    }
    Ok(text)
}

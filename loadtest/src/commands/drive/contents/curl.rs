//! The limit: the same files fetched by curl, which checks no sum, syncs nothing to the disk, and remembers nothing.

use std::{
    fmt::Write as _,
    fs,
    path::Path,
    process::Stdio,
    time::{Duration, Instant},
};

use anyhow::{Context, ensure};
use serde::Serialize;
use tokio::{io::AsyncWriteExt, process::Command};

use super::{files::Files, speed};
use crate::stage::{google::Google, usage};

/// The figures of curl.
#[derive(Debug, Serialize)]
pub struct Curl {
    pub seconds: f64,
    pub mb_per_second: f64,
    /// CPU seconds.
    pub own_cpu: f64,
    pub google_cpu: f64,
}

/// Fetches the files into a folder, so many at once, and takes them away again.
pub async fn fetch(
    google: &Google,
    token: &str,
    files: &Files,
    at_once: u16,
    limit: Duration,
) -> anyhow::Result<Curl> {
    let folder = tempfile::tempdir().context("cannot make a folder for curl")?;
    let config = config(google, token, files, at_once, folder.path())?;
    let (google_cpu, own_cpu) = (google.cpu()?, usage::ended_children_cpu()?);
    let began = Instant::now();
    // The token is not for the list of processes.
    let mut child = Command::new("curl")
        .args(["--disable", "--config", "-"])
        .stdin(Stdio::piped())
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .kill_on_drop(true)
        .spawn()
        .context("cannot start curl: is it installed?")?;
    let mut stdin = child.stdin.take().context("curl has no input")?;
    stdin.write_all(config.as_bytes()).await?;
    drop(stdin);
    let ended = tokio::time::timeout(limit, child.wait_with_output())
        .await
        .with_context(|| format!("curl did not end in {limit:?}"))??;
    let took = began.elapsed();
    let own_cpu = usage::ended_children_cpu()? - own_cpu;
    let google_cpu = google.cpu()? - google_cpu;
    ensure!(
        ended.status.success(),
        "curl has failed, {}: {}",
        ended.status,
        String::from_utf8_lossy(&ended.stderr).trim()
    );
    let (fetched, wanted) = (bytes_in(folder.path())?, files.bytes());
    ensure!(fetched == wanted, "curl has fetched {fetched} bytes of {wanted}");
    Ok(Curl { seconds: took.as_secs_f64(), mb_per_second: speed(wanted, took), own_cpu, google_cpu })
}

fn config(google: &Google, token: &str, files: &Files, at_once: u16, to: &Path) -> anyhow::Result<String> {
    let mut config = format!(
        "silent\nshow-error\nfail\nfail-early\nparallel\nparallel-max = {at_once}\n\
         header = \"Authorization: Bearer {token}\"\n"
    );
    for (number, id) in files.ids.iter().enumerate() {
        let place = to.join(number.to_string());
        writeln!(config, "url = \"{}/drive/v3/files/{id}?alt=media\"", google.url)?;
        writeln!(config, "output = \"{}\"", place.display())?;
    }
    Ok(config)
}

/// Bytes of the files below a folder.
pub fn bytes_in(folder: &Path) -> anyhow::Result<u64> {
    let mut bytes = 0;
    for entry in fs::read_dir(folder)? {
        let entry = entry?;
        let found = entry.metadata()?;
        bytes += if found.is_dir() { bytes_in(&entry.path())? } else { found.len() };
    }
    Ok(bytes)
}

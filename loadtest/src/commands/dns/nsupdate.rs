//! The limit: BIND's own nsupdate, fed the same list, which remembers nothing and looks at nothing afterwards.

use std::{
    process::Stdio,
    time::{Duration, Instant},
};

use anyhow::{Context, ensure};
use loadtest::bind::Bind;
use serde::Serialize;
use tokio::{io::AsyncWriteExt, process::Command};

use super::statistics;
use crate::stage::{homes::Names, stats::rate, usage};

/// The figures of one list.
#[derive(Debug, Serialize)]
pub struct Peer {
    /// Names in a message.
    pub at_once: usize,
    pub seconds: f64,
    pub names_per_second: f64,
    /// CPU seconds.
    pub own_cpu: f64,
    pub bind_cpu: f64,
}

/// Changes all names of a zone, so many with one message, each message when the one before is answered.
pub async fn measure(
    bind: &Bind,
    names: &Names,
    zone: &str,
    at_once: usize,
    limit: Duration,
) -> anyhow::Result<Peer> {
    let script = names.script(bind, zone, at_once);
    let updates = statistics::read(bind).await?.updates;
    let cpu = || anyhow::Ok((usage::ended_children_cpu()?, usage::process_cpu(bind.pid()?)?));
    let (before, began) = (cpu()?, Instant::now());
    // The secret is not for the list of processes.
    let mut child = Command::new("nsupdate")
        .stdin(Stdio::piped())
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .kill_on_drop(true)
        .spawn()
        .context("nsupdate cannot be started: install bind9-dnsutils (scripts/setup.sh bind)")?;
    let mut stdin = child.stdin.take().context("nsupdate has no input")?;
    let ended = async {
        stdin.write_all(script.as_bytes()).await?;
        drop(stdin);
        child.wait_with_output().await
    };
    let ended = tokio::time::timeout(limit, ended)
        .await
        .with_context(|| format!("nsupdate did not end in {limit:?}"))??;
    let (took, after) = (began.elapsed(), cpu()?);
    ensure!(
        ended.status.success(),
        "nsupdate has failed, {}: {}",
        ended.status,
        String::from_utf8_lossy(&ended.stderr).trim()
    );
    let sent = statistics::read(bind).await?.updates - updates;
    let messages = names.records.div_ceil(u32::try_from(at_once)?);
    ensure!(sent == u64::from(messages), "BIND has done {sent} updates, and nsupdate was told {messages}");
    names.check(bind, zone).await?;
    Ok(Peer {
        at_once,
        seconds: took.as_secs_f64(),
        names_per_second: rate(names.records as usize, took),
        own_cpu: after.0 - before.0,
        bind_cpu: after.1 - before.1,
    })
}

//! Other queues, measured by a program of its own on the same servers.

use std::{path::Path, process::Stdio};

use anyhow::{Context, ensure};
use tokio::process::Command;

/// Runs it with this process's environment and reads its one line.
pub async fn measure(program: &Path) -> anyhow::Result<Vec<serde_json::Value>> {
    let output = Command::new(program)
        .stdin(Stdio::null())
        .stderr(Stdio::inherit())
        .kill_on_drop(true)
        .output()
        .await
        .with_context(|| format!("cannot start {}", program.display()))?;
    ensure!(output.status.success(), "{} ended with {}", program.display(), output.status);
    let mut answer: serde_json::Value =
        serde_json::from_slice(&output.stdout).context("the peers' program printed no JSON")?;
    serde_json::from_value(answer["peers"].take()).context("the peers' program printed no list of peers")
}

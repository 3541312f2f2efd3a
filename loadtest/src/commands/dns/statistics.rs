//! BIND's counters: <https://kb.isc.org/docs/monitoring-recommendations-for-bind-9>.

use anyhow::{Context, ensure};
use loadtest::bind::Bind;
use serde::Deserialize;

use crate::stage::fleet::get;

/// What it has counted since its start.
#[derive(Debug, Clone, Copy)]
pub struct Counted {
    /// Messages of RFC 2136 that were received.
    pub received: u64,
    /// Those that were done.
    pub updates: u64,
}

#[derive(Deserialize)]
struct Answer {
    version: String,
    opcodes: Opcodes,
    /// Not told before there is anything to tell.
    #[serde(default)]
    nsstats: Server,
}

#[derive(Deserialize)]
struct Opcodes {
    #[serde(rename = "UPDATE")]
    update: u64,
}

#[derive(Default, Deserialize)]
struct Server {
    /// Not told while it is zero.
    #[serde(rename = "UpdateDone", default)]
    update_done: u64,
}

/// Asks for them.
pub async fn read(bind: &Bind) -> anyhow::Result<Counted> {
    let answer = ask(bind).await?;
    Ok(Counted { received: answer.opcodes.update, updates: answer.nsstats.update_done })
}

/// The program, for the report.
pub async fn version(bind: &Bind) -> anyhow::Result<String> {
    Ok(format!("BIND {}", ask(bind).await?.version))
}

async fn ask(bind: &Bind) -> anyhow::Result<Answer> {
    let (status, body) = get(bind.statistics, "/json/v1/server").await.context("BIND's counters")?;
    ensure!(status == 200, "BIND answers {status} for its counters: is it built with json-c?");
    serde_json::from_str(&body).context("BIND's counters are others")
}

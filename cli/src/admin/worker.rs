//! `worker ls`: the processes of the fleet. The role that works is another command of the same name.

use clap::Subcommand;
use shared::{
    admin::{self, words, worker},
    job::Lane,
};

use super::Access;
use crate::{
    exit::Exit,
    output::{Output, when},
};

/// The processes of the fleet
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:
  syncfleet worker ls")]
pub struct Args {
    #[command(flatten)]
    access: Access,
    #[command(subcommand)]
    verb: Verb,
}

/// What can be asked of the workers.
#[derive(Debug, Subcommand)]
pub enum Verb {
    /// List the workers
    Ls,
}

/// Runs the noun.
pub async fn run(args: &Args, out: Output) -> anyhow::Result<Exit> {
    let Verb::Ls = args.verb;
    ls(&args.access, out).await
}

/// Lists the workers.
pub async fn ls(access: &Access, out: Output) -> anyhow::Result<Exit> {
    let db = access.open().await?;
    let mut conn = db.acquire().await?;
    let workers = worker::ls(&mut conn).await?;
    let now = admin::now(&mut conn).await?;
    let columns = ["NAME", "VERSION", "INTERACTIVE", "NORMAL", "BULK", "RUNNING", "LAST BEAT", "UP", "STATE"];
    out.list(&workers, "no workers; `syncfleet worker` starts one", &columns, |worker| {
        let lane = |lane: Lane| format!("{}/{}", worker.busy.of(lane), worker.slots.of(lane));
        vec![
            worker.name.clone(),
            worker.version.clone(),
            lane(Lane::Interactive),
            lane(Lane::Normal),
            lane(Lane::Bulk),
            worker.running.to_string(),
            when(Some(worker.beat_at), now),
            words::span((now - worker.started_at).num_seconds()),
            if worker.alive { "alive".to_owned() } else { "silent".to_owned() },
        ]
    })?;
    Ok(Exit::Done)
}

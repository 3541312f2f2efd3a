//! `worker`: claims runs and executes them. `worker ls` lists the processes that do.

use std::sync::Arc;

use clap::Subcommand;
use shared::{config, job::Lanes, shutdown::Signals, telemetry};
use worker::{GRACE, Settings, jobs};

use crate::{
    admin::{self, Access},
    exit::Exit,
    output::Output,
    role,
};

/// Claim runs and execute them; or list the workers
///
/// Start as many as you like, and kill them as you like: what a dead one held runs again within 15 seconds. SIGTERM ends one
/// within 25 seconds, a second signal at once.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:
  syncfleet worker
  syncfleet worker --lanes interactive=8,normal=64
  syncfleet worker --lanes bulk=4
  syncfleet worker ls")]
pub struct Args {
    #[command(flatten)]
    access: Access,
    #[command(flatten)]
    slots: Slots,
    #[command(flatten)]
    log: config::Log,
    #[command(flatten)]
    listeners: config::Listeners,
    #[command(flatten)]
    public_url: config::PublicUrl,
    #[command(flatten)]
    keys: config::Keys,
    #[command(flatten)]
    google: config::Google,
    #[command(flatten)]
    webhooks: config::Webhooks,
    #[command(flatten)]
    dns: config::Dns,
    #[command(flatten)]
    objects: config::Objects,
    #[command(subcommand)]
    verb: Option<Verb>,
}

#[derive(Debug, Subcommand)]
enum Verb {
    /// List the workers
    Ls,
}

/// How many runs a worker holds at once.
#[derive(Debug, clap::Args)]
pub struct Slots {
    /// Slots in each lane; a lane that is not named gets none
    #[arg(long, env = "SYNCFLEET_LANES", value_name = "LANE=SLOTS,…", default_value_t = Lanes::default())]
    pub lanes: Lanes,
}

/// Runs the role until a signal, or the verb.
pub async fn run(args: &Args, out: Output) -> anyhow::Result<Exit> {
    match args.verb {
        Some(Verb::Ls) => admin::worker::ls(&args.access, out).await,
        None => work(args).await,
    }
}

async fn work(args: &Args) -> anyhow::Result<Exit> {
    telemetry::log(args.log)?;
    let database = &args.access.database;
    let mut role = role::begin(
        "worker",
        database.required()?,
        database.database_connections,
        &args.listeners,
        Signals::listen()?,
    )
    .await?;
    let bell = role::shared_bell(&args.access.redis)?;
    let google = role::google(&args.keys, &args.google)?;
    let webhooks = role::webhooks(&args.keys, &args.webhooks)?;
    let dns = role::dns(&args.keys, &args.dns)?;
    let context = role::context(&role.db, google, &args.objects, &args.public_url, webhooks, dns)?;
    if context.public_url.is_none() {
        tracing::info!("SYNCFLEET_PUBLIC_URL is not set: no push channels are made, all is polled");
    }
    if !role.wait_for_schema().await? {
        return Ok(Exit::Done);
    }
    let settings = Settings {
        kinds: jobs::KINDS,
        lanes: args.slots.lanes,
        name: role::process_name(),
        database_url: role.database_url.clone(),
    };
    let (worker, heart) = worker::start(settings, context, bell, &role.tasks)?;
    role.serve(ready(worker), GRACE, role::never(), heart.stop()).await
}

/// A worker is ready while its leases are safe.
pub fn ready(worker: Arc<worker::Worker>) -> role::Ready {
    Arc::new(
        move || if worker.alive.is_fresh() { Ok(()) } else { Err("no heartbeat is acknowledged".to_owned()) },
    )
}

//! `worker`: claims runs and executes them.

use std::sync::Arc;

use shared::{config, job::Lanes, telemetry};
use worker::{GRACE, Settings, jobs};

use crate::{exit::Exit, role};

/// Claim runs and execute them
///
/// Start as many as you like, and kill them as you like. Reads DATABASE_URL, REDIS_URL and the keys.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:\n  syncfleet worker\n  syncfleet worker --lanes interactive=8,normal=64\n  syncfleet worker --lanes bulk=4")]
pub struct Args {
    #[command(flatten)]
    pub slots: Slots,
    #[command(flatten)]
    database: config::Database,
    #[command(flatten)]
    redis: config::Redis,
    #[command(flatten)]
    listeners: config::Listeners,
    #[command(flatten)]
    keys: config::Keys,
    #[command(flatten)]
    google: config::Google,
}

/// How many runs a worker holds at once.
#[derive(Debug, clap::Args)]
pub struct Slots {
    /// Slots in each lane; a lane that is not named gets none
    #[arg(long, env = "SYNCFLEET_LANES", value_name = "LANE=SLOTS,…", default_value_t = Lanes::default())]
    pub lanes: Lanes,
}

/// Runs the role until a signal.
pub async fn run(args: &Args) -> anyhow::Result<Exit> {
    telemetry::log()?;
    let role =
        role::begin("worker", args.database.required()?, args.database.database_connections, &args.listeners)
            .await?;
    let bell = role::bell(&args.redis)?;
    let context = context(&role, &args.keys, &args.google)?;
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
    let ready = {
        let worker = Arc::clone(&worker);
        move || if worker.alive.is_fresh() { Ok(()) } else { Err("the heartbeat is not acknowledged".to_owned()) }
    };
    role.serve(Arc::new(ready), GRACE, role::never(), heart.stop()).await
}

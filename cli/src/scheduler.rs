//! `scheduler`: decides what is due.

use std::sync::Arc;

use scheduler::ticks::{self, Scheduler};
use shared::{config, shutdown::Signals, telemetry};

use crate::{
    exit::Exit,
    role::{self, GRACE},
};

/// Decide what is due, and take back the work of dead workers
///
/// Run two for safety: they do not disturb each other. Reads DATABASE_URL and REDIS_URL.
#[derive(Debug, clap::Args)]
pub struct Args {
    #[command(flatten)]
    database: config::Database,
    #[command(flatten)]
    redis: config::Redis,
    #[command(flatten)]
    log: config::Log,
    #[command(flatten)]
    listeners: config::Listeners,
    #[command(flatten)]
    retention: config::Retention,
    #[command(flatten)]
    objects: config::Objects,
}

/// Runs the role until a signal.
pub async fn run(args: &Args) -> anyhow::Result<Exit> {
    telemetry::log(args.log)?;
    let mut role = role::begin(
        "scheduler",
        args.database.required()?,
        args.database.database_connections,
        &args.listeners,
        Signals::listen()?,
    )
    .await?;
    let bell = role::shared_bell(&args.redis)?;
    if !role.wait_for_schema().await? {
        return Ok(Exit::Done);
    }
    let scheduler = Scheduler {
        db: role.db.clone(),
        bell,
        objects: args.objects.open()?,
        keep_runs: args.retention.runs_keep,
        keep_changes: args.retention.changes_keep,
    };
    ticks::start(&scheduler, &role.tasks);
    role.serve(Arc::new(|| Ok(())), GRACE, role::never(), async {}).await
}

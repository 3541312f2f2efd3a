//! `ingress`: what the outside calls.

use std::sync::Arc;

use scheduler::listen::{
    self,
    public::{self, Ingress},
};
use shared::{config, shutdown::Signals, telemetry};
use worker::jobs;

use crate::{
    exit::Exit,
    role::{self, GRACE},
};

/// Answer the calls from outside, on the public listener
///
/// People sign in with Google below `/oauth2/`. Google's push notifications come in at `/webhooks/google/calendar` below
/// `SYNCFLEET_PUBLIC_URL`. `/feed` tells a tenant what changes; `/healthz` tells that it listens. Start as many as you like.
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
    public_url: config::PublicUrl,
    #[command(flatten)]
    keys: config::Keys,
    #[command(flatten)]
    google: config::Google,
    #[command(flatten)]
    feed: config::Feed,
    #[command(flatten)]
    proxies: config::Proxies,
}

/// Runs the role until a signal.
pub async fn run(args: &Args) -> anyhow::Result<Exit> {
    telemetry::log(args.log)?;
    let mut role = role::begin(
        "ingress",
        args.database.required()?,
        args.database.database_connections,
        &args.listeners,
        Signals::listen()?,
    )
    .await?;
    let ingress = Ingress {
        db: role.db.clone(),
        bell: role::shared_bell(&args.redis)?,
        google: role::google(&args.keys, &args.google)?,
        public_url: args.public_url.url()?,
        policies: jobs::policies().into(),
        feed_readers: args.feed.feed_readers,
        trusted_proxies: args.proxies.trusted().into(),
    };
    let public = listen::bind(args.listeners.public_addr, "public", config::listeners::PUBLIC_ADDR).await?;
    if !role.wait_for_schema().await? {
        return Ok(Exit::Done);
    }
    public::serve(public, ingress, &role.tasks);
    role.serve(Arc::new(|| Ok(())), GRACE, role::never(), async {}).await
}

//! `up`: everything in one process, on a PostgreSQL of its own unless one is named.

#[cfg(feature = "demo")]
mod demo;
mod files;
mod greeting;
mod postgres;
#[cfg(test)]
mod unit;

use std::{
    path::{Path, PathBuf},
    sync::Arc,
};

use anyhow::Context;
use scheduler::{
    listen::{
        self,
        public::{self, Ingress},
    },
    ticks::{self, Scheduler},
};
use secrecy::{ExposeSecret, SecretString};
use shared::{
    config,
    shutdown::Signals,
    store::schema::{self, Version},
    telemetry,
};
use sqlx::postgres::PgConnectOptions;
use url::Url;
use worker::{GRACE, Settings, jobs};

use self::{
    files::Files,
    greeting::Greeting,
    postgres::{Postgres, RUN},
};
use crate::{
    exit::Exit,
    role,
    worker::{Slots, ready},
};

/// Run everything in one process: scheduler, ingress, worker and, unless DATABASE_URL names one, a PostgreSQL of its own
///
/// The private PostgreSQL lives in the data folder. It is found on this machine, or downloaded if there is none. Stop it all
/// with Ctrl-C; kill it as you like, the next start recovers.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:
  syncfleet up
  syncfleet up --demo
  DATABASE_URL=postgres://… REDIS_URL=redis://… syncfleet up")]
pub struct Args {
    /// The folder for everything that is kept
    #[arg(long, env = "SYNCFLEET_DATA", value_name = "FOLDER", default_value_os_t = config::data_folder())]
    data: PathBuf,
    /// Add demo work: accounts at a fake Google within the process, whose calendars and drives keep changing
    #[cfg(feature = "demo")]
    #[arg(long)]
    demo: bool,
    /// Where PostgreSQL is downloaded from if none is installed: a list of releases as GitHub gives it
    #[arg(long, env = "SYNCFLEET_POSTGRESQL_RELEASES", value_name = "URL", default_value = postgres::RELEASES)]
    postgresql_releases: Url,
    #[command(flatten)]
    slots: Slots,
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
    retention: config::Retention,
    #[command(flatten)]
    keys: config::Keys,
    #[command(flatten)]
    google: config::Google,
    #[command(flatten)]
    webhooks: config::Webhooks,
    #[command(flatten)]
    dns: config::Dns,
    #[command(flatten)]
    feed: config::Feed,
    #[command(flatten)]
    proxies: config::Proxies,
    #[command(flatten)]
    objects: config::Objects,
}

/// Starts everything and runs until a signal.
pub async fn run(args: Args) -> anyhow::Result<Exit> {
    telemetry::log(args.log)?;
    let mut signals = Signals::listen()?;
    let named = args.database.url()?.filter(|url| !is_own(url, &args.data));
    let Some(url) = named else {
        let path = config::search_path();
        let options =
            postgres::Options::new(args.data.clone(), &path, Some(args.postgresql_releases.clone()));
        tracing::info!(data = %args.data.display(), "starting a private PostgreSQL");
        // A start that is given up asks its server to stop: it would not hear of the signal by itself.
        let Some(postgres) = unless_told_to_end(&mut signals, postgres::start(options)).await else {
            return Ok(Exit::Done);
        };
        let postgres = postgres.context("cannot start a private PostgreSQL")?;
        tracing::info!(pid = postgres.pid(), "PostgreSQL runs");
        let exit = serve(args, postgres.url().into(), Some(&postgres), signals).await;
        postgres.stop().await;
        return exit;
    };
    serve(args, url, None, signals).await
}

/// Whether a URL leads to the private server of this data folder, as in its file for `source`: that one is started here.
fn is_own(url: &SecretString, data: &Path) -> bool {
    let options: Option<PgConnectOptions> = url.expose_secret().parse().ok();
    let sockets = options.as_ref().and_then(PgConnectOptions::get_socket);
    let found = sockets.and_then(|folder| folder.canonicalize().ok());
    found.is_some() && found == data.join(RUN).canonicalize().ok()
}

/// A part of the start; none: a signal came first.
async fn unless_told_to_end<T>(signals: &mut Signals, part: impl Future<Output = T>) -> Option<T> {
    tokio::select! {
        done = part => Some(done),
        signal = signals.first() => {
            tracing::info!("ending on {signal}");
            None
        }
    }
}

async fn serve(
    mut args: Args,
    url: SecretString,
    postgres: Option<&Postgres>,
    signals: Signals,
) -> anyhow::Result<Exit> {
    let files = Files::open(&args.data)?;
    if !args.keys.is_set() {
        args.keys.keys_file = Some(files.keys()?);
    }
    if !args.objects.is_set() {
        args.objects.store = Some(files.objects());
    }
    let mut role =
        role::begin("up", url, args.database.database_connections, &args.listeners, signals).await?;
    let public = listen::bind(args.listeners.public_addr, "public", config::listeners::PUBLIC_ADDR).await?;
    let public_addr = public.local_addr().context("cannot read the public listener's address")?;
    let migrated = unless_told_to_end(&mut role.signals, schema::migrate(&role.db)).await;
    let Some(before) = migrated else { return Ok(Exit::Done) };
    let before = before.context("cannot bring the database up to date")?;
    match before {
        Version::Current => tracing::info!("the database is up to date"),
        Version::Older(0) => tracing::info!("the database is new"),
        Version::Older(migration) => tracing::info!(from = migration, "the database is brought up to date"),
    }

    let bell = role::bell(&args.redis)?;
    #[cfg(feature = "demo")]
    let demo = if args.demo {
        let (google, public_url) = (&mut args.google, &mut args.public_url);
        Some(demo::start(&role, public_addr, google, public_url, &args.keys).await?)
    } else {
        None
    };
    let google = role::google(&args.keys, &args.google)?;
    let (google_is_set, public_url) = (google.is_some(), args.public_url.url()?);
    let ingress = Ingress {
        db: role.db.clone(),
        bell: Arc::clone(&bell),
        google: google.clone(),
        public_url: public_url.clone(),
        policies: jobs::policies().into(),
        feed_readers: args.feed.feed_readers,
        trusted_proxies: args.proxies.trusted().into(),
    };
    let webhooks = role::webhooks(&args.keys, &args.webhooks)?;
    let dns = role::dns(&args.keys, &args.dns.clone().at_home())?;
    let context = role::context(&role.db, google, &args.objects, &args.public_url, webhooks, dns)?;
    let scheduler = Scheduler {
        db: role.db.clone(),
        bell: Arc::clone(&bell),
        objects: context.objects.clone(),
        keep_runs: args.retention.runs_keep,
        keep_changes: args.retention.changes_keep,
    };
    ticks::start(&scheduler, &role.tasks);
    public::serve(public, ingress, &role.tasks);
    let settings = Settings {
        kinds: jobs::KINDS,
        lanes: args.slots.lanes,
        name: role::process_name(),
        database_url: role.database_url.clone(),
    };
    let (worker, heart) = worker::start(settings, context, bell, &role.tasks)?;

    let environment = files.environment(&role.database_url, &args)?;
    let greeting = Greeting {
        environment: &environment,
        public: public_addr,
        public_url: public_url.as_ref(),
        admin: args.listeners.admin_addr,
        google: google_is_set,
        #[cfg(feature = "demo")]
        demo: args.demo,
        #[cfg(not(feature = "demo"))]
        demo: false,
    };
    greeting.print()?;
    let failed = async {
        match postgres {
            Some(postgres) => anyhow::Error::from(postgres.failed().await),
            None => std::future::pending().await,
        }
    };
    let exit = role.serve(ready(worker), GRACE, failed, heart.stop()).await;
    #[cfg(feature = "demo")]
    if let Some(demo) = demo {
        demo.stop().await;
    }
    exit
}

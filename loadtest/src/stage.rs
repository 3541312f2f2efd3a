//! Where a benchmark runs: a database of its own on a server of this machine, an empty Redis, and the program's binary.
//! All of it is left as it was found.

pub mod accounts;
pub mod copy;
pub mod fleet;
pub mod google;
pub mod homes;
pub mod jobs;
pub mod metrics;
pub mod stats;
pub mod usage;

use std::{path::PathBuf, sync::Arc, time::Duration};

use anyhow::{Context, bail, ensure};
use redis::{ConnectionAddr, IntoConnectionInfo, aio::MultiplexedConnection};
use secrecy::{ExposeSecret, SecretString};
use shared::{
    bell::Bell,
    config,
    shutdown::Signals,
    store::{PgConnection, PgPool, Session, connect, schema},
};
use sqlx::{AssertSqlSafe, ConnectOptions, Connection, Row};
use tempfile::TempDir;

/// Connections for what drives the load.
const CONNECTIONS: u32 = 16;

/// Where the benchmark is to run.
#[derive(Debug, Clone, clap::Args)]
pub struct Place {
    #[command(flatten)]
    database: config::Database,
    #[command(flatten)]
    redis: config::Redis,
    /// The folder of the program's binary; by default that of this one
    #[arg(long, value_name = "DIR")]
    bin: Option<PathBuf>,
    /// What is drawn by chance is drawn from this
    #[arg(long, default_value_t = 0)]
    pub seed: u64,
}

/// A benchmark's surroundings.
pub struct Stage {
    /// The database, empty and migrated.
    pub db: PgPool,
    /// The bell that the fleet listens to.
    pub bell: Arc<Bell>,
    /// `PostgreSQL`'s first process.
    pub postmaster: u32,
    /// A connection to Redis.
    pub redis: MultiplexedConnection,
    database_url: SecretString,
    redis_url: SecretString,
    program: PathBuf,
    /// For the children's logs.
    folder: TempDir,
}

/// Sets the stage, does the work on it, and clears it whatever came of the work. A signal breaks the work off.
pub async fn on_stage<T>(
    place: &Place,
    work: impl AsyncFnOnce(&Stage) -> anyhow::Result<T>,
) -> anyhow::Result<T> {
    let server = place.database.required()?;
    let options = connect::options(&server, "loadtest")?;
    let host = options.get_host().to_owned();
    ensure!(
        is_loopback(&host),
        "PostgreSQL is at {host}: load goes to servers of this machine only, by loopback or socket"
    );
    let (mut redis, redis_url) = empty_redis(place).await?;
    let program = program(place)?;

    let mut connection = options.connect().await.context("cannot reach PostgreSQL")?;
    let postmaster = usage::parent(backend_pid(&mut connection).await?)
        .context("cannot see PostgreSQL's processes: it must run on this machine")?;
    let name = format!("syncfleet_loadtest_{}", std::process::id());
    sqlx::query(AssertSqlSafe(format!("create database {name}")))
        .execute(&mut connection)
        .await
        .context("cannot make a database to work in")?;
    let mut signals = Signals::listen()?;
    let worked = async {
        let url = SecretString::from(options.clone().database(&name).to_url_lossy().to_string());
        let db = connect(&url, &Session::new("loadtest", CONNECTIONS))?;
        schema::migrate(&db).await?;
        let stage = Stage {
            bell: Arc::new(Bell::in_redis(&redis_url)?),
            db,
            postmaster,
            redis: redis.clone(),
            database_url: url,
            redis_url,
            program,
            folder: tempfile::tempdir().context("cannot make a folder for logs")?,
        };
        tokio::select! {
            worked = work(&stage) => worked,
            signal = signals.first() => bail!("broken off by {signal}"),
        }
    }
    .await;
    sqlx::query(AssertSqlSafe(format!("drop database {name} with (force)")))
        .execute(&mut connection)
        .await
        .with_context(|| format!("cannot drop the database {name}"))?;
    connection.close().await?;
    redis::cmd("FLUSHDB").query_async::<()>(&mut redis).await.context("cannot empty Redis again")?;
    worked
}

async fn backend_pid(connection: &mut PgConnection) -> anyhow::Result<u32> {
    let row = sqlx::query("select pg_backend_pid()").fetch_one(connection).await?;
    Ok(row.try_get::<i32, _>(0)?.unsigned_abs())
}

async fn empty_redis(place: &Place) -> anyhow::Result<(MultiplexedConnection, SecretString)> {
    let url = place.redis.url()?.context("REDIS_URL: not set; the benchmark needs a Redis for the bell")?;
    let info = url.expose_secret().into_connection_info().context("REDIS_URL is not valid")?;
    if let ConnectionAddr::Tcp(host, _) | ConnectionAddr::TcpTls { host, .. } = info.addr() {
        ensure!(is_loopback(host), "Redis is at {host}: load goes to servers of this machine only");
    }
    let mut redis =
        redis::Client::open(info)?.get_multiplexed_async_connection().await.context("cannot reach Redis")?;
    let keys: u64 = redis::cmd("DBSIZE").query_async(&mut redis).await?;
    ensure!(
        keys == 0,
        "the Redis database holds {keys} keys: name an empty one in REDIS_URL, as in redis://host:6379/15"
    );
    Ok((redis, url))
}

fn is_loopback(host: &str) -> bool {
    host == "localhost"
        || host.starts_with('/')
        || host.trim_matches(['[', ']']).parse::<std::net::IpAddr>().is_ok_and(|ip| ip.is_loopback())
}

fn program(place: &Place) -> anyhow::Result<PathBuf> {
    let folder = match &place.bin {
        Some(folder) => folder.clone(),
        None => std::env::current_exe()?.parent().context("this program stands in no folder")?.to_owned(),
    };
    let program = folder.join("syncfleet");
    ensure!(
        program.is_file(),
        "there is no {}: build it (cargo build --release -p syncfleet), or name its folder with --bin",
        program.display()
    );
    Ok(program)
}

impl Stage {
    /// How the server is set up, as far as it matters for figures.
    pub async fn server(&self) -> anyhow::Result<Server> {
        let setting = async |name: &str| -> Result<String, sqlx::Error> {
            sqlx::query_scalar("select current_setting($1)").bind(name).fetch_one(&self.db).await
        };
        Ok(Server {
            version: setting("server_version").await?,
            fsync: setting("fsync").await?,
            synchronous_commit: setting("synchronous_commit").await?,
            shared_buffers: setting("shared_buffers").await?,
            cores: std::thread::available_parallelism()?.get(),
        })
    }
}

/// The server's settings, for the report.
#[derive(Debug, serde::Serialize)]
pub struct Server {
    pub version: String,
    pub fsync: String,
    pub synchronous_commit: String,
    pub shared_buffers: String,
    pub cores: usize,
}

/// Asks every `every` until the answer is there, or the time is over: then `what` is told.
pub async fn until<T>(
    what: &str,
    limit: Duration,
    every: Duration,
    mut ask: impl AsyncFnMut() -> anyhow::Result<Option<T>>,
) -> anyhow::Result<T> {
    let asking = async {
        let mut ticks = tokio::time::interval(every);
        loop {
            ticks.tick().await;
            if let Some(answer) = ask().await? {
                return Ok(answer);
            }
        }
    };
    tokio::time::timeout(limit, asking).await.with_context(|| format!("{what}: not within {limit:?}"))?
}

//! What all roles have in common: how they begin, tell of their health, and end.

use std::{
    sync::{Arc, OnceLock},
    time::Duration,
};

use anyhow::{Context, bail};
use scheduler::listen::{self, admin};
use secrecy::SecretString;
use shared::{
    bell::Bell,
    config,
    google::Google,
    shutdown::{Signals, Tasks},
    store::{
        self, PgPool, Session,
        schema::{self, Version},
    },
    telemetry, webhook,
};

use crate::exit::Exit;

/// How long a role without running steps takes to end.
pub const GRACE: Duration = Duration::from_secs(10);

/// How long taking leave of the database may take.
const FAREWELL: Duration = Duration::from_secs(2);

/// Why a role that waits for its database's version is not ready.
const BEGINNING: &str = "beginning: the database is not known to be up to date yet";

/// A role that has begun.
pub struct Role {
    /// The database's address.
    pub database_url: SecretString,
    /// The database.
    pub db: PgPool,
    /// The role's own tasks.
    pub tasks: Tasks,
    /// What stands between the role and its work; set when it has begun to work.
    ready: Arc<OnceLock<Ready>>,
    /// What ends the process.
    pub signals: Signals,
    /// They outlive the role's own tasks, to tell of their end.
    listeners: Tasks,
}

/// Why a role is not ready, beyond what the admin listener checks by itself; none: it is.
pub type Ready = Arc<dyn Fn() -> Result<(), String> + Send + Sync>;

/// Begins to measure, and to serve health and metrics: alive at once, ready when [`Role::serve`] says so. Nothing else is
/// asked of the database yet.
pub async fn begin(
    name: &'static str,
    database_url: SecretString,
    connections: u32,
    listeners: &config::Listeners,
    signals: Signals,
) -> anyhow::Result<Role> {
    let metrics = telemetry::measure(name)?;
    let db = store::connect(&database_url, &Session::new(&format!("syncfleet {name}"), connections))?;
    let admin = listen::bind(listeners.admin_addr, "admin", config::listeners::ADMIN_ADDR).await?;
    let (tasks, listeners, begun) = (Tasks::new(), Tasks::new(), Arc::<OnceLock<Ready>>::default());
    tasks.spawn(store::connect::watch_wait(db.clone(), name, tasks.soft().clone()));
    let ready: Ready = {
        let begun = Arc::clone(&begun);
        Arc::new(move || begun.get().map_or_else(|| Err(BEGINNING.to_owned()), |ready| ready()))
    };
    let health = admin::Health { db: db.clone(), metrics, ready };
    admin::serve(admin, health, tasks.soft().clone(), &listeners);
    Ok(Role { database_url, db, tasks, ready: begun, signals, listeners })
}

/// The bell that the settings name: Redis, or one within the process.
pub fn bell(redis: &config::Redis) -> anyhow::Result<Arc<Bell>> {
    Ok(Arc::new(match redis.url()? {
        Some(url) => Bell::in_redis(&url)?,
        None => Bell::in_memory(),
    }))
}

/// The bell of a role that shares it with other processes. Without Redis there is none, and that is slower: said once.
pub fn shared_bell(redis: &config::Redis) -> anyhow::Result<Arc<Bell>> {
    if redis.url()?.is_some() {
        return bell(redis);
    }
    tracing::warn!(
        "REDIS_URL is not set: workers ask PostgreSQL for what is due, which costs it more and takes longer"
    );
    Ok(Arc::new(Bell::none()))
}

impl Role {
    /// Waits for the version of the database that this program needs. A newer one is refused. False: a signal came first.
    pub async fn wait_for_schema(&mut self) -> anyhow::Result<bool> {
        let mut said = None;
        let current = async {
            loop {
                let waiting_for = match schema::version(&self.db).await {
                    Ok(Version::Current) => return Ok(()),
                    Ok(Version::Older(_)) => {
                        "the database is older than this program: waiting for `syncfleet migrate`"
                    }
                    Err(schema::SchemaError::Database(error)) if is_final(&error) => {
                        return Err(error).context("the database refuses this program");
                    }
                    Err(schema::SchemaError::Database(error)) => {
                        tracing::debug!("cannot reach the database: {error}");
                        "the database does not answer: waiting for it"
                    }
                    Err(error) => return Err(error.into()),
                };
                if said.replace(waiting_for) != Some(waiting_for) {
                    tracing::warn!("{waiting_for}");
                }
                tokio::time::sleep(Duration::from_millis(rand::random_range(500..1_500))).await;
            }
        };
        tokio::select! {
            current = current => current.map(|()| true),
            signal = self.signals.first() => {
                tracing::info!("ending on {signal}");
                Ok(false)
            }
        }
    }

    /// The role works from now on: tells of its readiness, waits for a signal or for `failed`, and ends the role's tasks within `grace`.
    pub async fn serve(
        mut self,
        ready: Ready,
        grace: Duration,
        failed: impl Future<Output = anyhow::Error>,
        last: impl Future<Output = ()>,
    ) -> anyhow::Result<Exit> {
        // Only this sets it, and it takes the role.
        let _ = self.ready.set(ready);
        let failure = tokio::select! {
            signal = self.signals.first() => {
                tracing::info!("ending on {signal}: no new work is taken");
                None
            }
            failure = failed => Some(failure),
        };
        let in_time = self.tasks.finish(grace).await;
        last.await;
        // A server that does not answer must not hold the process: it notices by itself that the connections are gone.
        if tokio::time::timeout(FAREWELL, self.db.close()).await.is_err() {
            tracing::warn!("the database did not answer the farewell");
        }
        self.listeners.finish(Duration::from_secs(1)).await;
        match failure {
            Some(failure) => Err(failure),
            None if in_time => {
                tracing::info!("ended");
                Ok(Exit::Done)
            }
            None => bail!("not all work had ended after {grace:?}: the fleet takes it back"),
        }
    }
}

/// Nothing to wait for: the address is right and the answer is no.
fn is_final(error: &sqlx::Error) -> bool {
    // https://www.postgresql.org/docs/current/errcodes-appendix.html: class 28, no such role or password; 3D000, no such
    // database.
    error
        .as_database_error()
        .and_then(sqlx::error::DatabaseError::code)
        .is_some_and(|code| code.starts_with("28") || code == "3D000")
}

/// The process's name for people: host and process id.
pub fn process_name() -> String {
    let host = rustix::system::uname().nodename().to_string_lossy().into_owned();
    format!("{host}:{}", std::process::id())
}

/// Google, as the settings have it; none: no OAuth client is configured.
pub fn google(keys: &config::Keys, google: &config::Google) -> anyhow::Result<Option<Google>> {
    google.config()?.map(|google| Google::new(google, keys.key_ring()?)).transpose()
}

/// What steps work with. Without an OAuth client, jobs that call Google wait until their worker has one.
pub fn context(
    db: &PgPool,
    google: Option<Google>,
    objects: &config::Objects,
    public_url: &config::PublicUrl,
    webhooks: Option<webhook::Sender>,
    dns: Option<worker::jobs::Dns>,
) -> anyhow::Result<worker::jobs::Context> {
    if google.is_none() {
        tracing::info!(
            "no OAuth client: what calls Google waits until SYNCFLEET_GOOGLE_CLIENT_ID and SYNCFLEET_GOOGLE_CLIENT_SECRET are set"
        );
    }
    Ok(worker::jobs::Context {
        db: db.clone(),
        google,
        objects: objects.open()?,
        public_url: public_url.url()?,
        webhooks,
        dns,
    })
}

/// What sends messages to webhooks; none: no key ring is configured.
pub fn webhooks(keys: &config::Keys, webhooks: &config::Webhooks) -> anyhow::Result<Option<webhook::Sender>> {
    if !keys.is_set() {
        return Ok(None);
    }
    Ok(Some(webhook::Sender::new(keys.key_ring()?, webhooks.allow(), &webhook::system())?))
}

/// What keeps names; none: no key ring is configured.
pub fn dns(keys: &config::Keys, dns: &config::Dns) -> anyhow::Result<Option<worker::jobs::Dns>> {
    if !keys.is_set() {
        return Ok(None);
    }
    worker::jobs::Dns::new(keys.key_ring()?, dns.resolvers(), dns.allow()).map(Some)
}

/// For roles whose parts do not fail by themselves.
pub fn never() -> impl Future<Output = anyhow::Error> {
    std::future::pending()
}

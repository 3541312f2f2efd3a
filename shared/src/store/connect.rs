//! Connections to PostgreSQL.

use std::time::{Duration, Instant};

use anyhow::Context;
use metrics::{Unit, describe_histogram, histogram};
use secrecy::{ExposeSecret, SecretString};
use sqlx::{
    Connection, PgConnection, PgPool, Row as _,
    postgres::{PgConnectOptions, PgPoolOptions},
};
use tokio_util::sync::CancellationToken;

use super::limited;

/// What a pool is for.
#[derive(Debug, Clone)]
pub struct Session {
    /// Shown in `pg_stat_activity`.
    pub name: String,
    /// The most connections.
    pub connections: u32,
    /// How long a call may wait for a connection.
    pub wait: Duration,
}

impl Session {
    /// A pool for `name`, with at most that many connections.
    #[must_use]
    pub fn new(name: &str, connections: u32) -> Self {
        Self { name: name.to_owned(), connections, wait: Duration::from_secs(5) }
    }
}

/// The connection's settings from its URL, and from `session`.
///
/// A process that was stopped must not hold locks against its successor: the server ends transactions that idle and waits
/// for locks that take too long, and notices a dead peer by TCP keepalives.
pub fn options(url: &SecretString, name: &str) -> anyhow::Result<PgConnectOptions> {
    let options: PgConnectOptions = url.expose_secret().parse().context(
        "the database URL is not valid; it looks like postgres://user:password@host:5432/syncfleet",
    )?;
    Ok(options.application_name(name).options([
        ("idle_in_transaction_session_timeout", "15s"),
        ("lock_timeout", "5s"),
        ("statement_timeout", "60s"),
        ("tcp_keepalives_idle", "10"),
        ("tcp_keepalives_interval", "3"),
        ("tcp_keepalives_count", "3"),
        // The server would wait for ever to send to a peer that is gone.
        ("tcp_user_timeout", "15000"),
    ]))
}

/// A connection that was given back this short a time ago, and answered then, is handed out without being asked again.
const FRESH: Duration = Duration::from_secs(1);

/// Opens a pool. Connects lazily: a server that is away is waited for by the callers, who can tell what they wait for.
pub fn connect(url: &SecretString, session: &Session) -> anyhow::Result<PgPool> {
    Ok(PgPoolOptions::new()
        .max_connections(session.connections)
        .acquire_timeout(session.wait)
        .idle_timeout(Duration::from_mins(5))
        .test_before_acquire(false)
        .before_acquire(|connection, of| {
            let is_fresh = of.idle_for < FRESH;
            Box::pin(async move { if is_fresh { Ok(true) } else { is_alive(connection).await } })
        })
        .after_release(|connection, _| Box::pin(is_clean(connection)))
        .connect_lazy_with(options(url, &session.name)?))
}

/// How often the pool is asked how long it lets its callers wait.
const LOOK: Duration = Duration::from_secs(3);

/// Measures how long a connection is waited for at the pool, by asking for one now and then as all others do, until `end`.
///
/// Asking is done in a hundred places, so that this sample stands for them; it comes at random moments, not in step with them.
pub async fn watch_wait(db: PgPool, role: &'static str, end: CancellationToken) {
    describe_histogram!(
        "syncfleet_database_wait_seconds",
        Unit::Seconds,
        "How long a connection to the database is waited for, sampled every few seconds"
    );
    let look = async {
        loop {
            let began = Instant::now();
            // What cannot be had in time was waited for, too.
            drop(db.acquire().await);
            histogram!("syncfleet_database_wait_seconds", "role" => role).record(began.elapsed());
            let pause = LOOK.mul_f64(rand::random_range(0.5..1.5));
            tokio::time::sleep(pause).await;
        }
    };
    let _: Option<std::convert::Infallible> = end.run_until_cancelled(look).await;
}

/// Whether a connection that comes back is alive, and in no transaction. A call for a transaction that is given up before it is answered
/// leaves one open, of which sqlx knows nothing: whatever came after would be a part of it, and no commit would be one. Such a
/// connection is closed, and the server rolls back.
async fn is_clean(connection: &mut PgConnection) -> Result<bool, sqlx::Error> {
    // By the simple protocol: there a statement that stands alone begins at the very moment that its transaction does.
    let alone = sqlx::raw_sql("select now() = statement_timestamp()").fetch_one(connection);
    let answer = limited(Duration::from_secs(5), async { alone.await?.try_get(0) }).await;
    Ok(answer.unwrap_or(false))
}

/// The pool asks a connection that comes back for a sign of life, and waits for it without a limit: a connection that nobody
/// answers any more would keep its place for ever. One that is dead is replaced without a word: whoever used it says so.
async fn is_alive(connection: &mut PgConnection) -> Result<bool, sqlx::Error> {
    let answer: Result<(), sqlx::Error> = limited(Duration::from_secs(5), connection.ping()).await;
    Ok(answer.is_ok())
}

/// Connects once and leaves again, to learn early and in plain words why the database cannot be reached.
pub async fn reach(url: &SecretString, patience: Duration) -> anyhow::Result<()> {
    let options = options(url, "syncfleet")?;
    let place = match options.get_socket() {
        Some(folder) => format!("the database at {}", folder.display()),
        None => format!("the database at {}:{}", options.get_host(), options.get_port()),
    };
    let connection = tokio::time::timeout(patience, PgConnection::connect_with(&options))
        .await
        .map_err(|_| anyhow::anyhow!("{place} did not answer within {} s", patience.as_secs()))?
        .map_err(|error| anyhow::anyhow!("cannot reach {place}: {}", super::said(&error)))?;
    // The answer is known; how the server takes the farewell is of no interest.
    let _ = connection.close().await;
    Ok(())
}

use std::time::Duration;

use rand::RngExt;
use sqlx::{
    PgPool,
    postgres::{PgListener, PgPoolOptions},
};
use tokio_util::sync::CancellationToken;

use super::CHANNEL;
use crate::{job::TenantId, store::limited};

/// A connection that has been silent for so long is asked for a sign of life: nothing else would tell that its server went
/// without a word.
const SILENCE: Duration = Duration::from_secs(30);

/// How long it may take to answer.
const ANSWER: Duration = Duration::from_secs(5);

/// How long it may take to come about.
const CONNECT: Duration = Duration::from_secs(5);

/// Calls `heard` with each tenant whose feed has grown, until the word to end. One connection, for as many readers as there are
/// behind `heard`, and none of the pool's: it is held for as long as the process lives. What is notified while it is away is lost: readers look by themselves, too.
pub async fn listen(db: PgPool, soft: CancellationToken, heard: impl Fn(TenantId) + Send + Sync) {
    let mut failing = false;
    let _ = soft
        .run_until_cancelled(async {
            loop {
                let Err(error) = hear(&db, &heard, &mut failing).await;
                if !std::mem::replace(&mut failing, true) {
                    tracing::warn!(
                        "cannot listen for changes; readers look by themselves meanwhile: {error}"
                    );
                }
                let pause = Duration::from_secs(2).mul_f64(rand::rng().random_range(0.5..1.5));
                tokio::time::sleep(pause).await;
            }
        })
        .await;
}

/// Listens until the connection is lost.
async fn hear(
    db: &PgPool,
    heard: &(impl Fn(TenantId) + Send + Sync),
    failing: &mut bool,
) -> Result<std::convert::Infallible, sqlx::Error> {
    let own = PgPoolOptions::new()
        .max_connections(1)
        .max_lifetime(None)
        .idle_timeout(None)
        .acquire_timeout(CONNECT)
        .connect_lazy_with(db.connect_options().as_ref().clone());
    let mut listener = PgListener::connect_with(&own).await?;
    listener.listen(CHANNEL).await?;
    if std::mem::take(failing) {
        tracing::info!("changes are heard again");
    }
    loop {
        match tokio::time::timeout(SILENCE, listener.try_recv()).await {
            Ok(Ok(Some(notification))) => {
                if let Ok(tenant) = notification.payload().parse() {
                    heard(tenant);
                }
            }
            Ok(Ok(None)) => return Err(sqlx::Error::PoolClosed),
            Ok(Err(error)) => return Err(error),
            Err(_) => {
                let alive = async { sqlx::query("-- changes::hear\nselect 1").execute(&mut listener).await };
                limited(ANSWER, alive).await?;
            }
        }
    }
}

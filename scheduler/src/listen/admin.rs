//! The admin listener: `/metrics`, `/livez`, `/readyz`. For machines inside; it asks for no password.

use std::{fmt, sync::Arc, time::Duration};

use axum::{Router, extract::State, http::StatusCode, routing::get};
use metrics::{describe_gauge, gauge};
use shared::{
    shutdown::Tasks,
    store::{PgPool, schema},
    telemetry::Metrics,
};
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;

/// How long a check of readiness may take.
const PATIENCE: Duration = Duration::from_secs(2);

/// What the listener tells of its process.
#[derive(Clone)]
pub struct Health {
    /// The database that the process works with.
    pub db: PgPool,
    /// Rendered at `/metrics`.
    pub metrics: Metrics,
    /// Whether the role can do its work: the reason if not. Beyond the database's own answer.
    pub ready: Arc<dyn Fn() -> Result<(), String> + Send + Sync>,
}

impl fmt::Debug for Health {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Health").finish_non_exhaustive()
    }
}

/// Serves the listener until the soft word of `tasks`. The role's own tasks are others: after `draining` was said, and while
/// they end, the process is alive and not ready.
pub fn serve(listener: TcpListener, health: Health, draining: CancellationToken, tasks: &Tasks) {
    describe_gauge!("syncfleet_db_pool_open", "Connections to the database");
    describe_gauge!("syncfleet_db_pool_in_use", "Connections to the database in use");
    super::serve(listener, routes(health, draining), tasks, "admin");
}

fn routes(health: Health, draining: CancellationToken) -> Router {
    Router::new()
        // Alive is who answers. A database that is away is no reason to be started anew.
        .route("/livez", get(async || "ok\n"))
        .route("/readyz", get(readyz))
        .route("/metrics", get(metrics))
        .with_state((health, draining))
}

async fn readyz(State((health, draining)): State<(Health, CancellationToken)>) -> (StatusCode, String) {
    let checked = if draining.is_cancelled() {
        Err("ending: no new work is taken".to_owned())
    } else {
        check(&health).await
    };
    match checked {
        Ok(()) => (StatusCode::OK, "ok\n".to_owned()),
        Err(reason) => (StatusCode::SERVICE_UNAVAILABLE, format!("not ready: {reason}\n")),
    }
}

async fn check(health: &Health) -> Result<(), String> {
    match tokio::time::timeout(PATIENCE, schema::ping(&health.db)).await {
        Ok(Ok(())) => (health.ready)(),
        Ok(Err(error)) => Err(format!("the database does not answer: {error}")),
        Err(_) => Err(format!("the database did not answer in {PATIENCE:?}")),
    }
}

async fn metrics(State((health, _)): State<(Health, CancellationToken)>) -> String {
    let open = health.db.size();
    let idle = u32::try_from(health.db.num_idle()).unwrap_or(u32::MAX);
    gauge!("syncfleet_db_pool_open").set(open);
    gauge!("syncfleet_db_pool_in_use").set(open.saturating_sub(idle));
    health.metrics.render()
}

//! The public listener: what the outside calls. One file per caller, each with its own routes; an address that is not known is
//! answered with 404.

mod dyndns;
mod feed;
mod google;
mod oauth2;

use std::sync::Arc;

use axum::{Router, middleware, routing::get};
use shared::{bell::Bell, google::Google, guard::Network, job::Policy, shutdown::Tasks, store::PgPool};
use tokio::net::TcpListener;
use url::Url;

use super::proxies::{self, Proxies};

/// What the handlers work with.
#[derive(Debug, Clone)]
pub struct Ingress {
    /// The database.
    pub db: PgPool,
    /// The doorbell.
    pub bell: Arc<Bell>,
    /// Google; none: no OAuth client is configured.
    pub google: Option<Google>,
    /// Where the outside reaches this listener; none: it does not.
    pub public_url: Option<Url>,
    /// How the jobs are run that come of a call.
    pub policies: Arc<[Policy]>,
    /// How many readers of its feed a tenant may have here.
    pub feed_readers: u32,
    /// Proxies in front of this listener, who may say for whom they call.
    pub trusted_proxies: Arc<[Network]>,
}

/// Serves the listener until the soft word.
pub fn serve(listener: TcpListener, ingress: Ingress, tasks: &Tasks) {
    if ingress.public_url.is_none() {
        tracing::info!("SYNCFLEET_PUBLIC_URL is not set: nothing is pushed to this fleet, all is polled");
    }
    let proxies = Proxies::new(&ingress.trusted_proxies);
    let (feed, webhooks) = (feed::routes(&ingress, tasks), google::routes(&ingress, tasks));
    let dyndns = dyndns::routes(&ingress, &proxies, tasks);
    let pages = Router::new()
        .route("/healthz", get(async || "ok\n"))
        .merge(oauth2::routes())
        .layer(middleware::from_fn(super::body::whole))
        .with_state(ingress);
    let routes = pages
        .merge(feed)
        .merge(webhooks)
        .merge(dyndns)
        .layer(middleware::from_fn_with_state(proxies, proxies::look_behind));
    super::serve(listener, routes, tasks, "public");
}

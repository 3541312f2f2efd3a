//! The public listener: what the outside calls. For now its health only; an address that is not known is answered with 404.

use axum::{Router, routing::get};
use shared::shutdown::Tasks;
use tokio::net::TcpListener;

/// Serves the listener until the soft word.
pub fn serve(listener: TcpListener, tasks: &Tasks) {
    let routes = Router::new().route("/healthz", get(async || "ok\n"));
    super::serve(listener, routes, tasks, "public");
}

//! The listeners. The admin listener (metrics, health) is every role's; the public one is the ingress's.

pub mod admin;
pub mod public;

use std::net::SocketAddr;

use anyhow::Context;
use shared::shutdown::Tasks;
use tokio::net::TcpListener;

/// Binds an address now, so that a taken port is told at the start.
pub async fn bind(address: SocketAddr, what: &str) -> anyhow::Result<TcpListener> {
    TcpListener::bind(address).await.with_context(|| {
        format!("cannot listen on {address} for the {what} listener: is the port taken, or may this user not use it?")
    })
}

fn serve(listener: TcpListener, routes: axum::Router, tasks: &Tasks, what: &'static str) {
    // The health of a process that is ending must still be told, so the listener ends last.
    let hard = tasks.hard().clone();
    let soft = tasks.soft().clone();
    tasks.spawn(async move {
        let served =
            axum::serve(listener, routes).with_graceful_shutdown(async move { soft.cancelled().await });
        match hard.run_until_cancelled(served.into_future()).await {
            Some(Err(error)) => tracing::error!("the {what} listener ended: {error}"),
            Some(Ok(())) | None => {}
        }
    });
}

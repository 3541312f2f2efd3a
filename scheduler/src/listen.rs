//! The listeners. The admin listener (metrics, health) is every role's; the public one is the ingress's.

pub mod admin;
mod patience;
pub mod public;

use std::net::SocketAddr;

use anyhow::Context;
use axum::{extract::connect_info::Connected, serve::IncomingStream};
use shared::shutdown::Tasks;
use tokio::net::TcpListener;

/// Binds an address now, so that a taken port is told at the start, with the `setting` that names it.
pub async fn bind(address: SocketAddr, what: &str, setting: &str) -> anyhow::Result<TcpListener> {
    TcpListener::bind(address).await.with_context(|| {
        format!(
            "{setting}: cannot listen on {address} for the {what} listener: is the port taken, or may this user not use it?"
        )
    })
}

/// Who calls: the other end of the connection, which may be a proxy.
#[derive(Debug, Clone, Copy)]
struct Peer(SocketAddr);

impl Connected<IncomingStream<'_, patience::Patient>> for Peer {
    fn connect_info(stream: IncomingStream<'_, patience::Patient>) -> Self {
        Self(*stream.remote_addr())
    }
}

/// Serves until the soft word of `tasks`.
fn serve(listener: TcpListener, routes: axum::Router, tasks: &Tasks, what: &'static str) {
    let soft = tasks.soft().clone();
    let hard = tasks.hard().clone();
    let listener = patience::Patient::new(listener, soft.clone());
    tasks.spawn(async move {
        let service = routes.into_make_service_with_connect_info::<Peer>();
        let served =
            axum::serve(listener, service).with_graceful_shutdown(async move { soft.cancelled().await });
        if let Some(Err(error)) = hard.run_until_cancelled(served.into_future()).await {
            tracing::error!("the {what} listener ended: {error}");
        }
    });
}

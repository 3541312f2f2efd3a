//! The listeners. The admin listener (metrics, health) is every role's; the public one is the ingress's.

pub mod admin;
mod body;
mod connections;
mod gather;
mod patience;
mod proxies;
pub mod public;
mod sources;

use std::net::SocketAddr;

use anyhow::Context;
use shared::{open_files, shutdown::Tasks};
use tokio::net::TcpListener;

use self::connections::Limits;

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

/// Serves until the soft word of `tasks`.
fn serve(listener: TcpListener, routes: axum::Router, tasks: &Tasks, what: &'static str) {
    let limits = Limits::LISTENER.within(open_files::raise_limit());
    tasks.spawn(connections::serve(listener, routes, tasks.clone(), what, limits));
}

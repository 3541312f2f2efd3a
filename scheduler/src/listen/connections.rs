//! Connections taken, served and ended. What a peer may hold is bounded: its time, its bytes, and how many of its connections.
//!
//! - *One that never writes*, or never comes to the end of its request's head: [`Limits::head`]. The same for the time between
//!   two requests of a connection.
//! - *One that reads nothing*: [`Limits::taking`], see [`super::patience`].
//! - *One that has vanished without a word* (its machine lost power, its way is cut): [`Limits::silence`]. What is written to it fits
//!   into the system's buffers for long, and the system alone would try again for a quarter of an hour.
//! - *One that sends its body slowly*: whoever reads a body sets a limit ([`super::body`]).
//! - *Too many of one source* are closed unheard; too many in all wait in the system's queue until others go.

use std::{
    collections::HashMap,
    io,
    net::{IpAddr, SocketAddr},
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use axum::{Extension, Router, extract::ConnectInfo};
use hyper::server::conn::http1;
use hyper_util::{
    rt::{TokioIo, TokioTimer},
    server::graceful::GracefulShutdown,
    service::TowerToHyperService,
};
use metrics::{counter, describe_counter};
use shared::shutdown::Tasks;
use tokio::{
    net::{TcpListener, TcpStream},
    sync::Semaphore,
};
use tower_layer::Layer;

use super::{Peer, patience::Connection, sources::network};

/// What peers may hold of a listener.
#[derive(Debug, Clone, Copy)]
pub(super) struct Limits {
    /// How long a request's head may take, counted from the connection's beginning or the end of the request before.
    pub(super) head: Duration,
    /// How long a peer may take nothing of what is written to it.
    pub(super) taking: Duration,
    /// How long a peer's system may acknowledge nothing of what was sent to it.
    pub(super) silence: Duration,
    /// Connections in all.
    pub(super) connections: usize,
    /// Connections of one source.
    pub(super) of_source: usize,
}

impl Limits {
    /// Proxies keep a connection open for their next request for a minute, as a rule: it is for them to close it, so the head
    /// has longer. Behind a proxy everybody is one source, and each reader of the feed holds a connection.
    pub(super) const LISTENER: Self = Self {
        head: Duration::from_secs(75),
        taking: Duration::from_secs(30),
        silence: Duration::from_mins(1),
        connections: 8_192,
        of_source: 4_096,
    };

    /// The same where the process may open fewer files: half of them are left to all else.
    pub(super) fn within(self, open_files: usize) -> Self {
        let connections = self.connections.min(open_files / 2).max(1);
        Self { connections, of_source: self.of_source.min(connections / 2).max(1), ..self }
    }
}

/// The most bytes of a request's head, and of what waits to be written.
const BUFFER: usize = 64 * 1024;

/// The pause after the system gave no connection, for want of file descriptors for example.
const PAUSE: Duration = Duration::from_millis(500);

/// How many connections each source has.
type Sources = Arc<Mutex<HashMap<IpAddr, usize>>>;

/// A connection's place among those of its source.
struct Place {
    sources: Sources,
    source: IpAddr,
}

impl Place {
    fn take(sources: &Sources, address: IpAddr, most: usize) -> Option<Self> {
        let source = network(address);
        let mut all = sources.lock().unwrap_or_else(PoisonError::into_inner);
        let held = all.entry(source).or_default();
        if *held >= most {
            return None;
        }
        *held += 1;
        Some(Self { sources: Arc::clone(sources), source })
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let mut all = self.sources.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(held) = all.get_mut(&self.source) {
            *held -= 1;
            if *held == 0 {
                all.remove(&self.source);
            }
        }
    }
}

/// Serves until the soft word of `tasks`; what is under way then is ended in good order, until the hard one.
pub(super) async fn serve(
    listener: TcpListener,
    routes: Router,
    tasks: Tasks,
    what: &'static str,
    limits: Limits,
) {
    describe_counter!(
        "syncfleet_connections_refused_total",
        "Connections that were closed unheard because their source had too many"
    );
    counter!("syncfleet_connections_refused_total", "listener" => what).absolute(0);
    let mut http = http1::Builder::new();
    http.timer(TokioTimer::new()).header_read_timeout(limits.head).max_buf_size(BUFFER);
    let graceful = GracefulShutdown::new();
    let (sources, all) = (Sources::default(), Arc::new(Semaphore::new(limits.connections)));
    loop {
        let next = tasks.soft().run_until_cancelled(next(&listener, &all)).await;
        let (io, from, seat) = match next {
            Some(Ok(next)) => next,
            Some(Err(error)) => {
                tracing::error!("the {what} listener cannot take a connection: {error}");
                tasks.soft().run_until_cancelled(tokio::time::sleep(PAUSE)).await;
                continue;
            }
            None => break,
        };
        let Some(place) = Place::take(&sources, from.ip(), limits.of_source) else {
            counter!("syncfleet_connections_refused_total", "listener" => what).increment(1);
            continue;
        };
        if let Err(error) = limit_silence(&io, limits.silence) {
            tracing::debug!("the {what} listener cannot limit a connection: {error}");
        }
        let io = TokioIo::new(Connection::new(io, tasks.soft().clone(), limits.taking));
        let service = TowerToHyperService::new(Extension(ConnectInfo(Peer(from))).layer(routes.clone()));
        let served = graceful.watch(http.serve_connection(io, service));
        let hard = tasks.hard().clone();
        tasks.spawn(async move {
            // How a peer ends its connection is of no interest.
            let _ = hard.run_until_cancelled(served).await;
            drop((place, seat));
        });
    }
    drop(listener);
    tasks.hard().run_until_cancelled(graceful.shutdown()).await;
}

/// Has the system give a connection up whose other end acknowledges nothing for so long, while anything is sent: `TCP_USER_TIMEOUT`,
/// RFC 5482. Elsewhere than on Linux its own limits hold.
fn limit_silence(io: &TcpStream, limit: Duration) -> io::Result<()> {
    #[cfg(target_os = "linux")]
    socket2::SockRef::from(io).set_tcp_user_timeout(Some(limit))?;
    #[cfg(not(target_os = "linux"))]
    let _ = (io, limit);
    Ok(())
}

/// The next connection, as soon as there is room for one. Peers that were gone before they were heard are passed over.
async fn next(
    listener: &TcpListener,
    all: &Arc<Semaphore>,
) -> io::Result<(TcpStream, SocketAddr, tokio::sync::OwnedSemaphorePermit)> {
    let seat = Arc::clone(all).acquire_owned().await.map_err(io::Error::other)?;
    loop {
        match listener.accept().await {
            Ok((io, from)) => return Ok((io, from, seat)),
            Err(error)
                if matches!(
                    error.kind(),
                    io::ErrorKind::ConnectionRefused
                        | io::ErrorKind::ConnectionAborted
                        | io::ErrorKind::ConnectionReset
                ) => {}
            Err(error) => return Err(error),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Instant;

    use axum::routing::get;
    use tokio::io::{AsyncReadExt, AsyncWriteExt};

    use super::*;

    /// More than anything takes.
    const LIMIT: Duration = Duration::from_mins(1);

    const LIMITS: Limits = Limits { head: Duration::from_mins(10), of_source: 2, ..Limits::LISTENER };

    #[test]
    fn where_few_files_may_be_open_few_connections_are_held() {
        for (files, all, of_source) in [(1_000_000, 8_192, 4_096), (1_024, 512, 256), (1, 1, 1)] {
            let limits = Limits::LISTENER.within(files);
            assert_eq!((limits.connections, limits.of_source), (all, of_source), "{files}");
        }
    }

    #[cfg(target_os = "linux")]
    #[tokio::test]
    async fn the_system_gives_up_whoever_acknowledges_nothing() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let _peer = TcpStream::connect(listener.local_addr().unwrap()).await.unwrap();
        let (io, _) = listener.accept().await.unwrap();
        limit_silence(&io, Limits::LISTENER.silence).unwrap();
        let limit = socket2::SockRef::from(&io).tcp_user_timeout().unwrap();
        assert_eq!(limit, Some(Duration::from_mins(1)));
    }

    async fn listening(limits: Limits) -> (SocketAddr, Tasks) {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let (address, tasks) = (listener.local_addr().unwrap(), Tasks::new());
        let routes = Router::new().route("/", get(async || "ok\n"));
        tasks.spawn(serve(listener, routes, tasks.clone(), "test", limits));
        (address, tasks)
    }

    async fn ask(peer: &mut TcpStream) -> String {
        peer.write_all(b"GET / HTTP/1.1\r\nhost: x\r\n\r\n").await.unwrap();
        let mut answer = Vec::new();
        while !answer.ends_with(b"ok\n") {
            let read = tokio::time::timeout(LIMIT, peer.read_buf(&mut answer)).await.expect("no answer");
            if read.unwrap_or(0) == 0 {
                break;
            }
        }
        String::from_utf8(answer).unwrap()
    }

    /// Waits until the other end has closed.
    async fn closed(peer: &mut TcpStream) {
        let mut rest = Vec::new();
        // A reset is an end, too.
        let _ = tokio::time::timeout(LIMIT, peer.read_to_end(&mut rest)).await.expect("it is not closed");
    }

    #[tokio::test]
    async fn whoever_never_comes_to_the_end_of_a_head_is_cut_off() {
        let (address, tasks) = listening(Limits { head: Duration::from_millis(300), ..LIMITS }).await;
        closed(&mut TcpStream::connect(address).await.unwrap()).await;
        let mut half = TcpStream::connect(address).await.unwrap();
        half.write_all(b"GET / HTTP/1.1\r\nhost: x\r\nx-").await.unwrap();
        closed(&mut half).await;
        let mut idle = TcpStream::connect(address).await.unwrap();
        assert!(ask(&mut idle).await.starts_with("HTTP/1.1 200"));
        closed(&mut idle).await;
        assert!(tasks.finish(LIMIT).await);
    }

    #[tokio::test]
    async fn a_source_has_so_many_connections_and_no_more() {
        let (address, tasks) = listening(LIMITS).await;
        let mut first = TcpStream::connect(address).await.unwrap();
        let mut second = TcpStream::connect(address).await.unwrap();
        assert!(ask(&mut first).await.starts_with("HTTP/1.1 200"));
        assert!(ask(&mut second).await.starts_with("HTTP/1.1 200"));
        closed(&mut TcpStream::connect(address).await.unwrap()).await;
        // Those that are there are served on, and a place that is left is free again.
        assert!(ask(&mut first).await.starts_with("HTTP/1.1 200"));
        drop(second);
        let began = Instant::now();
        loop {
            let mut third = TcpStream::connect(address).await.unwrap();
            if ask(&mut third).await.starts_with("HTTP/1.1 200") {
                break;
            }
            assert!(began.elapsed() < LIMIT, "the place is not free again");
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        drop(first);
        assert!(tasks.finish(LIMIT).await);
    }

    #[tokio::test]
    async fn more_than_there_is_room_for_wait() {
        let (address, tasks) = listening(Limits { connections: 1, ..LIMITS }).await;
        let mut first = TcpStream::connect(address).await.unwrap();
        assert!(ask(&mut first).await.starts_with("HTTP/1.1 200"));
        let mut second = TcpStream::connect(address).await.unwrap();
        second.write_all(b"GET / HTTP/1.1\r\nhost: x\r\n\r\n").await.unwrap();
        let waits = tokio::time::timeout(Duration::from_millis(300), second.read_u8()).await;
        assert!(waits.is_err(), "there is no room for it yet");
        drop(first);
        assert_eq!(tokio::time::timeout(LIMIT, second.read_u8()).await.unwrap().unwrap(), b'H');
        drop(second);
        assert!(tasks.finish(LIMIT).await);
    }
}

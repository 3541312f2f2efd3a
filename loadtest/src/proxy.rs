//! A TCP proxy on loopback that can be told to misbehave: cut, refuse, delay, or swallow what passes.

mod pipe;

use std::{
    io,
    net::{Ipv4Addr, SocketAddr},
    path::PathBuf,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use anyhow::Context;
use tokio::{
    net::{TcpListener, TcpStream, UnixStream},
    sync::watch,
    task::JoinSet,
};

/// How long reaching the upstream may take before the client's connection is closed.
const CONNECT_LIMIT: Duration = Duration::from_secs(5);

/// Where connections lead.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Upstream {
    /// `host:port`.
    Tcp(String),
    /// The path of a unix socket.
    Unix(PathBuf),
    /// Several `host:port`, one after the other; the next one where one cannot be reached.
    Balanced(Vec<String>),
}

impl std::str::FromStr for Upstream {
    type Err = anyhow::Error;

    /// Reads `host:port` or an absolute path.
    fn from_str(text: &str) -> anyhow::Result<Self> {
        if text.starts_with('/') {
            return Ok(Self::Unix(PathBuf::from(text)));
        }
        let port =
            text.rsplit_once(':').and_then(|(host, port)| (!host.is_empty()).then(|| port.parse::<u16>()));
        match port {
            Some(Ok(_)) => Ok(Self::Tcp(text.to_owned())),
            _ => {
                anyhow::bail!("upstream {text:?}: host:port or the absolute path of a unix socket is needed")
            }
        }
    }
}

/// What happens to connections.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mode {
    /// Everything passes at once.
    Forward,
    /// Each piece passes so much later, in both directions; order and rate stay.
    Delay(Duration),
    /// Nothing passes and nothing is closed. What was sent meanwhile passes when the mode changes.
    BlackHole,
    /// New connections are reset as soon as they are accepted; open ones go on.
    Refuse,
}

/// Counts of client connections.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Connections {
    /// Accepted and forwarded.
    pub accepted: u64,
    /// Reset at once, in [`Mode::Refuse`] or because the upstream could not be reached.
    pub refused: u64,
    /// Open now.
    pub open: u64,
}

#[derive(Default)]
struct Counts {
    accepted: AtomicU64,
    refused: AtomicU64,
    open: AtomicU64,
}

/// A running proxy. Dropping it closes its port and all connections.
pub struct Proxy {
    address: SocketAddr,
    mode: watch::Sender<Mode>,
    /// The number of cuts so far.
    cuts: watch::Sender<u64>,
    /// The number of strandings so far.
    strandings: watch::Sender<u64>,
    counts: Arc<Counts>,
    _tasks: JoinSet<()>,
}

impl Proxy {
    /// Listens on a free port of 127.0.0.1, in [`Mode::Forward`]. Needs a tokio runtime. The upstream is reached anew
    /// for each connection, so it may start later.
    pub async fn start(upstream: Upstream) -> anyhow::Result<Self> {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))
            .await
            .context("cannot listen on a port of 127.0.0.1")?;
        let address = listener.local_addr().context("cannot read the address that was bound")?;
        let (mode, cuts) = (watch::Sender::new(Mode::Forward), watch::Sender::new(0));
        let strandings = watch::Sender::new(0);
        let counts = Arc::new(Counts::default());
        let mut tasks = JoinSet::new();
        let ends = (cuts.clone(), strandings.clone());
        tasks.spawn(accept(listener, upstream, mode.clone(), ends, counts.clone()));
        Ok(Self { address, mode, cuts, strandings, counts, _tasks: tasks })
    }

    /// Where clients connect.
    #[must_use]
    pub fn addr(&self) -> SocketAddr {
        self.address
    }

    /// Changes what happens, to open connections too.
    pub fn set(&self, mode: Mode) {
        self.mode.send_replace(mode);
    }

    /// Resets all open connections. What had not passed yet is lost. New ones are not affected.
    pub fn cut(&self) {
        self.cuts.send_modify(|count| *count += 1);
    }

    /// Leaves the clients of all open connections without a word for ever, as when a host is gone for good or a firewall has
    /// forgotten them. The upstream's ends are closed. New ones are not affected.
    pub fn strand(&self) {
        self.strandings.send_modify(|count| *count += 1);
    }

    /// The counts as they stand.
    #[must_use]
    pub fn connections(&self) -> Connections {
        let read = |count: &AtomicU64| count.load(Ordering::SeqCst);
        Connections {
            accepted: read(&self.counts.accepted),
            refused: read(&self.counts.refused),
            open: read(&self.counts.open),
        }
    }
}

async fn accept(
    listener: TcpListener,
    upstream: Upstream,
    mode: watch::Sender<Mode>,
    (cuts, strandings): (watch::Sender<u64>, watch::Sender<u64>),
    counts: Arc<Counts>,
) {
    let mut connections = JoinSet::new();
    loop {
        let client = tokio::select! {
            Some(_) = connections.join_next() => continue,
            accepted = listener.accept() => match accepted {
                Ok((client, _)) => client,
                Err(error) => {
                    tracing::warn!(%error, "the proxy cannot accept a connection");
                    tokio::time::sleep(Duration::from_millis(100)).await;
                    continue;
                }
            },
        };
        if *mode.borrow() == Mode::Refuse {
            counts.refused.fetch_add(1, Ordering::SeqCst);
            reset(&client);
            continue;
        }
        // Subscribed before the task runs, so that no cut is missed.
        let (ends, mode) = ((cuts.subscribe(), strandings.subscribe()), mode.subscribe());
        connections.spawn(serve(client, upstream.clone(), mode, ends, counts.clone()));
    }
}

async fn serve(
    client: TcpStream,
    upstream: Upstream,
    mode: watch::Receiver<Mode>,
    (mut cut, mut stranded): (watch::Receiver<u64>, watch::Receiver<u64>),
    counts: Arc<Counts>,
) {
    let mut client = client;
    let ended = {
        let _open = Open::new(&counts);
        tokio::select! {
            ended = forward(&mut client, &upstream, mode, &counts) => ended,
            _ = cut.changed() => Err(io::ErrorKind::ConnectionReset.into()),
            _ = stranded.changed() => {
                // Held open, and never read again.
                let _ = cut.changed().await;
                Err(io::ErrorKind::ConnectionReset.into())
            }
        }
    };
    if ended.is_err() {
        reset(&client);
    }
}

async fn forward(
    client: &mut TcpStream,
    upstream: &Upstream,
    mode: watch::Receiver<Mode>,
    counts: &Counts,
) -> io::Result<()> {
    client.set_nodelay(true)?;
    let reached = match upstream {
        Upstream::Tcp(address) => limited(TcpStream::connect(address)).await.and_then(|stream| {
            stream.set_nodelay(true)?;
            Ok(Reached::Tcp(stream))
        }),
        Upstream::Unix(path) => limited(UnixStream::connect(path)).await.map(Reached::Unix),
        Upstream::Balanced(addresses) => {
            let next = counts.accepted.load(Ordering::SeqCst) + counts.refused.load(Ordering::SeqCst);
            let next = usize::try_from(next).unwrap_or_default() % addresses.len().max(1);
            let mut reached = Err(io::ErrorKind::NotFound.into());
            for address in addresses.iter().cycle().skip(next).take(addresses.len()) {
                reached = limited(TcpStream::connect(address)).await;
                if reached.is_ok() {
                    break;
                }
            }
            reached.and_then(|stream| {
                stream.set_nodelay(true)?;
                Ok(Reached::Tcp(stream))
            })
        }
    };
    let count = if reached.is_ok() { &counts.accepted } else { &counts.refused };
    count.fetch_add(1, Ordering::SeqCst);
    match reached? {
        Reached::Tcp(stream) => pipe::both(client, stream, mode).await,
        Reached::Unix(stream) => pipe::both(client, stream, mode).await,
    }
}

enum Reached {
    Tcp(TcpStream),
    Unix(UnixStream),
}

async fn limited<T>(connect: impl Future<Output = io::Result<T>>) -> io::Result<T> {
    tokio::time::timeout(CONNECT_LIMIT, connect).await.unwrap_or_else(|_| Err(io::ErrorKind::TimedOut.into()))
}

/// Closes a connection the hard way, as a host that went down does when it is back.
fn reset(client: &TcpStream) {
    // Without it the close is only a softer one.
    let _ = client.set_zero_linger();
}

/// Counts a connection as open for as long as it lives.
struct Open<'a>(&'a Counts);

impl<'a> Open<'a> {
    fn new(counts: &'a Counts) -> Self {
        counts.open.fetch_add(1, Ordering::SeqCst);
        Self(counts)
    }
}

impl Drop for Open<'_> {
    fn drop(&mut self) {
        self.0.open.fetch_sub(1, Ordering::SeqCst);
    }
}

//! A private PostgreSQL for `up`: a cluster in the data folder, run as our own child.
//!
//! The child is a plain `postgres` process. It listens on a unix socket in a folder that only its user may enter,
//! is started again when it dies, and is stopped in an orderly way with us. When we are killed, it lives on; the
//! next start finds it through its `postmaster.pid`, stops it, and starts anew.
//!
//! | in the data folder | what it is |
//! |---|---|
//! | `up.lock` | the lock of the running `up`, with its pid; also the mark that the folder is ours |
//! | `cluster/` | the PostgreSQL cluster |
//! | `run/` | the socket (a link to a short folder elsewhere, where the path would be too long for a socket) |
//! | `log/` | the server's log and one older piece of it |
//! | `postgresql/VERSION/` | the downloaded programs, where none were installed |
//!
//! As root the server and `initdb` run under another user, because PostgreSQL refuses root: the owner of the
//! cluster, else `postgres`, else `nobody`.

mod binaries;
mod cluster;
mod download;
mod error;
mod folder;
mod log;
mod orphan;
mod server;
mod sockets;
mod supervise;
mod user;

#[cfg(test)]
mod tests;

use std::ffi::OsStr;
use std::fs::File;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;
use url::Url;

pub use download::RELEASES;
pub use error::StartError;
#[cfg(test)]
pub use server::QUIT_WITHIN;
pub use sockets::RUN;

use server::Server;
use sockets::Sockets;

/// What a start needs to know.
#[derive(Debug, Clone)]
pub struct Options {
    /// The data folder; made when it is missing.
    pub data: PathBuf,
    /// Folders to look for `postgres` and `initdb` in, best first.
    pub folders: Vec<PathBuf>,
    /// The list of releases to download from when nothing is installed; `None` forbids the download.
    /// [`RELEASES`] is the public one.
    pub releases: Option<Url>,
    /// How long the server may take until it answers, crash recovery included.
    pub ready_within: Duration,
    /// How long a fast shutdown may take before the server is told to stop at once.
    pub stop_within: Duration,
}

impl Options {
    /// The usual: installed programs on `path` (the search path of the environment) or in the folders of the
    /// distributions, else a download from `releases`.
    pub fn new(data: PathBuf, path: &OsStr, releases: Option<Url>) -> Self {
        Self {
            data,
            folders: binaries::folders(path),
            releases,
            ready_within: Duration::from_mins(2),
            stop_within: Duration::from_secs(20),
        }
    }
}

/// A running private server. Dropping it asks the server to stop, without waiting; [`Postgres::stop`] waits.
#[derive(Debug)]
pub struct Postgres {
    url: String,
    pid: watch::Receiver<u32>,
    failed: watch::Receiver<Option<Arc<StartError>>>,
    stop: CancellationToken,
    tasks: JoinSet<()>,
    sockets: Sockets,
    /// Held as long as the server may run.
    _lock: File,
}

/// Starts the private server: finds or downloads the programs, makes the cluster at the first start, ends a
/// server that a killed `up` left behind, and waits until queries are answered.
pub async fn start(options: Options) -> Result<Postgres, StartError> {
    let data = folder::open(&options.data)?;
    let lock = folder::lock(&data)?;
    let user = user::choose(&data)?;
    let version = cluster::version(&data)?;
    let programs = match binaries::find(&options.folders, &data, version).await? {
        Some(found) => found,
        None => download::fetch(options.releases.as_ref(), &options.folders, &data, version).await?,
    };
    folder::check_reach(&data, &user, &programs).await?;
    cluster::create(&data, &user, &programs).await?;
    let sockets = Sockets::open(&data, &user)?;
    let start = server::Start {
        program: programs.postgres(),
        cluster: cluster::folder(&data),
        sockets: sockets.folder().to_owned(),
        log: log::open_folder(&data)?,
        user,
        ready_within: options.ready_within,
        stop_within: options.stop_within,
    };
    let server = Server::start(&start).await?;
    cluster::create_database(&start.url("postgres")).await?;

    let url = start.url(cluster::DATABASE);
    let stop = CancellationToken::new();
    let (pid_out, pid) = watch::channel(server.pid());
    let (failed_out, failed) = watch::channel(None);
    let mut tasks = JoinSet::new();
    tasks.spawn(supervise::keep_alive(server, start, stop.clone(), pid_out, failed_out));
    Ok(Postgres { url, pid, failed, stop, tasks, sockets, _lock: lock })
}

impl Postgres {
    /// The URL of the database `syncfleet`, as sqlx and libpq understand it. It holds no secret.
    pub fn url(&self) -> String {
        self.url.clone()
    }

    /// The process id of the server, which changes when it had to be started again.
    pub fn pid(&self) -> u32 {
        *self.pid.borrow()
    }

    /// Waits until the server cannot be kept alive, and says why. Never returns while it can.
    pub async fn failed(&self) -> Arc<StartError> {
        let mut failed = self.failed.clone();
        match failed.wait_for(Option::is_some).await.map(|seen| seen.clone()) {
            Ok(Some(error)) => error,
            // The sender is gone without an error: the server was stopped on purpose.
            _ => std::future::pending().await,
        }
    }

    /// Stops the server in an orderly way and waits for its end. Bounded: after `stop_within` it is told to stop
    /// at once (the next start then recovers), at last it is killed.
    pub async fn stop(mut self) {
        self.stop.cancel();
        while let Some(ended) = self.tasks.join_next().await {
            if let Err(error) = ended {
                tracing::error!(%error, "the supervisor of PostgreSQL ended badly");
            }
        }
        self.sockets.close();
    }
}

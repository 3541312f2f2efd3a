//! Why the private server could not be started.

use std::fmt::Write as _;
use std::io;
use std::path::{Path, PathBuf};

/// Why the private server could not be started or kept alive. Each says what to do.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// A step on a file or folder failed.
    #[error("cannot {action} {path}; give a data folder that this user may write, with --data")]
    Folder {
        /// What was tried, as a verb.
        action: &'static str,
        /// On what.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// The disk has no room.
    #[error(
        "the disk that holds {folder} is full: a new cluster takes about 50 MB; free some space or give another folder with --data"
    )]
    DiskFull {
        /// The data folder.
        folder: PathBuf,
    },
    /// The folder holds something else.
    #[error(
        "{folder} is not empty and was not made by `syncfleet up` (it has no {mark}); give an empty or a new folder with --data"
    )]
    NotOurs {
        /// The data folder.
        folder: PathBuf,
        /// The file that marks a folder as ours.
        mark: &'static str,
    },
    /// Another `up` runs on the same folder.
    #[error(
        "{folder} is in use by another `syncfleet up` (pid {pid}); stop that one, or give this one another folder with --data"
    )]
    InUse {
        /// The data folder.
        folder: PathBuf,
        /// The process that holds it, as it wrote it down.
        pid: String,
    },
    /// The server's user cannot get to the data folder.
    #[error(
        "PostgreSQL cannot run as root, and the user {user} cannot enter {folder}; allow it with `chmod o+x {folder}`, or give a data folder elsewhere with --data, say /var/lib/syncfleet"
    )]
    NotTraversable {
        /// The folder that is closed, the data folder or one above it.
        folder: PathBuf,
        /// The user the server runs under.
        user: String,
    },
    /// The cluster belongs to somebody else.
    #[error(
        "{cluster} belongs to the user with id {owner}, not to this one ({uid}); start as that user, or give another folder with --data"
    )]
    WrongOwner {
        /// The cluster's folder.
        cluster: PathBuf,
        /// Its owner.
        owner: u32,
        /// Who we are.
        uid: u32,
    },
    /// Root, and nobody to run the server as.
    #[error(
        "PostgreSQL cannot run as root, and /etc/passwd has neither the user postgres nor nobody; add one, or start as another user"
    )]
    NoUser,
    /// Nothing installed, and no download allowed.
    #[error("no PostgreSQL found (looked for postgres and initdb in {}); install PostgreSQL {MIN_VERSION} or newer, for example with `apt install postgresql`, or set DATABASE_URL", list(.searched))]
    NoBinaries {
        /// The folders that were looked into.
        searched: Vec<PathBuf>,
    },
    /// Everything found is too old.
    #[error(
        "the newest PostgreSQL found is {newest} in {folder}, but {MIN_VERSION} is the oldest that works; install a newer one, or set DATABASE_URL"
    )]
    TooOld {
        /// The newest major version found.
        newest: u32,
        /// Where.
        folder: PathBuf,
    },
    /// A program could not be run.
    #[error("cannot run {program} as the user {user}")]
    Program {
        /// The program.
        program: PathBuf,
        /// The user it was to run under.
        user: String,
        /// What the system said.
        source: io::Error,
    },
    /// The cluster was made by another major version.
    #[error("{cluster} was made by PostgreSQL {cluster_version}, but only {} is installed; install PostgreSQL {cluster_version}, or convert the cluster with pg_upgrade, or give another folder with --data", versions(.found))]
    OtherVersion {
        /// The cluster's folder.
        cluster: PathBuf,
        /// Its major version.
        cluster_version: u32,
        /// The major versions that are installed.
        found: Vec<u32>,
    },
    /// The cluster's version mark cannot be understood.
    #[error(
        "{file} says {text:?} where a PostgreSQL version such as 15 should stand; restore the folder from a backup, or give another one with --data"
    )]
    BadVersion {
        /// The file.
        file: PathBuf,
        /// What it says.
        text: String,
    },
    /// The download failed.
    #[error(
        "no PostgreSQL is installed, and none could be downloaded from {url}; install PostgreSQL {MIN_VERSION} or newer, for example with `apt install postgresql`, or set DATABASE_URL"
    )]
    Download {
        /// The list of releases.
        url: String,
        /// Why not.
        source: anyhow::Error,
    },
    /// `initdb` failed.
    #[error("initdb could not make the cluster {cluster}; it said:\n{output}")]
    Initdb {
        /// The cluster's folder.
        cluster: PathBuf,
        /// Its last lines.
        output: String,
    },
    /// The server ended before it answered.
    #[error("PostgreSQL ended before it was ready ({status}); the end of its log {log}:\n{tail}")]
    Exited {
        /// How it ended.
        status: String,
        /// The log file.
        log: PathBuf,
        /// Its last lines.
        tail: String,
    },
    /// The server did not answer in time.
    #[error("PostgreSQL did not answer within {seconds} s; the end of its log {log}:\n{tail}")]
    NotReady {
        /// The time limit.
        seconds: u64,
        /// The log file.
        log: PathBuf,
        /// Its last lines.
        tail: String,
    },
    /// A server left behind by a killed `up` does not stop.
    #[error(
        "PostgreSQL (pid {pid}) was left behind by an earlier `syncfleet up` and does not stop; end it with `kill -QUIT {pid}` and try again"
    )]
    Orphan {
        /// Its process.
        pid: u32,
    },
    /// The server answered, but the database could not be made.
    #[error("PostgreSQL runs, but the database {name:?} could not be made")]
    Database {
        /// The database.
        name: &'static str,
        /// What the server said.
        source: sqlx::Error,
    },
}

/// The oldest PostgreSQL major version that works.
pub const MIN_VERSION: u32 = 14;

/// Turns an I/O error into a [`StartError`]; a full disk is told apart.
pub fn folder(action: &'static str, path: &Path) -> impl FnOnce(io::Error) -> StartError {
    let path = path.to_owned();
    move |source| match source.kind() {
        io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => StartError::DiskFull { folder: path },
        _ => StartError::Folder { action, path, source },
    }
}

fn list(folders: &[PathBuf]) -> String {
    let mut text = String::new();
    for folder in folders {
        let sep = if text.is_empty() { "" } else { ", " };
        // Writing to a String cannot fail.
        let _ = write!(text, "{sep}{}", folder.display());
    }
    if text.is_empty() { "no folder at all".to_owned() } else { text }
}

fn versions(found: &[u32]) -> String {
    found.iter().map(u32::to_string).collect::<Vec<_>>().join(", ")
}

//! One server process: started, waited for, stopped.

use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::process::{ExitStatus, Stdio};
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};
use sqlx::{Connection as _, PgConnection};
use tokio::process::Child;

use super::cluster::ROLE;
use super::error::StartError;
use super::log;
use super::orphan;
use super::sockets::PORT;
use super::user::User;

/// How long an immediate shutdown may take before the process is killed.
pub const QUIT_WITHIN: Duration = Duration::from_secs(5);
/// What a start of the server process takes.
#[derive(Debug, Clone)]
pub struct Start {
    /// The program `postgres`.
    pub program: PathBuf,
    /// The cluster's folder.
    pub cluster: PathBuf,
    /// The socket's folder.
    pub sockets: PathBuf,
    /// The log file.
    pub log: PathBuf,
    /// The user it runs under.
    pub user: User,
    /// How long until it must answer.
    pub ready_within: Duration,
    /// How long a fast shutdown may take.
    pub stop_within: Duration,
}

impl Start {
    /// The URL of a database on this server.
    pub fn url(&self, database: &str) -> String {
        let sockets = percent_encoded(&self.sockets);
        format!("postgres:///{database}?host={sockets}&port={PORT}&user={ROLE}&sslmode=disable")
    }

    fn command(&self) -> tokio::process::Command {
        let mut command = self.user.command(&self.program);
        command
            .arg("-D")
            .arg(&self.cluster)
            .arg("-k")
            .arg(quoted(&self.sockets))
            .args(["-p", PORT, "-c", "listen_addresses=", "-c", "logging_collector=off"])
            .args(["-c", "log_destination=stderr", "-c", "external_pid_file="])
            .stdin(Stdio::null())
            // Ctrl-C in the terminal is for us alone: the workers' last commits need the server.
            .process_group(0);
        command
    }
}

/// A running server process. Dropping it asks for a fast shutdown without waiting.
#[derive(Debug)]
pub struct Server {
    child: Child,
    pid: u32,
    log: PathBuf,
    /// Where its part of the log begins.
    log_start: u64,
}

impl Server {
    /// Ends what an earlier server left running, starts the process and waits until it answers queries.
    pub async fn start(start: &Start) -> Result<Self, StartError> {
        orphan::stop(&start.cluster, &start.sockets, start.stop_within).await?;
        let mut server = Self::spawn(start)?;
        match server.ready(start).await {
            Ok(()) => Ok(server),
            Err(error) => {
                server.stop(start.stop_within).await;
                Err(error)
            }
        }
    }

    fn spawn(start: &Start) -> Result<Self, StartError> {
        let (file, log_start) = log::open(&start.log)?;
        let second = file.try_clone().map_err(super::error::folder("open", &start.log))?;
        let mut command = start.command();
        let child = command.stdout(file).stderr(second).spawn().map_err(|source| StartError::Program {
            program: start.program.clone(),
            user: start.user.name.clone(),
            source,
        })?;
        let pid = child.id().unwrap_or_default();
        Ok(Self { child, pid, log: start.log.clone(), log_start })
    }

    async fn ready(&mut self, start: &Start) -> Result<(), StartError> {
        let url = start.url("postgres");
        let deadline = Instant::now() + start.ready_within;
        loop {
            if answers(&url).await {
                return Ok(());
            }
            if Instant::now() > deadline {
                return Err(StartError::NotReady {
                    seconds: start.ready_within.as_secs(),
                    log: self.log.clone(),
                    tail: self.tail(),
                });
            }
            let pause = tokio::time::timeout(Duration::from_millis(50), self.child.wait()).await;
            if let Ok(status) = pause {
                return Err(self.exited(&status));
            }
        }
    }

    /// The process id.
    pub fn pid(&self) -> u32 {
        self.pid
    }

    /// Waits for an end that nobody asked for, and says what is known about it.
    pub async fn wait(&mut self) -> StartError {
        let status = self.child.wait().await;
        self.exited(&status)
    }

    /// Fast shutdown; an immediate one after `within`; at last the process is killed.
    pub async fn stop(mut self, within: Duration) {
        for (signal, within) in [(Signal::INT, within), (Signal::QUIT, QUIT_WITHIN)] {
            self.signal(signal);
            if tokio::time::timeout(within, self.child.wait()).await.is_ok() {
                return;
            }
            tracing::warn!(pid = self.pid, ?signal, "PostgreSQL does not stop");
        }
        if let Err(error) = self.child.kill().await {
            tracing::error!(pid = self.pid, %error, "PostgreSQL cannot be killed");
        }
    }

    /// The end of what this process has logged.
    fn tail(&self) -> String {
        log::tail(&self.log, self.log_start)
    }

    fn exited(&self, status: &std::io::Result<ExitStatus>) -> StartError {
        let status = match status {
            Ok(status) => status.to_string(),
            Err(error) => format!("its status is unknown: {error}"),
        };
        StartError::Exited { status, log: self.log.clone(), tail: self.tail() }
    }

    fn signal(&self, signal: Signal) {
        // No id: it has ended and was waited for, so its number may be another's by now.
        let id = self.child.id().and_then(|id| i32::try_from(id).ok()).and_then(Pid::from_raw);
        if let Some(pid) = id
            && let Err(error) = kill_process(pid, signal)
        {
            tracing::debug!(pid = self.pid, %error, "the signal found no process");
        }
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.signal(Signal::INT);
    }
}

/// Whether the server answers a query within two seconds.
async fn answers(url: &str) -> bool {
    let ask = async {
        let mut db = PgConnection::connect(url).await?;
        sqlx::query("select 1").execute(&mut db).await?;
        db.close().await
    };
    tokio::time::timeout(Duration::from_secs(2), ask).await.is_ok_and(|answer| answer.is_ok())
}

/// A path for a URL's query: everything but plain characters as `%XX`.
fn percent_encoded(path: &Path) -> String {
    let mut text = String::new();
    for &byte in path.as_os_str().as_encoded_bytes() {
        match byte {
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'/' | b'-' | b'.' | b'_' => {
                text.push(char::from(byte));
            }
            // Writing to a String cannot fail.
            _ => drop(write!(text, "%{byte:02X}")),
        }
    }
    text
}

/// A path for a setting that is a list: quoted, so that a comma or a space is part of it.
fn quoted(path: &Path) -> String {
    format!("\"{}\"", path.to_string_lossy().replace('"', "\"\""))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_are_quoted_for_their_place() {
        let path = Path::new("/srv/my data, \"b\"&c=ü");
        assert_eq!(percent_encoded(path), "/srv/my%20data%2C%20%22b%22%26c%3D%C3%BC");
        assert_eq!(quoted(path), "\"/srv/my data, \"\"b\"\"&c=ü\"");
    }
}

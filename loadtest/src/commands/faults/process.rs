//! Child processes, each with its own log. They are killed when their handle is dropped.

use std::{
    fs::{File, OpenOptions},
    net::{Ipv4Addr, TcpListener},
    path::{Path, PathBuf},
    process::{ExitStatus, Stdio},
    time::Duration,
};

use anyhow::{Context, bail};
use rand::RngExt;
use rustix::process::{Pid, Signal, kill_process};
use tokio::process::{Child, Command};

/// How a process is started, every time it is.
#[derive(Debug, Clone)]
pub struct Launch {
    pub name: String,
    pub program: PathBuf,
    pub args: Vec<String>,
    pub env: Vec<(String, String)>,
    /// User and group, where they are not our own.
    pub owner: Option<(u32, u32)>,
    pub log: PathBuf,
}

impl Launch {
    /// Starts the process.
    pub fn start(&self) -> anyhow::Result<Process> {
        let out = open_log(&self.log)?;
        let err = out.try_clone().with_context(|| format!("cannot open {}", self.log.display()))?;
        let mut command = Command::new(&self.program);
        command.args(&self.args).env_clear().env("PATH", "/usr/local/bin:/usr/bin:/bin").env("LC_ALL", "C");
        command.envs(self.env.iter().cloned());
        if let Some((user, group)) = self.owner {
            command.uid(user).gid(group);
        }
        command.current_dir("/").stdin(Stdio::null()).stdout(out).stderr(err).kill_on_drop(true);
        let child = command
            .spawn()
            .with_context(|| format!("cannot start {} ({})", self.name, self.program.display()))?;
        Ok(Process { name: self.name.clone(), child })
    }

    /// Runs the process to its end, which must be a good one.
    pub async fn run(&self, limit: Duration) -> anyhow::Result<()> {
        let status = self.start()?.ended(limit).await?;
        if !status.success() {
            bail!("{} ended with {status}; {} says:\n{}", self.name, self.log.display(), tail(&self.log));
        }
        Ok(())
    }
}

/// A running process.
#[derive(Debug)]
pub struct Process {
    name: String,
    child: Child,
}

impl Process {
    /// The process id; none: it has ended and was waited for.
    pub fn pid(&self) -> Option<u32> {
        self.child.id()
    }

    /// Sends a signal.
    pub fn signal(&self, signal: Signal) -> anyhow::Result<()> {
        let pid = self.pid().and_then(|pid| Pid::from_raw(i32::try_from(pid).ok()?));
        let pid = pid.with_context(|| format!("{} has ended already", self.name))?;
        kill_process(pid, signal).with_context(|| format!("cannot signal {}", self.name))
    }

    /// How it ended, if it has.
    pub fn has_ended(&mut self) -> Option<ExitStatus> {
        self.child.try_wait().ok().flatten()
    }

    /// Waits for its end.
    pub async fn ended(&mut self, limit: Duration) -> anyhow::Result<ExitStatus> {
        match tokio::time::timeout(limit, self.child.wait()).await {
            Ok(status) => status.with_context(|| format!("cannot wait for {}", self.name)),
            Err(_) => bail!("{} had not ended after {limit:?}", self.name),
        }
    }

    /// Asks it to end with `signal`; kills it when it does not.
    pub async fn end(mut self, signal: Signal, limit: Duration) {
        let asked = self.signal(signal).is_ok();
        if !asked || self.ended(limit).await.is_err() {
            // It may have ended meanwhile.
            let _ = self.child.kill().await;
        }
    }
}

fn open_log(path: &Path) -> anyhow::Result<File> {
    OpenOptions::new()
        .create(true)
        .append(true)
        .open(path)
        .with_context(|| format!("cannot open {}", path.display()))
}

/// The end of a log.
pub fn tail(log: &Path) -> String {
    let text = std::fs::read_to_string(log).unwrap_or_default();
    let lines: Vec<&str> = text.lines().collect();
    lines[lines.len().saturating_sub(15)..].join("\n")
}

/// A port that nobody listens on, below those that the system gives to outgoing connections: it must be free again when a
/// process that had it is started anew.
pub fn free_port() -> anyhow::Result<u16> {
    for _ in 0..200 {
        let port = rand::rng().random_range(20_000..32_000);
        if TcpListener::bind((Ipv4Addr::LOCALHOST, port)).is_ok() {
            return Ok(port);
        }
    }
    bail!("found no free port between 20000 and 32000")
}

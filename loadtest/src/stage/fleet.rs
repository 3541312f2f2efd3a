//! A scheduler and a worker as processes of their own.

use std::{
    fs::File,
    io::Read,
    net::{Ipv4Addr, SocketAddr},
    path::PathBuf,
    process::Stdio,
    time::Duration,
};

use anyhow::{Context, bail};
use rustix::process::{Pid, Signal, kill_process};
use secrecy::ExposeSecret;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
    process::{Child, Command},
};

use super::{Stage, until};

/// How long a role may take to be ready, and to end.
const PATIENCE: Duration = Duration::from_secs(40);

/// How long a role may take to answer on its admin listener.
const ANSWER: Duration = Duration::from_secs(5);

/// One scheduler and one worker.
pub struct Fleet {
    pub scheduler: Role,
    pub worker: Role,
}

/// An ingress, and where it listens.
pub struct Ingress {
    pub role: Role,
    pub public: SocketAddr,
}

/// A process of the program.
pub struct Role {
    name: &'static str,
    child: Child,
    admin: SocketAddr,
    log: PathBuf,
}

impl Stage {
    /// Starts a fleet with these lanes, and waits until it is ready.
    pub async fn fleet(&self, lanes: &str) -> anyhow::Result<Fleet> {
        self.fleet_with(lanes, &[]).await
    }

    /// The same, with further settings in the environment.
    pub async fn fleet_with(&self, lanes: &str, settings: &[(&str, String)]) -> anyhow::Result<Fleet> {
        let mut fleet = Fleet {
            scheduler: self.role("scheduler", &[], settings).await?,
            worker: self.role("worker", &["--lanes", lanes], settings).await?,
        };
        fleet.scheduler.ready().await?;
        fleet.worker.ready().await?;
        Ok(fleet)
    }

    /// Starts an ingress that Google calls at this address, and waits until it is ready.
    pub async fn ingress(&self, public: SocketAddr, settings: &[(&str, String)]) -> anyhow::Result<Ingress> {
        let address = ("SYNCFLEET_PUBLIC_ADDR", public.to_string());
        let mut role = self.role("ingress", &[], &[settings, &[address]].concat()).await?;
        role.ready().await?;
        Ok(Ingress { role, public })
    }

    /// The address of the database, for a process that is measured beside the fleet.
    pub fn database_url(&self) -> &str {
        self.database_url.expose_secret()
    }

    async fn role(
        &self,
        name: &'static str,
        arguments: &[&str],
        settings: &[(&str, String)],
    ) -> anyhow::Result<Role> {
        // Free a moment later again: whoever else takes it in between makes the role fail with a clear word.
        let admin = free().await?;
        let log = self.folder.path().join(format!("{name}.log"));
        let child = Command::new(&self.program)
            .arg(name)
            .args(arguments)
            .envs(settings.iter().map(|(name, value)| (name, value)))
            .env("DATABASE_URL", self.database_url.expose_secret())
            .env("REDIS_URL", self.redis_url.expose_secret())
            .env("SYNCFLEET_ADMIN_ADDR", admin.to_string())
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(File::create(&log).context("cannot write a log")?)
            .kill_on_drop(true)
            .spawn()
            .with_context(|| format!("cannot start {}", self.program.display()))?;
        Ok(Role { name, child, admin, log })
    }
}

impl Fleet {
    /// Ends both, as an operator would.
    pub async fn stop(mut self) -> anyhow::Result<()> {
        self.worker.stop().await?;
        self.scheduler.stop().await
    }
}

impl Ingress {
    /// Ends it, as an operator would.
    pub async fn stop(mut self) -> anyhow::Result<()> {
        self.role.stop().await
    }
}

impl Role {
    /// The process's number.
    pub fn pid(&self) -> anyhow::Result<u32> {
        self.child.id().with_context(|| format!("the {} has ended", self.name))
    }

    async fn ready(&mut self) -> anyhow::Result<()> {
        let what = format!("the {} is ready", self.name);
        until(&what, PATIENCE, Duration::from_millis(100), async || {
            if let Some(status) = self.child.try_wait()? {
                bail!("the {} has ended, {status}:\n{}", self.name, self.last_words());
            }
            // Refused while it starts.
            Ok(get(self.admin, "/readyz").await.ok().filter(|(status, _)| *status == 200).map(drop))
        })
        .await
        .with_context(|| self.last_words())
    }

    /// Its metrics, in Prometheus's text format.
    pub async fn metrics(&self) -> anyhow::Result<String> {
        let (status, text) = get(self.admin, "/metrics")
            .await
            .with_context(|| format!("cannot read the {}'s metrics", self.name))?;
        if status != 200 {
            bail!("the {} answers {status} for its metrics", self.name);
        }
        Ok(text)
    }

    async fn stop(&mut self) -> anyhow::Result<()> {
        let pid = i32::try_from(self.pid()?).ok().and_then(Pid::from_raw).context("no process number")?;
        kill_process(pid, Signal::TERM).with_context(|| format!("cannot end the {}", self.name))?;
        let status = tokio::time::timeout(PATIENCE, self.child.wait())
            .await
            .with_context(|| format!("the {} has not ended within {PATIENCE:?}", self.name))??;
        if !status.success() {
            bail!("the {} ended with {status}:\n{}", self.name, self.last_words());
        }
        Ok(())
    }

    fn last_words(&self) -> String {
        let mut text = String::new();
        let read = File::open(&self.log).and_then(|mut log| log.read_to_string(&mut text));
        if let Err(error) = read {
            return format!("(its log cannot be read: {error})");
        }
        let lines: Vec<&str> = text.lines().collect();
        lines[lines.len().saturating_sub(20)..].join("\n")
    }
}

/// An address on loopback that is free a moment later.
pub async fn free() -> anyhow::Result<SocketAddr> {
    Ok(TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await?.local_addr()?)
}

/// Status and body of an answer on loopback.
pub async fn get(address: SocketAddr, path: &str) -> anyhow::Result<(u16, String)> {
    let exchange = async {
        let mut stream = TcpStream::connect(address).await?;
        // HTTP/1.0: the answer is not cut into chunks, and ends with the connection.
        stream.write_all(format!("GET {path} HTTP/1.0\r\nhost: {address}\r\n\r\n").as_bytes()).await?;
        let mut answer = String::new();
        stream.read_to_string(&mut answer).await?;
        Ok::<_, std::io::Error>(answer)
    };
    let answer = tokio::time::timeout(ANSWER, exchange).await.context("no answer")??;
    let (head, body) = answer.split_once("\r\n\r\n").context("an answer without a body")?;
    let status = head
        .split(' ')
        .nth(1)
        .and_then(|status| status.parse().ok())
        .context("an answer without a status")?;
    Ok((status, body.to_owned()))
}

//! The processes of the fleet, each with proxies of its own to the servers.

use std::{
    collections::BTreeMap,
    net::{Ipv4Addr, SocketAddr},
    path::{Path, PathBuf},
    time::{Duration, Instant},
};

use anyhow::{Context, bail};
use loadtest::proxy::{Mode, Proxy, Upstream};
use rustix::process::Signal;
use secrecy::SecretString;
use tokio::sync::{Mutex, MutexGuard};

use super::{
    fault::{Line, Member, Role},
    process::{Launch, Process, free_port, tail},
    servers::Servers,
};

/// How long a process may take until it is ready.
const READY: Duration = Duration::from_secs(30);

/// How long a process may take to end after SIGTERM: what the fleet promises, and a little for a busy machine.
const GRACE: Duration = Duration::from_secs(28);

/// The slots of a worker.
const LANES: &str = "interactive=4,normal=8,bulk=4";

/// What a process is told of the world.
pub struct Surroundings {
    pub syncfleet: PathBuf,
    pub logs: PathBuf,
    /// Further settings of all processes.
    pub env: Vec<(String, String)>,
}

impl Surroundings {
    /// The setting of the key ring.
    pub fn keys(&self) -> anyhow::Result<SecretString> {
        let found = self.env.iter().find(|(name, _)| name == "SYNCFLEET_KEYS");
        Ok(found.context("the fleet has no key ring")?.1.as_str().into())
    }
}

/// All processes.
pub struct Fleet {
    units: BTreeMap<Member, Unit>,
    /// Where the outside calls: in front of all ingresses.
    outside: Proxy,
    http: reqwest::Client,
}

/// One process, and what belongs to its name.
pub struct Unit {
    pub member: Member,
    postgres: Proxy,
    redis: Proxy,
    admin: SocketAddr,
    launch: Launch,
    process: Mutex<Option<Process>>,
    turn: Mutex<()>,
}

impl Fleet {
    /// Starts all processes, and waits until they are ready.
    pub async fn start(servers: &Servers, around: &Surroundings) -> anyhow::Result<Self> {
        let mut ingresses = BTreeMap::new();
        for member in Member::ALL.into_iter().filter(|member| member.role == Role::Ingress) {
            ingresses.insert(member, SocketAddr::from((Ipv4Addr::LOCALHOST, free_port()?)));
        }
        let upstream = Upstream::Balanced(ingresses.values().map(ToString::to_string).collect());
        let outside = Proxy::start(upstream).await?;
        let mut units = BTreeMap::new();
        for member in Member::ALL {
            let mut env = vec![("SYNCFLEET_PUBLIC_URL".to_owned(), format!("http://{}", outside.addr()))];
            let public = ingresses.get(&member);
            env.extend(public.map(|addr| ("SYNCFLEET_PUBLIC_ADDR".to_owned(), addr.to_string())));
            units.insert(member, Unit::new(member, servers, around, env).await?);
        }
        // Another provider may have been chosen already.
        let _ = rustls::crypto::ring::default_provider().install_default();
        let http = reqwest::Client::builder().timeout(Duration::from_secs(2)).build()?;
        let fleet = Self { units, outside, http };
        fleet.start_all().await?;
        Ok(fleet)
    }

    /// Starts all processes, none of which runs, and waits until they are ready.
    pub async fn start_all(&self) -> anyhow::Result<()> {
        for unit in self.units.values() {
            unit.start().await?;
        }
        self.wait_ready().await
    }

    pub fn unit(&self, member: Member) -> anyhow::Result<&Unit> {
        self.units.get(&member).with_context(|| format!("there is no {member}"))
    }

    pub fn units(&self) -> impl Iterator<Item = &Unit> {
        self.units.values()
    }

    /// The way from outside to the ingresses.
    pub const fn outside(&self) -> &Proxy {
        &self.outside
    }

    /// Takes all faults of all connections away.
    pub fn calm(&self) {
        for unit in self.units.values() {
            unit.calm();
        }
        self.outside.set(Mode::Forward);
    }

    /// Waits until every process is ready; starts none that has ended.
    pub async fn wait_ready(&self) -> anyhow::Result<()> {
        let began = Instant::now();
        for unit in self.units.values() {
            while !self.is_ready(unit).await {
                let ended = unit.process.lock().await.as_mut().and_then(Process::has_ended);
                if ended.is_some() || began.elapsed() > READY {
                    let said = tail(&unit.launch.log);
                    bail!("{} is not ready ({ended:?}); its log ends with:\n{said}", unit.member);
                }
                tokio::time::sleep(Duration::from_millis(100)).await;
            }
        }
        Ok(())
    }

    async fn is_ready(&self, unit: &Unit) -> bool {
        let answer = self.http.get(format!("http://{}/readyz", unit.admin)).send().await;
        answer.is_ok_and(|answer| answer.status().is_success())
    }

    /// Whether a process says that the bell is up; none: it did not answer.
    pub async fn bell_is_up(&self, unit: &Unit) -> Option<bool> {
        let answer = self.http.get(format!("http://{}/metrics", unit.admin)).send().await.ok()?;
        let text = answer.text().await.ok()?;
        let value = text.lines().find_map(|line| line.strip_prefix("syncfleet_bell_up "))?;
        Some(value.trim().parse::<f64>().ok()? > 0.5)
    }

    /// Ends all processes with SIGTERM, and says which did not end well.
    pub async fn stop(&self) -> Vec<String> {
        for unit in self.units.values() {
            unit.calm();
            if let Some(process) = &*unit.process.lock().await {
                // A process that is stopped hears nothing else.
                let _ = process.signal(Signal::CONT);
                let _ = process.signal(Signal::TERM);
            }
        }
        let mut bad = Vec::new();
        for unit in self.units.values() {
            if let Some(mut process) = unit.process.lock().await.take() {
                match process.ended(GRACE).await {
                    Ok(status) if status.success() => {}
                    Ok(status) => bad.push(format!("{} ended with {status} after SIGTERM", unit.member)),
                    Err(error) => {
                        bad.push(format!("{error:#} after SIGTERM"));
                        process.end(Signal::KILL, Duration::from_secs(5)).await;
                    }
                }
            }
        }
        bad
    }
}

impl Unit {
    async fn new(
        member: Member,
        servers: &Servers,
        around: &Surroundings,
        mut env: Vec<(String, String)>,
    ) -> anyhow::Result<Self> {
        let to = |port: u16| Upstream::Tcp(format!("127.0.0.1:{port}"));
        let postgres = Proxy::start(to(servers.postgres.port)).await?;
        let redis = Proxy::start(to(servers.redis.port)).await?;
        let admin = SocketAddr::from((Ipv4Addr::LOCALHOST, free_port()?));
        let args: &[&str] = match member.role {
            Role::Scheduler => &["scheduler"],
            Role::Worker => &["worker", "--lanes", LANES],
            Role::Ingress => &["ingress"],
        };
        env.extend(around.env.iter().cloned());
        env.push(("DATABASE_URL".to_owned(), servers.postgres.url(postgres.addr().port())));
        env.push(("REDIS_URL".to_owned(), format!("redis://{}", redis.addr())));
        env.push(("SYNCFLEET_ADMIN_ADDR".to_owned(), admin.to_string()));
        let launch = Launch {
            name: member.to_string(),
            program: around.syncfleet.clone(),
            args: args.iter().map(|arg| (*arg).to_owned()).collect(),
            env,
            owner: None,
            log: around.logs.join(format!("{member}.log")),
        };
        Ok(Self { member, postgres, redis, admin, launch, process: Mutex::new(None), turn: Mutex::default() })
    }

    /// Waits until what was done to the process before is done, and keeps others waiting: on a busy machine it may take far longer to
    /// end than the plan thinks, and one that has not been started again cannot be stopped.
    pub async fn turn(&self) -> MutexGuard<'_, ()> {
        self.turn.lock().await
    }

    /// Its log, over all its starts.
    pub fn log(&self) -> &Path {
        &self.launch.log
    }

    pub fn line(&self, line: Line) -> &Proxy {
        match line {
            Line::Postgres => &self.postgres,
            Line::Redis => &self.redis,
        }
    }

    /// Takes all faults of its connections away.
    pub fn calm(&self) {
        self.postgres.set(Mode::Forward);
        self.redis.set(Mode::Forward);
    }

    /// The process id; none: it does not run.
    pub async fn pid(&self) -> Option<u32> {
        self.process.lock().await.as_ref().and_then(Process::pid)
    }

    /// Sends a signal. An error where the process has ended, which none does by itself.
    pub async fn signal(&self, signal: Signal) -> anyhow::Result<()> {
        let mut process = self.process.lock().await;
        let process = process.as_mut().with_context(|| format!("{} does not run", self.member))?;
        if let Some(status) = process.has_ended() {
            bail!("{} has ended by itself with {status}", self.member);
        }
        process.signal(signal)
    }

    /// Ends the process with SIGTERM, which must go well and in time.
    pub async fn end(&self) -> anyhow::Result<()> {
        self.signal(Signal::TERM).await?;
        let Some(mut process) = self.process.lock().await.take() else { return Ok(()) };
        match process.ended(GRACE).await {
            Ok(status) if status.success() => Ok(()),
            Ok(status) => bail!("{} ended with {status} after SIGTERM", self.member),
            Err(error) => {
                process.end(Signal::KILL, Duration::from_secs(5)).await;
                Err(error.context("after SIGTERM"))
            }
        }
    }

    /// Kills the process.
    pub async fn kill(&self) -> anyhow::Result<()> {
        self.signal(Signal::KILL).await?;
        if let Some(mut process) = self.process.lock().await.take() {
            process.ended(Duration::from_secs(5)).await?;
        }
        Ok(())
    }

    /// Starts the process anew.
    pub async fn start(&self) -> anyhow::Result<()> {
        *self.process.lock().await = Some(self.launch.start()?);
        Ok(())
    }
}

//! A private PostgreSQL and a private Redis, which may be ended and started again.

use std::{
    fs,
    os::unix::fs::{PermissionsExt, chown},
    path::{Path, PathBuf},
    time::{Duration, Instant},
};

use anyhow::{Context, bail};
use rand::RngExt;
use rustix::process::Signal;
use sqlx::{Connection, PgConnection, PgPool, postgres::PgPoolOptions};
use tokio::sync::Mutex;

use super::process::{Launch, Process, free_port, tail};

/// How long a server may take until it answers.
const START: Duration = Duration::from_secs(40);

/// The two servers.
pub struct Servers {
    pub postgres: Postgres,
    pub redis: Redis,
}

impl Servers {
    /// Starts both, with their data in `folder` and their logs in `logs`.
    pub async fn start(folder: &Path, logs: &Path, programs: Option<&Path>) -> anyhow::Result<Self> {
        Ok(Self {
            postgres: Postgres::start(folder, logs, programs).await?,
            redis: Redis::start(folder, logs).await?,
        })
    }

    /// Ends both.
    pub async fn stop(&self) {
        if let Some(process) = self.postgres.process.lock().await.take() {
            process.end(Signal::INT, Duration::from_secs(10)).await;
        }
        if let Some(process) = self.redis.process.lock().await.take() {
            process.end(Signal::TERM, Duration::from_secs(5)).await;
        }
    }
}

/// A PostgreSQL cluster of its own.
pub struct Postgres {
    launch: Launch,
    password: String,
    pub port: u16,
    process: Mutex<Option<Process>>,
}

impl Postgres {
    async fn start(folder: &Path, logs: &Path, programs: Option<&Path>) -> anyhow::Result<Self> {
        let programs = programs.map(Path::to_owned).or_else(newest_programs);
        // Where none are known, the search path is asked.
        let program = |name: &str| programs.as_ref().map_or_else(|| name.into(), |folder| folder.join(name));
        let owner = unprivileged()?;
        let data = folder.join("postgres");
        let password: String = format!("{:032x}", rand::rng().random::<u128>());
        let password_file = folder.join("password");
        fs::create_dir(&data).with_context(|| format!("cannot make {}", data.display()))?;
        fs::write(&password_file, &password).context("cannot write PostgreSQL's password")?;
        fs::set_permissions(&password_file, fs::Permissions::from_mode(0o600))?;
        if let Some((user, group)) = owner {
            chown(&data, Some(user), Some(group)).context("cannot give PostgreSQL its folder")?;
            chown(&password_file, Some(user), Some(group))?;
        }
        let text = |path: &Path| path.display().to_string();
        let init = Launch {
            name: "initdb".to_owned(),
            program: program("initdb"),
            args: [
                "-D",
                &text(&data),
                "-U",
                "syncfleet",
                "-E",
                "UTF8",
                "--locale=C",
                "--no-sync",
                "--auth=password",
                "--pwfile",
                &text(&password_file),
            ]
            .map(str::to_owned)
            .to_vec(),
            env: Vec::new(),
            owner,
            log: logs.join("initdb.log"),
        };
        init.run(START).await?;
        let port = free_port()?;
        // It is the process that crashes and not the machine: what was written needs no disk to survive it.
        let args = [
            "-D",
            &text(&data),
            "-k",
            "",
            "-p",
            &port.to_string(),
            "-c",
            "listen_addresses=127.0.0.1",
            "-c",
            "max_connections=200",
            "-c",
            "fsync=off",
            // So it is seen which lock was waited for, and by whom.
            "-c",
            "log_lock_waits=on",
            "-c",
            "log_line_prefix=%m [%p] %a ",
        ]
        .map(str::to_owned)
        .to_vec();
        let launch = Launch {
            name: "postgres".to_owned(),
            program: program("postgres"),
            args,
            env: Vec::new(),
            owner,
            log: logs.join("postgres.log"),
        };
        let postgres = Self { launch, password, port, process: Mutex::new(None) };
        postgres.run().await?;
        let mut db = PgConnection::connect(&postgres.url_to("postgres", port)).await?;
        sqlx::raw_sql("create database syncfleet").execute(&mut db).await?;
        db.close().await?;
        Ok(postgres)
    }

    /// The database's address by way of `port`.
    pub fn url(&self, port: u16) -> String {
        self.url_to("syncfleet", port)
    }

    fn url_to(&self, database: &str, port: u16) -> String {
        format!("postgres://syncfleet:{}@127.0.0.1:{port}/{database}?sslmode=disable", self.password)
    }

    /// A few connections that go round all faults.
    pub fn pool(&self) -> anyhow::Result<PgPool> {
        Ok(PgPoolOptions::new()
            .max_connections(4)
            .acquire_timeout(Duration::from_secs(3))
            .connect_lazy(&self.url(self.port))?)
    }

    /// Puts the clock of due times forward, by so many hours in all, for connections that are made from now on.
    pub async fn shift_clock(&self, hours: u32) -> anyhow::Result<()> {
        let mut db = PgConnection::connect(&self.url_to("postgres", self.port)).await?;
        let shift = format!("alter database syncfleet set syncfleet.clock_shift = '{hours} hours'");
        sqlx::raw_sql(sqlx::AssertSqlSafe(shift)).execute(&mut db).await?;
        Ok(db.close().await?)
    }

    /// Starts it, and waits until it answers.
    pub async fn run(&self) -> anyhow::Result<()> {
        let mut process = self.launch.start()?;
        let began = Instant::now();
        loop {
            let answers = tokio::time::timeout(Duration::from_secs(2), async {
                PgConnection::connect(&self.url_to("postgres", self.port)).await?.ping().await
            });
            if matches!(answers.await, Ok(Ok(()))) {
                break;
            }
            if process.has_ended().is_some() || began.elapsed() > START {
                bail!("PostgreSQL does not start:\n{}", tail(&self.launch.log));
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        *self.process.lock().await = Some(process);
        Ok(())
    }

    /// Ends it at once, without a checkpoint: the next start recovers.
    pub async fn crash(&self) {
        if let Some(process) = self.process.lock().await.take() {
            process.end(Signal::QUIT, Duration::from_secs(10)).await;
        }
    }
}

/// The newest that the distribution has installed.
fn newest_programs() -> Option<PathBuf> {
    let versions = fs::read_dir("/usr/lib/postgresql").ok()?.filter_map(Result::ok);
    let numbered =
        versions.filter_map(|entry| Some((entry.file_name().to_str()?.parse::<u32>().ok()?, entry)));
    let (_, newest) = numbered.max_by_key(|(version, _)| *version)?;
    Some(newest.path().join("bin"))
}

/// Whom PostgreSQL runs as, because it refuses root; none: as whom we run.
fn unprivileged() -> anyhow::Result<Option<(u32, u32)>> {
    if !rustix::process::geteuid().is_root() {
        return Ok(None);
    }
    let users = fs::read_to_string("/etc/passwd").context("cannot read /etc/passwd")?;
    let ids = |name: &str| {
        users.lines().find_map(|line| {
            let mut fields = line.split(':');
            (fields.next() == Some(name)).then_some(())?;
            Some((fields.nth(1)?.parse().ok()?, fields.next()?.parse().ok()?))
        })
    };
    let found = ids("postgres").or_else(|| ids("nobody"));
    Ok(Some(found.context("PostgreSQL refuses root, and there is no user postgres or nobody to run it as")?))
}

/// A Redis that keeps nothing.
pub struct Redis {
    launch: Launch,
    pub port: u16,
    process: Mutex<Option<Process>>,
}

impl Redis {
    async fn start(folder: &Path, logs: &Path) -> anyhow::Result<Self> {
        let port = free_port()?;
        let launch = Launch {
            name: "redis".to_owned(),
            program: "redis-server".into(),
            args: [
                "--port",
                &port.to_string(),
                "--bind",
                "127.0.0.1",
                "--dir",
                &folder.display().to_string(),
                "--save",
                "",
                "--appendonly",
                "no",
            ]
            .map(str::to_owned)
            .to_vec(),
            env: Vec::new(),
            owner: None,
            log: logs.join("redis.log"),
        };
        let redis = Self { launch, port, process: Mutex::new(None) };
        redis.run().await?;
        Ok(redis)
    }

    /// Starts it, and waits until it answers.
    pub async fn run(&self) -> anyhow::Result<()> {
        let mut process = self.launch.start()?;
        let began = Instant::now();
        while self.tell("PING").await.is_err() {
            if process.has_ended().is_some() || began.elapsed() > START {
                bail!("Redis does not start:\n{}", tail(&self.launch.log));
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        *self.process.lock().await = Some(process);
        Ok(())
    }

    /// Ends it.
    pub async fn end(&self) {
        if let Some(process) = self.process.lock().await.take() {
            process.end(Signal::KILL, Duration::from_secs(5)).await;
        }
    }

    /// Forgets everything.
    pub async fn flush(&self) -> anyhow::Result<()> {
        self.tell("FLUSHALL").await
    }

    async fn tell(&self, command: &str) -> anyhow::Result<()> {
        let client = redis::Client::open(format!("redis://127.0.0.1:{}", self.port))?;
        let answer = async {
            let mut connection = client.get_multiplexed_async_connection().await?;
            redis::cmd(command).exec_async(&mut connection).await
        };
        tokio::time::timeout(Duration::from_secs(2), answer)
            .await
            .with_context(|| format!("Redis did not answer to {command}"))??;
        Ok(())
    }
}

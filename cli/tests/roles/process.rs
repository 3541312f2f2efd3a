//! Processes under test: started with few settings, looked at from outside, ended by their own id.

use std::{
    fs,
    net::{Ipv4Addr, SocketAddr},
    os::unix::process::ExitStatusExt as _,
    process::{Child, Command, Stdio},
    time::{Duration, Instant},
};

use rustix::process::{Pid, Signal, kill_process};
use sqlx::{ConnectOptions as _, PgPool};
use tempfile::NamedTempFile;
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::{TcpListener, TcpStream},
};

/// The longest that anything may take that is not measured: machines that test are busy.
pub const LIMIT: Duration = Duration::from_mins(1);

/// The program with its settings.
#[derive(Clone, Default)]
pub struct Program {
    env: Vec<(String, String)>,
}

/// A running process.
pub struct Process {
    child: Child,
    log: NamedTempFile,
    pub admin: SocketAddr,
    pub public: SocketAddr,
}

/// How a process ended.
#[derive(Debug)]
pub struct Ended {
    /// The exit code, or 128 and the signal's number.
    pub code: i32,
    pub log: String,
}

/// The URL of the test's database.
pub fn url(db: &PgPool) -> String {
    db.connect_options().to_url_lossy().to_string()
}

/// The URL of the test's database behind another address.
pub fn url_at(db: &PgPool, address: SocketAddr) -> String {
    let options = (*db.connect_options()).clone().host(&address.ip().to_string()).port(address.port());
    options.to_url_lossy().to_string()
}

impl Program {
    pub fn with(db: &PgPool) -> Self {
        Self::default().env("DATABASE_URL", &url(db))
    }

    pub fn env(mut self, name: &str, value: &str) -> Self {
        self.env.push((name.to_owned(), value.to_owned()));
        self
    }

    /// With more settings.
    pub fn envs<const N: usize>(self, settings: [(&'static str, String); N]) -> Self {
        settings.into_iter().fold(self, |program, (name, value)| program.env(name, &value))
    }

    /// Starts it on free ports.
    pub async fn start(&self, args: &[&str]) -> Process {
        let (admin, public) = (free().await, free().await);
        let log = NamedTempFile::new().unwrap();
        let child = Command::new(env!("CARGO_BIN_EXE_syncfleet"))
            .args(args)
            .env_clear()
            .env("PATH", "/usr/local/bin:/usr/bin:/bin")
            .env("SYNCFLEET_ADMIN_ADDR", admin.to_string())
            .env("SYNCFLEET_PUBLIC_ADDR", public.to_string())
            .envs(self.env.iter().map(|(name, value)| (name, value)))
            .stdin(Stdio::null())
            .stdout(append(&log))
            .stderr(append(&log))
            .spawn()
            .unwrap();
        Process { child, log, admin, public }
    }

    /// Runs it to its end.
    pub async fn run(&self, args: &[&str]) -> Ended {
        self.start(args).await.ended(LIMIT).await
    }

    /// Runs it, and expects success.
    pub async fn ok(&self, args: &[&str]) -> String {
        let ended = self.run(args).await;
        assert_eq!(ended.code, 0, "{args:?}: {}", ended.log);
        ended.log
    }

    /// Runs it and expects that exit code and those words.
    pub async fn refused(&self, args: &[&str], code: i32, words: &[&str]) -> Ended {
        let ended = self.run(args).await;
        assert_eq!(ended.code, code, "{args:?}: {}", ended.log);
        for word in words {
            assert!(ended.log.contains(word), "{args:?}: {word:?} is missing: {}", ended.log);
        }
        for noise in ["panicked", "RUST_BACKTRACE", "Error {", "Some("] {
            assert!(!ended.log.contains(noise), "{args:?}: {}", ended.log);
        }
        ended
    }
}

/// Standard output and standard error write to one file, each after the other.
fn append(log: &NamedTempFile) -> fs::File {
    fs::OpenOptions::new().append(true).open(log.path()).unwrap()
}

impl Process {
    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    pub fn log(&self) -> String {
        fs::read_to_string(self.log.path()).unwrap()
    }

    /// How often the log says it.
    pub fn said(&self, words: &str) -> usize {
        self.log().lines().filter(|line| line.contains(words)).count()
    }

    pub fn signal(&self, signal: Signal) {
        kill_process(Pid::from_child(&self.child), signal).unwrap();
    }

    pub fn is_running(&mut self) -> bool {
        self.child.try_wait().unwrap().is_none()
    }

    /// Asks the admin listener; none: it did not answer.
    pub async fn get(&self, path: &str) -> Option<(u16, String)> {
        get(self.admin, path).await
    }

    /// The status of a page of the admin listener; 0: it did not answer.
    pub async fn status(&self, path: &str) -> u16 {
        self.get(path).await.map_or(0, |(status, _)| status)
    }

    /// The sum of a metric's values over all its labels that contain `label`; none: it is not told.
    pub async fn metric(&self, name: &str, label: &str) -> Option<f64> {
        let (_, text) = self.get("/metrics").await?;
        let of_name = |line: &&str| line.split(['{', ' ']).next() == Some(name) && line.contains(label);
        let values: Vec<f64> = text
            .lines()
            .filter(of_name)
            .map(|line| line.rsplit(' ').next().unwrap().parse().unwrap())
            .collect();
        (!values.is_empty()).then(|| values.iter().sum())
    }

    /// Waits until it is ready.
    pub async fn ready(&mut self) {
        let began = Instant::now();
        while self.status("/readyz").await != 200 {
            assert!(self.is_running(), "it ended: {}", self.log());
            assert!(began.elapsed() < LIMIT, "not ready: {}", self.log());
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }

    /// Waits for its end.
    pub async fn ended(mut self, limit: Duration) -> Ended {
        let began = Instant::now();
        loop {
            if let Some(status) = self.child.try_wait().unwrap() {
                let code = status.code().or(status.signal().map(|signal| 128 + signal)).unwrap();
                return Ended { code, log: self.log() };
            }
            assert!(began.elapsed() < limit, "it does not end within {limit:?}: {}", self.log());
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        // It may have ended already.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Waits until the condition holds.
pub async fn until(what: &str, limit: Duration, mut holds: impl AsyncFnMut() -> bool) {
    let began = Instant::now();
    while !holds().await {
        assert!(began.elapsed() < limit, "not within {limit:?}: {what}");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

pub async fn get(address: SocketAddr, path: &str) -> Option<(u16, String)> {
    let asked = tokio::time::timeout(Duration::from_secs(5), async {
        let mut stream = TcpStream::connect(address).await.ok()?;
        stream.write_all(format!("GET {path} HTTP/1.0\r\n\r\n").as_bytes()).await.ok()?;
        let mut text = String::new();
        stream.read_to_string(&mut text).await.ok()?;
        let (head, body) = text.split_once("\r\n\r\n")?;
        let status = head.split(' ').nth(1)?.parse().ok()?;
        Some((status, body.to_owned()))
    });
    asked.await.ok()?
}

/// An address that nobody listens on now.
pub async fn free() -> SocketAddr {
    TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap().local_addr().unwrap()
}

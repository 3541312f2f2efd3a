//! `up`: everything in one process.

mod name;

use std::{
    collections::BTreeSet,
    fs,
    net::SocketAddr,
    os::unix::fs::PermissionsExt as _,
    path::{Path, PathBuf},
    process::Command,
    time::{Duration, Instant},
};

use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;
use shared::store::PgPool;
use sqlx::{Connection as _, PgConnection};
use tempfile::TempDir;
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpStream,
};

use crate::{
    process::{LIMIT, Process, Program, get, until},
    work,
};

/// A data folder that the user of `PostgreSQL` can reach.
struct Data {
    place: TempDir,
    folder: PathBuf,
}

impl Data {
    fn new() -> Self {
        let place = TempDir::new().unwrap();
        fs::set_permissions(place.path(), fs::Permissions::from_mode(0o755)).unwrap();
        let folder = place.path().canonicalize().unwrap().join("data");
        Self { place, folder }
    }

    fn path(&self) -> &str {
        self.folder.to_str().unwrap()
    }

    async fn up(&self, more: &[&str]) -> Process {
        Program::default().start(&[&["up", "--data", self.path()], more].concat()).await
    }

    /// The private server's process id, as long as it runs.
    fn postgres(&self) -> Option<Pid> {
        let text = fs::read_to_string(self.folder.join("cluster/postmaster.pid")).ok()?;
        let pid: i32 = text.lines().next()?.parse().ok()?;
        let words = fs::read_to_string(format!("/proc/{pid}/cmdline")).ok()?;
        words.contains(self.path()).then(|| Pid::from_raw(pid)).flatten()
    }

    /// Runs a line in a shell that has read the environment file.
    fn shell(&self, line: &str) -> (i32, String) {
        let env = self.folder.join("env");
        let output = Command::new("bash")
            .args(["-c", &format!("source {} && {line}", env.display())])
            .env_clear()
            .env("PATH", "/usr/bin:/bin")
            .output()
            .unwrap();
        let text = [output.stdout, output.stderr].concat();
        (output.status.code().unwrap(), String::from_utf8(text).unwrap())
    }

    async fn connect(&self) -> PgConnection {
        let (_, url) = self.shell("printf %s \"$DATABASE_URL\"");
        PgConnection::connect(&url).await.unwrap()
    }
}

impl Drop for Data {
    fn drop(&mut self) {
        // Only after a failed test, or a killed `up`, is there one.
        if let Some(postgres) = self.postgres() {
            let _ = kill_process(postgres, Signal::QUIT);
        }
        assert!(self.folder.starts_with(self.place.path().canonicalize().unwrap_or_default()));
    }
}

#[tokio::test]
async fn it_starts_its_own_server_again_for_who_has_sourced_its_environment() {
    let data = Data::new();
    let mut up = data.up(&[]).await;
    up.ready().await;
    until("it says where to look", LIMIT, async || up.said("syncfleet is up") == 1).await;
    let (_, url) = data.shell("printf %s \"$DATABASE_URL\"");
    let first = data.postgres().unwrap();
    up.signal(Signal::KILL);
    up.ended(LIMIT).await;
    kill_process(first, Signal::KILL).unwrap();
    until("its server is gone", LIMIT, async || data.postgres().is_none()).await;

    let program = Program::default().env("DATABASE_URL", &url);
    let mut up = program.start(&["up", "--data", data.path()]).await;
    up.ready().await;
    assert!(data.postgres().is_some_and(|server| server != first));
    up.signal(Signal::TERM);
    let ended = up.ended(LIMIT).await;
    assert_eq!(ended.code, 0, "{}", ended.log);
    assert!(data.postgres().is_none(), "it ends with it");
}

#[tokio::test]
async fn it_starts_with_nothing_and_ends_with_everything() {
    let data = Data::new();
    let mut up = data.up(&[]).await;
    up.ready().await;
    until("it says where to look", LIMIT, async || up.said("syncfleet is up") == 1).await;
    assert_eq!(get(up.public, "/healthz").await.unwrap().0, 200);
    let reach = format!("Routers call http://{}/nic/update, from this machine alone", up.public);
    for words in ["syncfleet dns address find echo", &reach] {
        assert_eq!(up.said(words), 1, "{words}: {}", up.log());
    }
    // Who wants names alone is not warned of Google.
    let log = up.log();
    let google: Vec<_> = log.lines().filter(|line| line.contains("no OAuth client")).collect();
    assert!(google.len() == 1 && google[0].contains("\"level\":\"INFO\""), "{log}");

    let (code, text) = data.shell(
        "syncfleet tenant add acme && syncfleet enqueue noop --key a --tenant acme --wait --timeout 30s",
    );
    assert_eq!(code, 0, "{text}");
    let (code, text) = data.shell("syncfleet job ls");
    assert!(code == 0 && text.contains("noop"), "{text}");
    let mode = |name: &str| fs::metadata(data.folder.join(name)).unwrap().permissions().mode() & 0o777;
    assert_eq!((mode("env"), mode("keys")), (0o600, 0o600));

    let second = Program::default();
    let pid = format!("pid {}", up.pid());
    second.refused(&["up", "--data", data.path()], 1, &["in use by another `syncfleet up`", &pid]).await;
    assert!(up.is_running());

    let postgres = data.postgres();
    assert!(postgres.is_some());
    up.signal(Signal::TERM);
    let ended = up.ended(Duration::from_secs(45)).await;
    assert_eq!(ended.code, 0, "{}", ended.log);
    assert_eq!(data.postgres(), None);
}

#[tokio::test]
async fn it_recovers_when_it_was_killed() {
    let data = Data::new();
    let mut up = data.up(&[]).await;
    up.ready().await;
    until("it says where to look", LIMIT, async || up.said("syncfleet is up") == 1).await;
    let (code, text) = data.shell(
        "syncfleet tenant add acme && syncfleet enqueue noop --key a --tenant acme --wait --timeout 30s",
    );
    assert_eq!(code, 0, "{text}");
    up.signal(Signal::KILL);
    assert_eq!(up.ended(LIMIT).await.code, 137);
    let left_behind = data.postgres();
    assert!(left_behind.is_some());

    let mut up = data.up(&[]).await;
    up.ready().await;
    until("it says where to look", LIMIT, async || up.said("syncfleet is up") == 1).await;
    assert_ne!(data.postgres(), left_behind);
    let (code, text) = data.shell("syncfleet enqueue noop --key a --wait --timeout 30s");
    assert_eq!(code, 0, "{text}");

    // Its server dies alone: it is started again.
    kill_process(data.postgres().unwrap(), Signal::KILL).unwrap();
    until("the job can be done again", LIMIT, async || {
        data.shell("syncfleet enqueue noop --key a --wait --timeout 5s").0 == 0
    })
    .await;
    assert!(up.is_running());
    up.signal(Signal::INT);
    let ended = up.ended(Duration::from_secs(45)).await;
    assert_eq!(ended.code, 0, "{}", ended.log);
    assert_eq!(data.postgres(), None);
}

#[tokio::test]
async fn a_signal_while_it_starts_leaves_nothing_behind() {
    let data = Data::new();
    let up = data.up(&[]).await;
    until("its server runs", LIMIT, async || data.postgres().is_some()).await;
    up.signal(Signal::TERM);
    let ended = up.ended(Duration::from_secs(45)).await;
    assert_eq!(ended.code, 0, "{}", ended.log);
    until("its server ends, too", LIMIT, async || data.postgres().is_none()).await;
}

#[tokio::test]
async fn the_demo_is_mirrored() {
    let data = Data::new();
    let began = Instant::now();
    let mut up = data.up(&["--demo"]).await;
    up.ready().await;
    until("it says where to look", LIMIT, async || up.said("syncfleet is up") == 1).await;
    let google = google(&up);
    let mut db = data.connect().await;
    ask(google, "DELETE", "/control/churn").await;
    let truth = truth(google).await;
    assert!(truth.len() > 100, "{}", truth.len());
    let mut mirrored = BTreeSet::new();
    while mirrored != truth {
        assert!(began.elapsed() < LIMIT * 2, "{} of {} events: {}", mirrored.len(), truth.len(), up.log());
        let rows: Vec<(String, String, String)> = sqlx::query_as(
            "select a.email, c.google_id, e.event_id
            from events e join calendars c on c.id = e.calendar_id join accounts a on a.id = e.account_id",
        )
        .fetch_all(&mut db)
        .await
        .unwrap();
        mirrored = rows.into_iter().collect();
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    eprintln!("{} events were mirrored {:?} after the start", truth.len(), began.elapsed());
    let (code, text) = data.shell("syncfleet calendar ls -o json");
    assert_eq!(code, 0, "{text}");
    assert_eq!(serde_json::from_str::<Value>(&text).unwrap().as_array().unwrap().len(), 9);
    // Lists, calendars, drives and channels begin at once, and their steps want one another's jobs.
    let deadlocks: i64 =
        sqlx::query_scalar("select deadlocks from pg_stat_database where datname = current_database()")
            .fetch_one(&mut db)
            .await
            .unwrap();
    assert_eq!(deadlocks, 0, "{}", up.log());
    drop(db);
    up.signal(Signal::TERM);
    let ended = up.ended(Duration::from_secs(45)).await;
    assert_eq!(ended.code, 0, "{}", ended.log);

    // The second start finds the accounts of the first.
    let mut up = data.up(&["--demo"]).await;
    up.ready().await;
    until("it says where to look", LIMIT, async || up.said("syncfleet is up") == 1).await;
    let accounts: i64 = sqlx::query_scalar("select count(*) from accounts")
        .fetch_one(&mut data.connect().await)
        .await
        .unwrap();
    assert_eq!(accounts, 3);
    up.signal(Signal::TERM);
    assert_eq!(up.ended(Duration::from_secs(45)).await.code, 0);
}

/// Where the demo's fake Google listens.
fn google(up: &Process) -> SocketAddr {
    let log = up.log();
    let line = log.lines().find(|line| line.contains("the demo has begun")).unwrap();
    let line: Value = serde_json::from_str(line).unwrap();
    line["google"].as_str().unwrap().trim_start_matches("http://").trim_end_matches('/').parse().unwrap()
}

async fn truth(google: SocketAddr) -> BTreeSet<(String, String, String)> {
    let rows: Value = serde_json::from_str(&ask(google, "GET", "/control/truth/rows").await).unwrap();
    let text = |row: &Value, name: &str| row[name].as_str().unwrap().to_owned();
    let rows = rows.as_array().unwrap().iter();
    rows.map(|row| (text(row, "account"), text(row, "calendar"), text(row, "event"))).collect()
}

async fn ask(google: SocketAddr, method: &str, path: &str) -> String {
    let mut stream = TcpStream::connect(google).await.unwrap();
    let request = format!("{method} {path} HTTP/1.1\r\nhost: {google}\r\nconnection: close\r\n\r\n");
    stream.write_all(request.as_bytes()).await.unwrap();
    let mut text = String::new();
    stream.read_to_string(&mut text).await.unwrap();
    let (head, body) = text.split_once("\r\n\r\n").unwrap();
    assert!(head.starts_with("HTTP/1.1 2"), "{method} {path}: {head}");
    body.to_owned()
}

#[sqlx::test(migrations = false)]
async fn servers_that_are_named_are_used(db: PgPool) {
    let data = Data::new();
    #[expect(clippy::disallowed_methods, reason = "the test's servers are named there")]
    let redis = std::env::var("REDIS_URL").unwrap();
    let program = Program::with(&db).env("REDIS_URL", &redis).env("SYNCFLEET_DATA", data.path());
    let mut up = program.start(&["up"]).await;
    up.ready().await;
    until("it says where to look", LIMIT, async || up.said("syncfleet is up") == 1).await;
    assert!(!Path::new(data.path()).join("cluster").exists());
    work::add(&db, 0, 10).await;
    work::done(&db, LIMIT).await;
    let clients = Command::new("redis-cli").args(["-u", &redis, "client", "list"]).output().unwrap();
    assert!(
        String::from_utf8(clients.stdout).unwrap().contains("cmd=blmpop"),
        "it waits at the bell in Redis"
    );
    let env = fs::read_to_string(data.folder.join("env")).unwrap();
    assert!(env.contains("REDIS_URL") && env.contains(db.connect_options().get_database().unwrap()), "{env}");
    up.signal(Signal::TERM);
    assert_eq!(up.ended(Duration::from_secs(45)).await.code, 0);
}

#[tokio::test]
async fn a_folder_that_cannot_be_used_is_told() {
    let data = Data::new();
    let file = data.place.path().join("file");
    fs::write(&file, "").unwrap();
    let foreign = data.place.path().join("foreign");
    fs::create_dir(&foreign).unwrap();
    fs::write(foreign.join("letter"), "dear").unwrap();
    let closed = data.place.path().join("closed");
    fs::create_dir(&closed).unwrap();
    fs::set_permissions(&closed, fs::Permissions::from_mode(0o700)).unwrap();
    let inside = closed.join("data");
    let mut bad: Vec<(PathBuf, &str)> = vec![
        (file.clone(), "--data"),
        (file.join("below"), "--data"),
        (foreign, "is not empty"),
        (PathBuf::from("/proc/nowhere"), "--data"),
    ];
    if rustix::process::geteuid().is_root() {
        bad.push((inside, "cannot enter"));
    }
    for (folder, word) in bad {
        let folder = folder.to_str().unwrap();
        Program::default().refused(&["up", "--data", folder], 1, &[word]).await;
    }
}

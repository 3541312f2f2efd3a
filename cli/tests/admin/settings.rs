use std::{
    io::{BufRead, BufReader, Write},
    net::{TcpListener, TcpStream},
    process::{Child, Command, Stdio},
    time::{Duration, Instant},
};

use serde_json::{Value, json};
use sqlx::PgPool;

use crate::program::Program;

/// A Redis of the test's own.
struct Redis {
    child: Child,
    port: u16,
    _dir: tempfile::TempDir,
}

impl Redis {
    fn start() -> Self {
        let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        let dir = tempfile::tempdir().unwrap();
        let child = Command::new("redis-server")
            .args(["--bind", "127.0.0.1", "--port", &port.to_string(), "--save", "", "--dir"])
            .arg(dir.path())
            .stdout(Stdio::null())
            .spawn()
            .unwrap();
        let redis = Self { child, port, _dir: dir };
        let deadline = Instant::now() + Duration::from_secs(10);
        while TcpStream::connect(("127.0.0.1", port)).is_err() {
            assert!(Instant::now() < deadline, "redis-server does not come up");
        }
        redis
    }

    /// A command's answer, if that is a number.
    fn ask(&self, command: &str) -> String {
        let mut stream = TcpStream::connect(("127.0.0.1", self.port)).unwrap();
        write!(stream, "{command}\r\n").unwrap();
        let mut line = String::new();
        BufReader::new(stream).read_line(&mut line).unwrap();
        line.trim().to_owned()
    }
}

impl Drop for Redis {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn check<'a>(report: &'a Value, setting: &str) -> &'a Value {
    report["checks"].as_array().unwrap().iter().find(|check| check["setting"] == setting).unwrap()
}

fn setting<'a>(report: &'a Value, name: &str) -> &'a Value {
    report["settings"].as_array().unwrap().iter().find(|setting| setting["name"] == name).unwrap()
}

#[sqlx::test(migrator = "shared::store::schema::MIGRATOR")]
async fn settings_are_shown_with_their_source_and_checked(db: PgPool) {
    let redis = Redis::start();
    let url = format!("redis://127.0.0.1:{}/0\n", redis.port);
    let program = Program::with(&db).env("REDIS_URL", &url).env("SYNCFLEET_RUNS_KEEP", "7days\n");
    let report = program.json(&["config", "check", "--admin-addr", "127.0.0.1:1234"]);
    assert_eq!(report["ok"], true, "{report}");
    assert!(check(&report, "REDIS_URL")["found"].as_str().unwrap().starts_with("reachable, version"));
    for (name, value, from) in [
        ("SYNCFLEET_ADMIN_ADDR", json!("127.0.0.1:1234"), "flag"),
        ("SYNCFLEET_PUBLIC_ADDR", json!("127.0.0.1:8080"), "default"),
        ("SYNCFLEET_LOG_FORMAT", json!("auto"), "default"),
        ("SYNCFLEET_RUNS_KEEP", json!("7days"), "environment"),
        ("SYNCFLEET_CHANGES_KEEP", json!("7days"), "default"),
        ("SYNCFLEET_WEBHOOK_ALLOW", json!(null), "unset"),
        ("SYNCFLEET_DNS_RESOLVERS", json!(null), "unset"),
        ("SYNCFLEET_DNS_ALLOW", json!(null), "unset"),
        ("SYNCFLEET_FEED_READERS", json!("20"), "default"),
        ("SYNCFLEET_TRUSTED_PROXIES", json!(null), "unset"),
        ("SYNCFLEET_CA_FILE", json!(null), "unset"),
        ("SYNCFLEET_GOOGLE_PROJECT", json!(null), "unset"),
        ("SYNCFLEET_GOOGLE_ISSUER", json!("https://accounts.google.com"), "default"),
        ("SYNCFLEET_KEYS", json!(null), "unset"),
    ] {
        let setting = setting(&report, name);
        assert_eq!((&setting["value"], &setting["from"]), (&value, &json!(from)), "{name}");
    }

    program.ok(&["tenant", "add", "acme"]);
    let rung = program.run(&["enqueue", "noop", "--key", "a", "--tenant", "acme"]);
    assert_eq!((rung.code, rung.stderr.as_str()), (0, ""));
    assert_eq!(redis.ask("LLEN syncfleet:bell:interactive"), ":1");
}

#[sqlx::test(migrator = "shared::store::schema::MIGRATOR")]
async fn an_absent_redis_stops_no_want(db: PgPool) {
    let program = Program::with(&db).env("REDIS_URL", "redis://127.0.0.1:1");
    program.ok(&["tenant", "add", "acme"]);
    let wanted = program.run(&["enqueue", "noop", "--key", "a", "--tenant", "acme"]);
    assert_eq!(wanted.code, 0, "{wanted:?}");
    assert!(wanted.stderr.contains("Redis does not answer (REDIS_URL)"), "{wanted:?}");
}

#[test]
fn what_is_wrong_is_named_and_no_secret_is_shown() {
    let program = Program::bare()
        .env("DATABASE_URL", "postgres://u:hunter2@127.0.0.1:1/d")
        .env("REDIS_URL", "redis://:hunter2@127.0.0.1:1")
        .env("SYNCFLEET_KEYS", "hunter2")
        .env("SYNCFLEET_GOOGLE_CLIENT_SECRET", "hunter2");
    for format in ["table", "json"] {
        let ended = program.run(&["config", "check", "-o", format]);
        assert_eq!(ended.code, 1, "{ended:?}");
        assert!(!format!("{ended:?}").contains("hunter2"), "{ended:?}");
        assert!(ended.stdout.contains("postgres://u:***@127.0.0.1:1/d"), "{}", ended.stdout);
        assert!(ended.stdout.contains("cannot reach the database"), "{}", ended.stdout);
        assert!(ended.stdout.contains("SYNCFLEET_GOOGLE_CLIENT_ID: not set"), "{}", ended.stdout);
    }
    let report: Value =
        serde_json::from_str(&program.run(&["config", "check", "-o", "json"]).stdout).unwrap();
    for wrong in ["DATABASE_URL", "REDIS_URL", "SYNCFLEET_KEYS", "SYNCFLEET_GOOGLE_CLIENT_ID"] {
        assert_eq!(check(&report, wrong)["ok"], false, "{wrong}");
    }
}

#[test]
fn a_wrong_value_names_its_variable() {
    for (name, value, why) in [
        ("SYNCFLEET_ADMIN_ADDR", "9090", "invalid socket address"),
        ("SYNCFLEET_LOG_FORMAT", "xml", "allowed are auto, text and json"),
        ("SYNCFLEET_RUNS_KEEP", "1h", "from 1day to 3650days"),
        ("SYNCFLEET_CHANGES_KEEP", "1h", "from 1day to 3650days"),
        ("SYNCFLEET_WEBHOOK_ALLOW", "10.0.0.0/33", "no network"),
        ("SYNCFLEET_DNS_RESOLVERS", "ns1.example.org", "not an address; allowed are 192.0.2.53"),
        ("SYNCFLEET_DNS_ALLOW", "home", "private or public"),
        ("SYNCFLEET_FEED_READERS", "0", "from 1 to 1000"),
        ("SYNCFLEET_TRUSTED_PROXIES", "10.0.0.0/8,proxy.example", "no network"),
        ("SYNCFLEET_DATABASE_CONNECTIONS", "0", "from 1 to 1000"),
        ("SYNCFLEET_GOOGLE_CALENDAR_PER_MINUTE", "0", "from 10 to 100000000"),
        ("SYNCFLEET_GOOGLE_CALENDAR_PER_USER_PER_MINUTE", "600/min", "from 10 to 100000000"),
        ("SYNCFLEET_GOOGLE_CALENDAR_PER_DAY", "-1", "from 10 to 100000000"),
        ("SYNCFLEET_GOOGLE_DRIVE_UNITS_PER_MINUTE", "3999", "from 4000 to 2000000000"),
        ("SYNCFLEET_GOOGLE_DRIVE_UNITS_PER_USER_PER_MINUTE", "many", "from 4000 to 2000000000"),
        ("SYNCFLEET_GOOGLE_DRIVE_UNITS_PER_DAY", "0", "from 4000 to 2000000000"),
        ("SYNCFLEET_GOOGLE_KEPT_FOR_PUSH", "100", "from 0 to 90"),
        ("SYNCFLEET_GOOGLE_KEPT_FOR_PUSH", "20%", "from 0 to 90"),
    ] {
        Program::bare().env(name, value).refused(&["config", "check"], 2, &[name, why]);
    }
    let program =
        Program::bare().env("DATABASE_URL", "postgres://127.0.0.1:1/d").env("REDIS_URL", "http://h");
    let report = program.run(&["config", "check"]);
    assert!(report.stdout.contains("not a Redis URL"), "{}", report.stdout);
    let report = program.env("SYNCFLEET_OBJECTS", "gs://files").run(&["config", "check"]);
    assert!(report.stdout.contains("a folder or s3://BUCKET[/PREFIX] is allowed"), "{}", report.stdout);
}

#[test]
fn help_shows_examples_and_exit_codes_and_shells_complete() {
    let program = Program::bare();
    assert!(program.ok(&["--help"]).contains("4  not done in time"));
    for noun in [
        "tenant",
        "kind",
        "lane",
        "enqueue",
        "job",
        "run",
        "worker",
        "quota",
        "account",
        "calendar",
        "event",
        "drive",
        "file",
        "dns",
        "feed",
        "webhook",
        "audit",
        "config",
        "completions",
    ] {
        assert!(program.ok(&[noun, "--help"]).contains("Examples:"), "{noun}");
    }
    for shell in ["bash", "zsh", "fish", "powershell", "elvish"] {
        assert!(program.ok(&["completions", shell]).contains("syncfleet"), "{shell}");
    }
    program.refused(&["completions", "cmd"], 2, &["possible values"]);
}

//! The hands from outside: the command line of the program under test, and a watch on what waits.

use std::{
    path::Path,
    process::Stdio,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use anyhow::{Context, bail};
use loadtest::fake_google::FakeGoogle;
use rand::RngExt;
use sqlx::PgPool;
use tokio::{io::AsyncWriteExt, process::Command};

use super::{fleet::Surroundings, observe, servers::Servers};

const TENANT: &str = "faults";

/// How long one command may take.
const COMMAND: Duration = Duration::from_secs(30);

/// Settings that all processes share.
pub fn settings(google: &FakeGoogle, objects: &Path) -> Vec<(String, String)> {
    // The base64 of 32 bytes: 43 digits, of which the last one tells four bits, and a sign that fills.
    const DIGITS: &[u8] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let mut rng = rand::rng();
    let key: String = (0..42).map(|_| char::from(DIGITS[rng.random_range(0..DIGITS.len())])).collect();
    let more = [
        ("SYNCFLEET_KEYS", format!("k1:{key}A=")),
        ("SYNCFLEET_OBJECTS", objects.display().to_string()),
        // BIND is here.
        ("SYNCFLEET_DNS_ALLOW", "127.0.0.1".to_owned()),
    ];
    google.settings().into_iter().chain(more).map(|(name, value)| (name.to_owned(), value)).collect()
}

/// The command line, with connections that no fault of the plan touches.
#[derive(Debug, Clone)]
pub struct Cli {
    program: std::path::PathBuf,
    env: Vec<(String, String)>,
}

impl Cli {
    pub fn new(servers: &Servers, around: &Surroundings) -> Self {
        let mut env = around.env.clone();
        env.push(("DATABASE_URL".to_owned(), servers.postgres.url(servers.postgres.port)));
        env.push(("REDIS_URL".to_owned(), format!("redis://127.0.0.1:{}", servers.redis.port)));
        Self { program: around.syncfleet.clone(), env }
    }

    /// Runs a command that must end well.
    pub async fn run(&self, args: &[&str]) -> anyhow::Result<()> {
        self.run_with(args, "").await
    }

    /// Runs a command that reads `input`.
    pub async fn run_with(&self, args: &[&str], input: &str) -> anyhow::Result<()> {
        let mut command = Command::new(&self.program);
        command.args(args).env_clear().envs(self.env.iter().cloned());
        command.stdin(Stdio::piped()).stdout(Stdio::null()).stderr(Stdio::piped()).kill_on_drop(true);
        let what = args.join(" ");
        let mut child = command.spawn().with_context(|| format!("cannot run syncfleet {what}"))?;
        let ended = async {
            if let Some(mut stdin) = child.stdin.take() {
                // One that ends without reading says why itself.
                let _ = stdin.write_all(input.as_bytes()).await;
            }
            child.wait_with_output().await
        };
        let output = tokio::time::timeout(COMMAND, ended)
            .await
            .with_context(|| format!("syncfleet {what} took longer than {COMMAND:?}"))??;
        if !output.status.success() {
            let said = String::from_utf8_lossy(&output.stderr);
            bail!("syncfleet {what} ended with {}: {}", output.status, said.trim());
        }
        Ok(())
    }
}

/// Makes a tenant with all accounts of the fake Google. The contents of all their files are wanted.
pub async fn add_accounts(cli: &Cli, google: &FakeGoogle) -> anyhow::Result<()> {
    cli.run(&["tenant", "add", TENANT]).await?;
    for (place, email) in emails(google).iter().enumerate() {
        // As the fake's seed names them.
        let token = format!("fake-refresh-{}", place + 1);
        cli.run_with(&["account", "add", "--tenant", TENANT, "--email", email], &token).await?;
        cli.run(&["drive", "mirror", "add", "--account", email]).await?;
    }
    Ok(())
}

/// Wants every drive every two seconds or so, as pushes would, and the lists of drives now and then. Calendars are wanted by
/// pushes.
pub async fn want_all_the_time(cli: Cli) {
    for round in 0_u64.. {
        let kind = if round.is_multiple_of(4) { "drive_list" } else { "drive_changes" };
        // While the database is away nobody can be told of a want.
        let _ = cli.run(&["enqueue", kind, "--all"]).await;
        tokio::time::sleep(Duration::from_millis(1500)).await;
    }
}

/// Wants some contents of an account no more, and then all of them again, one account after the other, until it is dropped.
pub async fn change_mirrors(cli: Cli, google: Arc<FakeGoogle>) {
    let emails = emails(&google);
    for email in emails.iter().cycle() {
        let all = ["drive", "mirror", "add", "--account", email];
        let some = [&all[..], &["--type", "application/pdf"]].concat();
        for args in [&some[..], &all] {
            // While the database is away nobody can be told.
            let _ = cli.run(args).await;
            tokio::time::sleep(Duration::from_secs(5)).await;
        }
    }
}

/// Wants all contents of all accounts, whatever was wanted before.
pub async fn want_all_contents(cli: &Cli, google: &FakeGoogle) -> anyhow::Result<()> {
    for email in emails(google) {
        cli.run(&["drive", "mirror", "add", "--account", &email]).await?;
    }
    Ok(())
}

fn emails(google: &FakeGoogle) -> Vec<String> {
    google.world().truth(None).into_iter().map(|account| account.email).collect()
}

/// The worst staleness that was seen.
#[derive(Debug, Clone, Default)]
pub struct Watch(Arc<Mutex<f64>>);

impl Watch {
    /// In seconds.
    pub fn worst(&self) -> f64 {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Looks at the staleness twice a second.
pub async fn watch(watch: Watch, db: PgPool) {
    loop {
        if let Ok(staleness) = observe::staleness(&db).await {
            let mut worst = watch.0.lock().unwrap_or_else(PoisonError::into_inner);
            *worst = worst.max(staleness);
        }
        tokio::time::sleep(Duration::from_millis(500)).await;
    }
}

/// Writes the engine's tables beside the logs, for whoever looks into a failure.
pub async fn dump(db: &PgPool, logs: &Path) {
    for table in [
        "jobs",
        "job_state",
        "gates",
        "workers",
        "runs",
        "calendars",
        "calendar_lists",
        "drives",
        "drive_lists",
        "files",
        "dns_address_families",
        "dns_records",
        "dns_record_families",
        "dns_history",
    ] {
        let query = sqlx::AssertSqlSafe(format!("select row_to_json(t)::text from {table} t"));
        let written = match sqlx::query_scalar::<_, String>(query).fetch_all(db).await {
            Ok(rows) => std::fs::write(logs.join(format!("{table}.jsonl")), rows.join("\n")),
            Err(error) => std::fs::write(logs.join(format!("{table}.error")), error.to_string()),
        };
        if let Err(error) = written {
            tracing::warn!("cannot write the table {table} to {}: {error}", logs.display());
        }
    }
}

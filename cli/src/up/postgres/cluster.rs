//! The cluster: its folder, its version, its making.

use std::fs::{self, OpenOptions};
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use sqlx::{Connection as _, PgConnection};

use super::binaries::Programs;
use super::error::{self, StartError};
use super::folder::make;
use super::log::last_lines;
use super::user::User;

/// The superuser of the private server.
pub const ROLE: &str = "syncfleet";
/// The database in it.
pub const DATABASE: &str = "syncfleet";

/// `initdb` takes a second or two; on a slow disk much longer.
const INITDB_WITHIN: Duration = Duration::from_mins(2);

/// Written to `postgresql.conf` once, so that an operator may change it there. Durable; sized for the queue of one
/// machine; hot rows are updated in place all the time, so the vacuum looks often and works without long naps.
const SETTINGS: &str = "
# syncfleet: a private server for one job queue. Yours to change; kept over upgrades.
fsync = on
synchronous_commit = on
full_page_writes = on
max_connections = 100
shared_buffers = 256MB
max_wal_size = 2GB
checkpoint_timeout = 15min
wal_compression = on
random_page_cost = 1.1
jit = off
autovacuum_naptime = 10s
autovacuum_vacuum_cost_limit = 2000
log_checkpoints = off
timezone = 'UTC'
log_timezone = 'UTC'
";

/// Where the cluster is.
pub fn folder(data: &Path) -> PathBuf {
    data.join("cluster")
}

/// The major version that made the cluster; `None` where there is none yet.
pub fn version(data: &Path) -> Result<Option<u32>, StartError> {
    let cluster = folder(data);
    if !cluster.try_exists().map_err(error::folder("read", &cluster))? {
        return Ok(None);
    }
    let file = cluster.join("PG_VERSION");
    let text = fs::read_to_string(&file).map_err(error::folder("read", &file))?;
    // `9.6` and older have two parts; they are too old for us anyway.
    let major = text.trim().split('.').next().unwrap_or_default().parse();
    major.map(Some).map_err(|_| StartError::BadVersion { file, text: text.trim().to_owned() })
}

/// Makes the cluster if there is none: beside its place, moved there when it is whole.
pub async fn create(data: &Path, user: &User, programs: &Programs) -> Result<(), StartError> {
    let cluster = folder(data);
    if cluster.exists() {
        return Ok(());
    }
    remove_partial(data);
    let partial = data.join(format!("cluster.partial.{}", std::process::id()));
    make(&partial, 0o700)?;
    user.own(&partial)?;
    let made = initdb(&partial, user, programs).await.and_then(|()| {
        let conf = partial.join("postgresql.conf");
        append(&conf, SETTINGS).map_err(error::folder("write", &conf))?;
        fs::rename(&partial, &cluster).map_err(error::folder("make", &cluster))
    });
    if made.is_err() {
        remove_partial(data);
    }
    made
}

fn append(path: &Path, text: &str) -> io::Result<()> {
    let mut file = OpenOptions::new().append(true).open(path)?;
    file.write_all(text.as_bytes())?;
    file.sync_all()
}

/// Removes what an interrupted start left behind.
fn remove_partial(data: &Path) {
    let Ok(entries) = fs::read_dir(data) else { return };
    for entry in entries.flatten() {
        if entry.file_name().to_string_lossy().starts_with("cluster.partial.")
            && let Err(error) = fs::remove_dir_all(entry.path())
        {
            tracing::warn!(path = %entry.path().display(), %error, "cannot remove an unfinished cluster");
        }
    }
}

async fn initdb(cluster: &Path, user: &User, programs: &Programs) -> Result<(), StartError> {
    let program = programs.initdb();
    let mut command = user.command(&program);
    command
        .arg("-D")
        .arg(cluster)
        .args(["-U", ROLE, "-E", "UTF8", "--locale=C", "--no-instructions"])
        // Whoever may enter the socket's folder is the server's own user (or root).
        .arg("--auth=trust")
        .stdin(Stdio::null())
        .kill_on_drop(true);
    let failed = |output: String| StartError::Initdb { cluster: cluster.to_owned(), output };
    let output = match tokio::time::timeout(INITDB_WITHIN, command.output()).await {
        Ok(Ok(output)) => output,
        Ok(Err(source)) => return Err(StartError::Program { program, user: user.name.clone(), source }),
        Err(_) => return Err(failed(format!("nothing for {} s", INITDB_WITHIN.as_secs()))),
    };
    if output.status.success() {
        return Ok(());
    }
    let text =
        format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    // The C locale of the child makes the words of the system stable.
    if text.contains("No space left on device") || text.contains("Disk quota exceeded") {
        return Err(StartError::DiskFull { folder: cluster.parent().unwrap_or(cluster).to_owned() });
    }
    Err(failed(last_lines(&text)))
}

/// Makes the database on a running server, unless it is there.
pub async fn create_database(url: &str) -> Result<(), StartError> {
    let create = async {
        let mut db = PgConnection::connect(url).await?;
        let there: bool = sqlx::query_scalar("select exists (select from pg_database where datname = $1)")
            .bind(DATABASE)
            .fetch_one(&mut db)
            .await?;
        if !there {
            sqlx::query("create database syncfleet").execute(&mut db).await?;
        }
        db.close().await
    };
    let within = Duration::from_mins(1);
    let outcome = tokio::time::timeout(within, create).await.unwrap_or_else(|_| {
        Err(sqlx::Error::Io(io::Error::new(io::ErrorKind::TimedOut, "no answer within a minute")))
    });
    outcome.map_err(|source| StartError::Database { name: DATABASE, source })
}

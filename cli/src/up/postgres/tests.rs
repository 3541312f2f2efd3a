//! The private server, on the real PostgreSQL of this machine.

mod download;
mod life;
mod refusals;

use std::ffi::OsStr;
use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

use sqlx::{Connection as _, PgConnection};
use tempfile::TempDir;

use super::{Options, Postgres, binaries};

/// A folder of a test, which other users may pass through.
struct Place {
    dir: TempDir,
    data: PathBuf,
}

fn place() -> Place {
    let dir = tempfile::tempdir().unwrap();
    fs::set_permissions(dir.path(), fs::Permissions::from_mode(0o711)).unwrap();
    let data = dir.path().canonicalize().unwrap().join("data");
    Place { dir, data }
}

fn options(data: &Path) -> Options {
    Options::new(data.to_owned(), OsStr::new("/usr/local/bin:/usr/bin"), None)
}

/// The folder of the installed programs.
async fn installed() -> PathBuf {
    let folders = binaries::folders(OsStr::new("/usr/local/bin:/usr/bin"));
    let found = binaries::find(&folders, Path::new("/nowhere"), None).await.unwrap();
    let postgres =
        found.expect("these tests need an installed PostgreSQL").postgres().canonicalize().unwrap();
    postgres.parent().unwrap().to_owned()
}

fn is_root() -> bool {
    rustix::process::geteuid().is_root()
}

async fn connect(url: &str) -> PgConnection {
    PgConnection::connect(url).await.unwrap()
}

/// The word in the one row of the table that [`write_word`] made.
async fn read_word(postgres: &Postgres) -> String {
    sqlx::query_scalar("select word from words").fetch_one(&mut connect(&postgres.url()).await).await.unwrap()
}

async fn write_word(postgres: &Postgres, word: &str) {
    let mut db = connect(&postgres.url()).await;
    sqlx::query("create table words (word text)").execute(&mut db).await.unwrap();
    sqlx::query("insert into words values ($1)").bind(word).execute(&mut db).await.unwrap();
    db.close().await.unwrap();
}

/// Waits until something holds, at most half a minute.
async fn until(what: &str, mut holds: impl FnMut() -> bool) {
    let deadline = Instant::now() + Duration::from_secs(30);
    while !holds() {
        assert!(Instant::now() < deadline, "in vain waited until {what}");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

fn log(data: &Path) -> String {
    fs::read_to_string(data.join("log/postgres.log")).unwrap()
}

/// A file system in memory, or `None` (said on the terminal) where this user may not mount one.
struct Tmpfs(PathBuf);

impl Tmpfs {
    fn mount(path: &Path, size: &str) -> Option<Self> {
        fs::create_dir_all(path).unwrap();
        let options = format!("size={size},mode=0711");
        let mounted = mount(&["-t", "tmpfs", "-o", &options, "tmpfs"], path);
        if !mounted {
            println!(
                "SKIPPED: this user cannot mount a tmpfs, so a full or read-only disk is not tested here"
            );
        }
        mounted.then(|| Self(path.to_owned()))
    }

    fn remount(&self, option: &str) {
        assert!(mount(&["-o", &format!("remount,{option}")], &self.0), "remount with {option}");
    }
}

fn mount(args: &[&str], path: &Path) -> bool {
    Command::new("mount").args(args).arg(path).status().is_ok_and(|status| status.success())
}

impl Drop for Tmpfs {
    fn drop(&mut self) {
        let _ = Command::new("umount").arg("-l").arg(&self.0).status();
    }
}

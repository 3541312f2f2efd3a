//! Finding the programs `postgres` and `initdb` on this machine.

use std::cmp::Reverse;
use std::ffi::OsStr;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use tokio::process::Command;

use super::cluster;
use super::error::{MIN_VERSION, StartError};

/// A folder that holds both programs, and their major version.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Programs {
    folder: PathBuf,
    /// PostgreSQL's major version.
    pub version: u32,
}

impl Programs {
    /// The server.
    pub fn postgres(&self) -> PathBuf {
        self.folder.join("postgres")
    }

    /// The program that makes a cluster.
    pub fn initdb(&self) -> PathBuf {
        self.folder.join("initdb")
    }
}

/// Where distributions put a server that is not on the search path: every folder in the first that begins with the
/// second, and in it the third. Newest version first.
const USUAL: [(&str, &str, &str); 8] = [
    ("/usr/lib/postgresql", "", "bin"),         // Debian, Ubuntu
    ("/usr", "pgsql-", "bin"),                  // PGDG packages for RHEL, Fedora
    ("/usr/lib", "postgresql", "bin"),          // SUSE
    ("/usr/lib64", "postgresql-", "bin"),       // Gentoo
    ("/usr/libexec", "postgresql", ""),         // Alpine
    ("/opt/homebrew/opt", "postgresql", "bin"), // Homebrew
    ("/usr/local/opt", "postgresql", "bin"),    // Homebrew on Intel
    ("/usr/local", "pgsql", "bin"),             // built from source
];

/// The folders to look into: those of the search path, then the usual ones.
pub fn folders(path: &OsStr) -> Vec<PathBuf> {
    let mut folders: Vec<PathBuf> =
        std::env::split_paths(path).filter(|folder| folder.is_absolute()).collect();
    for (parent, prefix, sub) in USUAL {
        folders.extend(versions_in(Path::new(parent), prefix).into_iter().map(|folder| folder.join(sub)));
    }
    folders
}

/// The folders in `parent` whose names begin with `prefix`, the highest version first.
fn versions_in(parent: &Path, prefix: &str) -> Vec<PathBuf> {
    let Ok(entries) = fs::read_dir(parent) else { return Vec::new() };
    let mut found: Vec<(Vec<u64>, PathBuf)> = entries
        .filter_map(|entry| {
            let entry = entry.ok()?;
            let rest = entry.file_name().to_str()?.strip_prefix(prefix)?.to_owned();
            Some((numbers(&rest), entry.path()))
        })
        .collect();
    found.sort_by_key(|(version, _)| Reverse(version.clone()));
    found.into_iter().map(|(_, path)| path).collect()
}

fn numbers(text: &str) -> Vec<u64> {
    text.split(|c: char| !c.is_ascii_digit()).filter_map(|digits| digits.parse().ok()).collect()
}

/// The first programs that fit: those of the cluster's own major version, or where there is no cluster yet the
/// first that are new enough. `None` when there are no programs at all.
pub async fn find(
    folders: &[PathBuf],
    data: &Path,
    cluster: Option<u32>,
) -> Result<Option<Programs>, StartError> {
    let downloaded = versions_in(&data.join("postgresql"), "").into_iter().map(|folder| folder.join("bin"));
    let mut found: Vec<Programs> = Vec::new();
    for folder in folders.iter().cloned().chain(downloaded) {
        let Some(programs) = look_into(&folder).await else { continue };
        let fits = cluster.map_or(programs.version >= MIN_VERSION, |version| programs.version == version);
        if fits {
            return Ok(Some(programs));
        }
        if !found.contains(&programs) {
            found.push(programs);
        }
    }
    let Some(newest) = found.iter().max_by_key(|programs| programs.version) else { return Ok(None) };
    Err(match cluster {
        Some(cluster_version) => {
            let mut found: Vec<u32> = found.iter().map(|programs| programs.version).collect();
            found.sort_unstable();
            found.dedup();
            StartError::OtherVersion { cluster: cluster::folder(data), cluster_version, found }
        }
        None => StartError::TooOld { newest: newest.version, folder: newest.folder.clone() },
    })
}

/// The programs in `folder`, or where `postgres` there is a link, in the folder it leads to.
pub async fn look_into(folder: &Path) -> Option<Programs> {
    let real = folder.join("postgres").canonicalize().ok()?;
    let folder =
        [folder, real.parent()?].into_iter().find(|folder| folder.join("initdb").is_file())?.to_owned();
    let version = version_of(&folder.join("postgres")).await?;
    Some(Programs { folder, version })
}

/// Asks the server for its version; `None` when it does not run or says something else.
async fn version_of(postgres: &Path) -> Option<u32> {
    let mut command = Command::new(postgres);
    command.arg("--version").current_dir("/").stdin(Stdio::null()).stderr(Stdio::null()).kill_on_drop(true);
    let output = tokio::time::timeout(Duration::from_secs(10), command.output()).await.ok()?.ok()?;
    parse_version(&String::from_utf8_lossy(&output.stdout))
}

/// The major version in `postgres (PostgreSQL) 15.13 (Debian 15.13-0+deb12u1)`.
fn parse_version(text: &str) -> Option<u32> {
    let rest = text.split_once("(PostgreSQL) ")?.1;
    let digits = rest.split(|c: char| !c.is_ascii_digit()).next()?;
    digits.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_the_version() {
        assert_eq!(parse_version("postgres (PostgreSQL) 15.13 (Debian 15.13-0+deb12u1)\n"), Some(15));
        assert_eq!(parse_version("postgres (PostgreSQL) 18beta1\n"), Some(18));
        assert_eq!(parse_version("postgres (PostgreSQL) 9.6.24\n"), Some(9));
        assert_eq!(parse_version("something else 15\n"), None);
    }

    #[test]
    fn newest_folder_first() {
        let dir = tempfile::tempdir().unwrap();
        for name in ["pgsql-9.6", "pgsql-14", "pgsql-18", "other-20"] {
            fs::create_dir(dir.path().join(name)).unwrap();
        }
        let names: Vec<_> = versions_in(dir.path(), "pgsql-")
            .into_iter()
            .map(|path| path.file_name().unwrap().to_str().unwrap().to_owned())
            .collect();
        assert_eq!(names, ["pgsql-18", "pgsql-14", "pgsql-9.6"]);
    }
}

//! Server processes that outlived the `up` that had started them (kill -9): found, checked to be ours, and stopped.

use std::fs;
use std::io;
use std::path::Path;
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};

use super::error::{self, StartError};
use super::sockets;

/// How long an immediate shutdown may take.
const QUIT_WITHIN: Duration = Duration::from_secs(10);

/// Stops what still runs on the cluster: fast shutdown, and after `within` an immediate one. The caller holds the
/// data folder's lock, so no living `up` owns these processes.
///
/// Children of a killed server are waited for as well: a new server beside them would damage the data. Then the
/// lock files of the old server go, if its pid seems to live on: it may be a zombie, or another program by now, and
/// PostgreSQL would take it for a running server.
pub async fn stop(cluster: &Path, sockets: &Path, within: Duration) -> Result<(), StartError> {
    let pid_file = cluster.join("postmaster.pid");
    let text = match fs::read_to_string(&pid_file) {
        Ok(text) => text,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        Err(error) => return Err(error::folder("read", &pid_file)(error)),
    };
    let cluster = cluster.canonicalize().map_err(error::folder("find", cluster))?;
    let main = first_pid(&text);

    let mut running = processes(&cluster, main);
    if !running.is_empty() {
        tracing::warn!(pids = ?running, "PostgreSQL was left behind by an earlier start; stopping it");
        // Without their server, its children end by themselves.
        signal(running.iter().copied().filter(|pid| Some(*pid) == main), Signal::INT);
        running = ended(&cluster, main, within).await;
    }
    if !running.is_empty() {
        signal(running.into_iter(), Signal::QUIT);
        running = ended(&cluster, main, QUIT_WITHIN).await;
    }
    if let Some(pid) = running.first() {
        return Err(StartError::Orphan { pid: pid.as_raw_pid().unsigned_abs() });
    }
    if main.is_none_or(seems_alive) {
        remove(&pid_file)?;
        remove(&sockets.join(sockets::lock_name()))?;
    }
    Ok(())
}

/// The pid in the first line; a single-user server writes it negated.
fn first_pid(text: &str) -> Option<Pid> {
    let pid: i32 = text.lines().next()?.trim().parse().ok()?;
    Pid::from_raw(pid.checked_abs()?)
}

fn seems_alive(pid: Pid) -> bool {
    !rustix::process::test_kill_process(pid).is_err_and(|error| error == rustix::io::Errno::SRCH)
}

fn signal(pids: impl Iterator<Item = Pid>, signal: Signal) {
    for pid in pids {
        // An error means that it has just ended, which the wait sees.
        let _ = kill_process(pid, signal);
    }
}

fn remove(file: &Path) -> Result<(), StartError> {
    match fs::remove_file(file) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error::folder("remove", file)(error)),
        _ => Ok(()),
    }
}

/// Every process of a server on this cluster: a program `postgres` whose current folder it is. Zombies have
/// neither. Where there is no /proc, the server itself is known by its arguments, and its children are not.
fn processes(cluster: &Path, main: Option<Pid>) -> Vec<Pid> {
    let Ok(entries) = fs::read_dir("/proc") else {
        return main.into_iter().filter(|pid| named_in_ps(*pid, cluster)).collect();
    };
    entries
        .flatten()
        .filter_map(|entry| {
            let pid = Pid::from_raw(entry.file_name().to_str()?.parse().ok()?)?;
            let cwd = fs::read_link(entry.path().join("cwd")).ok()?;
            let exe = fs::read_link(entry.path().join("exe")).ok()?;
            // After an upgrade of the package the link ends with ` (deleted)`.
            let name = exe.file_name()?.to_str()?.trim_end_matches(" (deleted)");
            (cwd == cluster && name == "postgres").then_some(pid)
        })
        .collect()
}

fn named_in_ps(pid: Pid, cluster: &Path) -> bool {
    let output =
        std::process::Command::new("ps").args(["-o", "args=", "-p", &pid.as_raw_pid().to_string()]).output();
    output.is_ok_and(|output| {
        let args = String::from_utf8_lossy(&output.stdout).into_owned();
        args.contains("postgres") && args.contains(&*cluster.to_string_lossy())
    })
}

/// Waits until no process is left; those that are after all.
async fn ended(cluster: &Path, main: Option<Pid>, within: Duration) -> Vec<Pid> {
    let deadline = Instant::now() + within;
    loop {
        let running = processes(cluster, main);
        if running.is_empty() || Instant::now() > deadline {
            return running;
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_the_pid() {
        assert_eq!(first_pid("123\n/data\n").map(Pid::as_raw_pid), Some(123));
        assert_eq!(first_pid("-123\n").map(Pid::as_raw_pid), Some(123));
        assert_eq!(first_pid(""), None);
        assert_eq!(first_pid("0\n"), None);
        assert_eq!(first_pid("-2147483648\n"), None);
    }

    #[tokio::test]
    async fn a_pid_that_belongs_to_somebody_else_is_left_alone() {
        let dir = tempfile::tempdir().unwrap();
        let (pid_file, lock) = (dir.path().join("postmaster.pid"), dir.path().join(sockets::lock_name()));
        let mut other = std::process::Command::new("sleep").arg("600").current_dir(&dir).spawn().unwrap();
        fs::write(&pid_file, format!("{}\n", other.id())).unwrap();
        fs::write(&lock, format!("{}\n", other.id())).unwrap();

        stop(dir.path(), dir.path(), Duration::from_secs(5)).await.unwrap();

        assert_eq!(other.try_wait().unwrap(), None, "it still runs");
        assert!(!pid_file.exists() && !lock.exists(), "the server would refuse to start");
        other.kill().unwrap();
        other.wait().unwrap();
    }
}

//! Starting, stopping, dying, coming back.

use std::process::{Command, Stdio};

use rustix::process::{Pid, Signal, kill_process};

use super::*;
use crate::up::postgres::{StartError, start};

fn signal(pid: u32, signal: Signal) {
    kill_process(Pid::from_raw(pid.cast_signed()).unwrap(), signal).unwrap();
}

fn kill(pid: u32) {
    signal(pid, Signal::KILL);
}

#[tokio::test]
async fn starts_keeps_data_and_stops_cleanly() {
    let place = place();
    let postgres = start(options(&place.data)).await.unwrap();
    write_word(&postgres, "first").await;
    let setting = |name: &'static str| {
        let url = postgres.url();
        async move {
            let mut db = connect(&url).await;
            sqlx::query_scalar::<_, String>("select current_setting($1)")
                .bind(name)
                .fetch_one(&mut db)
                .await
                .unwrap()
        }
    };
    assert_eq!(setting("listen_addresses").await, "", "reachable through its socket alone");
    assert_eq!(setting("fsync").await, "on");
    assert_eq!(setting("server_encoding").await, "UTF8");
    assert_eq!(setting("max_wal_size").await, "2GB");
    let mode = fs::metadata(place.data.join("run")).unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o700, "nobody else gets to the socket");

    postgres.stop().await;
    assert!(!place.data.join("cluster/postmaster.pid").exists());
    assert!(log(&place.data).contains("database system is shut down"));

    let postgres = start(options(&place.data)).await.unwrap();
    assert_eq!(read_word(&postgres).await, "first");
    assert!(!log(&place.data).contains("not properly shut down"), "{}", log(&place.data));
    postgres.stop().await;
}

#[tokio::test]
async fn a_second_start_names_the_first() {
    let place = place();
    let first = start(options(&place.data)).await.unwrap();
    let error = start(options(&place.data)).await.unwrap_err();
    assert!(matches!(error, StartError::InUse { .. }), "{error}");
    let pid = format!("(pid {})", std::process::id());
    assert!(error.to_string().contains(&pid), "{error}");
    write_word(&first, "the first is unharmed").await;
    first.stop().await;
    start(options(&place.data)).await.unwrap().stop().await;
}

#[tokio::test]
async fn a_killed_server_is_started_again() {
    let place = place();
    let postgres = start(options(&place.data)).await.unwrap();
    write_word(&postgres, "kept").await;
    let first = postgres.pid();
    kill(first);
    until("another server runs", || postgres.pid() != first).await;
    assert_eq!(read_word(&postgres).await, "kept");
    assert!(log(&place.data).contains("not properly shut down"), "it had to recover");
    postgres.stop().await;
}

#[tokio::test]
async fn gives_up_on_a_server_that_cannot_live() {
    let place = place();
    let postgres = start(options(&place.data)).await.unwrap();
    fs::write(place.data.join("cluster/postgresql.conf"), "no_such_setting = 1\n").unwrap();
    kill(postgres.pid());
    let error = tokio::time::timeout(Duration::from_mins(1), postgres.failed()).await.unwrap();
    assert!(matches!(*error, StartError::Exited { .. }), "{error}");
    assert!(error.to_string().contains("no_such_setting"), "{error}");
    postgres.stop().await;
}

#[tokio::test]
async fn a_server_that_hangs_is_killed_at_last() {
    let place = place();
    let short = Options { stop_within: Duration::from_millis(100), ..options(&place.data) };
    let postgres = start(short).await.unwrap();
    write_word(&postgres, "committed").await;
    let hung = postgres.pid();
    signal(hung, Signal::STOP);
    postgres.stop().await;
    let postgres = start(options(&place.data)).await.unwrap();
    assert_ne!(postgres.pid(), hung);
    assert_eq!(read_word(&postgres).await, "committed");
    postgres.stop().await;
}

#[tokio::test]
async fn dropping_it_shuts_the_server_down() {
    let place = place();
    let postgres = start(options(&place.data)).await.unwrap();
    drop(postgres);
    let pid_file = place.data.join("cluster/postmaster.pid");
    until("the server is gone", || !pid_file.exists()).await;
    assert!(log(&place.data).contains("received fast shutdown request"));
}

#[tokio::test]
async fn paths_may_be_long_or_strange() {
    let place = place();
    for name in ["with space, \"quote\" & ümlaut".to_owned(), "long-".repeat(30)] {
        let data = place.dir.path().join(name);
        let postgres = start(options(&data)).await.unwrap();
        write_word(&postgres, "there").await;
        assert_eq!(read_word(&postgres).await, "there");
        let elsewhere = fs::read_link(data.join("run")).ok();
        postgres.stop().await;
        if let Some(folder) = elsewhere {
            assert!(!folder.exists(), "nothing stays in {}", folder.display());
            assert!(fs::symlink_metadata(data.join("run")).is_err());
        }
    }
    assert!(fs::symlink_metadata(place.dir.path().join("long-".repeat(30)).join("run")).is_err());
}

/// Set in the process that is to be killed: its data folder.
const CHILD: &str = "SYNCFLEET_TEST_KILLED_CHILD";

/// A process of its own starts a server and is killed with -9, once with the server living on (it is taken over)
/// and once with the server killed too (it recovers).
#[tokio::test]
async fn recovers_when_everything_was_killed() {
    #[expect(clippy::disallowed_methods, reason = "the test starts itself as the process to be killed")]
    let child = std::env::var_os(CHILD);
    if let Some(data) = child {
        return be_killed(Path::new(&data)).await;
    }
    for server_too in [false, true] {
        let place = place();
        let mut child = Command::new(std::env::current_exe().unwrap())
            .args(["--exact", "up::postgres::tests::life::recovers_when_everything_was_killed"])
            .env(CHILD, &place.data)
            .stdout(Stdio::null())
            .spawn()
            .unwrap();
        let ready = place.data.join("ready");
        until("the child is ready", || ready.exists()).await;
        child.kill().unwrap();
        child.wait().unwrap();
        let server: u32 = fs::read_to_string(&ready).unwrap().parse().unwrap();
        assert!(Path::new(&format!("/proc/{server}")).exists(), "the server outlives its parent");
        if server_too {
            kill(server);
        }

        let postgres = start(options(&place.data)).await.unwrap();
        assert_ne!(postgres.pid(), server);
        assert_eq!(read_word(&postgres).await, "committed");
        let log = log(&place.data);
        assert_eq!(log.contains("received fast shutdown request"), !server_too, "{log}");
        assert_eq!(log.contains("not properly shut down"), server_too, "{log}");
        postgres.stop().await;
    }
}

async fn be_killed(data: &Path) {
    let postgres = start(options(data)).await.unwrap();
    write_word(&postgres, "committed").await;
    let half = data.join("half");
    fs::write(&half, postgres.pid().to_string()).unwrap();
    fs::rename(half, data.join("ready")).unwrap();
    std::future::pending::<()>().await;
}

//! Every bad input, and what is said about it.

use super::*;
use crate::up::postgres::{StartError, folder, start, user};

/// What a failed start says, with its causes.
async fn refusal(options: Options) -> (StartError, String) {
    let error = start(options).await.unwrap_err();
    let mut text = error.to_string();
    let mut source = std::error::Error::source(&error);
    while let Some(cause) = source {
        text = format!("{text}: {cause}");
        source = cause.source();
    }
    (error, text)
}

#[tokio::test]
async fn a_folder_that_is_not_ours() {
    let place = place();
    fs::create_dir(&place.data).unwrap();
    fs::write(place.data.join("thesis.txt"), "years of work").unwrap();
    let (error, text) = refusal(options(&place.data)).await;
    assert!(matches!(error, StartError::NotOurs { .. }), "{text}");
    assert_eq!(fs::read_dir(&place.data).unwrap().count(), 1, "nothing was added");
}

#[tokio::test]
async fn a_file_where_the_folder_should_be() {
    let place = place();
    fs::write(&place.data, "").unwrap();
    for data in [place.data.clone(), place.data.join("below")] {
        let (error, text) = refusal(options(&data)).await;
        assert!(matches!(error, StartError::Folder { .. }), "{text}");
        assert!(text.contains("--data") && text.contains("Not a directory"), "{text}");
    }
}

#[tokio::test]
async fn a_folder_that_cannot_be_written() {
    let place = place();
    let parent = place.dir.path().join("closed");
    let disk = if is_root() {
        let Some(disk) = Tmpfs::mount(&parent, "1m") else { return };
        disk.remount("ro");
        Some(disk)
    } else {
        fs::create_dir(&parent).unwrap();
        fs::set_permissions(&parent, fs::Permissions::from_mode(0o500)).unwrap();
        None
    };
    let (error, text) = refusal(options(&parent.join("data"))).await;
    assert!(matches!(error, StartError::Folder { action: "make", .. }), "{text}");
    assert!(text.contains("Read-only file system") || text.contains("Permission denied"), "{text}");
    drop(disk);
}

#[tokio::test]
async fn a_folder_that_the_servers_user_cannot_enter() {
    if !is_root() {
        println!("SKIPPED: only root runs the server as another user");
        return;
    }
    let place = place();
    fs::set_permissions(place.dir.path(), fs::Permissions::from_mode(0o700)).unwrap();
    let (error, text) = refusal(options(&place.data)).await;
    let closed = place.dir.path().canonicalize().unwrap();
    assert!(matches!(error, StartError::NotTraversable { ref folder, .. } if *folder == closed), "{text}");
    assert!(text.contains(&format!("chmod o+x {}", closed.display())), "{text}");
    assert!(!place.data.join("cluster").exists());
}

#[tokio::test]
async fn no_programs() {
    let place = place();
    let searched = vec![place.dir.path().join("bin")];
    let (error, text) = refusal(Options { folders: searched, ..options(&place.data) }).await;
    assert!(matches!(error, StartError::NoBinaries { .. }), "{text}");
    assert!(text.contains("apt install postgresql") && text.contains("DATABASE_URL"), "{text}");
    start(options(&place.data)).await.unwrap().stop().await;
}

/// Programs that say they are this version.
fn fake_programs(place: &Place, version: &str) -> PathBuf {
    let bin = place.dir.path().join("bin");
    fs::create_dir(&bin).unwrap();
    for name in ["postgres", "initdb"] {
        let script = format!("#!/bin/sh\necho '{name} (PostgreSQL) {version}'\n");
        fs::write(bin.join(name), script).unwrap();
        fs::set_permissions(bin.join(name), fs::Permissions::from_mode(0o755)).unwrap();
    }
    bin
}

#[tokio::test]
async fn programs_that_are_too_old() {
    let place = place();
    let bin = fake_programs(&place, "13.22");
    let (error, text) = refusal(Options { folders: vec![bin], ..options(&place.data) }).await;
    assert!(matches!(error, StartError::TooOld { newest: 13, .. }), "{text}");
    assert!(text.contains("14 is the oldest"), "{text}");
}

#[tokio::test]
async fn newer_programs_are_taken_after_old_ones() {
    let place = place();
    let old = fake_programs(&place, "13.22");
    let folders = [vec![old], options(&place.data).folders].concat();
    start(Options { folders, ..options(&place.data) }).await.unwrap().stop().await;
}

#[tokio::test]
async fn programs_that_the_servers_user_cannot_run() {
    if !is_root() {
        println!("SKIPPED: only root runs the server as another user");
        return;
    }
    let place = place();
    let bin = fake_programs(&place, "17.1");
    fs::set_permissions(&bin, fs::Permissions::from_mode(0o700)).unwrap();
    let (error, text) = refusal(Options { folders: vec![bin], ..options(&place.data) }).await;
    assert!(matches!(error, StartError::Program { .. }), "{text}");
    assert!(text.contains("Permission denied"), "{text}");
}

#[tokio::test]
async fn a_cluster_of_another_version() {
    let place = place();
    start(options(&place.data)).await.unwrap().stop().await;
    let file = place.data.join("cluster/PG_VERSION");
    let version = fs::read_to_string(&file).unwrap();

    fs::write(&file, "99\n").unwrap();
    let (error, text) = refusal(options(&place.data)).await;
    assert!(matches!(error, StartError::OtherVersion { cluster_version: 99, .. }), "{text}");
    assert!(text.contains("pg_upgrade") && text.contains(version.trim()), "{text}");

    fs::write(&file, "\u{0}\u{0}").unwrap();
    let (error, text) = refusal(options(&place.data)).await;
    assert!(matches!(error, StartError::BadVersion { .. }), "{text}");

    fs::write(&file, version).unwrap();
    start(options(&place.data)).await.unwrap().stop().await;
}

#[tokio::test]
async fn a_full_disk() {
    let place = place();
    let mounted = place.dir.path().join("disk");
    let Some(disk) = Tmpfs::mount(&mounted, "16m") else { return };
    let data = mounted.join("data");
    let (error, text) = refusal(options(&data)).await;
    assert!(matches!(error, StartError::DiskFull { .. }), "{text}");
    assert!(text.contains(&data.display().to_string()), "{text}");
    let left: Vec<_> = fs::read_dir(&data).unwrap().map(|entry| entry.unwrap().file_name()).collect();
    assert_eq!(left, ["up.lock"], "nothing half-done stays");

    disk.remount("size=300m");
    start(options(&data)).await.unwrap().stop().await;
}

#[tokio::test]
async fn a_broken_setting_is_shown_from_the_log() {
    let place = place();
    start(options(&place.data)).await.unwrap().stop().await;
    let conf = place.data.join("cluster/postgresql.conf");
    let good = fs::read_to_string(&conf).unwrap();
    fs::write(&conf, format!("{good}\nshared_buffers = lots\n")).unwrap();
    let (error, text) = refusal(options(&place.data)).await;
    assert!(matches!(error, StartError::Exited { .. }), "{text}");
    assert!(text.contains("invalid value for parameter \"shared_buffers\""), "{text}");
}

#[tokio::test]
async fn a_server_that_is_not_ready_in_time_is_stopped() {
    let place = place();
    start(options(&place.data)).await.unwrap().stop().await;
    // Nobody may connect, so it never answers.
    fs::write(place.data.join("cluster/pg_hba.conf"), "local all all reject\n").unwrap();
    let short = Options { ready_within: Duration::from_secs(1), ..options(&place.data) };
    let (error, text) = refusal(short).await;
    assert!(matches!(error, StartError::NotReady { seconds: 1, .. }), "{text}");
    assert!(text.contains("pg_hba.conf rejects connection"), "{text}");
    assert!(!place.data.join("cluster/postmaster.pid").exists(), "it was stopped");
}

#[test]
fn the_owner_of_the_cluster_is_who_runs_it() {
    let place = place();
    let data = folder::open(&place.data).unwrap();
    let cluster = data.join("cluster");
    fs::create_dir(&cluster).unwrap();
    if is_root() {
        std::os::unix::fs::chown(&cluster, Some(1234), Some(1235)).unwrap();
        let ids = user::choose(&data).unwrap().switch_to.unwrap();
        assert_eq!((ids.uid, ids.gid), (1234, 1235));
    } else {
        assert_eq!(user::choose(&data).unwrap().switch_to, None);
    }
}

//! Settings that cannot work: told at the start, by name, with an exit code that is not 0.

use std::{fs, net::Ipv4Addr};

use base64::{Engine as _, engine::general_purpose::STANDARD};
use shared::store::PgPool;
use sqlx::ConnectOptions as _;
use tempfile::NamedTempFile;
use tokio::net::TcpListener;

use crate::process::{Program, url};

const ROLES: [&str; 3] = ["scheduler", "ingress", "worker"];

#[tokio::test]
async fn a_bad_database_url_is_named_and_not_repeated() {
    let bad = [
        "mysql://ada:secret-word@127.0.0.1/x",
        "ada:secret-word@127.0.0.1",
        "postgres://ada:secret-word@127.0.0.1:port/x",
        "postgres://ada:secret-word/more@127.0.0.1/x",
        "postgres://ada:secret-word@127.0.0.1/x?sslmode=loudly",
    ];
    for role in [&ROLES[..], &["up"]].concat() {
        for url in bad {
            let program = Program::default().env("DATABASE_URL", url);
            let ended = program.refused(&[role], 2, &["DATABASE_URL"]).await;
            assert!(!ended.log.contains("secret-word"), "{role}: {}", ended.log);
        }
    }
    for role in ROLES {
        Program::default().refused(&[role], 2, &["DATABASE_URL: not set"]).await;
    }
    let redis = Program::default().env("REDIS_URL", "redis://:secret-word@host:port/");
    let redis = redis.env("DATABASE_URL", "postgres://127.0.0.1/x");
    let ended = redis.refused(&["scheduler"], 2, &["REDIS_URL"]).await;
    assert!(!ended.log.contains("secret-word"), "{}", ended.log);
}

#[sqlx::test(migrations = false)]
async fn a_database_that_refuses_is_not_waited_for(db: PgPool) {
    let options = (*db.connect_options()).clone();
    let bad = [
        (options.clone().password("secret-word"), "password authentication failed"),
        (options.clone().database("nowhere"), "does not exist"),
    ];
    for role in [&ROLES[..], &["migrate"]].concat() {
        for (options, word) in &bad {
            let program = Program::default().env("DATABASE_URL", options.to_url_lossy().as_str());
            let ended = program.refused(&[role], 1, &[word]).await;
            assert!(!ended.log.contains("secret-word"), "{role}: {}", ended.log);
        }
    }
}

#[sqlx::test(migrator = "shared::store::schema::MIGRATOR")]
async fn a_taken_port_is_told_with_its_setting(db: PgPool) {
    let taken = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
    let address = taken.local_addr().unwrap().to_string();
    for role in ROLES {
        let program = Program::with(&db).env("SYNCFLEET_ADMIN_ADDR", &address);
        program.refused(&[role], 1, &["SYNCFLEET_ADMIN_ADDR", &address, "admin"]).await;
    }
    let program = Program::with(&db).env("SYNCFLEET_PUBLIC_ADDR", &address);
    program.refused(&["ingress"], 1, &["SYNCFLEET_PUBLIC_ADDR", &address, "public"]).await;
}

#[tokio::test]
async fn wrong_lanes_are_told() {
    let wrong = [
        "",
        "normal",
        "normal=",
        "normal=x",
        "normal=-1",
        "normal=0",
        "normal=99999999999",
        "fast=1",
        "normal=1,normal=2",
        "normal=1,,bulk=1",
        "normal=1.5",
    ];
    let program = Program::default().env("DATABASE_URL", "postgres://127.0.0.1/x");
    for lanes in wrong {
        let ended = program.refused(&["worker", "--lanes", lanes], 2, &["--lanes"]).await;
        assert!(ended.log.lines().next().unwrap().len() > 40, "no reason for {lanes:?}: {}", ended.log);
    }
    program.clone().env("SYNCFLEET_LANES", "x=1").refused(&["worker"], 2, &["SYNCFLEET_LANES"]).await;
}

#[sqlx::test(migrator = "shared::store::schema::MIGRATOR")]
async fn keys_that_cannot_be_used_are_told(db: PgPool) {
    let google = |program: Program| {
        program.env("SYNCFLEET_GOOGLE_CLIENT_ID", "id").env("SYNCFLEET_GOOGLE_CLIENT_SECRET", "secret-word")
    };
    let program = google(Program::with(&db));
    program.refused(&["worker"], 2, &["SYNCFLEET_KEYS or SYNCFLEET_KEYS_FILE"]).await;

    let short = format!("a:{}", STANDARD.encode("short-secret-key"));
    let long = format!("a:{}", STANDARD.encode([7; 33]));
    for bad in [&short, &long, "a:not base64!", "a", "a:", ":"] {
        let ended =
            program.clone().env("SYNCFLEET_KEYS", bad).refused(&["worker"], 2, &["SYNCFLEET_KEYS: "]).await;
        let secret = bad.split_once(':').map_or("", |(_, secret)| secret);
        assert!(secret.is_empty() || !ended.log.contains(secret), "{}", ended.log);
        let file = NamedTempFile::new().unwrap();
        fs::write(file.path(), bad).unwrap();
        let path = file.path().to_str().unwrap();
        let program = program.clone().env("SYNCFLEET_KEYS_FILE", path);
        program.refused(&["worker"], 2, &["SYNCFLEET_KEYS_FILE", path]).await;
    }
    for (file, why) in [("/nowhere/keys", "No such file"), ("/", "Is a directory")] {
        let program = program.clone().env("SYNCFLEET_KEYS_FILE", file);
        program.refused(&["worker"], 2, &["SYNCFLEET_KEYS_FILE", file, why]).await;
    }
    let half = Program::with(&db).env("SYNCFLEET_GOOGLE_CLIENT_ID", "id");
    half.refused(&["worker"], 2, &["SYNCFLEET_GOOGLE_CLIENT_SECRET"]).await;
}

#[tokio::test]
async fn log_levels_that_make_no_sense_are_told() {
    for role in ROLES {
        let program = Program::default().env("RUST_LOG", "info,sqlx=loudly");
        let program = program.env("DATABASE_URL", "postgres://127.0.0.1/x");
        program.refused(&[role], 1, &["RUST_LOG"]).await;
    }
}

#[sqlx::test(migrator = "shared::store::schema::MIGRATOR")]
async fn passwords_are_not_logged(db: PgPool) {
    let mut process = Program::with(&db).env("RUST_LOG", "trace").start(&["worker"]).await;
    process.ready().await;
    let password = url(&db).split(':').nth(2).and_then(|rest| rest.split('@').next()).unwrap().to_owned();
    assert!(password.len() > 8, "the test's database has a password");
    assert!(!process.log().contains(&password), "the log holds the password");
}

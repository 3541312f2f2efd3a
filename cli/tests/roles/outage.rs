//! `PostgreSQL` away for some seconds while the fleet works.

use std::{collections::BTreeMap, time::Duration};

use loadtest::proxy::{Mode, Proxy, Upstream};
use serde_json::Value;
use shared::store::PgPool;
use sqlx::ConnectOptions as _;

use crate::{
    process::{LIMIT, Process, Program, until, url_at},
    work,
};

async fn proxy(db: &PgPool) -> Proxy {
    let url = db.connect_options().to_url_lossy();
    let upstream = format!("{}:{}", url.host_str().unwrap(), url.port().unwrap());
    Proxy::start(Upstream::Tcp(upstream)).await.unwrap()
}

/// Gone: both say they are not ready. Back: both are, and work is done.
async fn goes_on_after(db: &PgPool, mode: Mode) {
    let proxy = proxy(db).await;
    let program = Program::default().env("DATABASE_URL", &url_at(db, proxy.addr()));
    let mut fleet = [program.start(&["scheduler"]).await, program.start(&["worker"]).await];
    for process in &mut fleet {
        process.ready().await;
    }
    work::add(db, 0, 50).await;
    work::done(db, LIMIT).await;

    proxy.set(mode);
    if mode == Mode::Refuse {
        proxy.cut();
    }
    for process in &fleet {
        until("it is not ready", LIMIT, async || process.status("/readyz").await == 503).await;
        until("it lives", LIMIT, async || process.status("/livez").await == 200).await;
    }
    work::add(db, 50, 50).await;
    // Longer than a worker trusts its last beat.
    until("the worker's row is old", LIMIT, async || {
        sqlx::query_scalar("select max(beat_at) < clock() - interval '8 s' from workers")
            .fetch_one(db)
            .await
            .unwrap()
    })
    .await;
    proxy.set(Mode::Forward);
    for process in &mut fleet {
        process.ready().await;
    }
    work::done(db, LIMIT).await;
    for process in &mut fleet {
        assert!(process.is_running(), "{}", process.log());
        is_told_once(process);
    }
}

/// Each tick, lane or other part says it once, and again if it fails again when the database is just back; not at each attempt.
fn is_told_once(process: &Process) {
    let mut told: BTreeMap<String, Vec<Value>> = BTreeMap::new();
    for line in process.log().lines() {
        let line: Value = serde_json::from_str(line).unwrap();
        assert_ne!(line["level"], "ERROR", "{line}");
        // Slow statements are told one by one, and a look at the readiness is one.
        if line["level"] == "WARN" && line["target"] != "sqlx::query" {
            let part = format!("{} {} {}", line["target"], line["tick"], line["lane"]);
            told.entry(part).or_default().push(line);
        }
    }
    assert!(!told.is_empty(), "nothing is told");
    for lines in told.values() {
        assert!(lines.len() <= 3, "told again and again: {lines:#?}");
    }
}

#[sqlx::test(migrator = "shared::store::schema::MIGRATOR")]
async fn a_database_that_refuses_comes_back(db: PgPool) {
    goes_on_after(&db, Mode::Refuse).await;
}

#[sqlx::test(migrator = "shared::store::schema::MIGRATOR")]
async fn a_database_that_answers_nothing_comes_back(db: PgPool) {
    goes_on_after(&db, Mode::BlackHole).await;
}

#[sqlx::test(migrator = "shared::store::schema::MIGRATOR")]
async fn roles_end_in_time_without_their_database(db: PgPool) {
    let proxy = proxy(&db).await;
    let program = Program::default().env("DATABASE_URL", &url_at(&db, proxy.addr()));
    for role in ["scheduler", "ingress", "worker"] {
        proxy.set(Mode::Forward);
        let mut process = program.start(&[role]).await;
        process.ready().await;
        proxy.set(Mode::BlackHole);
        process.signal(rustix::process::Signal::TERM);
        let ended = process.ended(Duration::from_secs(30)).await;
        assert_ne!(ended.code, 143, "{role}: {}", ended.log);
    }
}

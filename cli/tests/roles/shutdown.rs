//! How roles end.

use std::time::{Duration, Instant};

use rustix::process::Signal;
use shared::store::PgPool;

use crate::{
    process::{LIMIT, Program, until},
    work,
};

#[sqlx::test(migrator = "shared::store::schema::MIGRATOR")]
async fn idle_roles_end_quickly(db: PgPool) {
    for role in ["scheduler", "ingress", "worker"] {
        for signal in [Signal::TERM, Signal::INT] {
            let mut process = Program::with(&db).start(&[role]).await;
            process.ready().await;
            assert_eq!(work::workers(&db).await, i64::from(role == "worker"));
            let began = Instant::now();
            process.signal(signal);
            let ended = process.ended(LIMIT).await;
            assert_eq!(ended.code, 0, "{role}: {}", ended.log);
            assert!(began.elapsed() < Duration::from_secs(5), "{role}: {:?}", began.elapsed());
            assert_eq!(work::workers(&db).await, 0);
        }
    }
}

#[sqlx::test(migrator = "shared::store::schema::MIGRATOR")]
async fn a_busy_worker_finishes_what_runs(db: PgPool) {
    let mut process = Program::with(&db).start(&["worker"]).await;
    process.ready().await;
    let hold = work::hold_commits(&db).await;
    work::add(&db, 0, 3).await;
    until("the jobs run", LIMIT, async || work::running(&db).await == 3).await;

    let began = Instant::now();
    process.signal(Signal::TERM);
    until("it takes no work", LIMIT, async || process.status("/readyz").await == 503).await;
    let (_, reason) = process.get("/readyz").await.unwrap();
    assert!(reason.contains("ending"), "{reason}");
    assert_eq!(process.status("/livez").await, 200);
    assert_eq!(process.status("/metrics").await, 200);
    assert!(process.is_running());
    hold.rollback().await.unwrap();

    let ended = process.ended(Duration::from_secs(25).saturating_sub(began.elapsed())).await;
    assert_eq!(ended.code, 0, "{}", ended.log);
    assert_eq!((work::left(&db).await, work::running(&db).await, work::workers(&db).await), (0, 0, 0));
}

#[sqlx::test(migrator = "shared::store::schema::MIGRATOR")]
async fn a_second_signal_ends_a_worker_at_once(db: PgPool) {
    for (signal, code) in [(Signal::TERM, 143), (Signal::INT, 130)] {
        let mut process = Program::with(&db).start(&["worker"]).await;
        process.ready().await;
        let hold = work::hold_commits(&db).await;
        work::add(&db, 0, 1).await;
        until("the job runs", LIMIT, async || work::running(&db).await == 1).await;
        process.signal(signal);
        until("it drains", LIMIT, async || process.status("/readyz").await == 503).await;
        let began = Instant::now();
        process.signal(signal);
        let ended = process.ended(LIMIT).await;
        assert_eq!(ended.code, code, "{}", ended.log);
        assert!(began.elapsed() < Duration::from_secs(1), "{:?}", began.elapsed());
        hold.rollback().await.unwrap();
        // For the next signal.
        sqlx::query("truncate jobs cascade").execute(&db).await.unwrap();
    }
}

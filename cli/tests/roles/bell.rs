//! Trouble with Redis: the work is done all the same, and the fleet comes back to it by itself.

use std::{
    net::SocketAddr,
    time::{Duration, Instant},
};

use loadtest::proxy::{Mode, Proxy, Upstream};
use shared::store::PgPool;

use crate::{
    process::{LIMIT, Process, Program, free, until},
    redis::Redis,
    work,
};

struct Fleet {
    processes: [Process; 2],
}

impl Fleet {
    /// A scheduler and a worker with few slots, so that the bell is needed.
    async fn start(db: &PgPool, redis: SocketAddr) -> Self {
        let program = Program::with(db).env("REDIS_URL", &format!("redis://{redis}"));
        let scheduler = program.start(&["scheduler"]).await;
        let worker = program.start(&["worker", "--lanes", "normal=4"]).await;
        let mut fleet = Self { processes: [scheduler, worker] };
        for process in &mut fleet.processes {
            process.ready().await;
        }
        fleet
    }

    /// Waits until both say how they find the bell.
    async fn finds(&self, up: f64) {
        for process in &self.processes {
            until("the bell's state is told", LIMIT, async || {
                process.metric("syncfleet_bell_up", "").await == Some(up)
            })
            .await;
        }
    }

    /// Checks that the bell was away and back so often, for both, and that nobody has ended.
    fn said(&mut self, away: usize, back: usize) {
        for process in &mut self.processes {
            assert!(process.is_running(), "{}", process.log());
            let said = (process.said("the bell is away"), process.said("the bell is back"));
            assert_eq!(said, (away, back), "{}", process.log());
        }
    }

    /// Waits until a worker waits at the bell again, and checks that a job that is rung runs.
    async fn rings(&self, db: &PgPool, key: usize) {
        self.finds(1.0).await;
        let rung = async || self.processes[0].metric("syncfleet_jobs_rung_total", "normal").await.unwrap();
        let before = rung().await;
        work::add(db, key, 10).await;
        work::done(db, LIMIT).await;
        assert!(rung().await > before, "{}", self.processes[0].log());
    }
}

#[expect(clippy::print_stderr, reason = "what was measured, for who asks with --nocapture")]
async fn all_done(db: &PgPool, jobs: usize, how: &str) {
    let began = Instant::now();
    work::done(db, LIMIT).await;
    let took = began.elapsed();
    eprintln!("{jobs} jobs were done in {took:?}: {how}");
    assert!(took < Duration::from_secs(45), "{took:?}");
}

#[sqlx::test(migrator = "shared::store::schema::MIGRATOR")]
async fn redis_forgets_everything(db: PgPool) {
    let redis = Redis::start(free().await).await;
    let mut fleet = Fleet::start(&db, redis.address).await;
    work::add(&db, 0, 2_000).await;
    let mut flushed = 0;
    until("all jobs are done", LIMIT, async || {
        assert_eq!(redis.ask("FLUSHALL").await.unwrap(), "+OK\r\n");
        flushed += 1;
        // Not for ever, or there would be no bell at all.
        work::left(&db).await == 0 || flushed == 50
    })
    .await;
    all_done(&db, 2_000, "flushed in the middle").await;
    fleet.rings(&db, 2_000).await;
    fleet.said(0, 0);
}

#[sqlx::test(migrator = "shared::store::schema::MIGRATOR")]
async fn redis_stops_and_starts(db: PgPool) {
    let address = free().await;
    let redis = Redis::start(address).await;
    let mut fleet = Fleet::start(&db, address).await;
    fleet.finds(1.0).await;
    work::add(&db, 0, 1_000).await;
    drop(redis);
    fleet.finds(0.0).await;
    all_done(&db, 1_000, "Redis stopped").await;
    work::add(&db, 1_000, 1_000).await;
    all_done(&db, 2_000, "Redis away").await;
    fleet.said(1, 0);
    let _redis = Redis::start(address).await;
    fleet.rings(&db, 2_000).await;
    fleet.said(1, 1);
}

#[sqlx::test(migrator = "shared::store::schema::MIGRATOR")]
async fn redis_is_absent_at_the_start(db: PgPool) {
    let address = free().await;
    work::add(&db, 0, 500).await;
    let mut fleet = Fleet::start(&db, address).await;
    fleet.finds(0.0).await;
    all_done(&db, 500, "Redis absent").await;
    let _redis = Redis::start(address).await;
    fleet.rings(&db, 500).await;
    fleet.said(1, 1);
}

/// Redis behind a proxy that misbehaves for a while.
async fn misbehaves(db: &PgPool, mode: Mode, how: &str) {
    let redis = Redis::start(free().await).await;
    let proxy = Proxy::start(Upstream::Tcp(redis.address.to_string())).await.unwrap();
    let mut fleet = Fleet::start(db, proxy.addr()).await;
    fleet.rings(db, 0).await;
    proxy.set(mode);
    work::add(db, 10, 1_000).await;
    fleet.finds(0.0).await;
    all_done(db, 1_010, how).await;
    fleet.said(1, 0);
    proxy.set(Mode::Forward);
    fleet.rings(db, 1_010).await;
    fleet.said(1, 1);
}

#[sqlx::test(migrator = "shared::store::schema::MIGRATOR")]
async fn redis_is_slow(db: PgPool) {
    misbehaves(&db, Mode::Delay(Duration::from_secs(3)), "Redis slow").await;
}

#[sqlx::test(migrator = "shared::store::schema::MIGRATOR")]
async fn redis_swallows_everything(db: PgPool) {
    misbehaves(&db, Mode::BlackHole, "Redis a black hole").await;
}

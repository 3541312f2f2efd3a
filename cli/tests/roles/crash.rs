//! A worker that is killed.

use std::time::{Duration, Instant};

use rustix::process::Signal;
use shared::store::PgPool;

use crate::{
    process::{LIMIT, Program, free, until},
    redis::Redis,
    work,
};

#[sqlx::test(migrator = "shared::store::schema::MIGRATOR")]
async fn what_a_dead_worker_held_runs_again(db: PgPool) {
    work::add(&db, 0, 1).await;
    let claimed = "with dead as (
            insert into workers (id, name, version, kinds, slots, started_at, beat_at)
            values (gen_random_uuid(), 'dead', '0', '{}', '{\"normal\": 1}', clock() - interval '1 h', clock() - interval '1 h')
            returning id
        )
        update job_state set phase = 'running', seen = wanted, run_at = 'infinity', due_since = clock(),
            lease = gen_random_uuid(), claimed_by = dead.id
        from dead";
    assert_eq!(sqlx::query(claimed).execute(&db).await.unwrap().rows_affected(), 1);

    let redis = Redis::start(free().await).await;
    let program = Program::with(&db).env("REDIS_URL", &format!("redis://{}", redis.address));
    let mut scheduler = program.start(&["scheduler"]).await;
    let mut killed = program.start(&["worker"]).await;
    scheduler.ready().await;
    killed.ready().await;
    let began = Instant::now();
    // The scheduler keeps calm for 15 s first, and so does a server that has just been started.
    work::done(&db, LIMIT).await;
    eprintln!("the job of the dead worker was done {:?} after the scheduler's start", began.elapsed());
    let outcomes: Vec<String> =
        sqlx::query_scalar("select outcome from runs order by ended_at").fetch_all(&db).await.unwrap();
    assert_eq!(outcomes, ["lost", "complete"]);
    assert_eq!(work::workers(&db).await, 1);

    let hold = work::hold_commits(&db).await;
    work::add(&db, 1, 5).await;
    until("the jobs run", LIMIT, async || work::running(&db).await == 6).await;
    let mut heir = program.start(&["worker"]).await;
    heir.ready().await;
    let began = Instant::now();
    killed.signal(Signal::KILL);
    assert_eq!(killed.ended(LIMIT).await.code, 137);
    // What it had sent last must not stand.
    sqlx::query(
        "select pg_terminate_backend(pid) from pg_stat_activity
        where datname = current_database() and application_name = 'syncfleet worker' and wait_event_type = 'Lock'",
    )
    .execute(&db)
    .await
    .unwrap();
    hold.rollback().await.unwrap();
    work::done(&db, LIMIT).await;
    let took = began.elapsed();
    eprintln!("the jobs of the killed worker were done {took:?} after its death");
    assert!(took < Duration::from_secs(15), "{took:?}");
    let runs: i64 = sqlx::query_scalar("select count(distinct worker_id) from runs where ended_at > clock() - interval '20 s' and outcome in ('lost', 'complete')")
        .fetch_one(&db)
        .await
        .unwrap();
    assert!(runs >= 2, "another worker ran them");
    assert_eq!(scheduler.metric("syncfleet_leases_expired_total", "").await, Some(7.0));
}

//! Two schedulers on one database.

use rustix::process::Signal;
use shared::store::PgPool;

use crate::{
    process::{LIMIT, Program, free},
    redis::Redis,
    work,
};

/// Completed runs, and the jobs that they are of.
async fn completed(db: &PgPool) -> (i64, i64) {
    sqlx::query_as("select count(*) filter (where outcome = 'complete'), count(distinct job_id) from runs")
        .fetch_one(db)
        .await
        .unwrap()
}

#[sqlx::test(migrator = "shared::store::schema::MIGRATOR")]
async fn case_75_two_schedulers_at_once_cause_no_second_run_and_one_is_enough(db: PgPool) {
    let redis = Redis::start(free().await).await;
    let program = Program::with(&db).env("REDIS_URL", &format!("redis://{}", redis.address));
    let mut one = program.start(&["scheduler"]).await;
    let mut other = program.start(&["scheduler"]).await;
    // With few slots most of the work waits for a scheduler to ring it.
    let mut worker = program.start(&["worker", "--lanes", "normal=4"]).await;
    for process in [&mut one, &mut other, &mut worker] {
        process.ready().await;
    }
    work::add(&db, 0, 1_000).await;
    work::done(&db, LIMIT).await;
    assert_eq!(completed(&db).await, (1_000, 1_000));

    one.signal(Signal::KILL);
    assert_eq!(one.ended(LIMIT).await.code, 137);
    // This wants the first ones again, too.
    work::add(&db, 1_000, 200).await;
    work::done(&db, LIMIT).await;
    assert_eq!(completed(&db).await, (2_200, 1_200));
    assert!(other.is_running(), "{}", other.log());
}

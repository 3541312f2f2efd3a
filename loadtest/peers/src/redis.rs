//! apalis-redis, in a Redis database of its own.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use anyhow::{Context, ensure};
use apalis::prelude::{TaskSink, WorkerBuilder};
use apalis_core::backend::ext::{BackendExt, poll_strategy::BackoffConfig};
use apalis_redis::{Config, ConnectionManager, RedisStorage};
use redis::IntoConnectionInfo;

use crate::load::{BATCH, Load, Measured, Tasks, WARM_UP, noop, start_times};

/// How often an idle worker asks.
const POLL: Duration = Duration::from_millis(1);

/// Measures it in an empty database, which is emptied whatever happens.
pub async fn measure(url: &str, database: i64, load: Load, lock: bool) -> anyhow::Result<Measured> {
    let info = url.into_connection_info().context("the Redis URL is not valid")?;
    let settings = info.redis_settings().clone().set_db(database);
    let connection =
        apalis_redis::connect(info.set_redis_settings(settings)).await.context("cannot connect")?;
    let mut own = connection.clone();
    let keys: u64 = redis::cmd("DBSIZE").query_async(&mut own).await?;
    ensure!(
        keys == 0,
        "database {database} of Redis holds {keys} keys: give the number of an empty one (--redis-database)"
    );
    let measured = tokio::select! {
        measured = measure_in(connection, load, lock) => measured,
        _ = tokio::signal::ctrl_c() => Err(anyhow::anyhow!("interrupted")),
    };
    redis::cmd("FLUSHDB").query_async::<()>(&mut own).await.context("cannot empty the database")?;
    measured
}

async fn measure_in(connection: ConnectionManager, load: Load, lock: bool) -> anyhow::Result<Measured> {
    let config = |queue: &str| Config::default().queue(queue).batch_size(BATCH as usize).lock_tasks(lock);

    let mut storage = RedisStorage::<u32>::new(connection.clone()).with_config(config("drain"));
    let began = Instant::now();
    for batch in load.batches() {
        storage.push_bulk(batch).await?;
    }
    let enqueued = began.elapsed();
    let tasks = Tasks::new(load.tasks);
    let began = Instant::now();
    let worker = WorkerBuilder::new("drain")
        .backend(storage.poll_with_backoff(POLL, backoff()))
        .data(tasks)
        .build(noop);
    tokio::time::timeout(load.limit, worker.run()).await.context("the queue was not drained in time")??;
    let drained = began.elapsed();
    let done: u64 =
        redis::cmd("SCARD").arg(config("drain").done_jobs_set()).query_async(&mut connection.clone()).await?;
    ensure!(done == u64::from(load.tasks), "{done} tasks of {} are done", load.tasks);

    let tasks = Tasks::new(WARM_UP + load.rate * load.seconds);
    let mut storage = RedisStorage::<u32>::new(connection).with_config(config("start"));
    let worker = WorkerBuilder::new("start")
        .backend(storage.clone().poll_with_backoff(POLL, backoff()))
        .data(Arc::clone(&tasks))
        .build(noop);
    let (p50, p99) = tokio::select! {
        times = start_times(&load, &tasks, async |task| storage.push(task).await) => times?,
        // It ends well with its last task, and the times are still being read then.
        Err(error) = worker.run() => return Err(error.into()),
    };
    Ok(Measured {
        name: if lock {
            "apalis-redis 1.0.0, batch 1000"
        } else {
            "apalis-redis 1.0.0, batch 1000, locks off"
        },
        tasks: load.tasks,
        enqueued_per_second: f64::from(load.tasks) / enqueued.as_secs_f64(),
        done_per_second: f64::from(load.tasks) / drained.as_secs_f64(),
        start_p50_ms: p50,
        start_p99_ms: p99,
    })
}

/// Without growth. Of the two timers that can be had, the plain interval is not set again when it has run out.
fn backoff() -> BackoffConfig {
    BackoffConfig::new(POLL).with_multiplier(1.0).with_jitter(0.0)
}

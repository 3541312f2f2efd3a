//! apalis-postgres, in a database of its own.

use std::{sync::Arc, time::Instant};

use anyhow::{Context, ensure};
use apalis::prelude::{TaskSink, WorkerBuilder};
use apalis_postgres::{Config, PgConnectOptions, PgPool, PostgresStorage};
use sqlx::{AssertSqlSafe, ConnectOptions, Connection};

use crate::load::{BATCH, Load, Measured, Tasks, WARM_UP, noop, start_times};

/// Measures it in a new database, which is dropped whatever happens.
pub async fn measure(url: &str, load: Load) -> anyhow::Result<Measured> {
    let server: PgConnectOptions = url.parse().context("the database URL is not valid")?;
    let name = format!("syncfleet_peers_{}", std::process::id());
    let mut connection = server.connect().await.context("cannot connect")?;
    sqlx::query(AssertSqlSafe(format!("create database {name}")))
        .execute(&mut connection)
        .await
        .context("cannot make a database")?;
    let measured = tokio::select! {
        measured = measure_in(server.database(&name), load) => measured,
        _ = tokio::signal::ctrl_c() => Err(anyhow::anyhow!("interrupted")),
    };
    sqlx::query(AssertSqlSafe(format!("drop database {name} with (force)")))
        .execute(&mut connection)
        .await
        .context("cannot drop the database")?;
    connection.close().await?;
    measured
}

async fn measure_in(database: PgConnectOptions, load: Load) -> anyhow::Result<Measured> {
    let pool = PgPool::connect_with(database).await?;
    PostgresStorage::setup(&pool).await?;
    let config = |queue: &str| Config::default().queue(queue).batch_size(BATCH as usize);

    let mut storage = PostgresStorage::<u32>::new(&pool).with_config(config("drain"));
    let began = Instant::now();
    for batch in load.batches() {
        storage.push_bulk(batch).await?;
    }
    let enqueued = began.elapsed();
    let tasks = Tasks::new(load.tasks);
    let began = Instant::now();
    let worker = WorkerBuilder::new("drain").backend(storage).data(tasks).build(noop);
    tokio::time::timeout(load.limit, worker.run()).await.context("the queue was not drained in time")??;
    let drained = began.elapsed();
    let done: i64 =
        sqlx::query_scalar("select count(*) from apalis.jobs where status = 'Done'").fetch_one(&pool).await?;
    ensure!(done == i64::from(load.tasks), "{done} tasks of {} are done", load.tasks);

    let tasks = Tasks::new(WARM_UP + load.rate * load.seconds);
    let mut storage = PostgresStorage::<u32>::new(&pool).with_config(config("start"));
    let worker = WorkerBuilder::new("start")
        .backend(storage.clone().with_pubsub())
        .data(Arc::clone(&tasks))
        .build(noop);
    let (p50, p99) = tokio::select! {
        times = start_times(&load, &tasks, async |task| storage.push(task).await) => times?,
        // It ends well with its last task, and the times are still being read then.
        Err(error) = worker.run() => return Err(error.into()),
    };
    pool.close().await;
    Ok(Measured {
        name: "apalis-postgres 1.0.0, batch 1000",
        tasks: load.tasks,
        enqueued_per_second: f64::from(load.tasks) / enqueued.as_secs_f64(),
        done_per_second: f64::from(load.tasks) / drained.as_secs_f64(),
        start_p50_ms: p50,
        start_p99_ms: p99,
    })
}

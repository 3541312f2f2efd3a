//! What comes back to the pool.
#![expect(clippy::unwrap_used, reason = "a test that cannot go on fails")]

use futures_util::StreamExt;
use shared::store::{Session, connect};
use sqlx::{
    ConnectOptions, Executor, PgPool,
    postgres::{PgConnectOptions, PgPoolOptions},
};

/// A pool of one connection, and the table that tests write.
async fn pool(database: PgConnectOptions) -> PgPool {
    let pool = connect(&database.to_url_lossy().to_string().into(), &Session::new("test", 1)).unwrap();
    pool.execute("create table written (by text)").await.unwrap();
    pool
}

async fn written(pool: &PgPool) -> Vec<String> {
    sqlx::query_scalar("select by from written order by by").fetch_all(pool).await.unwrap()
}

/// As after a call for a transaction that was given up before its answer: sqlx knows of none.
#[sqlx::test(migrations = false)]
async fn a_transaction_that_was_left_open_is_nobody_elses(_: PgPoolOptions, database: PgConnectOptions) {
    let pool = pool(database.clone()).await;
    let mut left = pool.acquire().await.unwrap();
    left.execute("begin").await.unwrap();
    left.execute("insert into written values ('left')").await.unwrap();
    drop(left);
    pool.execute("insert into written values ('next')").await.unwrap();
    assert_eq!(written(&pool).await, ["next"]);
    // Not only as that connection sees it.
    let other = PgPoolOptions::new().connect_with(database).await.unwrap();
    assert_eq!(written(&other).await, ["next"]);
}

#[sqlx::test(migrations = false)]
async fn a_clean_connection_is_kept(_: PgPoolOptions, database: PgConnectOptions) {
    let pool = pool(database).await;
    let ids = futures_util::stream::iter(0..20).then(async |_| {
        let id: i32 = sqlx::query_scalar("select pg_backend_pid()").fetch_one(&pool).await.unwrap();
        id
    });
    let ids: std::collections::HashSet<i32> = ids.collect().await;
    assert_eq!(ids.len(), 1);
}

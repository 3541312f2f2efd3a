//! Work for the fleets under test: jobs of the kind noop, and how they stand.

use std::time::Duration;

use shared::store::{PgPool, jobs, tenants};
use sqlx::{Postgres, Transaction};

use crate::process::until;

/// Makes due jobs of a tenant with keys from `first` on.
pub async fn add(db: &PgPool, first: usize, count: usize) {
    let policy = worker::jobs::policies().into_iter().find(|policy| policy.kind == "noop").unwrap();
    let mut tx = db.begin().await.unwrap();
    let tenant = tenants::ensure(&mut tx, "acme").await.unwrap();
    let new = |key: usize| jobs::NewJob {
        key: key.to_string(),
        tenant,
        account: None,
        first: Some(Duration::ZERO),
    };
    let new: Vec<_> = (first..first + count).map(new).collect();
    jobs::ensure(&mut tx, &policy, &new).await.unwrap();
    // Wanted, so that being done is seen in the row.
    sqlx::query("update job_state set wanted = wanted + 1, dirty_since = coalesce(dirty_since, clock()), run_at = clock() where done = wanted and phase = 'idle'")
        .execute(&mut *tx)
        .await
        .unwrap();
    tx.commit().await.unwrap();
}

/// Jobs that are not done.
pub async fn left(db: &PgPool) -> i64 {
    sqlx::query_scalar("select count(*) from job_state where wanted > done").fetch_one(db).await.unwrap()
}

/// Waits until all jobs are done.
pub async fn done(db: &PgPool, limit: Duration) {
    until("all jobs are done", limit, async || left(db).await == 0).await;
}

/// While it lives, runs begin and cannot end.
pub async fn hold_commits(db: &PgPool) -> Transaction<'_, Postgres> {
    let mut tx = db.begin().await.unwrap();
    sqlx::query("lock table runs in access exclusive mode").execute(&mut *tx).await.unwrap();
    tx
}

/// Jobs that run now.
pub async fn running(db: &PgPool) -> i64 {
    sqlx::query_scalar("select count(*) from job_state where phase = 'running'").fetch_one(db).await.unwrap()
}

/// Living and dead workers.
pub async fn workers(db: &PgPool) -> i64 {
    sqlx::query_scalar("select count(*) from workers").fetch_one(db).await.unwrap()
}

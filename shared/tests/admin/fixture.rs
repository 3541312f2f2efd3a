//! Jobs, and what workers do to them.

use std::time::Duration;

use shared::{
    admin::{
        Actor,
        job::{
            JobRef,
            explain::{Explanation, explain},
        },
    },
    job::{JobId, Lane, Lanes, Parked, Policy, Retry, Run, WorkerId},
    store::{
        PgPool,
        job_state::{self, Claimer, Completion, Finished, PutBack},
        jobs::{self, NewJob},
        tenants,
        workers::{self, Beat},
    },
};
use uuid::Uuid;

pub const POLICY: Policy = Policy {
    kind: "thing",
    about: "keeps a thing",
    lane: Lane::Normal,
    interval: None,
    min_interval: Duration::ZERO,
    limit: Duration::from_secs(10),
    retry: Retry { base: Duration::from_secs(1), cap: Duration::from_mins(1), attempts: None },
    per_account: None,
    api: None,
};

pub fn actor() -> Actor {
    Actor::new("test:ada")
}

/// Makes a job of a tenant, which is made, too. `first`: when it is due; none: when it is wanted.
pub async fn job(db: &PgPool, tenant: &str, key: &str, first: Option<Duration>) -> JobId {
    let mut conn = db.acquire().await.unwrap();
    let tenant = tenants::ensure(&mut conn, tenant).await.unwrap();
    let new = NewJob { key: key.to_owned(), tenant, account: None, first };
    jobs::ensure(&mut conn, &POLICY, &[new]).await.unwrap()[0]
}

/// A job that is due at once.
pub async fn due(db: &PgPool) -> JobId {
    job(db, "acme", "a", Some(Duration::ZERO)).await
}

/// A worker that beats.
pub async fn worker(db: &PgPool, slots: Lanes) -> WorkerId {
    worker_that_knows(db, POLICY.kind, slots).await
}

/// A worker that beats, and knows one kind.
pub async fn worker_that_knows(db: &PgPool, kind: &str, slots: Lanes) -> WorkerId {
    let id = Uuid::now_v7();
    let kinds = &[kind.to_owned()];
    let beat = Beat { worker: id, name: "host:1".to_owned(), version: "0.1.0", kinds, slots, busy: slots };
    workers::beat(&mut db.acquire().await.unwrap(), &beat).await.unwrap();
    id
}

pub async fn claim(db: &PgPool, worker: WorkerId, job: JobId) -> Run {
    let kinds = [POLICY.kind.to_owned()];
    let claimer = Claimer { worker, kinds: &kinds, suspects: true };
    let mut conn = db.acquire().await.unwrap();
    job_state::claim(&mut conn, &claimer, &[job], &[Uuid::now_v7()]).await.unwrap().pop().unwrap()
}

pub fn finished(run: &Run, worker: WorkerId) -> Finished {
    Finished {
        run: run.id,
        job: run.job,
        worker,
        lane: run.lane,
        attempt: 1,
        started_at: run.started_at,
        changed: 0,
    }
}

/// Claims the job and completes it.
pub async fn complete(db: &PgPool, job: JobId, next: Option<Duration>, floor: Duration) {
    let worker = worker(db, Lanes::default()).await;
    let run = claim(db, worker, job).await;
    let completion = Completion { finished: finished(&run, worker), next, floor, lane: POLICY.lane };
    let mut conn = db.acquire().await.unwrap();
    assert_eq!(job_state::complete(&mut conn, &[completion]).await.unwrap().len(), 1);
}

/// Claims the job and puts it back.
pub async fn put_back(db: &PgPool, job: JobId, outcome: &'static str, after: Duration, attempt: i32) {
    let worker = worker(db, Lanes::default()).await;
    let run = claim(db, worker, job).await;
    let back = PutBack {
        outcome,
        after,
        backoff: outcome == "retry",
        floor: None,
        wanted: None,
        attempt,
        good: outcome != "retry",
        lane: None,
        note: Some(format!("note of {outcome}")),
    };
    let mut conn = db.acquire().await.unwrap();
    job_state::put_back(&mut conn, &finished(&run, worker), &back).await.unwrap();
}

/// Claims the job and parks it.
pub async fn park(db: &PgPool, job: JobId, parked: Parked) {
    let worker = worker(db, Lanes::default()).await;
    let run = claim(db, worker, job).await;
    let mut conn = db.acquire().await.unwrap();
    job_state::park(&mut conn, &finished(&run, worker), parked, "the cause").await.unwrap();
}

pub async fn explained(db: &PgPool, job: JobId) -> Explanation {
    explain(db, &JobRef::Id(job)).await.unwrap()
}

/// Actions in the audit table, oldest first.
pub async fn audited(db: &PgPool) -> Vec<(String, String)> {
    sqlx::query_as::<_, (String, String)>(
        "select action, target from audit where actor = 'test:ada' order by id",
    )
    .fetch_all(db)
    .await
    .unwrap()
}

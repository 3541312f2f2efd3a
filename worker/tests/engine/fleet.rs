use std::{
    sync::{
        Arc,
        atomic::{AtomicU32, Ordering},
    },
    time::{Duration, Instant},
};

use shared::{
    bell::Bell,
    job::{JobId, Lane, Lanes},
    shutdown::Tasks,
    store::{PgPool, job_state, jobs, tenants},
};
use sqlx::postgres::{PgConnectOptions, PgPoolOptions};
use worker::{
    Settings, Worker,
    heartbeat::Heart,
    jobs::{Context, Kind},
};

use crate::probe::{HASTY, PROBE};

/// A worker on the test's database.
pub struct Fleet {
    pub db: PgPool,
    pub tasks: Tasks,
    bell: Arc<Bell>,
    worker: Arc<Worker>,
    heart: Heart,
    keys: AtomicU32,
}

/// A job, as it stands.
#[derive(Debug, sqlx::FromRow)]
pub struct Row {
    pub wanted: i64,
    pub seen: Option<i64>,
    pub done: i64,
    pub phase: String,
    pub parked: Option<String>,
    pub attempt: i32,
    pub crashes: i16,
    pub due: bool,
    pub backs_off: bool,
    pub started: bool,
    pub note: String,
}

pub async fn row(db: &PgPool, job: JobId) -> Row {
    sqlx::query_as(
        "select wanted, seen, done, phase::text, parked, attempt, crashes, run_at <= clock() as due,
            backoff_until > clock() as backs_off, seen is not null as started, coalesce(note, '') as note
        from job_state join jobs on id = job_id where job_id = $1",
    )
    .bind(job)
    .fetch_one(db)
    .await
    .unwrap()
}

impl Fleet {
    pub async fn start(database: PgConnectOptions) -> Self {
        let url = sqlx::ConnectOptions::to_url_lossy(&database).to_string().into();
        let db = PgPoolOptions::new().max_connections(8).connect_with(database).await.unwrap();
        sqlx::raw_sql(
            "create table probes (job_id bigint primary key, steps bigint not null);
            create table told (job_id bigint primary key)",
        )
        .execute(&db)
        .await
        .unwrap();
        let (tasks, bell) = (Tasks::new(), Arc::new(Bell::in_memory()));
        let settings = Settings {
            kinds: &[PROBE, HASTY],
            // Room for two suspects.
            lanes: Lanes { interactive: 2, normal: 6, bulk: 1 },
            name: "test".to_owned(),
            database_url: url,
        };
        let context = Context {
            db: db.clone(),
            google: None,
            objects: None,
            public_url: None,
            webhooks: None,
            dns: None,
        };
        let (worker, heart) = worker::start(settings, context, Arc::clone(&bell), &tasks).unwrap();
        Self { db, tasks, bell, worker, heart, keys: AtomicU32::new(0) }
    }

    /// A new job that acts as `what` says, wanted.
    pub async fn want(&self, what: &str) -> JobId {
        self.want_of(&PROBE, what).await
    }

    pub async fn want_of(&self, kind: &Kind, what: &str) -> JobId {
        let job = self.job(kind, what, None).await;
        self.want_again(job).await;
        job
    }

    pub async fn want_with_account(&self, what: &str) -> JobId {
        let mut conn = self.db.acquire().await.unwrap();
        let tenant = tenants::ensure(&mut conn, "test").await.unwrap();
        let account: i64 = sqlx::query_scalar(
            "insert into accounts (tenant_id, provider, email) values ($1, 'google', 'a@example.com') returning id",
        )
        .bind(tenant)
        .fetch_one(&mut *conn)
        .await
        .unwrap();
        drop(conn);
        let job = self.job(&PROBE, what, Some(account)).await;
        self.want_again(job).await;
        job
    }

    /// A new job that was wanted twice before it is claimed.
    pub async fn job_wanted_twice(&self, what: &str) -> JobId {
        let job = self.job(&PROBE, what, None).await;
        let mut conn = self.db.acquire().await.unwrap();
        job_state::want(&mut conn, &[job], None, None).await.unwrap();
        drop(conn);
        self.want_again(job).await;
        job
    }

    /// New jobs that have been due for so many seconds, and that nobody has rung.
    pub async fn overdue(&self, kind: &Kind, jobs: usize, seconds: i32) -> Vec<JobId> {
        let mut made = Vec::new();
        for _ in 0..jobs {
            made.push(self.job(kind, "complete", None).await);
        }
        sqlx::query(
            "update job_state set run_at = clock() - make_interval(secs => $2) where job_id = any($1)",
        )
        .bind(&made)
        .bind(seconds)
        .execute(&self.db)
        .await
        .unwrap();
        made
    }

    async fn job(&self, kind: &Kind, what: &str, account: Option<i64>) -> JobId {
        let mut conn = self.db.acquire().await.unwrap();
        let tenant = tenants::ensure(&mut conn, "test").await.unwrap();
        let key = format!("{what}#{}", self.keys.fetch_add(1, Ordering::Relaxed));
        let new = jobs::NewJob { key, tenant, account, first: None };
        jobs::ensure(&mut conn, &kind.policy, &[new]).await.unwrap()[0]
    }

    pub async fn want_again(&self, job: JobId) {
        self.want_in(job, None).await;
    }

    /// As a push does.
    pub async fn push(&self, job: JobId) {
        self.want_in(job, Some(Lane::Interactive)).await;
    }

    async fn want_in(&self, job: JobId, lane: Option<Lane>) {
        // The connection may have been cut by the test.
        loop {
            let Ok(mut conn) = self.db.acquire().await else { continue };
            if let Ok(wanted) = job_state::want(&mut conn, &[job], None, lane).await {
                self.bell.offer(wanted.iter().filter_map(job_state::Wanted::ring), Instant::now()).await;
                return;
            }
        }
    }

    pub async fn tell(&self, job: JobId) {
        sqlx::query("insert into told values ($1)").bind(job).execute(&self.db).await.unwrap();
    }

    pub async fn row(&self, job: JobId) -> Row {
        row(&self.db, job).await
    }

    /// Waits until the job is as it should be.
    pub async fn until(&self, job: JobId, is: impl Fn(&Row) -> bool) -> Row {
        self.until_any(&[job], is).await
    }

    pub async fn until_any(&self, jobs: &[JobId], is: impl Fn(&Row) -> bool) -> Row {
        let began = Instant::now();
        loop {
            for job in jobs {
                let row = self.row(*job).await;
                if is(&row) {
                    return row;
                }
                assert!(began.elapsed() < Duration::from_secs(30), "job {job} stays {row:?}");
            }
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    }

    /// Steps that were written down for the job.
    pub async fn written(&self, job: JobId) -> i64 {
        sqlx::query_scalar("select coalesce((select steps from probes where job_id = $1), 0)")
            .bind(job)
            .fetch_one(&self.db)
            .await
            .unwrap()
    }

    pub async fn outcomes(&self, job: JobId) -> Vec<String> {
        sqlx::query_scalar("select outcome from runs where job_id = $1 order by ended_at, id")
            .bind(job)
            .fetch_all(&self.db)
            .await
            .unwrap()
    }

    /// The lanes that its runs ran in.
    pub async fn lanes(&self, job: JobId) -> Vec<String> {
        sqlx::query_scalar("select lane::text from runs where job_id = $1 order by ended_at, id")
            .bind(job)
            .fetch_all(&self.db)
            .await
            .unwrap()
    }

    pub async fn closed_gates(&self) -> Vec<String> {
        sqlx::query_scalar("select concat_ws(' ', scope, target, reason) from gates order by 1")
            .fetch_all(&self.db)
            .await
            .unwrap()
    }

    /// As an operator's retry does.
    pub async fn lift_backoff(&self, job: JobId) {
        let mut conn = self.db.acquire().await.unwrap();
        sqlx::query("update job_state set backoff_until = '-infinity', run_at = clock() where job_id = $1")
            .bind(job)
            .execute(&mut *conn)
            .await
            .unwrap();
        self.bell.ring(Lane::Normal, &[job]).await.unwrap();
    }

    /// As the reaper does.
    pub async fn take_lease_away(&self, job: JobId) {
        sqlx::query(
            "update job_state set phase = 'idle', lease = null, claimed_by = null, run_at = clock() where job_id = $1",
        )
        .bind(job)
        .execute(&self.db)
        .await
        .unwrap();
        self.bell.ring(Lane::Normal, &[job]).await.unwrap();
    }

    /// A claim in the worker's name of which it never hears.
    pub async fn claim_behind_its_back(&self, what: &str) -> JobId {
        self.until_it_beats().await;
        let job = self.job(&PROBE, what, None).await;
        let mut conn = self.db.acquire().await.unwrap();
        let lease = worker::new_id(std::time::SystemTime::now() - Duration::from_secs(10));
        let kinds = [PROBE.policy.kind.to_owned()];
        let claimer = job_state::Claimer { worker: self.worker.id, kinds: &kinds, suspects: true };
        job_state::want(&mut conn, &[job], None, None).await.unwrap();
        let claimed = job_state::claim(&mut conn, &claimer, &[job], &[lease]).await.unwrap();
        assert_eq!(claimed.len(), 1);
        job
    }

    async fn until_it_beats(&self) {
        self.worker.alive.wait_fresh().await;
    }

    pub async fn want_two_suspects(&self, what: &str) -> (JobId, JobId) {
        let (first, second) = (self.job(&PROBE, what, None).await, self.job(&PROBE, what, None).await);
        sqlx::query("update job_state set crashes = 1 where job_id in ($1, $2)")
            .bind(first)
            .bind(second)
            .execute(&self.db)
            .await
            .unwrap();
        self.want_again(first).await;
        self.want_again(second).await;
        (first, second)
    }

    pub async fn cut_all_connections(&self) {
        let mut conn = self.db.acquire().await.unwrap();
        sqlx::query(
            "select pg_terminate_backend(pid) from pg_stat_activity
            where datname = current_database() and pid <> pg_backend_pid()",
        )
        .execute(&mut *conn)
        .await
        .unwrap();
    }

    /// Ends the worker; false if something did not end in time.
    pub async fn end(self) -> bool {
        self.end_within(Duration::from_secs(20)).await
    }

    pub async fn end_within(self, grace: Duration) -> bool {
        let in_time = self.tasks.finish(grace).await || grace < Duration::from_secs(1);
        self.heart.stop().await;
        let running: i64 = sqlx::query_scalar("select count(*) from job_state where phase = 'running'")
            .fetch_one(&self.db)
            .await
            .unwrap();
        assert_eq!(running, 0, "a lease was left behind");
        assert!(self.worker.held.all().is_empty(), "a lease was left in memory");
        in_time
    }
}

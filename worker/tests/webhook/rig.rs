//! A tenant with an account, a worker, an endpoint and a webhook that leads to it.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use futures_util::FutureExt;
use secrecy::{ExposeSecret, SecretString};
use shared::{
    admin::{
        Actor,
        webhook::{self, New},
    },
    bell::Bell,
    job::{AccountId, JobId, Lane, Lanes},
    secrets::{KeyRing, Owner, generate_key},
    shutdown::Tasks,
    store::{
        PgPool,
        changes::{self, After, Change, Resource, What},
        job_state, secrets, tenants,
        webhooks::WebhookId,
    },
    webhook::{Allow, Form, Sender, system},
};
use sqlx::postgres::{PgConnectOptions, PgPoolOptions};
use worker::{
    Settings,
    heartbeat::Heart,
    jobs::{self, Context},
};

use crate::endpoint::{Answer, Endpoint, Request};

const LIMIT: Duration = Duration::from_mins(1);

pub struct Rig {
    pub db: PgPool,
    pub endpoint: Endpoint,
    pub webhook: WebhookId,
    pub secret: SecretString,
    pub job: JobId,
    pub account: AccountId,
    pub sender: Sender,
    bell: Arc<Bell>,
    tasks: Tasks,
    heart: Heart,
}

/// A webhook to be.
pub struct Hook {
    pub path: &'static str,
    pub form: Form,
    pub secret: Option<&'static str>,
    pub resources: &'static [Resource],
    pub whats: &'static [What],
}

/// How a job stands.
#[derive(Debug, sqlx::FromRow)]
pub struct Row {
    pub phase: String,
    pub parked: Option<String>,
    pub attempt: i32,
    pub open: i64,
    pub note: String,
}

impl Rig {
    pub async fn start(database: PgConnectOptions) -> Self {
        let all = Hook { path: "/hook?x=1", form: Form::Standard, secret: None, resources: &[], whats: &[] };
        Self::with(database, Endpoint::start().await, all).await
    }

    pub async fn with(database: PgConnectOptions, endpoint: Endpoint, hook: Hook) -> Self {
        let url: SecretString = sqlx::ConnectOptions::to_url_lossy(&database).to_string().into();
        let db = PgPoolOptions::new().max_connections(8).connect_with(database).await.unwrap();
        let keys = KeyRing::parse(&generate_key("test").unwrap()).unwrap();
        let allow = Allow::new(&["127.0.0.1".parse().unwrap()]);
        let sender = Sender::new(keys, allow, &system()).unwrap();
        let mut conn = db.acquire().await.unwrap();
        let tenant = tenants::ensure(&mut conn, "acme").await.unwrap();
        let account = sqlx::query_scalar(
            "insert into accounts (tenant_id, provider, email) values ($1, 'google', 'a@example.com') returning id",
        );
        let account = account.bind(tenant).fetch_one(&mut *conn).await.unwrap();
        drop(conn);

        let (tasks, bell) = (Tasks::new(), Arc::new(Bell::in_memory()));
        let settings = Settings {
            kinds: jobs::KINDS,
            lanes: Lanes { interactive: 1, normal: 4, bulk: 0 },
            name: "test".to_owned(),
            database_url: url,
        };
        let context = Context {
            db: db.clone(),
            google: None,
            objects: None,
            public_url: None,
            webhooks: Some(sender.clone()),
            dns: None,
        };
        let (_, heart) = worker::start(settings, context, Arc::clone(&bell), &tasks).unwrap();

        let url = format!("http://{}{}", endpoint.address, hook.path);
        let given = hook.secret.map(SecretString::from);
        let new = New {
            tenant: "acme",
            url: &url,
            form: &hook.form,
            account: None,
            resources: hook.resources,
            whats: hook.whats,
            after: After::Now,
            secret: given.as_ref(),
        };
        let added = webhook::add(&db, &Actor::new("test"), &sender, &jobs::policies(), &new).await.unwrap();
        let job = added.bell[0].job;
        assert_eq!(added.secret.is_some(), hook.form == Form::Standard);
        let secret = added.secret.unwrap_or_default();
        assert!(hook.form != Form::Standard || secret.expose_secret().starts_with("whsec_"));
        let rig = Self { db, endpoint, webhook: added.id, secret, job, account, sender, bell, tasks, heart };
        rig.until_done().await;
        rig
    }

    /// Something changes, and nobody wants the job for it.
    pub async fn change(&self, keys: &[&str]) {
        let change = |key: &&str| Change {
            account: self.account,
            resource: Resource::Event,
            parent: Some(1),
            key: (*key).to_owned(),
            what: What::Updated,
        };
        let told: Vec<Change> = keys.iter().map(change).collect();
        changes::write(&mut self.db.acquire().await.unwrap(), &told).await.unwrap();
    }

    /// An answer after which its worker is taken for dead: the message has arrived, the commit is refused.
    pub fn dies_after(&self) -> Answer {
        let (db, job) = (self.db.clone(), self.job);
        Answer::After(Arc::new(move || {
            let db = db.clone();
            async move {
                let reaped =
                    "update job_state set phase = 'idle', lease = null, claimed_by = null, run_at = clock()
                    where job_id = $1 and phase = 'running'";
                assert_eq!(sqlx::query(reaped).bind(job).execute(&db).await.unwrap().rows_affected(), 1);
            }
            .boxed()
        }))
    }

    /// A name that is kept at an address; its number.
    pub async fn name(&self, host: &str) -> i64 {
        sqlx::query_scalar(
            "with home as (
                insert into dns_addresses (tenant_id, name, interval_seconds)
                select tenant_id, $2, 300 from accounts where id = $1
                returning id, tenant_id
            )
            insert into dns_records (tenant_id, address_id, host, provider, min_interval_seconds)
            select tenant_id, id, $2, '{\"provider\": \"duckdns\"}', 300 from home
            returning id",
        )
        .bind(self.account)
        .bind(host)
        .fetch_one(&self.db)
        .await
        .unwrap()
    }

    /// What a pass over a name tells of it in its commit, if it failed before or not, and fails now or not.
    pub async fn pass(&self, record: i64, failed: bool, fails: Option<&str>) {
        let mut tx = self.db.begin().await.unwrap();
        if let Some(what) = What::turned(failed, fails.is_some()) {
            changes::dns_record(&mut tx, record, what, fails).await.unwrap();
        }
        tx.commit().await.unwrap();
    }

    pub async fn want(&self) {
        let mut conn = self.db.acquire().await.unwrap();
        let wanted = job_state::want(&mut conn, &[self.job], None, None).await.unwrap();
        self.bell.offer(wanted.iter().filter_map(job_state::Wanted::ring), Instant::now()).await;
    }

    /// Replaces a secret of the webhook.
    pub async fn seal(&self, name: &str, value: &str) {
        let owner = Owner::webhook(self.webhook, name);
        let mut conn = self.db.acquire().await.unwrap();
        secrets::put(&mut conn, &self.sender.keys, owner, &value.into(), None).await.unwrap();
    }

    /// As an operator's retry does.
    pub async fn retry(&self) {
        job_state::release(&mut self.db.acquire().await.unwrap(), &[self.job]).await.unwrap();
        self.bell.ring(Lane::Normal, &[self.job]).await.unwrap();
    }

    /// As the scheduler does it when something has changed, again and again: other tests hold the feed back at times.
    pub async fn until_asked(&self, times: usize) -> Vec<Request> {
        let began = Instant::now();
        loop {
            let requests = self.endpoint.requests();
            if requests.len() >= times {
                return requests;
            }
            assert!(began.elapsed() < LIMIT, "{} of {times}: {:?}", requests.len(), self.row().await);
            let row = self.row().await;
            if row.phase == "idle" && row.open == 0 {
                self.want().await;
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }

    pub async fn row(&self) -> Row {
        sqlx::query_as(
            "select phase::text, parked, attempt, wanted - done as open, coalesce(note, '') as note
            from job_state join jobs on id = job_id where job_id = $1",
        )
        .bind(self.job)
        .fetch_one(&self.db)
        .await
        .unwrap()
    }

    pub async fn until(&self, what: &str, is: impl Fn(&Row) -> bool) -> Row {
        let began = Instant::now();
        loop {
            let row = self.row().await;
            if is(&row) {
                return row;
            }
            assert!(began.elapsed() < LIMIT, "not {what}: {row:?}");
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    }

    pub async fn until_done(&self) -> Row {
        self.until("done", |row| row.phase == "idle" && row.open == 0).await
    }

    pub async fn until_failed(&self, attempt: i32) -> Row {
        self.until("failed", |row| row.phase == "idle" && row.attempt == attempt).await
    }

    pub async fn until_parked(&self) -> Row {
        self.until("parked", |row| row.phase == "parked").await
    }

    pub async fn end(self) {
        assert!(self.tasks.finish(Duration::from_secs(20)).await, "it ends in time");
        self.heart.stop().await;
    }
}

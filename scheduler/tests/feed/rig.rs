use std::{net::SocketAddr, sync::Arc, time::Duration};

use scheduler::listen::public::{self, Ingress};
use secrecy::ExposeSecret;
use shared::{
    admin::{Actor, feed},
    bell::Bell,
    job::{AccountId, TenantId},
    shutdown::Tasks,
    store::{
        PgPool,
        changes::{self, Change, Resource, What},
        tenants,
    },
};
use tokio::net::TcpListener;

/// The public listener, and two tenants with an account and a token each.
pub struct Rig {
    pub db: PgPool,
    pub address: SocketAddr,
    pub tasks: Tasks,
    pub acme: Tenant,
    pub other: Tenant,
}

pub struct Tenant {
    id: TenantId,
    pub account: AccountId,
    pub token: String,
    pub token_id: i64,
}

async fn tenant(db: &PgPool, name: &str) -> Tenant {
    let id = tenants::ensure(&mut db.acquire().await.unwrap(), name).await.unwrap();
    let account = sqlx::query_scalar(
        "insert into accounts (tenant_id, provider, email) values ($1, 'google', 'a@example.com') returning id",
    );
    let account = account.bind(id).fetch_one(db).await.unwrap();
    let made = feed::add_token(db, &Actor::new("test"), name, "test").await.unwrap();
    Tenant { id, account, token: made.token.expose_secret().to_owned(), token_id: made.id }
}

impl Rig {
    pub async fn start(db: PgPool, feed_readers: u32) -> Self {
        let pool = db.clone();
        Self::over(db, pool, feed_readers).await
    }

    /// The listener works with a pool of its own.
    pub async fn over(db: PgPool, pool: PgPool, feed_readers: u32) -> Self {
        let (acme, other) = (tenant(&db, "acme").await, tenant(&db, "other").await);
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let (address, tasks) = (listener.local_addr().unwrap(), Tasks::new());
        let ingress = Ingress {
            db: pool,
            bell: Arc::new(Bell::in_memory()),
            google: None,
            public_url: None,
            policies: [].into(),
            feed_readers,
            trusted_proxies: [].into(),
        };
        public::serve(listener, ingress, &tasks);
        Self { db, address, tasks, acme, other }
    }

    pub async fn change(&self, tenant: &Tenant, keys: &[&str]) {
        let change = |key: &&str| Change {
            account: tenant.account,
            resource: Resource::Event,
            parent: Some(7),
            key: (*key).to_owned(),
            what: What::Created,
        };
        let told: Vec<Change> = keys.iter().map(change).collect();
        let mut conn = self.db.acquire().await.unwrap();
        changes::write(&mut conn, &told).await.unwrap();
        changes::notify(&mut conn, &[tenant.id]).await.unwrap();
    }

    /// A name of the tenant; its number.
    pub async fn name(&self, tenant: &Tenant, host: &str) -> i64 {
        sqlx::query_scalar(
            "with home as (
                insert into dns_addresses (tenant_id, name, interval_seconds) values ($1, 'home', 300)
                returning id, tenant_id
            )
            insert into dns_records (tenant_id, address_id, host, provider, min_interval_seconds)
            select tenant_id, id, $2, '{\"provider\": \"duckdns\"}', 300 from home
            returning id",
        )
        .bind(tenant.id)
        .bind(host)
        .fetch_one(&self.db)
        .await
        .unwrap()
    }

    /// Tells what became of a name.
    pub async fn tell(&self, tenant: &Tenant, record: i64, what: What, detail: &str) {
        let mut conn = self.db.acquire().await.unwrap();
        changes::dns_record(&mut conn, record, what, Some(detail)).await.unwrap();
        changes::notify(&mut conn, &[tenant.id]).await.unwrap();
    }

    /// Changes of so many calendars, all at once.
    pub async fn crowd(&self, tenant: &Tenant, count: i32) {
        sqlx::query(
            "insert into changes (epoch, xid, at, tenant_id, account_id, resource, what, key)
            select feed_epoch_to_write(), pg_current_xact_id()::text::bigint, clock(), $1, $2, 'calendar', 'created', n::text
            from generate_series(1, $3) n",
        )
        .bind(tenant.id)
        .bind(tenant.account)
        .bind(count)
        .execute(&self.db)
        .await
        .unwrap();
    }

    /// The end, as at a signal: everything must go within the grace.
    pub async fn end(self) {
        assert!(self.tasks.finish(Duration::from_secs(10)).await, "it does not end in time");
    }
}

use std::{
    net::SocketAddr,
    sync::{Arc, LazyLock},
    time::Duration,
};

use base64::{Engine, engine::general_purpose::STANDARD};
use scheduler::listen::public::{self, Ingress};
use secrecy::SecretString;
use shared::{
    bell::Bell,
    secrets::password,
    shutdown::Tasks,
    store::{PgPool, dns_hosts, dns_logins, tenants},
};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
};

pub const PASSWORD: &str = "se-cret_1";

/// Hashing takes its time, and all tests have the same password.
static HASH: LazyLock<String> = LazyLock::new(|| password::hash(&SecretString::from(PASSWORD)).unwrap());

/// The public listener, and what is told to it.
///
/// The login `router` may call `home.example.org` and `nas.example.org`, whose address is `home`, of both families, and
/// `office.example.org`, whose address `office` has IPv4 alone and may lie in 10.0.0.0/8. `other` may call `other.example.org`. `home` has
/// two records with a job each.
pub struct Rig {
    pub db: PgPool,
    pub address: SocketAddr,
    tasks: Tasks,
}

/// An answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Answer {
    pub status: u16,
    /// In lower case.
    pub head: String,
    pub body: String,
}

async fn add_address(db: &PgPool, tenant: i64, name: &str, families: &[&str], allowed: &[&str]) -> i64 {
    let allowed: Vec<String> = allowed.iter().map(ToString::to_string).collect();
    let id: i64 = sqlx::query_scalar(
        "insert into dns_addresses (tenant_id, name, interval_seconds, allowed) values ($1, $2, 300, $3) returning id",
    )
    .bind(tenant)
    .bind(name)
    .bind(allowed)
    .fetch_one(db)
    .await
    .unwrap();
    for family in families {
        sqlx::query("insert into dns_address_families (address_id, family) values ($1, $2::address_family)")
            .bind(id)
            .bind(family)
            .execute(db)
            .await
            .unwrap();
    }
    id
}

/// A record at an address, and its job, which is not due.
pub async fn add_record(db: &PgPool, address: i64, host: &str) {
    sqlx::query(
        "with record as (
            insert into dns_records (tenant_id, address_id, host, provider, min_interval_seconds)
            select tenant_id, id, $2, '{\"provider\": \"duckdns\"}', 300 from dns_addresses where id = $1
            returning id, tenant_id
        ), job as (
            insert into jobs (kind, key, tenant_id) select 'dns_record', id::text, tenant_id from record
            returning id, kind, tenant_id
        )
        insert into job_state (job_id, kind, tenant_id, lane, run_at)
        select id, kind, tenant_id, 'normal', 'infinity' from job",
    )
    .bind(address)
    .bind(host)
    .execute(db)
    .await
    .unwrap();
}

async fn add_login(db: &PgPool, tenant: i64, name: &str, hosts: &[(i64, &[&str])]) {
    let mut conn = db.acquire().await.unwrap();
    let id = dns_logins::insert(&mut conn, tenant, name, &HASH).await.unwrap().unwrap();
    for (address, names) in hosts {
        let names: Vec<String> = names.iter().map(ToString::to_string).collect();
        assert_eq!(dns_hosts::insert(&mut conn, id, *address, &names).await.unwrap().len(), names.len());
    }
}

impl Rig {
    pub async fn start(db: PgPool) -> Self {
        Self::behind(db, &[]).await
    }

    /// With trusted proxies.
    pub async fn behind(db: PgPool, proxies: &[&str]) -> Self {
        let tenant = tenants::ensure(&mut db.acquire().await.unwrap(), "acme").await.unwrap();
        let home = add_address(&db, tenant, "home", &["ipv4", "ipv6"], &[]).await;
        let office = add_address(&db, tenant, "office", &["ipv4"], &["10.0.0.0/8"]).await;
        let other = add_address(&db, tenant, "other", &["ipv4"], &[]).await;
        add_record(&db, home, "home.example.org").await;
        add_record(&db, home, "www.example.org").await;
        let names: [(i64, &[&str]); 2] =
            [(home, &["home.example.org", "nas.example.org"]), (office, &["office.example.org"])];
        add_login(&db, tenant, "router", &names).await;
        add_login(&db, tenant, "other", &[(other, &["other.example.org"])]).await;
        let pool = db.clone();
        Self::over(db, pool, proxies).await
    }

    /// The listener works with a pool of its own.
    pub async fn over(db: PgPool, pool: PgPool, proxies: &[&str]) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let (address, tasks) = (listener.local_addr().unwrap(), Tasks::new());
        let ingress = Ingress {
            db: pool,
            bell: Arc::new(Bell::in_memory()),
            google: None,
            public_url: None,
            policies: [].into(),
            feed_readers: 1,
            trusted_proxies: proxies.iter().map(|network| network.parse().unwrap()).collect(),
        };
        public::serve(listener, ingress, &tasks);
        Self { db, address, tasks }
    }

    /// Sends these very bytes.
    pub async fn send(&self, request: &str) -> Answer {
        send(self.address, request).await
    }

    /// A call of dyndns2 by `router`, with further headers.
    pub async fn call_with(&self, query: &str, headers: &str) -> Answer {
        self.call_as("router", PASSWORD, query, headers).await
    }

    pub async fn call_as(&self, user: &str, password: &str, query: &str, headers: &str) -> Answer {
        let coded = STANDARD.encode(format!("{user}:{password}"));
        self.send(&format!(
            "GET /nic/update?{query} HTTP/1.0\r\nHost: sync.example\r\nAuthorization: Basic {coded}\r\n{headers}\r\n"
        ))
        .await
    }

    /// The body of the answer to a call of dyndns2 by `router`.
    pub async fn call(&self, query: &str) -> String {
        self.call_with(query, "").await.body
    }

    /// What an address is by IPv4 and by IPv6, and how often its records were wanted in all.
    pub async fn stands(&self, address: &str) -> (Option<String>, Option<String>, i64) {
        sqlx::query_as(
            "select
                (select host(address) from dns_address_families f where f.address_id = a.id and family = 'ipv4'),
                (select host(address) from dns_address_families f where f.address_id = a.id and family = 'ipv6'),
                (select coalesce(sum(s.wanted), 0)::bigint from dns_records r
                    join jobs j on j.kind = 'dns_record' and j.key = r.id::text join job_state s on s.job_id = j.id
                    where r.address_id = a.id)
            from dns_addresses a where a.name = $1",
        )
        .bind(address)
        .fetch_one(&self.db)
        .await
        .unwrap()
    }

    /// The end, as at a signal: everything must go within the grace.
    pub async fn end(self) {
        assert!(self.tasks.finish(Duration::from_secs(30)).await, "it does not end in time");
    }
}

/// Sends these very bytes, and reads to the end.
pub async fn send(address: SocketAddr, request: &str) -> Answer {
    let answered = async {
        let mut stream = TcpStream::connect(address).await.unwrap();
        stream.write_all(request.as_bytes()).await.unwrap();
        let mut text = String::new();
        stream.read_to_string(&mut text).await.unwrap();
        let (head, body) = text.split_once("\r\n\r\n").unwrap();
        let status = head.split(' ').nth(1).unwrap().parse().unwrap();
        Answer { status, head: head.to_lowercase(), body: body.to_owned() }
    };
    tokio::time::timeout(Duration::from_mins(1), answered).await.expect("no answer")
}

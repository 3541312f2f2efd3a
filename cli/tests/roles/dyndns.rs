//! Routers' calls at an ingress that is killed, and at one whose database goes away.

use std::{net::SocketAddr, time::Duration};

use loadtest::proxy::{Mode, Proxy, Upstream};
use rustix::process::Signal;
use secrecy::SecretString;
use shared::{
    secrets::password,
    store::{PgPool, dns_hosts, dns_logins, tenants},
};
use sqlx::ConnectOptions as _;
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpStream,
};

use crate::process::{LIMIT, Program, until, url_at};

/// An address `home` with a record, whose job is not due, and a login that may tell it: `router`, `se-cret_1`.
async fn add_home(db: &PgPool) {
    let tenant = tenants::ensure(&mut db.acquire().await.unwrap(), "acme").await.unwrap();
    let address: i64 = sqlx::query_scalar(
        "with address as (
            insert into dns_addresses (tenant_id, name, interval_seconds) values ($1, 'home', 300) returning id
        ), family as (
            insert into dns_address_families (address_id, family) select id, 'ipv4' from address
        ), record as (
            insert into dns_records (tenant_id, address_id, host, provider, min_interval_seconds)
            select $1, id, 'home.example.org', '{\"provider\": \"duckdns\"}', 300 from address returning id
        ), job as (
            insert into jobs (kind, key, tenant_id) select 'dns_record', id::text, $1 from record returning id
        ), state as (
            insert into job_state (job_id, kind, tenant_id, lane, run_at)
            select id, 'dns_record', $1, 'normal', 'infinity' from job
        )
        select id from address",
    )
    .bind(tenant)
    .fetch_one(db)
    .await
    .unwrap();
    let hash = password::hash(&SecretString::from("se-cret_1")).unwrap();
    let mut conn = db.acquire().await.unwrap();
    let login = dns_logins::insert(&mut conn, tenant, "router", &hash).await.unwrap().unwrap();
    dns_hosts::insert(&mut conn, login, address, &["home.example.org".to_owned()]).await.unwrap();
}

/// Status and body of the answer to a call; 0: there was none.
async fn call(ingress: SocketAddr, ip: &str) -> (u16, String) {
    let asked = async {
        let mut stream = TcpStream::connect(ingress).await.ok()?;
        let request = format!(
            "GET /nic/update?hostname=home.example.org&myip={ip} HTTP/1.0\r\n\
             Authorization: Basic cm91dGVyOnNlLWNyZXRfMQ==\r\nUser-Agent: inadyn/2.10.0\r\n\r\n"
        );
        stream.write_all(request.as_bytes()).await.ok()?;
        let mut text = String::new();
        stream.read_to_string(&mut text).await.ok()?;
        let (head, body) = text.split_once("\r\n\r\n")?;
        Some((head.split(' ').nth(1)?.parse().ok()?, body.to_owned()))
    };
    tokio::time::timeout(LIMIT, asked).await.expect("no answer").unwrap_or_default()
}

/// What the address is, how often its record was wanted, and whether its job is due in the lane interactive.
async fn stands(db: &PgPool) -> (Option<String>, i64, bool) {
    sqlx::query_as(
        "select (select host(address) from dns_address_families), wanted, run_at <= clock() and lane = 'interactive'
        from job_state where kind = 'dns_record'",
    )
    .fetch_one(db)
    .await
    .unwrap()
}

#[sqlx::test(migrator = "shared::store::schema::MIGRATOR")]
async fn what_was_answered_with_good_is_there_when_the_ingress_is_killed(db: PgPool) {
    add_home(&db).await;
    for (ip, wanted) in [("8.8.8.1", 1), ("8.8.8.2", 2), ("8.8.8.3", 3)] {
        let mut ingress = Program::with(&db).start(&["ingress"]).await;
        ingress.ready().await;
        assert_eq!(call(ingress.public, ip).await, (200, format!("good {ip}\n")));
        ingress.signal(Signal::KILL);
        assert_eq!(ingress.ended(LIMIT).await.code, 137);
        assert_eq!(stands(&db).await, (Some(ip.to_owned()), wanted, true));
    }
}

#[sqlx::test(migrator = "shared::store::schema::MIGRATOR")]
async fn while_postgresql_is_away_routers_are_told_911_and_then_served_again(db: PgPool) {
    add_home(&db).await;
    let url = db.connect_options().to_url_lossy();
    let upstream = format!("{}:{}", url.host_str().unwrap(), url.port().unwrap());
    let proxy = Proxy::start(Upstream::Tcp(upstream)).await.unwrap();
    let program = Program::default().env("DATABASE_URL", &url_at(&db, proxy.addr()));
    let mut ingress = program.start(&["ingress"]).await;
    ingress.ready().await;
    assert_eq!(call(ingress.public, "8.8.8.1").await, (200, "good 8.8.8.1\n".to_owned()));

    proxy.set(Mode::Refuse);
    proxy.cut();
    for ip in ["8.8.8.2", "8.8.8.1"] {
        assert_eq!(call(ingress.public, ip).await, (503, "911\n".to_owned()));
    }
    assert_eq!(stands(&db).await, (Some("8.8.8.1".to_owned()), 1, true));
    assert_eq!(ingress.said("are to come again"), 1, "{}", ingress.log());

    proxy.set(Mode::Forward);
    until("it is served again", LIMIT, async || {
        tokio::time::sleep(Duration::from_millis(100)).await;
        call(ingress.public, "8.8.8.2").await.0 == 200
    })
    .await;
    assert_eq!(stands(&db).await.0.as_deref(), Some("8.8.8.2"));
    let answered = |word: &str| format!("answer=\"{word}\"");
    let told = ingress.metric("syncfleet_dns_calls_total", &answered("911")).await;
    assert!(told.unwrap() >= 2.0);
    assert!(ingress.metric("syncfleet_dns_calls_total", &answered("good")).await.unwrap() >= 2.0);
}

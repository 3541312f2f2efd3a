//! Connections to the database that nobody answers any more, and that nobody closes.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use loadtest::proxy::{Mode, Proxy, Upstream};
use shared::{
    bell::Bell,
    job::{Lane, Lanes},
    shutdown::Tasks,
    store::{self, Session, limited},
};
use sqlx::postgres::{PgConnectOptions, PgPoolOptions};
use worker::{
    Settings,
    jobs::{Context, KINDS},
};

#[sqlx::test(migrations = false)]
async fn a_pool_gets_its_places_back(_: PgPoolOptions, database: PgConnectOptions) {
    let upstream = Upstream::Tcp(format!("{}:{}", database.get_host(), database.get_port()));
    let proxy = Proxy::start(upstream).await.unwrap();
    let through = database.host("127.0.0.1").port(proxy.addr().port());
    let url = sqlx::ConnectOptions::to_url_lossy(&through).to_string().into();
    let pool = store::connect(&url, &Session::new("stranded", 1)).unwrap();

    let asked = async {
        let mut connection = pool.acquire().await?;
        let sleep = sqlx::query("select pg_sleep(1000)").execute(&mut *connection);
        let (answer, ()) = tokio::join!(limited(Duration::from_secs(1), sleep), async {
            // The query is under way when it is the only one that is.
            while proxy.connections().open == 0 {
                tokio::task::yield_now().await;
            }
            proxy.strand();
        });
        answer
    };
    let error = asked.await.unwrap_err();
    assert!(error.to_string().contains("no answer in 1s"), "{error}");

    // The only place in the pool, as soon as its connection was given up.
    let again = async { while sqlx::query("select 1").execute(&pool).await.is_err() {} };
    tokio::time::timeout(Duration::from_secs(20), again).await.unwrap();
}

#[sqlx::test(migrator = "store::schema::MIGRATOR")]
async fn a_worker_ends_in_time_all_the_same(_: PgPoolOptions, database: PgConnectOptions) {
    let upstream = Upstream::Tcp(format!("{}:{}", database.get_host(), database.get_port()));
    let proxy = Proxy::start(upstream).await.unwrap();
    let through = database.host("127.0.0.1").port(proxy.addr().port());
    let url: secrecy::SecretString = sqlx::ConnectOptions::to_url_lossy(&through).to_string().into();
    let db = store::connect(&url, &Session::new("stranded", 4)).unwrap();
    let (tasks, bell) = (Tasks::new(), Arc::new(Bell::in_memory()));
    let settings =
        Settings { kinds: KINDS, lanes: Lanes::default(), name: "stranded".to_owned(), database_url: url };
    let context =
        Context { db: db.clone(), google: None, objects: None, public_url: None, webhooks: None, dns: None };
    let (worker, heart) = worker::start(settings, context, Arc::clone(&bell), &tasks).unwrap();
    worker.alive.wait_fresh().await;

    // Its lanes ask for these ids, and never hear of them.
    proxy.strand();
    proxy.set(Mode::BlackHole);
    for lane in Lane::ALL {
        bell.ring(lane, &[1]).await.unwrap();
    }
    while bell.len(Lane::Normal).await.unwrap() > 0 {
        tokio::task::yield_now().await;
    }
    let began = Instant::now();
    assert!(tasks.finish(Duration::from_secs(1)).await, "a task did not heed the hard word");
    heart.stop().await;
    assert!(began.elapsed() < Duration::from_secs(6), "it took {:?}", began.elapsed());
}

//! Connections to the database that nobody answers any more, and that nobody closes.

use std::time::Duration;

use loadtest::proxy::{Proxy, Upstream};
use shared::store::{self, Session, limited};
use sqlx::postgres::{PgConnectOptions, PgPoolOptions};

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

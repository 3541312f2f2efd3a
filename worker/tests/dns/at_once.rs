//! Two people change one thing at once.

use std::time::Duration;

use shared::{
    admin::dns::{address, record},
    dns::address::Family,
    store::dns_addresses,
};
use sqlx::postgres::{PgConnectOptions, PgPoolOptions};

use crate::rig::Rig;

/// Waits until so many sessions of this database wait for another's lock.
async fn until_waiting(rig: &Rig, sessions: i64) {
    let waiting = "select count(*) from pg_stat_activity where datname = current_database() and wait_event_type = 'Lock'";
    let waits = async {
        while sqlx::query_scalar::<_, i64>(waiting).fetch_one(&rig.db).await.unwrap() < sessions {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    tokio::time::timeout(Duration::from_mins(1), waits).await.expect("they wait");
}

#[sqlx::test(migrator = "shared::store::schema::MIGRATOR")]
async fn both_changes_of_a_record_stand(_: PgPoolOptions, db: PgConnectOptions) {
    let rig = Rig::start(db).await;
    let home = rig.address("home", &[(Family::Ipv4, None)]).await;
    let (id, _) = rig.record(home, rig.at_bind("cloud.home.test", &[(Family::Ipv4, None)])).await;
    let mut tx = rig.db.begin().await.unwrap();
    sqlx::query("select from dns_records where id = $1 for update").bind(id).execute(&mut *tx).await.unwrap();
    let ttl = record::Change { ttl: record::Becomes::Value(120), ..record::Change::default() };
    let interval = record::Change { min_interval: Some(Duration::from_mins(9)), ..record::Change::default() };
    let then = async {
        until_waiting(&rig, 2).await;
        tx.commit().await.unwrap();
    };
    tokio::join!(rig.set_record(id, &ttl), rig.set_record(id, &interval), then);
    let found = rig.of(id).await;
    assert_eq!((found.ttl, found.min_interval), (Some(120), Duration::from_mins(9)));
    rig.end().await;
}

#[sqlx::test(migrator = "shared::store::schema::MIGRATOR")]
async fn both_changes_of_an_address_stand(_: PgPoolOptions, db: PgConnectOptions) {
    let rig = Rig::start(db).await;
    let home = rig.address("home", &[(Family::Ipv4, None)]).await;
    let mut tx = rig.db.begin().await.unwrap();
    let lock = sqlx::query("select from dns_addresses where id = $1 for no key update").bind(home);
    lock.execute(&mut *tx).await.unwrap();
    let every = address::Change { every: Some(Duration::from_mins(9)), ..address::Change::default() };
    let allowed = vec!["10.0.0.0/8".parse().unwrap()];
    let allowed = address::Change { allowed: Some(allowed), ..address::Change::default() };
    let then = async {
        until_waiting(&rig, 2).await;
        tx.commit().await.unwrap();
    };
    tokio::join!(rig.set_address("home", &every), rig.set_address("home", &allowed), then);
    let found = dns_addresses::get(&mut rig.db.acquire().await.unwrap(), home).await.unwrap().unwrap();
    assert_eq!((found.interval, found.allowed.len()), (Duration::from_mins(9), 1));
    rig.end().await;
}

//! The kind `dns_address`.

use std::time::Duration;

use shared::{
    dns::address::{Family, Source},
    store::dns_addresses,
};
use sqlx::postgres::{PgConnectOptions, PgPoolOptions};

use crate::rig::Rig;

fn fixed(address: &str) -> Source {
    Source::Fixed { address: address.parse().unwrap() }
}

#[sqlx::test(migrator = "shared::store::schema::MIGRATOR")]
async fn a_source_is_asked_again_and_again_and_its_records_follow(_: PgPoolOptions, db: PgConnectOptions) {
    let rig = Rig::start(db).await;
    let home = rig.address("home", &[(Family::Ipv4, Some(fixed("192.0.2.7"))), (Family::Ipv6, None)]).await;
    let families = [(Family::Ipv4, None), (Family::Ipv6, None)];
    let (record, _) = rig.record(home, rig.at_bind("cloud.home.test", &families)).await;
    rig.address_job(home).await;
    rig.pass(Duration::from_mins(1)).await;
    assert_eq!(rig.bind.dig("cloud.home.test", "A").await, ["192.0.2.7"]);

    let mut conn = rig.db.acquire().await.unwrap();
    dns_addresses::put_family(&mut conn, home, Family::Ipv4, Some(&fixed("192.0.2.8"))).await.unwrap();
    drop(conn);
    rig.pass(Duration::from_mins(7)).await;
    assert_eq!(rig.bind.dig("cloud.home.test", "A").await, ["192.0.2.8"]);
    // A router tells the other family.
    rig.tell(home, "2001:db8::8").await;
    rig.pass(Duration::from_mins(7)).await;
    assert_eq!(rig.bind.dig("cloud.home.test", "AAAA").await, ["2001:db8::8"]);
    assert_eq!(rig.words(record).await.iter().filter(|word| *word == "good").count(), 3);
    let address = dns_addresses::get(&mut rig.db.acquire().await.unwrap(), home).await.unwrap().unwrap();
    let by: Vec<_> = address.families.iter().map(|family| family.told_by.as_deref()).collect();
    assert_eq!(by, [Some("source"), Some("router")]);
    rig.end().await;
}

#[sqlx::test(migrator = "shared::store::schema::MIGRATOR")]
async fn a_source_that_tells_nothing_changes_nothing(_: PgPoolOptions, db: PgConnectOptions) {
    let rig = Rig::start(db).await;
    let away = Source::Interface { name: "nosuch0".to_owned() };
    let home = rig.address("home", &[(Family::Ipv4, Some(away))]).await;
    rig.tell(home, "192.0.2.7").await;
    let (record, _) = rig.record(home, rig.at_bind("cloud.home.test", &[(Family::Ipv4, None)])).await;
    let job = rig.address_job(home).await;
    rig.step(job).await;
    let text = rig.explained(job).await;
    assert!(text.contains("tried again") && text.contains("nosuch0"), "{text}");
    rig.pass(Duration::from_hours(1)).await;
    let get = async || dns_addresses::get(&mut rig.db.acquire().await.unwrap(), home).await.unwrap().unwrap();
    let family = get().await.families.remove(0);
    assert_eq!(family.address, Some("192.0.2.7".parse().unwrap()));
    assert!(family.failing_since.is_some() && family.failing_why.unwrap().contains("nosuch0"));
    assert_eq!(rig.bind.dig("cloud.home.test", "A").await, ["192.0.2.7"]);
    let outcomes: Vec<(String, i64)> =
        sqlx::query_as("select outcome, count(*) from runs where job_id = $1 group by 1 order by 1")
            .bind(job)
            .fetch_all(&rig.db)
            .await
            .unwrap();
    let of = |word: &str| outcomes.iter().find(|(outcome, _)| outcome == word).map_or(0, |(_, n)| *n);
    assert!(of("complete") >= 7 && of("park") == 0, "{outcomes:?}");
    assert!(of("retry") <= 3 * (of("complete") + 1), "a few each time: {outcomes:?}");

    let mut conn = rig.db.acquire().await.unwrap();
    dns_addresses::put_family(&mut conn, home, Family::Ipv4, Some(&fixed("192.0.2.9"))).await.unwrap();
    drop(conn);
    rig.pass(Duration::from_mins(10)).await;
    let family = get().await.families.remove(0);
    assert!(family.failing_since.is_none());
    assert_eq!(rig.bind.dig("cloud.home.test", "A").await, ["192.0.2.9"]);
    assert!(rig.of(record).await.families[0].verified_at.is_some());
    rig.end().await;
}

#[sqlx::test(migrator = "shared::store::schema::MIGRATOR")]
async fn an_address_of_no_use_is_refused_with_the_reason(_: PgPoolOptions, db: PgConnectOptions) {
    let rig = Rig::start(db).await;
    let home = rig.address("home", &[(Family::Ipv4, Some(fixed("100.64.1.1")))]).await;
    let job = rig.address_job(home).await;
    rig.step(job).await;
    let address = dns_addresses::get(&mut rig.db.acquire().await.unwrap(), home).await.unwrap().unwrap();
    let family = &address.families[0];
    assert_eq!(family.address, None);
    assert!(
        family.failing_why.as_deref().unwrap().contains("shared by a provider's customers"),
        "{family:?}"
    );
    rig.end().await;
}

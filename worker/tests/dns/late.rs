//! When a name counts as failing: when it is to be behind for long, and not before.

use std::time::Duration;

use shared::dns::address::Family;
use sqlx::postgres::{PgConnectOptions, PgPoolOptions};

use crate::{
    provider::{Acts, Dialect, Provider},
    rig::{New, Rig},
};

const V4: (Family, Option<&str>) = (Family::Ipv4, None);
const V6: (Family, Option<&str>) = (Family::Ipv6, None);
const BOTH: [(Family, Option<shared::dns::address::Source>); 2] =
    [(Family::Ipv4, None), (Family::Ipv6, None)];

#[sqlx::test(migrator = "shared::store::schema::MIGRATOR")]
async fn a_wait_of_hours_is_told_at_once(_: PgPoolOptions, db: PgConnectOptions) {
    let rig = Rig::start(db).await;
    let provider = Provider::start(Dialect::Dyndns2, &rig.bind, &rig.clock).await;
    provider.acts(Acts::TooMany);
    let home = rig.address("home", &BOTH[..1]).await;
    rig.tell(home, "192.0.2.1").await;
    let (record, _) = rig.record(home, New { provider: provider.settings(), ..New::default() }).await;
    rig.pass(Duration::from_secs(10)).await;
    let family = rig.of(record).await.families.remove(0);
    assert!(family.failing_since.is_some(), "it is to wait for two hours: {family:?}");
    provider.acts(Acts::Right);
    rig.pass(Duration::from_mins(119)).await;
    assert_eq!(provider.calls().len(), 1);
    rig.pass(Duration::from_mins(2)).await;
    assert!(rig.of(record).await.families[0].failing_since.is_none());
    assert_eq!(rig.words(record).await, ["wait", "good", "verified"]);
    rig.end().await;
}

#[sqlx::test(migrator = "shared::store::schema::MIGRATOR")]
async fn an_interval_of_hours_is_told_when_the_address_moves(_: PgPoolOptions, db: PgConnectOptions) {
    let rig = Rig::start(db).await;
    let provider = Provider::start(Dialect::Dyndns2, &rig.bind, &rig.clock).await;
    let home = rig.address("home", &BOTH[..1]).await;
    rig.tell(home, "192.0.2.1").await;
    let min_interval = Duration::from_hours(12);
    let (record, job) =
        rig.record(home, New { provider: provider.settings(), min_interval, ..New::default() }).await;
    rig.pass(Duration::from_mins(30)).await;
    rig.want(job).await;
    rig.pass(Duration::from_mins(30)).await;
    assert!(rig.of(record).await.families[0].failing_since.is_none(), "it has its address");
    rig.tell(home, "192.0.2.2").await;
    rig.pass(Duration::from_mins(1)).await;
    let family = rig.of(record).await.families.remove(0);
    assert!(family.failing_since.is_some(), "it is to wait for eleven hours: {family:?}");
    // However often it moves meanwhile, nobody is called.
    rig.tell(home, "192.0.2.3").await;
    rig.pass(Duration::from_mins(650)).await;
    assert_eq!(provider.calls().len(), 1);
    rig.pass(Duration::from_mins(10)).await;
    assert_eq!(provider.calls().len(), 2);
    assert!(rig.of(record).await.families[0].failing_since.is_none());
    rig.end().await;
}

#[sqlx::test(migrator = "shared::store::schema::MIGRATOR")]
async fn a_new_name_is_not_late_because_its_address_is_old(_: PgPoolOptions, db: PgConnectOptions) {
    let rig = Rig::start(db).await;
    let provider = Provider::start(Dialect::KeySystems, &rig.bind, &rig.clock).await;
    let home = rig.address("home", &BOTH).await;
    rig.tell(home, "192.0.2.1").await;
    rig.tell(home, "2001:db8::1").await;
    rig.pass(Duration::from_hours(5)).await;
    let min_interval = Duration::from_mins(30);
    let new = New { provider: provider.settings(), families: &[V4, V6], min_interval, ..New::default() };
    let (record, _) = rig.record(home, new).await;
    for _ in 0..5 {
        rig.pass(Duration::from_mins(10)).await;
        for family in rig.of(record).await.families {
            assert!(family.failing_since.is_none(), "{family:?}");
        }
    }
    assert_eq!(provider.calls().len(), 2, "one for each family");
    rig.end().await;
}

#[sqlx::test(migrator = "shared::store::schema::MIGRATOR")]
async fn what_is_seen_late_is_no_recovery_of_what_is_parked(_: PgPoolOptions, db: PgConnectOptions) {
    let rig = Rig::start(db).await;
    let provider = Provider::start(Dialect::Dyndns2, &rig.bind, &rig.clock).await;
    // Accepted, and nowhere to be seen yet.
    provider.acts(Acts::Says("good 192.0.2.31\ngood 2001:db8::31"));
    let home = rig.address("home", &BOTH).await;
    rig.tell(home, "192.0.2.31").await;
    rig.tell(home, "2001:db8::31").await;
    let new = New { provider: provider.settings(), families: &[V4, V6], ..New::default() };
    let (record, _) = rig.record(home, new).await;
    rig.pass(Duration::from_mins(2)).await;
    provider.acts(Acts::Says("nohost"));
    rig.tell(home, "192.0.2.32").await;
    rig.pass(Duration::from_mins(5)).await;
    assert_eq!(rig.of(record).await.families[0].parked.as_deref(), Some("nohost"));
    rig.bind
        .nsupdate(
            "update delete cloud.home.test. A\nupdate add cloud.home.test. 60 A 192.0.2.31\n\
            update delete cloud.home.test. AAAA\nupdate add cloud.home.test. 60 AAAA 2001:db8::31\n",
        )
        .await;
    rig.pass(Duration::from_hours(3)).await;
    let of = rig.of(record).await;
    assert!(of.families[0].verified_at.is_some(), "it is seen where it was: {:?}", of.families[0]);
    assert!(of.families[0].failing_since.is_some(), "and is not where it is to be: {:?}", of.families[0]);
    assert!(of.families[1].verified_at.is_some() && of.families[1].failing_since.is_none());
    rig.end().await;
}

//! A name that its provider stands before: the zone's servers answer with the provider's own addresses, so the provider is asked.

use std::time::Duration;

use shared::{dns::address::Family, job::JobId};
use sqlx::postgres::{PgConnectOptions, PgPoolOptions};

use crate::{
    cloudflare::{Acts, Cloudflare},
    rig::{New, Rig},
};

/// The worker dies when the fake has taken one more write.
async fn dies_in_a_write(rig: &Rig, fake: &Cloudflare, job: JobId) {
    fake.acts(Acts::TakesAndHangs);
    let (run, writes) = (rig.claim(job).await, fake.writes());
    tokio::select! {
        step = rig.act(&run) => panic!("it was answered: {step:?}"),
        () = fake.until_written(writes + 1) => {}
    }
    rig.reap().await;
    fake.acts(Acts::Right);
}

#[sqlx::test(migrator = "shared::store::schema::MIGRATOR")]
async fn the_provider_is_asked_where_it_stands_before_the_name(_: PgPoolOptions, db: PgConnectOptions) {
    let rig = Rig::start(db).await;
    let fake = Cloudflare::start("cloud.home.test", true).await;
    let provider = fake.settings();
    let home = rig.address("home", &[(Family::Ipv4, None)]).await;
    rig.tell(home, "192.0.2.77").await;
    let min_interval = Duration::from_mins(1);
    let (record, job) = rig.record(home, New { provider, min_interval, ..New::default() }).await;
    rig.pass(Duration::from_mins(20)).await;
    // The zone's servers go on with the address of the proxy.
    assert_eq!(rig.bind.dig("cloud.home.test", "A").await, ["192.0.2.1"]);
    assert_eq!(rig.words(record).await, ["good", "verified"]);
    assert_eq!(rig.history(record).await[1].said, "the provider holds it, and stands before it");

    // A worker that dies in the call: what has arrived is found there, too.
    rig.tell(home, "192.0.2.78").await;
    dies_in_a_write(&rig, &fake, job).await;
    rig.pass(Duration::from_hours(1)).await;
    assert_eq!(rig.words(record).await, ["good", "verified", "observed"]);
    assert_eq!(fake.writes(), 2, "nothing is written twice");
    assert_eq!(fake.content(), "192.0.2.78");
    rig.end().await;
}

#[sqlx::test(migrator = "shared::store::schema::MIGRATOR")]
async fn what_the_provider_holds_is_looked_for_at_the_zone_all_the_same(
    _: PgPoolOptions,
    db: PgConnectOptions,
) {
    let rig = Rig::start(db).await;
    let fake = Cloudflare::start("cloud.home.test", false).await;
    let home = rig.address("home", &[(Family::Ipv4, None)]).await;
    rig.tell(home, "192.0.2.78").await;
    let min_interval = Duration::from_mins(1);
    let new = New { provider: fake.settings(), min_interval, ..New::default() };
    let (record, job) = rig.record(home, new).await;
    dies_in_a_write(&rig, &fake, job).await;
    // The provider has it, and its servers go on with the old address.
    rig.pass(Duration::from_mins(5)).await;
    assert_eq!(rig.words(record).await, ["observed"]);
    let family = rig.of(record).await.families.remove(0);
    assert!(family.sent.is_some() && family.verified_at.is_none(), "{family:?}");
    rig.pass(Duration::from_mins(20)).await;
    assert_eq!(rig.words(record).await, ["observed", "unverified"]);
    assert!(rig.of(record).await.families[0].failing_since.is_some());
    rig.bind
        .nsupdate("update delete cloud.home.test. A\nupdate add cloud.home.test. 60 A 192.0.2.78\n")
        .await;
    rig.pass(Duration::from_hours(2)).await;
    assert_eq!(rig.words(record).await, ["observed", "unverified", "verified"]);
    assert!(rig.of(record).await.families[0].failing_since.is_none());
    assert_eq!(fake.writes(), 1);
    rig.end().await;
}

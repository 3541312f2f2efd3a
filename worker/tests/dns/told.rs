//! What those who listen for changes are told: once for each turn, in the commit that makes it.

use std::time::Duration;

use shared::{
    admin::{
        Actor,
        dns::{RecordRef, address, record},
    },
    dns::address::{Family, Source},
    store::dns_addresses,
};
use sqlx::postgres::{PgConnectOptions, PgPoolOptions};

use crate::{
    provider::{Acts, Dialect, Provider},
    rig::{New, Rig},
};

const V4: (Family, Option<&str>) = (Family::Ipv4, None);
const V6: (Family, Option<&str>) = (Family::Ipv6, None);

/// All that was told: of which resource, whose, what, and the detail.
async fn told(rig: &Rig) -> Vec<String> {
    sqlx::query_scalar(
        "select concat_ws(' ', resource, key, what, detail) from changes where account_id is null order by epoch, xid, id",
    )
    .fetch_all(&rig.db)
    .await
    .unwrap()
}

#[sqlx::test(migrator = "shared::store::schema::MIGRATOR")]
async fn a_name_that_fails_is_told_once_and_once_when_it_follows_again(
    _: PgPoolOptions,
    db: PgConnectOptions,
) {
    let rig = Rig::start(db).await;
    let provider = Provider::start(Dialect::Dyndns2, &rig.bind, &rig.clock).await;
    let home = rig.address("home", &[(Family::Ipv4, None)]).await;
    rig.tell(home, "192.0.2.1").await;
    provider.acts(Acts::Says("badauth"));
    let (record, job) = rig.record(home, New { provider: provider.settings(), ..New::default() }).await;
    rig.pass(Duration::from_mins(1)).await;
    let first = told(&rig).await;
    assert!(
        matches!(&first[..], [one] if one.starts_with("dns_record cloud.home.test failing IPv4: badauth")),
        "{first:?}"
    );
    // It fails again and again, for one reason and another.
    for word in ["badauth", "abuse", "nohost"] {
        provider.acts(Acts::Says(word));
        rig.retry(job).await;
        rig.pass(Duration::from_hours(2)).await;
    }
    assert_eq!((provider.calls().len(), told(&rig).await.len()), (4, 1), "it is told once");

    provider.acts(Acts::Right);
    rig.force(record, job).await;
    rig.pass(Duration::from_hours(1)).await;
    let second = told(&rig).await;
    assert_eq!(
        second[1..],
        ["dns_record cloud.home.test updated 192.0.2.1", "dns_record cloud.home.test recovered 192.0.2.1"]
    );
    // All is well, and nothing is news but another address.
    rig.want(job).await;
    rig.pass(Duration::from_hours(24)).await;
    assert_eq!(told(&rig).await.len(), 3);
    rig.tell(home, "192.0.2.2").await;
    rig.pass(Duration::from_hours(1)).await;
    assert_eq!(told(&rig).await[3..], ["dns_record cloud.home.test updated 192.0.2.2"]);
    rig.end().await;
}

#[sqlx::test(migrator = "shared::store::schema::MIGRATOR")]
async fn a_name_fails_while_one_of_its_families_does(_: PgPoolOptions, db: PgConnectOptions) {
    let rig = Rig::start(db).await;
    let provider = Provider::start(Dialect::Dyndns2, &rig.bind, &rig.clock).await;
    let home = rig.address("home", &[(Family::Ipv4, None), (Family::Ipv6, None)]).await;
    rig.tell(home, "192.0.2.1").await;
    rig.tell(home, "2001:db8::1").await;
    provider.acts(Acts::Says("badauth"));
    let new = New { provider: provider.settings(), families: &[V4, V6], ..New::default() };
    let (record, job) = rig.record(home, new).await;
    rig.pass(Duration::from_mins(1)).await;
    let first = told(&rig).await;
    assert!(
        first.len() == 1 && first[0].contains("IPv4: badauth") && first[0].contains("; IPv6: badauth"),
        "{first:?}"
    );
    // One of them is served again: that is news of its address, and not yet of the name.
    provider.acts(Acts::Says("good 192.0.2.1\nnohost 2001:db8::1"));
    rig.force(record, job).await;
    rig.pass(Duration::from_hours(1)).await;
    assert_eq!(told(&rig).await[1..], ["dns_record cloud.home.test updated 192.0.2.1"]);
    provider.acts(Acts::Right);
    rig.force(record, job).await;
    rig.pass(Duration::from_hours(1)).await;
    let last = told(&rig).await.split_off(2);
    assert!(
        last.last().is_some_and(|last| last == "dns_record cloud.home.test recovered 192.0.2.1; 2001:db8::1"),
        "{last:?}"
    );
    assert_eq!(last.iter().filter(|told| told.contains("failing") || told.contains("recovered")).count(), 1);
    rig.end().await;
}

#[sqlx::test(migrator = "shared::store::schema::MIGRATOR")]
async fn a_name_that_is_never_seen_is_told_once_and_once_when_it_is(_: PgPoolOptions, db: PgConnectOptions) {
    let rig = Rig::start(db).await;
    let provider = Provider::start(Dialect::Dyndns2, &rig.bind, &rig.clock).await;
    // It says so, and does nothing.
    provider.acts(Acts::Says("good 192.0.2.9"));
    let home = rig.address("home", &[(Family::Ipv4, None)]).await;
    rig.tell(home, "192.0.2.9").await;
    let (_, job) = rig.record(home, New { provider: provider.settings(), ..New::default() }).await;
    rig.pass(Duration::from_mins(9)).await;
    assert_eq!(told(&rig).await, ["dns_record cloud.home.test updated 192.0.2.9"], "it may come yet");
    rig.pass(Duration::from_mins(3)).await;
    let second = told(&rig).await.split_off(1);
    let begins = "dns_record cloud.home.test failing IPv4: not seen within 10 minutes: ";
    assert!(matches!(&second[..], [one] if one.starts_with(begins)), "{second:?}");
    // It is looked for again and again, and a person looks too.
    for _ in 0..5 {
        rig.pass(Duration::from_hours(2)).await;
        rig.want(job).await;
    }
    assert_eq!((told(&rig).await.len(), provider.calls().len()), (2, 1), "it is told once");

    rig.bind.nsupdate("update delete cloud.home.test. A\nupdate add cloud.home.test. 60 A 192.0.2.9").await;
    rig.pass(Duration::from_hours(10)).await;
    assert_eq!(told(&rig).await[2..], ["dns_record cloud.home.test recovered 192.0.2.9"]);
    rig.want(job).await;
    rig.pass(Duration::from_hours(10)).await;
    assert_eq!((told(&rig).await.len(), provider.calls().len()), (3, 1));
    rig.end().await;
}

#[sqlx::test(migrator = "shared::store::schema::MIGRATOR")]
async fn what_is_not_committed_is_not_told(_: PgPoolOptions, db: PgConnectOptions) {
    let rig = Rig::start(db).await;
    let provider = Provider::start(Dialect::Dyndns2, &rig.bind, &rig.clock).await;
    let home = rig.address("home", &[(Family::Ipv4, None)]).await;
    // Another one than BIND has: the open outcome is not to be seen there.
    rig.tell(home, "192.0.2.9").await;
    provider.acts(Acts::Says("badauth"));
    let (_, job) = rig.record(home, New { provider: provider.settings(), ..New::default() }).await;
    let run = rig.claim(job).await;
    let step = rig.act(&run).await;
    drop(step);
    assert_eq!((provider.calls().len(), told(&rig).await.len()), (1, 0));
    rig.reap().await;
    rig.pass(Duration::from_hours(1)).await;
    let told = told(&rig).await;
    assert!(matches!(&told[..], [one] if one.contains("failing IPv4: badauth")), "{told:?}");
    rig.end().await;
}

#[sqlx::test(migrator = "shared::store::schema::MIGRATOR")]
async fn a_source_that_fails_is_told_once_and_once_when_it_tells_again(
    _: PgPoolOptions,
    db: PgConnectOptions,
) {
    let rig = Rig::start(db).await;
    let away = Source::Interface { name: "nosuch0".to_owned() };
    let home = rig.address("home", &[(Family::Ipv4, Some(away))]).await;
    rig.address_job(home).await;
    rig.pass(Duration::from_hours(1)).await;
    let first = told(&rig).await;
    assert!(
        matches!(&first[..], [one] if one.starts_with("dns_address home failing IPv4: ") && one.contains("nosuch0")),
        "{first:?}"
    );
    let fixed = serde_json::to_value(Source::Fixed { address: "192.0.2.9".parse().unwrap() }).unwrap();
    let mended = sqlx::query("update dns_address_families set source = $1").bind(fixed);
    mended.execute(&rig.db).await.unwrap();
    rig.pass(Duration::from_hours(1)).await;
    assert_eq!(told(&rig).await[1..], ["dns_address home recovered"]);
    let address = dns_addresses::get(&mut rig.db.acquire().await.unwrap(), home).await.unwrap().unwrap();
    assert!(address.families[0].failing_since.is_none());
    rig.end().await;
}

#[sqlx::test(migrator = "shared::store::schema::MIGRATOR")]
async fn a_source_that_is_taken_away_fails_no_more(_: PgPoolOptions, db: PgConnectOptions) {
    let rig = Rig::start(db).await;
    let away = Some(Source::Interface { name: "nosuch0".to_owned() });
    let home = rig.address("home", &[(Family::Ipv4, away.clone()), (Family::Ipv6, away.clone())]).await;
    rig.address_job(home).await;
    rig.pass(Duration::from_mins(15)).await;
    assert_eq!(told(&rig).await.len(), 1, "both fail");
    let change = |families: &[(Family, Option<Source>)], without: &[Family]| address::Change {
        families: families.to_vec(),
        without: without.to_vec(),
        ..address::Change::default()
    };
    let ended = "dns_address home recovered what failed was taken away";
    // One of two is left, which fails still.
    rig.set_address("home", &change(&[(Family::Ipv4, None)], &[])).await;
    assert_eq!(told(&rig).await.len(), 1);
    rig.set_address("home", &change(&[], &[Family::Ipv6])).await;
    assert_eq!(told(&rig).await[1..], [ended]);
    // And once more, by a router in its place.
    rig.set_address("home", &change(&[(Family::Ipv4, away)], &[])).await;
    rig.pass(Duration::from_mins(15)).await;
    assert_eq!(told(&rig).await.len(), 3);
    rig.set_address("home", &change(&[(Family::Ipv4, None)], &[])).await;
    assert_eq!(told(&rig).await[3..], [ended]);
    rig.end().await;
}

#[sqlx::test(migrator = "shared::store::schema::MIGRATOR")]
async fn a_family_that_fails_and_is_not_kept_any_more_fails_no_more(_: PgPoolOptions, db: PgConnectOptions) {
    let rig = Rig::start(db).await;
    let provider = Provider::start(Dialect::Dyndns2, &rig.bind, &rig.clock).await;
    let home = rig.address("home", &[(Family::Ipv4, None), (Family::Ipv6, None)]).await;
    rig.tell(home, "192.0.2.1").await;
    rig.tell(home, "2001:db8::1").await;
    provider.acts(Acts::Says("nohost"));
    let new = New { provider: provider.settings(), families: &[V4, V6], ..New::default() };
    let (record, job) = rig.record(home, new).await;
    rig.pass(Duration::from_mins(1)).await;
    provider.acts(Acts::Says("good 192.0.2.1\nnohost 2001:db8::1"));
    rig.bind.nsupdate("update add cloud.home.test. 60 A 192.0.2.1").await;
    rig.force(record, job).await;
    rig.pass(Duration::from_hours(1)).await;
    assert_eq!(told(&rig).await.len(), 2, "failing, and one family's new address");
    rig.set_record(record, &record::Change { without: vec![Family::Ipv6], ..record::Change::default() })
        .await;
    assert_eq!(
        told(&rig).await[2..],
        ["dns_record cloud.home.test recovered it is not kept in IPv6 any more"]
    );
    rig.pass(Duration::from_hours(1)).await;
    assert_eq!(told(&rig).await.len(), 3);

    // What is removed while it fails ends by that.
    provider.acts(Acts::Says("badauth"));
    rig.force(record, job).await;
    rig.pass(Duration::from_hours(1)).await;
    assert_eq!(told(&rig).await.len(), 4);
    record::rm(&rig.db, &Actor::new("test"), &RecordRef::Id(record), None).await.unwrap();
    assert_eq!(told(&rig).await[4..], ["dns_record cloud.home.test deleted"]);
    address::rm(&rig.db, &Actor::new("test"), "home", None).await.unwrap();
    assert_eq!(told(&rig).await[5..], ["dns_address home deleted"]);
    rig.end().await;
}

#[sqlx::test(migrator = "shared::store::schema::MIGRATOR")]
async fn an_address_fails_by_its_source_and_by_a_router_as_one(_: PgPoolOptions, db: PgConnectOptions) {
    let rig = Rig::start(db).await;
    let fixed = |address: &str| Some(Source::Fixed { address: address.parse().unwrap() });
    // A source's word that is forbidden counts at once.
    let home = rig.address("home", &[(Family::Ipv4, fixed("100.64.3.2")), (Family::Ipv6, None)]).await;
    let why = async |family: usize| {
        let mut conn = rig.db.acquire().await.unwrap();
        dns_addresses::get(&mut conn, home).await.unwrap().unwrap().families.remove(family).failing_why
    };
    let job = rig.address_job(home).await;
    // Both at once: the step holds the address, and the router waits for it.
    let run = rig.claim(job).await;
    let step = rig.act(&run).await;
    let (_, ()) =
        tokio::join!(rig.commit(&run, step), rig.tell_useless(home, Family::Ipv6, "it is link-local"));
    let first = told(&rig).await;
    assert!(matches!(&first[..], [one] if one.starts_with("dns_address home failing IPv4: ")), "{first:?}");
    assert_eq!(why(1).await.as_deref(), Some("it is link-local"));
    // Of a family with a source a router's word makes nothing of it, neither way.
    rig.tell_useless(home, Family::Ipv4, "it is private").await;
    assert!(why(0).await.is_some_and(|why| why.contains("100.64.3.2")));
    rig.tell(home, "192.0.2.9").await;
    assert!(why(0).await.is_some());
    // One of both is mended, then the other.
    rig.tell(home, "2001:db8::1").await;
    assert_eq!((why(1).await, told(&rig).await.len()), (None, 1));
    let mended = address::Change { families: vec![(Family::Ipv4, fixed("192.0.2.7"))], ..Default::default() };
    rig.set_address("home", &mended).await;
    rig.pass(Duration::from_mins(10)).await;
    assert_eq!(told(&rig).await[1..], ["dns_address home recovered"]);
    rig.end().await;
}

#[sqlx::test(migrator = "shared::store::schema::MIGRATOR")]
async fn a_routers_useless_word_stands_until_it_tells_another(_: PgPoolOptions, db: PgConnectOptions) {
    let rig = Rig::start(db).await;
    let home = rig.address("home", &[(Family::Ipv4, None)]).await;
    let why = async || {
        let mut conn = rig.db.acquire().await.unwrap();
        dns_addresses::get(&mut conn, home).await.unwrap().unwrap().families.remove(0).failing_why
    };
    rig.tell_useless(home, Family::Ipv4, "the router router told 100.64.3.2").await;
    // It is the router's still, and nothing else changes: the reason is the same.
    let router = address::Change { families: vec![(Family::Ipv4, None)], ..Default::default() };
    rig.set_address("home", &router).await;
    assert_eq!(why().await.as_deref(), Some("the router router told 100.64.3.2"));
    // What is allowed is another: whether the address can be used now is not known yet.
    let allowed = Some(vec!["100.64.0.0/10".parse().unwrap()]);
    rig.set_address("home", &address::Change { allowed, ..Default::default() }).await;
    assert!(why().await.is_some_and(|why| why.contains("it has not called since")));
    assert_eq!(told(&rig).await.len(), 1);
    rig.tell(home, "100.64.3.2").await;
    assert_eq!(why().await, None);
    assert_eq!(told(&rig).await[1..], ["dns_address home recovered"]);

    // A source in its place fails on until it tells; a family that goes takes its failing along.
    rig.tell_useless(home, Family::Ipv4, "the router router told 10.0.0.1").await;
    let source = Some(Source::Fixed { address: "100.64.3.3".parse().unwrap() });
    rig.set_address(
        "home",
        &address::Change {
            families: vec![(Family::Ipv4, source), (Family::Ipv6, None)],
            ..Default::default()
        },
    )
    .await;
    assert!(why().await.is_some());
    rig.pass(Duration::from_mins(10)).await;
    assert_eq!((why().await, told(&rig).await.len()), (None, 4));
    rig.tell_useless(home, Family::Ipv6, "the router router told fd00::1").await;
    rig.set_address("home", &address::Change { without: vec![Family::Ipv6], ..Default::default() }).await;
    assert_eq!(told(&rig).await[5..], ["dns_address home recovered what failed was taken away"]);
    rig.end().await;
}

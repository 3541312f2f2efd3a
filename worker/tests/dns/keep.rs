//! A name follows its address, and nothing is sent that need not be.

use std::time::Duration;

use shared::{dns::address::Family, job::Verdict, store::dns_history};
use sqlx::postgres::{PgConnectOptions, PgPoolOptions};

use crate::{
    provider::{Acts, Dialect, Provider},
    rig::{New, Rig},
};

const V4: (Family, Option<&str>) = (Family::Ipv4, None);
const V6: (Family, Option<&str>) = (Family::Ipv6, None);
const ROUTER: [(Family, Option<shared::dns::address::Source>); 2] =
    [(Family::Ipv4, None), (Family::Ipv6, None)];

#[sqlx::test(migrator = "shared::store::schema::MIGRATOR")]
async fn an_address_that_moves_reaches_the_zone_and_is_seen_there(_: PgPoolOptions, db: PgConnectOptions) {
    let rig = Rig::start(db).await;
    let home = rig.address("home", &ROUTER).await;
    let families = [V4, (Family::Ipv6, Some("::1:2:3:4"))];
    let (record, job) = rig.record(home, rig.at_bind("cloud.home.test", &families)).await;
    // Nobody has told an address yet.
    rig.pass(Duration::from_mins(1)).await;
    assert_eq!(rig.words(record).await, Vec::<String>::new());

    assert!(rig.tell(home, "192.0.2.7").await);
    assert!(rig.tell(home, "2001:db8:1:2::99").await);
    rig.pass(Duration::from_mins(1)).await;
    assert_eq!(rig.bind.dig("cloud.home.test", "A").await, ["192.0.2.7"]);
    assert_eq!(rig.bind.dig("cloud.home.test", "AAAA").await, ["2001:db8:1:2:1:2:3:4"]);
    assert_eq!(rig.words(record).await, ["good", "good", "verified", "verified"]);
    let of = rig.of(record).await;
    for family in &of.families {
        assert_eq!((family.sent, family.sending), (family.wanted(), None));
        assert!(family.verified_at.is_some() && family.verify_ms.is_some(), "{family:?}");
    }

    // The same again is nothing new, whoever wants it.
    assert!(!rig.tell(home, "192.0.2.7").await);
    rig.want(job).await;
    rig.pass(Duration::from_hours(24)).await;
    assert_eq!(rig.words(record).await.len(), 4);

    // Another prefix: the host keeps its own part, and IPv4 is left alone.
    assert!(rig.tell(home, "2001:db8:1:3::99").await);
    rig.pass(Duration::from_mins(1)).await;
    assert_eq!(rig.bind.dig("cloud.home.test", "AAAA").await, ["2001:db8:1:3:1:2:3:4"]);
    assert_eq!(rig.words(record).await[4..], ["good", "verified"]);
    rig.end().await;
}

#[sqlx::test(migrator = "shared::store::schema::MIGRATOR")]
async fn between_two_updates_lies_the_minimum_interval(_: PgPoolOptions, db: PgConnectOptions) {
    let rig = Rig::start(db).await;
    let provider = Provider::start(Dialect::Dyndns2, &rig.bind, &rig.clock).await;
    let home = rig.address("home", &ROUTER).await;
    rig.tell(home, "192.0.2.1").await;
    let (record, job) = rig.record(home, New { provider: provider.settings(), ..New::default() }).await;
    rig.pass(Duration::from_mins(1)).await;
    rig.tell(home, "192.0.2.2").await;
    rig.pass(Duration::from_mins(1)).await;
    rig.tell(home, "192.0.2.3").await;
    let text = rig.explained(job).await;
    assert!(text.starts_with("waits for the provider's minimum interval until "), "{text}");
    // Neither a person nor a crash hurries it; that nobody runs it costs no attempt.
    rig.retry(job).await;
    rig.force(record, job).await;
    rig.pass(Duration::from_mins(2)).await;
    assert_eq!(provider.calls().len(), 1);
    rig.pass(Duration::from_mins(2)).await;
    let calls = provider.calls();
    assert_eq!(calls.len(), 2, "{calls:?}");
    assert!(calls[1].at - calls[0].at >= chrono::TimeDelta::minutes(5));
    assert_eq!(calls[1].addresses, ["192.0.2.3".parse::<std::net::IpAddr>().unwrap()], "the last one told");
    assert_eq!(rig.bind.dig("cloud.home.test", "A").await, ["192.0.2.3"]);
    let attempts: i32 = sqlx::query_scalar("select coalesce(max(attempt), 0) from runs where job_id = $1")
        .bind(job)
        .fetch_one(&rig.db)
        .await
        .unwrap();
    assert_eq!(attempts, 1);
    rig.end().await;
}

#[sqlx::test(migrator = "shared::store::schema::MIGRATOR")]
async fn what_the_provider_has_is_counted_and_sent_again_only_when_it_is_time(
    _: PgPoolOptions,
    db: PgConnectOptions,
) {
    let rig = Rig::start(db).await;
    let provider = Provider::start(Dialect::Dyndns2, &rig.bind, &rig.clock).await;
    let home = rig.address("home", &ROUTER).await;
    rig.tell(home, "192.0.2.1").await;
    rig.tell(home, "2001:db8::1").await;
    let forced_interval = Some(Duration::from_hours(25 * 24));
    let new = New { provider: provider.settings(), families: &[V4, V6], forced_interval, ..New::default() };
    let (record, job) = rig.record(home, new).await;
    rig.pass(Duration::from_hours(24 * 24)).await;
    rig.want(job).await;
    rig.pass(Duration::from_hours(20)).await;
    assert_eq!(provider.calls().len(), 1);
    rig.pass(Duration::from_hours(6)).await;
    assert_eq!(provider.calls().len(), 2, "both families by one call");
    assert!(rig.of(record).await.families.iter().all(|family| family.no_changes == 1));
    rig.want(job).await;
    rig.pass(Duration::from_hours(24 * 20)).await;
    assert_eq!(provider.calls().len(), 2);
    // A person may demand it.
    rig.force(record, job).await;
    rig.pass(Duration::from_hours(1)).await;
    assert_eq!(provider.calls().len(), 3);
    assert!(rig.of(record).await.families.iter().all(|family| family.no_changes == 2));
    rig.end().await;
}

#[sqlx::test(migrator = "shared::store::schema::MIGRATOR")]
async fn the_other_family_goes_along_where_it_would_be_changed_otherwise(
    _: PgPoolOptions,
    db: PgConnectOptions,
) {
    let rig = Rig::start(db).await;
    let provider = Provider::start(Dialect::Dyndns2, &rig.bind, &rig.clock).await;
    let mut settings = provider.settings();
    settings["dual"] = "myipv6".into();
    let home = rig.address("home", &ROUTER).await;
    rig.tell(home, "192.0.2.1").await;
    rig.tell(home, "2001:db8::1").await;
    let (record, _) =
        rig.record(home, New { provider: settings, families: &[V4, V6], ..New::default() }).await;
    rig.pass(Duration::from_mins(10)).await;
    rig.tell(home, "2001:db8::2").await;
    rig.pass(Duration::from_mins(10)).await;
    let calls = provider.calls();
    let of_last: Vec<String> = calls[1].addresses.iter().map(ToString::to_string).collect();
    assert_eq!((calls.len(), of_last), (2, vec!["192.0.2.1".to_owned(), "2001:db8::2".to_owned()]));
    assert_eq!(rig.bind.dig("cloud.home.test", "A").await, ["192.0.2.1"]);
    // It is no update of that family.
    assert_eq!(rig.words(record).await, ["good", "good", "verified", "verified", "good", "verified"]);
    assert!(rig.of(record).await.families.iter().all(|family| family.no_changes == 0));
    rig.end().await;
}

#[sqlx::test(migrator = "shared::store::schema::MIGRATOR")]
async fn a_name_that_is_never_seen_is_reported_and_recovers(_: PgPoolOptions, db: PgConnectOptions) {
    let rig = Rig::start(db).await;
    let provider = Provider::start(Dialect::Dyndns2, &rig.bind, &rig.clock).await;
    // It says so, and does nothing.
    provider.acts(Acts::Says("good 192.0.2.1"));
    let home = rig.address("home", &ROUTER).await;
    rig.tell(home, "192.0.2.1").await;
    let host = "nas.dyn.home.test";
    let (record, job) = rig.record(home, New { host, provider: provider.settings(), ..New::default() }).await;
    rig.pass(Duration::from_mins(9)).await;
    let text = rig.explained(job).await;
    assert!(text.contains("not seen yet") && text.contains("Non-Existent Domain"), "{text}");
    assert!(rig.of(record).await.families[0].failing_since.is_none());
    rig.pass(Duration::from_mins(3)).await;
    let family = rig.of(record).await.families.remove(0);
    assert!(family.unverified_at.is_some() && family.failing_since.is_some(), "{family:?}");
    assert!(family.failing_why.unwrap().starts_with("not seen within 10 minutes"));
    rig.pass(Duration::from_hours(5)).await;
    assert_eq!(rig.words(record).await, ["good", "unverified"], "it is said once");

    rig.bind.nsupdate(&format!("update add {host}. 60 A 192.0.2.1")).await;
    rig.pass(Duration::from_hours(2)).await;
    assert_eq!(rig.words(record).await, ["good", "unverified", "verified"]);
    let family = rig.of(record).await.families.remove(0);
    assert!(family.failing_since.is_none() && family.unverified_at.is_none(), "{family:?}");
    assert_eq!(provider.calls().len(), 1);
    rig.end().await;
}

#[sqlx::test(migrator = "shared::store::schema::MIGRATOR")]
async fn two_families_at_a_provider_that_takes_one_update_in_half_an_hour(
    _: PgPoolOptions,
    db: PgConnectOptions,
) {
    let rig = Rig::start(db).await;
    let provider = Provider::start(Dialect::KeySystems, &rig.bind, &rig.clock).await;
    let home = rig.address("home", &ROUTER).await;
    rig.tell(home, "192.0.2.1").await;
    rig.tell(home, "2001:db8::1").await;
    let min_interval = Duration::from_mins(30);
    let new = New { provider: provider.settings(), families: &[V4, V6], min_interval, ..New::default() };
    let (record, _) = rig.record(home, new).await;
    rig.pass(Duration::from_mins(29)).await;
    assert_eq!(rig.bind.dig("cloud.home.test", "A").await, ["192.0.2.1"]);
    assert_eq!(provider.calls().len(), 1);
    rig.pass(Duration::from_mins(5)).await;
    assert_eq!(rig.bind.dig("cloud.home.test", "AAAA").await, ["2001:db8::1"]);
    assert!(provider.calls().iter().all(|call| call.answer == "200"), "{:?}", provider.calls());
    assert_eq!(provider.calls().len(), 2);
    assert!(rig.of(record).await.families.iter().all(|family| family.failing_since.is_none()));
    rig.end().await;
}

#[sqlx::test(migrator = "shared::store::schema::MIGRATOR")]
async fn an_address_that_moves_while_it_is_sent_is_sent_afterwards(_: PgPoolOptions, db: PgConnectOptions) {
    let rig = Rig::start(db).await;
    let provider = Provider::start(Dialect::Dyndns2, &rig.bind, &rig.clock).await;
    provider.acts(Acts::TakesAndHangs);
    let home = rig.address("home", &ROUTER).await;
    rig.tell(home, "192.0.2.1").await;
    let (record, job) = rig.record(home, New { provider: provider.settings(), ..New::default() }).await;
    let run = rig.claim(job).await;
    let moves = async {
        provider.until_called(1).await;
        rig.tell(home, "192.0.2.2").await;
        provider.acts(Acts::Right);
        provider.answer();
    };
    let (step, ()) = tokio::join!(rig.act(&run), moves);
    assert_eq!(rig.commit(&run, step).await.verdict, Verdict::Complete);
    rig.pass(Duration::from_mins(4)).await;
    assert_eq!(provider.calls().len(), 1);
    rig.pass(Duration::from_mins(2)).await;
    assert_eq!(provider.calls().len(), 2);
    assert_eq!(rig.bind.dig("cloud.home.test", "A").await, ["192.0.2.2"]);
    assert_eq!(rig.words(record).await, ["good", "verified", "good", "verified"]);
    rig.end().await;
}

#[sqlx::test(migrator = "shared::store::schema::MIGRATOR")]
async fn all_of_it_goes_with_its_tenant(_: PgPoolOptions, db: PgConnectOptions) {
    let rig = Rig::start(db).await;
    let home = rig.address("home", &ROUTER).await;
    rig.tell(home, "192.0.2.1").await;
    rig.record(home, rig.at_bind("cloud.home.test", &[V4])).await;
    rig.pass(Duration::from_mins(1)).await;
    shared::admin::tenant::rm(&rig.db, None, &shared::admin::Actor::new("test"), "home").await.unwrap();
    for table in [
        "dns_addresses",
        "dns_address_families",
        "dns_records",
        "dns_record_families",
        "dns_history",
        "secrets",
    ] {
        let left: i64 = sqlx::query_scalar(sqlx::AssertSqlSafe(format!("select count(*) from {table}")))
            .fetch_one(&rig.db)
            .await
            .unwrap();
        assert_eq!(left, 0, "{table}");
    }
    rig.end().await;
}

#[sqlx::test(migrator = "shared::store::schema::MIGRATOR")]
async fn history_is_kept_for_a_time_and_up_to_a_number(_: PgPoolOptions, db: PgConnectOptions) {
    let rig = Rig::start(db).await;
    let home = rig.address("home", &ROUTER).await;
    let (record, _) = rig.record(home, rig.at_bind("cloud.home.test", &[V4])).await;
    let (other, _) = rig.record(home, rig.at_bind("a.dyn.home.test", &[V4])).await;
    sqlx::query(
        "insert into dns_history (record_id, at, family, what, said)
        select r, clock() - n * interval '1 day', 'ipv4', 'good', n::text from unnest($1::bigint[]) r, generate_series(95, 0, -1) n",
    )
    .bind([record, other])
    .execute(&rig.db)
    .await
    .unwrap();
    let mut conn = rig.db.acquire().await.unwrap();
    let keep = Duration::from_hours(90 * 24 - 12);
    assert_eq!(dns_history::forget_old(&mut conn, keep, 1_000, 3).await.unwrap(), 3, "no more at a time");
    while dns_history::forget_old(&mut conn, keep, 1_000, 3).await.unwrap() > 0 {}
    assert_eq!((rig.history(record).await.len(), rig.history(other).await.len()), (90, 90));
    while dns_history::forget_old(&mut conn, keep, 50, 7).await.unwrap() > 0 {}
    let left = rig.history(record).await;
    assert_eq!((left.len(), left[0].said.as_str()), (50, "49"), "the last ones");
    drop(conn);
    rig.end().await;
}

#[sqlx::test(migrator = "shared::store::schema::MIGRATOR")]
async fn a_forced_update_without_an_answer_is_not_taken_for_done(_: PgPoolOptions, db: PgConnectOptions) {
    let rig = Rig::start(db).await;
    let provider = Provider::start(Dialect::Dyndns2, &rig.bind, &rig.clock).await;
    let home = rig.address("home", &ROUTER).await;
    rig.tell(home, "192.0.2.1").await;
    let forced_interval = Some(Duration::from_hours(25 * 24));
    let (record, job) =
        rig.record(home, New { provider: provider.settings(), forced_interval, ..New::default() }).await;
    rig.pass(Duration::from_hours(24 * 24)).await;
    assert_eq!(rig.words(record).await, ["good", "verified"]);
    provider.acts(Acts::Silent);
    rig.pass(Duration::from_hours(26)).await;
    let silent = provider.calls().len();
    assert!(silent > 1, "it was not time");
    // The zone has had the address all along, which says nothing.
    assert!(!rig.words(record).await.contains(&"observed".to_owned()));
    provider.acts(Acts::Right);
    rig.pass(Duration::from_hours(2)).await;
    assert!(rig.words(record).await.contains(&"nochg".to_owned()), "{:?}", rig.words(record).await);
    // A person's demand is the same.
    provider.acts(Acts::Silent);
    rig.force(record, job).await;
    rig.pass(Duration::from_mins(10)).await;
    provider.acts(Acts::Right);
    let before = provider.calls().len();
    rig.pass(Duration::from_hours(2)).await;
    assert_eq!(provider.calls().len(), before + 1);
    assert!(!rig.words(record).await.contains(&"observed".to_owned()));
    rig.end().await;
}

#[sqlx::test(migrator = "shared::store::schema::MIGRATOR")]
async fn a_name_whose_address_comes_back_fails_no_more(_: PgPoolOptions, db: PgConnectOptions) {
    let rig = Rig::start(db).await;
    let provider = Provider::start(Dialect::Dyndns2, &rig.bind, &rig.clock).await;
    let home = rig.address("home", &ROUTER).await;
    rig.tell(home, "192.0.2.1").await;
    let (record, _) = rig.record(home, New { provider: provider.settings(), ..New::default() }).await;
    rig.pass(Duration::from_mins(10)).await;
    provider.acts(Acts::Says("911"));
    rig.tell(home, "192.0.2.2").await;
    rig.pass(Duration::from_hours(3)).await;
    assert!(rig.of(record).await.families[0].failing_since.is_some());
    rig.tell(home, "192.0.2.1").await;
    rig.pass(Duration::from_hours(1)).await;
    let family = &rig.of(record).await.families[0];
    assert_eq!((family.failing_since, family.sent), (None, family.wanted()));
    rig.end().await;
}

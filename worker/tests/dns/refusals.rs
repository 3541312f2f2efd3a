//! What a provider refuses, and what follows.

use std::time::Duration;

use shared::dns::address::Family;
use sqlx::postgres::{PgConnectOptions, PgPoolOptions};

use crate::{
    bind::OTHER_SECRET,
    provider::{Acts, Dialect, Provider},
    rig::{New, Rig},
};

const V4: (Family, Option<&str>) = (Family::Ipv4, None);
const V6: (Family, Option<&str>) = (Family::Ipv6, None);

async fn phase(rig: &Rig, job: i64) -> String {
    let phase = sqlx::query_scalar("select phase::text from job_state where job_id = $1");
    phase.bind(job).fetch_one(&rig.db).await.unwrap()
}

#[sqlx::test(migrator = "shared::store::schema::MIGRATOR")]
async fn a_refusal_that_lasts_parks_until_a_person_acts(_: PgPoolOptions, db: PgConnectOptions) {
    let rig = Rig::start(db).await;
    let provider = Provider::start(Dialect::Dyndns2, &rig.bind, &rig.clock).await;
    let home = rig.address("home", &[(Family::Ipv4, None)]).await;
    let (record, job) = rig.record(home, New { provider: provider.settings(), ..New::default() }).await;
    let mut calls = 0;
    for (nth, word) in
        ["badauth", "abuse", "badagent", "nohost", "numhost", "notfqdn"].into_iter().enumerate()
    {
        provider.acts(Acts::Says(word));
        rig.tell(home, &format!("192.0.2.{}", 10 + nth)).await;
        if calls > 0 {
            // A new address is no person.
            rig.want(job).await;
            rig.pass(Duration::from_hours(30)).await;
            assert_eq!((provider.calls().len(), phase(&rig, job).await.as_str()), (calls, "parked"));
            rig.retry(job).await;
        }
        rig.pass(Duration::from_hours(1)).await;
        calls += 1;
        assert_eq!((provider.calls().len(), phase(&rig, job).await.as_str()), (calls, "parked"), "{word}");
        let family = rig.of(record).await.families.remove(0);
        assert_eq!(family.parked.as_deref(), Some(word));
        assert!(family.failing_since.is_some() && family.sending.is_none(), "{family:?}");
        let text = rig.explained(job).await;
        assert!(text.contains(word) && text.contains("syncfleet job retry"), "{text}");
    }
    provider.acts(Acts::Right);
    rig.force(record, job).await;
    rig.pass(Duration::from_hours(1)).await;
    assert_eq!(rig.bind.dig("cloud.home.test", "A").await, ["192.0.2.15"]);
    let family = rig.of(record).await.families.remove(0);
    assert!(family.parked.is_none() && family.failing_since.is_none(), "{family:?}");
    rig.end().await;
}

#[sqlx::test(migrator = "shared::store::schema::MIGRATOR")]
async fn a_wrong_key_parks_a_record_at_bind(_: PgPoolOptions, db: PgConnectOptions) {
    let rig = Rig::start(db).await;
    let home = rig.address("home", &[(Family::Ipv4, None)]).await;
    rig.tell(home, "192.0.2.7").await;
    let new = New { secret: OTHER_SECRET, ..rig.at_bind("cloud.home.test", &[V4]) };
    let (record, job) = rig.record(home, new).await;
    rig.pass(Duration::from_hours(1)).await;
    assert_eq!(phase(&rig, job).await, "parked");
    assert_eq!(rig.of(record).await.families[0].parked.as_deref(), Some("badsig"));
    assert_eq!(rig.words(record).await, ["parked"]);
    rig.end().await;
}

#[sqlx::test(migrator = "shared::store::schema::MIGRATOR")]
async fn one_family_that_is_refused_does_not_hold_the_other(_: PgPoolOptions, db: PgConnectOptions) {
    let rig = Rig::start(db).await;
    let provider = Provider::start(Dialect::Dyndns2, &rig.bind, &rig.clock).await;
    let home = rig.address("home", &[(Family::Ipv4, None), (Family::Ipv6, None)]).await;
    rig.tell(home, "192.0.2.1").await;
    rig.tell(home, "2001:db8::1").await;
    provider.acts(Acts::Says("good 192.0.2.1\nnohost 2001:db8::1"));
    let new = New { provider: provider.settings(), families: &[V4, V6], ..New::default() };
    let (record, job) = rig.record(home, new).await;
    rig.pass(Duration::from_mins(1)).await;
    let of = rig.of(record).await;
    assert_eq!((of.families[0].parked.as_deref(), of.families[1].parked.as_deref()), (None, Some("nohost")));
    provider.acts(Acts::Right);
    rig.tell(home, "192.0.2.2").await;
    rig.tell(home, "2001:db8::2").await;
    rig.pass(Duration::from_mins(10)).await;
    assert_eq!(rig.bind.dig("cloud.home.test", "A").await, ["192.0.2.2"]);
    assert_eq!(provider.calls()[1].addresses.len(), 1, "only the family that is served");
    assert_ne!(phase(&rig, job).await, "parked");
    // The job has nothing to do, and that is not all there is to say.
    let text = rig.explained(job).await;
    assert!(text.starts_with("IPv6: parked: nohost (") && text.contains("nothing to do"), "{text}");
    assert!(text.contains("`syncfleet dns update cloud.home.test --force`"), "{text}");
    rig.force(record, job).await;
    rig.pass(Duration::from_mins(10)).await;
    assert!(rig.explained(job).await.starts_with("nothing to do"));
    rig.end().await;
}

#[sqlx::test(migrator = "shared::store::schema::MIGRATOR")]
async fn an_outage_that_is_told_waits_without_an_attempt(_: PgPoolOptions, db: PgConnectOptions) {
    let rig = Rig::start(db).await;
    let provider = Provider::start(Dialect::Dyndns2, &rig.bind, &rig.clock).await;
    provider.acts(Acts::Says("911"));
    let home = rig.address("home", &[(Family::Ipv4, None)]).await;
    rig.tell(home, "192.0.2.1").await;
    let (record, job) = rig.record(home, New { provider: provider.settings(), ..New::default() }).await;
    rig.pass(Duration::from_secs(10)).await;
    let text = rig.explained(job).await;
    assert!(text.contains("minimum interval") && text.contains("911"), "{text}");
    rig.retry(job).await;
    rig.pass(Duration::from_mins(29)).await;
    assert_eq!(provider.calls().len(), 1, "half an hour is half an hour");
    rig.pass(Duration::from_mins(2)).await;
    assert_eq!(provider.calls().len(), 2);
    assert!(rig.of(record).await.families[0].failing_since.is_none(), "it is not late yet");
    rig.pass(Duration::from_hours(1)).await;
    assert!(rig.of(record).await.families[0].failing_since.is_some(), "it is an hour late");
    assert_eq!(provider.calls().len(), 4);
    provider.acts(Acts::Right);
    rig.pass(Duration::from_mins(30)).await;
    assert_eq!(provider.calls().len(), 5);
    assert!(rig.of(record).await.families[0].failing_since.is_none());
    let outcomes: Vec<String> =
        sqlx::query_scalar("select distinct outcome from runs where job_id = $1 order by 1")
            .bind(job)
            .fetch_all(&rig.db)
            .await
            .unwrap();
    assert_eq!(outcomes, ["complete", "wait"], "no retry");
    rig.end().await;
}

#[sqlx::test(migrator = "shared::store::schema::MIGRATOR")]
async fn refusals_without_a_known_reason_are_tried_five_times(_: PgPoolOptions, db: PgConnectOptions) {
    let rig = Rig::start(db).await;
    let provider = Provider::start(Dialect::KeySystems, &rig.bind, &rig.clock).await;
    provider.acts(Acts::Says("[RESPONSE]\ncode = 549\ndescription = Command failed\nEOF\n"));
    let home = rig.address("home", &[(Family::Ipv4, None)]).await;
    // Another one than BIND has: what is there is not sent again after a refusal.
    rig.tell(home, "192.0.2.9").await;
    let min_interval = Duration::from_mins(30);
    let (record, job) =
        rig.record(home, New { provider: provider.settings(), min_interval, ..New::default() }).await;
    rig.pass(Duration::from_hours(24)).await;
    assert_eq!((provider.calls().len(), phase(&rig, job).await.as_str()), (5, "parked"));
    assert_eq!(rig.words(record).await, ["refused", "refused", "refused", "refused", "parked"]);
    for pair in provider.calls().windows(2) {
        assert!(pair[1].at - pair[0].at >= chrono::TimeDelta::minutes(30), "{pair:?}");
    }
    rig.end().await;
}

#[sqlx::test(migrator = "shared::store::schema::MIGRATOR")]
async fn an_error_that_names_a_time_does_not_tell_that_nothing_was_changed(
    _: PgPoolOptions,
    db: PgConnectOptions,
) {
    let rig = Rig::start(db).await;
    let provider = Provider::start(Dialect::Dyndns2, &rig.bind, &rig.clock).await;
    provider.acts(Acts::TakesBehind503);
    let home = rig.address("home", &[(Family::Ipv4, None)]).await;
    rig.tell(home, "192.0.2.1").await;
    let (record, job) = rig.record(home, New { provider: provider.settings(), ..New::default() }).await;
    let run = rig.claim(job).await;
    let step = rig.act(&run).await;
    rig.commit(&run, step).await;
    let family = rig.of(record).await.families.remove(0);
    assert!(family.sending.is_some() && family.sent.is_none(), "the outcome is open: {family:?}");
    assert!(rig.of(record).await.not_before.unwrap() - rig.clock.now() > chrono::TimeDelta::minutes(19));
    provider.acts(Acts::Right);
    rig.pass(Duration::from_hours(1)).await;
    assert_eq!(provider.calls().len(), 1);
    assert_eq!(rig.words(record).await, ["wait", "observed"]);
    rig.end().await;
}

#[sqlx::test(migrator = "shared::store::schema::MIGRATOR")]
async fn a_record_without_its_secret_is_failing_until_it_has_one(_: PgPoolOptions, db: PgConnectOptions) {
    let rig = Rig::start(db).await;
    let provider = Provider::start(Dialect::Dyndns2, &rig.bind, &rig.clock).await;
    let home = rig.address("home", &[(Family::Ipv4, None), (Family::Ipv6, None)]).await;
    rig.tell(home, "192.0.2.1").await;
    let new = New { provider: provider.settings(), families: &[V4, V6], ..New::default() };
    let (record, job) = rig.record(home, new).await;
    let hidden = "update secrets set name = $1 where owner_kind = 'dns_record'";
    sqlx::query(hidden).bind("lost").execute(&rig.db).await.unwrap();
    rig.pass(Duration::from_hours(1)).await;
    assert_eq!(phase(&rig, job).await, "parked");
    let family = rig.of(record).await.families.remove(0);
    assert_eq!(family.parked.as_deref(), Some("badsetting"));
    assert!(family.failing_since.is_some() && family.sending.is_none(), "{family:?}");
    assert!(family.failing_why.unwrap().contains("has no secret"));
    assert_eq!(provider.calls().len(), 0);
    assert_eq!(rig.words(record).await, ["parked"]);
    // The family of which nothing was to be sent waits for the same.
    rig.tell(home, "2001:db8::1").await;
    rig.want(job).await;
    rig.pass(Duration::from_hours(1)).await;
    sqlx::query(hidden).bind("secret").execute(&rig.db).await.unwrap();
    rig.retry(job).await;
    rig.pass(Duration::from_hours(1)).await;
    for family in rig.of(record).await.families {
        assert!(family.failing_since.is_none() && family.verified_at.is_some(), "{family:?}");
    }
    assert_eq!(provider.calls().len(), 1);
    assert_eq!(rig.words(record).await, ["parked", "good", "good", "verified", "verified"]);
    rig.end().await;
}

//! RFC 2136 and TSIG, against a BIND 9.

use std::time::SystemTime;

use chrono::{DateTime, TimeDelta, Utc};
use serde_json::{Value, json};
use shared::dns::{Answers, Finding, Outcome, Park, Provider, Wanted};

use crate::{
    a, aaaa,
    bind::{Bind, OTHER_SECRET, SECRET},
    http, limits, wanted,
};

fn settings(bind: &Bind) -> Value {
    json!({"provider": "rfc2136", "server": bind.server.to_string(), "zone": "home.test", "key": "ddns-key"})
}

/// Updates, with this machine's clock off by some time.
async fn update(settings: Value, secret: &str, wanted: &Wanted, off: TimeDelta) -> Answers {
    let provider = Provider::parse(settings).unwrap();
    provider.check(wanted, &secret.into()).unwrap();
    let now = DateTime::<Utc>::from(SystemTime::now());
    provider.update(&http(limits()), &secret.into(), wanted, now + off).await
}

async fn at_once(settings: Value, wanted: &Wanted) -> Answers {
    update(settings, SECRET, wanted, TimeDelta::zero()).await
}

#[tokio::test]
async fn both_families_change_by_one_message_and_stand_in_the_journal() {
    let bind = Bind::start().await;
    let mut both = wanted("cloud.home.test", Some("192.0.2.7"), Some("2001:db8::7"));
    both.ttl = Some(42);
    let answers = at_once(settings(&bind), &both).await;
    assert_eq!(
        (a(&answers).0, aaaa(&answers).0),
        (Outcome::Good, Outcome::Good),
        "{answers:?}\n{}",
        bind.log()
    );
    assert_eq!(bind.dig("cloud.home.test", "A").await, ["192.0.2.7"]);
    assert_eq!(bind.dig("cloud.home.test", "AAAA").await, ["2001:db8::7"]);
    assert!(bind.folder.path().join("home.test.zone.jnl").exists(), "no journal");
    // One message is one step of the zone's serial number.
    let soa = bind.dig("home.test", "SOA").await;
    assert_eq!(soa[0].split(' ').nth(2), Some("2"), "{soa:?}");
    let log = bind.log();
    assert_eq!(log.matches("deleting rrset at 'cloud.home.test'").count(), 2, "{log}");
    assert_eq!(log.matches("adding an RR at 'cloud.home.test'").count(), 2, "{log}");

    // One family alone leaves the other as it is.
    let answers = at_once(settings(&bind), &wanted("cloud.home.test", None, Some("2001:db8::8"))).await;
    assert_eq!(aaaa(&answers).0, Outcome::Good);
    assert_eq!(bind.dig("cloud.home.test", "A").await, ["192.0.2.7"]);
    assert_eq!(bind.dig("cloud.home.test", "AAAA").await, ["2001:db8::8"]);
}

#[tokio::test]
async fn what_others_have_written_is_replaced_whole() {
    let bind = Bind::start().await;
    bind.nsupdate(
        "update add dev.dyn.home.test. 60 A 192.0.2.11\nupdate add dev.dyn.home.test. 60 A 192.0.2.12",
    )
    .await;
    assert_eq!(bind.dig("dev.dyn.home.test", "A").await.len(), 2);
    let answers = at_once(settings(&bind), &wanted("dev.dyn.home.test", Some("192.0.2.7"), None)).await;
    assert_eq!(a(&answers).0, Outcome::Good);
    assert_eq!(bind.dig("dev.dyn.home.test", "A").await, ["192.0.2.7"]);
    let answers = at_once(settings(&bind), &wanted("*.home.test", Some("192.0.2.9"), None)).await;
    assert_eq!(a(&answers).0, Outcome::Good, "{}", bind.log());
    assert_eq!(bind.dig("whatever.home.test", "A").await, ["192.0.2.9"]);
}

#[tokio::test]
async fn the_prerequisite_keeps_misspelt_names_from_being_made() {
    let bind = Bind::start().await;
    let mut strict = settings(&bind);
    strict["require"] = json!("records");
    let answers = at_once(strict.clone(), &wanted("new.dyn.home.test", Some("192.0.2.7"), None)).await;
    assert_eq!(a(&answers).0, Outcome::Park(Park::NoHost), "{answers:?}");
    assert!(a(&answers).1.contains("NXRRSET"));
    assert!(bind.dig("new.dyn.home.test", "A").await.is_empty());
    // Of two families one is missing: neither is changed.
    let answers =
        at_once(strict.clone(), &wanted("cloud.home.test", Some("192.0.2.7"), Some("2001:db8::7"))).await;
    assert_eq!((a(&answers).0, aaaa(&answers).0), (Outcome::Park(Park::NoHost), Outcome::Park(Park::NoHost)));
    assert_eq!(bind.dig("cloud.home.test", "A").await, ["192.0.2.1"]);
    let answers = at_once(strict, &wanted("cloud.home.test", Some("192.0.2.7"), None)).await;
    assert_eq!(a(&answers).0, Outcome::Good);
    assert_eq!(bind.dig("cloud.home.test", "A").await, ["192.0.2.7"]);
}

#[tokio::test]
async fn each_refusal_is_told_as_what_it_is_and_changes_nothing() {
    let bind = Bind::start().await;
    let cloud = wanted("cloud.home.test", Some("192.0.2.7"), None);
    let with = |field: &str, value: &str| {
        let mut settings = settings(&bind);
        settings[field] = json!(value);
        settings
    };

    let answers = update(settings(&bind), OTHER_SECRET, &cloud, TimeDelta::zero()).await;
    assert_eq!(a(&answers).0, Outcome::Park(Park::BadSig), "{answers:?}");
    assert!(a(&answers).1.starts_with("BADSIG"));

    let answers = at_once(with("key", "no-such-key"), &cloud).await;
    assert_eq!(a(&answers).0, Outcome::Park(Park::BadKey), "{answers:?}");
    // The key is there, of another algorithm.
    let answers = at_once(with("algorithm", "hmac-sha512"), &cloud).await;
    assert_eq!(a(&answers).0, Outcome::Park(Park::BadKey), "{answers:?}");

    for (minutes, side) in [(6, "ahead"), (-6, "behind")] {
        let answers = update(settings(&bind), SECRET, &cloud, TimeDelta::minutes(minutes)).await;
        assert_eq!(a(&answers).0, Outcome::Park(Park::BadTime), "{answers:?}");
        assert!(a(&answers).1.contains(side) && a(&answers).1.contains("BADTIME"), "{answers:?}");
    }

    let answers = at_once(settings(&bind), &wanted("locked.home.test", Some("192.0.2.7"), None)).await;
    assert_eq!(a(&answers).0, Outcome::Park(Park::NotPermitted), "{answers:?}");

    let answers =
        at_once(with("zone", "other.test"), &wanted("cloud.other.test", Some("192.0.2.7"), None)).await;
    assert_eq!(a(&answers).0, Outcome::Park(Park::NotZone), "{answers:?}");

    assert_eq!(bind.dig("cloud.home.test", "A").await, ["192.0.2.1"]);
    assert_eq!(bind.dig("locked.home.test", "A").await, ["192.0.2.1"]);

    // A little skew is within what TSIG allows; other algorithms are well if their key is.
    let answers = update(settings(&bind), SECRET, &cloud, TimeDelta::minutes(3)).await;
    assert_eq!(a(&answers).0, Outcome::Good, "{answers:?}");
    for (key, algorithm, secret) in
        [("mid-key", "hmac-sha384", SECRET), ("long-key", "hmac-sha512", OTHER_SECRET)]
    {
        let mut long = with("key", key);
        long["algorithm"] = json!(algorithm);
        let answers = update(long, secret, &cloud, TimeDelta::zero()).await;
        assert_eq!(a(&answers).0, Outcome::Good, "{key}: {answers:?}");
    }
}

#[tokio::test]
async fn a_secondary_server_changes_nothing_and_needs_a_person() {
    let primary = Bind::start().await;
    let secondary = Bind::secondary_of(&primary).await;
    let cloud = wanted("cloud.home.test", Some("192.0.2.7"), None);
    let answers = at_once(settings(&secondary), &cloud).await;
    let (outcome, said) = a(&answers);
    assert!(
        [Outcome::Park(Park::NotZone), Outcome::Park(Park::NotPermitted)].contains(&outcome),
        "{answers:?}"
    );
    assert!(said.contains("primary"), "{said}");
    for bind in [&primary, &secondary] {
        assert_eq!(bind.dig("cloud.home.test", "A").await, ["192.0.2.1"]);
    }
    let found = probe(settings(&secondary), SECRET, &cloud).await;
    assert!(!found.last().unwrap().is_good(), "{found:?}");
    // It holds what the primary held.
    let provider = Provider::parse(settings(&secondary)).unwrap();
    let now = DateTime::<Utc>::from(SystemTime::now());
    let held = provider.observe(&http(limits()), &SECRET.into(), &cloud, now).await.unwrap().unwrap();
    assert!(held.just("192.0.2.1".parse().unwrap()));
}

#[tokio::test]
async fn a_server_that_is_not_there_is_tried_again_later() {
    let bind = Bind::start().await;
    let settings = settings(&bind);
    bind.stop().await;
    let answers = at_once(settings, &wanted("cloud.home.test", Some("192.0.2.7"), None)).await;
    assert_eq!(a(&answers).0, Outcome::Retry, "{answers:?}");
}

async fn probe(settings: Value, secret: &str, wanted: &Wanted) -> Vec<Finding> {
    let provider = Provider::parse(settings).unwrap();
    let now = DateTime::<Utc>::from(SystemTime::now());
    provider.probe(&http(limits()), &secret.into(), wanted, now).await.unwrap()
}

fn outcomes(found: &[Finding]) -> Vec<(&str, Outcome)> {
    found.iter().map(|finding| (finding.what, finding.answer.outcome)).collect()
}

#[tokio::test]
async fn key_policy_and_records_are_probed_and_nothing_changes() {
    let bind = Bind::start().await;
    let cloud = wanted("cloud.home.test", Some("192.0.2.7"), Some("2001:db8::7"));
    let good = Outcome::Good;
    let found = probe(settings(&bind), SECRET, &cloud).await;
    assert_eq!(outcomes(&found), [("key", good), ("policy", good), ("records", good)], "{}", bind.log());
    assert_eq!(found[2].answer.said, "192.0.2.1");
    let found = probe(settings(&bind), SECRET, &wanted("new.dyn.home.test", Some("192.0.2.7"), None)).await;
    assert_eq!((outcomes(&found).len(), found[2].answer.said.as_str()), (3, "none is there yet"));

    let found = probe(settings(&bind), OTHER_SECRET, &cloud).await;
    assert_eq!(outcomes(&found), [("key", Outcome::Park(Park::BadSig))]);
    let mut other = settings(&bind);
    other["key"] = json!("no-such-key");
    assert_eq!(outcomes(&probe(other, SECRET, &cloud).await), [("key", Outcome::Park(Park::BadKey))]);
    let locked = wanted("ns1.dyn2.home.test", Some("192.0.2.7"), None);
    let mut long = settings(&bind);
    (long["key"], long["algorithm"]) = (json!("long-key"), json!("hmac-sha512"));
    let found = probe(long, OTHER_SECRET, &locked).await;
    assert_eq!(outcomes(&found), [("key", good), ("policy", Outcome::Park(Park::NotPermitted))], "{found:?}");

    let soa = bind.dig("home.test", "SOA").await;
    assert_eq!(soa[0].split(' ').nth(2), Some("1"), "{soa:?}");
    assert!(!bind.folder.path().join("home.test.zone.jnl").exists());
}

#[tokio::test]
async fn what_the_server_holds_is_observed() {
    let bind = Bind::start().await;
    let provider = Provider::parse(settings(&bind)).unwrap();
    let observe = async |name: &str, secret: &str| {
        let wanted = wanted(name, Some("192.0.2.1"), Some("2001:db8::7"));
        let now = DateTime::<Utc>::from(SystemTime::now());
        provider.observe(&http(limits()), &secret.into(), &wanted, now).await.unwrap()
    };
    let held = observe("cloud.home.test", SECRET).await.unwrap();
    assert!(held.just("192.0.2.1".parse().unwrap()) && held.addresses.len() == 1);
    assert!(observe("nothing.dyn.home.test", SECRET).await.unwrap().addresses.is_empty());
    assert!(observe("alias.home.test", SECRET).await.unwrap().addresses.is_empty());
    let error = observe("cloud.home.test", OTHER_SECRET).await.unwrap_err();
    assert_eq!(error.outcome, Outcome::Park(Park::BadSig), "{error:?}");
}

#[tokio::test]
async fn the_owners_mark_keeps_what_is_others_and_is_made_with_what_is_new() {
    let bind = Bind::start().await;
    let owned = |owner: &str| {
        let mut settings = settings(&bind);
        settings["owner"] = json!(owner);
        settings
    };
    // Records without a mark are somebody's.
    bind.nsupdate("update add dev.dyn.home.test. 60 A 192.0.2.11").await;
    let dev = |last: u8| wanted("dev.dyn.home.test", Some(&format!("192.0.2.{last}")), None);
    let answers = at_once(owned("fleet one"), &dev(7)).await;
    assert_eq!(a(&answers).0, Outcome::Park(Park::NotOurs), "{answers:?}");
    assert!(a(&answers).1.contains("_syncfleet.dev.dyn.home.test"), "{answers:?}");
    assert_eq!(bind.dig("dev.dyn.home.test", "A").await, ["192.0.2.11"]);
    // Their keeper hands them over.
    bind.nsupdate("update add _syncfleet.dev.dyn.home.test. 60 TXT \"fleet one\"").await;
    let answers = at_once(owned("fleet one"), &dev(7)).await;
    assert_eq!(a(&answers).0, Outcome::Good, "{answers:?}");
    assert_eq!(bind.dig("dev.dyn.home.test", "A").await, ["192.0.2.7"]);
    // Another fleet's mark.
    let answers = at_once(owned("fleet two"), &dev(8)).await;
    assert_eq!(a(&answers).0, Outcome::Park(Park::NotOurs), "{answers:?}");
    assert_eq!(bind.dig("dev.dyn.home.test", "A").await, ["192.0.2.7"]);

    // What is new is made with its mark, and changed by it.
    for last in [7, 9] {
        let new = wanted("new.dyn.home.test", Some(&format!("192.0.2.{last}")), Some("2001:db8::7"));
        let answers = at_once(owned("fleet one"), &new).await;
        assert_eq!((a(&answers).0, aaaa(&answers).0), (Outcome::Good, Outcome::Good), "{answers:?}");
        assert_eq!(bind.dig("_syncfleet.new.dyn.home.test", "TXT").await, ["\"fleet one\""]);
        assert_eq!(bind.dig("new.dyn.home.test", "A").await, [format!("192.0.2.{last}")]);
    }

    // With `require: records` nothing is made, and no mark.
    let mut strict = owned("fleet one");
    strict["require"] = json!("records");
    let answers = at_once(strict, &wanted("newer.dyn.home.test", Some("192.0.2.7"), None)).await;
    assert_eq!(a(&answers).0, Outcome::Park(Park::NotOurs), "{answers:?}");
    assert!(bind.dig("_syncfleet.newer.dyn.home.test", "TXT").await.is_empty());
}

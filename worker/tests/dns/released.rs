//! What is shown of a name after a person has acted, and many names at once.

use std::time::Duration;

use shared::{
    admin::{
        Actor,
        dns::parked::{self, Selection},
        enqueue::Awaited,
    },
    dns::address::Family,
};
use sqlx::postgres::{PgConnectOptions, PgPoolOptions};

use crate::{
    provider::{Acts, Dialect, Provider},
    rig::{New, Rig},
};

const V4: (Family, Option<&str>) = (Family::Ipv4, None);
const V6: (Family, Option<&str>) = (Family::Ipv6, None);

const TRIED_AGAIN: &str = "being tried again; before that: badauth: ";

#[sqlx::test(migrator = "shared::store::schema::MIGRATOR")]
async fn what_was_refused_is_not_shown_for_what_is_going_on(_: PgPoolOptions, db: PgConnectOptions) {
    let rig = Rig::start(db).await;
    let provider = Provider::start(Dialect::Dyndns2, &rig.bind, &rig.clock).await;
    provider.acts(Acts::Says("badauth"));
    let home = rig.address("home", &[(Family::Ipv4, None)]).await;
    rig.tell(home, "192.0.2.1").await;
    let host = "nas.dyn.home.test";
    let (record, job) = rig.record(home, New { host, provider: provider.settings(), ..New::default() }).await;
    rig.pass(Duration::from_mins(10)).await;
    let (state, why) = rig.shown(record).await;
    assert_eq!(state, "parked: badauth");
    let refusal = why.unwrap();

    // An operator's retry, which no worker has seen yet.
    rig.retry(job).await;
    let (state, why) = rig.shown(record).await;
    assert_eq!((state.as_str(), why), ("failing", Some(format!("{TRIED_AGAIN}{refusal}"))));
    let text = rig.explained(job).await;
    assert!(text.starts_with("due, ") && !text.contains("badauth"), "{text}");
    // It is refused once more: that is the reason again, without what was before.
    rig.pass(Duration::from_mins(10)).await;
    assert_eq!(rig.shown(record).await, ("parked: badauth".to_owned(), Some(refusal.clone())));
    assert!(rig.explained(job).await.contains("badauth"));
    assert_eq!(provider.calls().len(), 2);

    // The provider takes it, and nobody sees it yet.
    provider.acts(Acts::Says("good 192.0.2.1"));
    rig.force(record, job).await;
    assert_eq!(rig.shown(record).await.1, Some(format!("{TRIED_AGAIN}{refusal}")));
    rig.pass(Duration::from_mins(5)).await;
    assert_eq!(provider.calls().len(), 3);
    let (state, why) = rig.shown(record).await;
    assert_eq!(state, "sent, not seen yet");
    assert_eq!(why.as_deref(), Some("accepted, and not seen at the zone's servers yet"));
    let text = rig.explained(job).await;
    assert!(text.contains("not seen yet: ") && !text.contains("badauth"), "{text}");
    assert!(!text.contains("--verify-server"), "it has servers of its own: {text}");
    rig.bind.nsupdate(&format!("update add {host}. 60 A 192.0.2.1")).await;
    rig.pass(Duration::from_mins(2)).await;
    assert_eq!(rig.shown(record).await, ("follows".to_owned(), None));
    rig.end().await;
}

#[sqlx::test(migrator = "shared::store::schema::MIGRATOR")]
async fn a_cause_that_many_names_had_is_over_for_all_of_them_at_once(_: PgPoolOptions, db: PgConnectOptions) {
    let mut rig = Rig::start(db).await;
    let provider = Provider::start(Dialect::Dyndns2, &rig.bind, &rig.clock).await;
    let home = rig.address("home", &[(Family::Ipv4, None), (Family::Ipv6, None)]).await;
    rig.tell(home, "192.0.2.1").await;
    rig.tell(home, "2001:db8::1").await;
    // A setting of the workers is missing, and each name is parked for it.
    rig.allow(&[]);
    let mut records = Vec::new();
    for host in ["cloud.home.test", "a.dyn.home.test", "b.dyn.home.test"] {
        let new = New { host, provider: provider.settings(), families: &[V4, V6], ..New::default() };
        records.push(rig.record(home, new).await);
    }
    rig.pass(Duration::from_mins(10)).await;
    for (record, job) in &records {
        assert_eq!(rig.shown(*record).await.0, "parked: badsetting");
        assert!(rig.explained(*job).await.contains("SYNCFLEET_DNS_ALLOW"));
    }
    // Of one of them only a family is parked, and its job is not.
    let (last, job) = records[2];
    let lifted = "update dns_record_families set parked = null, parked_why = null, failing_since = null, failing_why = null
        where record_id = $1 and family = 'ipv4'";
    sqlx::query(lifted).bind(last).execute(&rig.db).await.unwrap();
    rig.retry(job).await;
    rig.allow(&["127.0.0.0/8"]);
    rig.pass(Duration::from_mins(10)).await;
    assert_eq!(provider.calls().len(), 1, "its other family alone");
    assert!(rig.explained(job).await.contains("IPv6: parked: badsetting"), "{}", rig.explained(job).await);

    let actor = Actor::new("test");
    let badsetting = Selection { reason: Some("badsetting".to_owned()), ..Selection::default() };
    let badauth = Selection { reason: Some("badauth".to_owned()), ..Selection::default() };
    assert_eq!(parked::begin(&rig.db, &actor, &badauth).await.unwrap(), 0);
    assert!(parked::batch(&rig.db, &badauth, 0).await.unwrap().is_none());
    assert_eq!(parked::begin(&rig.db, &actor, &badsetting).await.unwrap(), 3);
    let (after, wanted) = parked::batch(&rig.db, &badsetting, 0).await.unwrap().unwrap();
    assert_eq!((after, wanted.len()), (last, 3));
    assert!(parked::batch(&rig.db, &badsetting, after).await.unwrap().is_none());
    // Whoever waits for it need not wait for a pass after the one that does it.
    let mut awaited = Awaited::default();
    awaited.extend(&wanted);
    rig.pass(Duration::from_mins(1)).await;
    let outcome = awaited.look(&mut rig.db.acquire().await.unwrap()).await.unwrap().clone();
    assert_eq!((outcome.done, outcome.left), (3, 0), "{outcome:?}");
    for (record, job) in &records {
        assert_eq!(rig.shown(*record).await, ("follows".to_owned(), None));
        let of = rig.of(*record).await;
        assert!(of.families.iter().all(|family| family.verified_at.is_some()), "{of:?}");
        assert!(rig.explained(*job).await.starts_with("nothing to do"));
    }
    // What was there already was not sent again.
    let sent: Vec<usize> = provider.calls().iter().map(|call| call.addresses.len()).collect();
    assert_eq!(sent.iter().sum::<usize>(), 6, "{sent:?}");
    rig.end().await;
}

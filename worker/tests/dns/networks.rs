//! A router may tell the network behind it, and no address: each host makes its own of it.

use std::time::Duration;

use shared::dns::address::Family;
use sqlx::postgres::{PgConnectOptions, PgPoolOptions};

use crate::rig::Rig;

#[sqlx::test(migrator = "shared::store::schema::MIGRATOR")]
async fn a_network_reaches_no_name_but_by_a_hosts_own_part(_: PgPoolOptions, db: PgConnectOptions) {
    let rig = Rig::start(db).await;
    let home = rig.address("home", &[(Family::Ipv6, None)]).await;
    let (bare, of_host) = ([(Family::Ipv6, None)], [(Family::Ipv6, Some("::34:0:0:0:5/56"))]);
    let (cloud, job) = rig.record(home, rig.at_bind("cloud.home.test", &bare)).await;
    let (nas, _) = rig.record(home, rig.at_bind("nas.dyn.home.test", &of_host)).await;
    rig.pass(Duration::from_mins(1)).await;
    let text = rig.explained(job).await;
    assert!(
        text.starts_with("IPv6: nobody has told the address yet; `syncfleet dns address show home`"),
        "{text}"
    );
    rig.tell(home, "2001:db8:0:100::").await;
    rig.pass(Duration::from_hours(2)).await;
    assert_eq!(rig.words(nas).await, ["good", "verified"]);
    assert_eq!(rig.bind.dig("nas.dyn.home.test", "AAAA").await, ["2001:db8:0:134::5"]);
    assert_eq!(rig.words(cloud).await, Vec::<String>::new());
    assert!(rig.of(cloud).await.families[0].failing_since.is_none(), "nothing was refused");
    let text = rig.explained(job).await;
    assert!(text.starts_with("IPv6: only a network is told, and the name has no host's part"), "{text}");
    assert!(text.contains("`syncfleet dns set cloud.home.test --host-id ID` gives it one"), "{text}");

    // An address is one.
    rig.tell(home, "2001:db8:0:100::99").await;
    rig.pass(Duration::from_mins(2)).await;
    assert_eq!(rig.bind.dig("cloud.home.test", "AAAA").await, ["2001:db8:0:100::99"]);
    assert!(rig.explained(job).await.starts_with("nothing to do"), "{}", rig.explained(job).await);
    // Then another network: the name keeps what it has, whoever demands it.
    rig.tell(home, "2001:db8:0:200::").await;
    rig.pass(Duration::from_hours(2)).await;
    rig.force(cloud, job).await;
    rig.pass(Duration::from_hours(2)).await;
    assert_eq!(rig.bind.dig("cloud.home.test", "AAAA").await, ["2001:db8:0:100::99"]);
    assert_eq!(rig.words(cloud).await, ["good", "verified"]);
    assert_eq!(rig.bind.dig("nas.dyn.home.test", "AAAA").await, ["2001:db8:0:234::5"]);
    let family = rig.of(cloud).await.families.remove(0);
    let why = "it stays at 2001:db8:0:100::99: only a network is told";
    assert!(family.failing_why.is_some_and(|said| said.starts_with(why)), "that is told");
    rig.tell(home, "2001:db8:0:200::99").await;
    rig.pass(Duration::from_hours(2)).await;
    assert_eq!(rig.bind.dig("cloud.home.test", "AAAA").await, ["2001:db8:0:200::99"]);
    assert!(rig.of(cloud).await.families[0].failing_since.is_none());
    rig.end().await;
}

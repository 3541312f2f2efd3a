//! The look at a zone's own servers, against a BIND 9.

use std::{net::SocketAddr, time::Duration};

use futures_util::future::join_all;
use shared::{
    dns::{
        Host,
        verify::{Resolvers, Seen, verify},
    },
    guard::Allow,
};

use crate::{bind::Bind, loopback};

const LIMIT: Duration = Duration::from_secs(10);
const PAUSE: Duration = Duration::from_millis(20);

pub fn resolvers(bind: &Bind) -> Resolvers {
    Resolvers { servers: vec![bind.server], port: bind.server.port(), limit: LIMIT, allow: loopback() }
}

fn host(name: &str) -> Host {
    name.parse().unwrap()
}

#[tokio::test]
async fn the_zone_and_its_servers_are_found() {
    let bind = Bind::start().await;
    for name in ["cloud.home.test", "not.there.yet.home.test", "home.test", "*.home.test"] {
        let zone = resolvers(&bind).zone(&host(name)).await.unwrap();
        assert_eq!(zone.name, "home.test.", "{name}");
        assert_eq!(zone.servers, [("ns1.home.test.".to_owned(), bind.server)], "{name}");
    }
    // BIND does not look beyond its zones here.
    let error = resolvers(&bind).zone(&host("home.example")).await.unwrap_err();
    assert!(error.contains("Refused") || error.contains("REFUSED"), "{error}");
}

#[tokio::test]
async fn all_servers_are_asked_until_they_answer_with_the_address() {
    let bind = Bind::start().await;
    let name = host("cloud.home.test");
    let zone = resolvers(&bind).zone(&name).await.unwrap();
    let new = "192.0.2.7".parse().unwrap();

    let seen =
        verify(&zone, &name, "192.0.2.1".parse().unwrap(), (LIMIT, PAUSE, Duration::from_mins(1))).await;
    assert!(matches!(seen, Seen::Everywhere { servers: 1, .. }), "{seen:?}");

    // The record changes while it is looked for.
    let looking = verify(&zone, &name, new, (LIMIT, PAUSE, Duration::from_mins(1)));
    let changing = async {
        tokio::time::sleep(PAUSE * 4).await;
        bind.nsupdate("update delete cloud.home.test. A\nupdate add cloud.home.test. 60 A 192.0.2.7").await;
    };
    let (seen, ()) = tokio::join!(looking, changing);
    let Seen::Everywhere { took, servers: 1 } = seen else { panic!("{seen:?}") };
    assert!(took >= PAUSE * 4, "{took:?}");

    // One more server, which nobody runs: not all answer.
    let mut more = zone.clone();
    let nobody = tokio::net::UdpSocket::bind("127.0.0.1:0").await.unwrap();
    more.servers.push(("ns2.home.test.".to_owned(), nobody.local_addr().unwrap()));
    let short = (Duration::from_secs(5), PAUSE, Duration::from_millis(100));
    let Seen::NotYet { others, right: 1 } = verify(&more, &name, new, short).await else { panic!() };
    assert!(
        others[0].0.starts_with("ns2.home.test.") && others[0].1.contains("no answer within"),
        "{others:?}"
    );
}

#[tokio::test]
async fn a_server_need_not_answer_by_each_of_its_addresses() {
    let bind = Bind::start().await;
    let name = host("cloud.home.test");
    let zone = resolvers(&bind).zone(&name).await.unwrap();
    let port = bind.server.port();
    let (right, wrong) = ("192.0.2.1".parse().unwrap(), "192.0.2.7".parse().unwrap());
    let once = (Duration::from_secs(5), PAUSE, Duration::ZERO);
    // No machine has a way to a link-local address without the name of a link; most have none to the other.
    let no_way = SocketAddr::new("fe80::1".parse().unwrap(), port);
    let perhaps = SocketAddr::new("2001:db8::1".parse().unwrap(), port);
    // An address of which nothing comes.
    let silence = tokio::net::UdpSocket::bind(("127.0.0.2", port)).await.unwrap();
    let dead = silence.local_addr().unwrap();
    let with = |more: &[(&str, SocketAddr)]| {
        let mut zone = zone.clone();
        zone.servers.extend(more.iter().map(|(name, server)| ((*name).to_owned(), *server)));
        zone
    };

    // One more address of the same server, and a server that this machine has no way to.
    let once_more = join_all(
        [
            vec![("ns1.home.test.", no_way)],
            vec![("ns1.home.test.", perhaps)],
            vec![("ns1.home.test.", dead)],
            vec![("ns1.home.test.", no_way), ("ns2.home.test.", no_way)],
        ]
        .map(async |more| {
            let zone = with(&more);
            let (seen, other) =
                tokio::join!(verify(&zone, &name, right, once), verify(&zone, &name, wrong, once));
            assert!(matches!(seen, Seen::Everywhere { servers: 1, .. }), "{more:?}: {seen:?}");
            let Seen::NotYet { others, right: 0 } = other else { panic!("{more:?}: {other:?}") };
            let told = [(format!("ns1.home.test. {}", bind.server.ip()), "192.0.2.1".to_owned())];
            assert_eq!(others, told, "{more:?}");
        }),
    );

    // A server that answers by none of its addresses.
    let silent = with(&[("ns2.home.test.", dead), ("ns2.home.test.", no_way)]);
    // Some are waited for: all at once.
    let (_, of_silent) = tokio::join!(once_more, verify(&silent, &name, right, once));
    let Seen::NotYet { others, right: 1 } = of_silent else { panic!("{of_silent:?}") };
    assert!(others.len() == 1 && others[0].0 == "ns2.home.test. 127.0.0.2", "{others:?}");

    // Nobody answers: then all of it is told.
    let mut nobody = with(&[("ns1.home.test.", no_way)]);
    nobody.servers.remove(0);
    let Seen::NotYet { others, right: 0 } = verify(&nobody, &name, right, once).await else { panic!() };
    assert!(others.len() == 1 && others[0].0 == "ns1.home.test. fe80::1", "{others:?}");
}

#[tokio::test]
async fn two_answers_of_one_server_must_agree() {
    let bind = Bind::start().await;
    let other = Bind::start().await;
    other.nsupdate("update delete cloud.home.test. A\nupdate add cloud.home.test. 60 A 192.0.2.7").await;
    let name = host("cloud.home.test");
    // The second address of the same server leads to the other BIND, through a relay on the same port.
    let relay = tokio::net::UdpSocket::bind(("127.0.0.3", bind.server.port())).await.unwrap();
    let mut zone = resolvers(&bind).zone(&name).await.unwrap();
    zone.servers.push(("ns1.home.test.".to_owned(), relay.local_addr().unwrap()));
    let relaying = async {
        let mut buffer = [0; 4096];
        loop {
            let (length, asker) = relay.recv_from(&mut buffer).await.unwrap();
            let out = tokio::net::UdpSocket::bind("127.0.0.1:0").await.unwrap();
            out.send_to(&buffer[..length], other.server).await.unwrap();
            let length = out.recv(&mut buffer).await.unwrap();
            relay.send_to(&buffer[..length], asker).await.unwrap();
        }
    };
    let once = (LIMIT, PAUSE, Duration::ZERO);
    let seen = tokio::select! {
        seen = verify(&zone, &name, "192.0.2.1".parse().unwrap(), once) => seen,
        () = relaying => unreachable!(),
    };
    let Seen::NotYet { others, right: 0 } = seen else { panic!("{seen:?}") };
    assert_eq!(others, [("ns1.home.test. 127.0.0.3".to_owned(), "192.0.2.7".to_owned())]);
}

#[tokio::test]
async fn what_the_servers_say_instead_is_told() {
    let bind = Bind::start().await;
    let zone = resolvers(&bind).zone(&host("home.test")).await.unwrap();
    for (name, address, why) in [
        ("cloud.home.test", "192.0.2.7", "192.0.2.1"),
        ("cloud.home.test", "2001:db8::7", "no address"),
        ("alias.home.test", "192.0.2.1", "alias of cloud.home.test."),
        ("nothing.home.test", "192.0.2.7", "Non-Existent Domain"),
    ] {
        let once = (LIMIT, PAUSE, Duration::ZERO);
        let Seen::NotYet { others, right: 0 } =
            verify(&zone, &host(name), address.parse().unwrap(), once).await
        else {
            panic!("{name} {address}");
        };
        assert!(others[0].1.contains(why), "{name}: {others:?}");
    }
}

#[tokio::test]
async fn servers_are_asked_only_where_they_may_be() {
    let bind = Bind::start().await;
    let name = host("cloud.home.test");
    // The zone names a server on loopback, which only its own keeper may want to be asked.
    let strict = Resolvers { allow: Allow::default(), ..resolvers(&bind) };
    let error = strict.zone(&name).await.unwrap_err();
    assert!(error.contains("it is loopback, and SYNCFLEET_DNS_ALLOW"), "{error}");
    for server in ["127.0.0.1:53", "[::1]:53", "169.254.169.254", "10.0.0.1:22"] {
        let error = strict.named(&name, &[server.to_owned()]).await.unwrap_err();
        assert!(error.contains("must not be called"), "{server}: {error}");
    }
    let error = strict.named(&name, &["nobody:0".to_owned()]).await.unwrap_err();
    assert!(error.contains("is no server"), "{error}");

    // Servers that people name: by address, and by a name that the resolver knows.
    let port = bind.server.port();
    for server in [bind.server.to_string(), format!("ns1.home.test:{port}")] {
        let zone = resolvers(&bind).named(&name, &[server]).await.unwrap();
        let address = "192.0.2.1".parse().unwrap();
        let seen = verify(&zone, &name, address, (LIMIT, PAUSE, Duration::ZERO)).await;
        assert!(matches!(seen, Seen::Everywhere { servers: 1, .. }), "{seen:?}");
    }
    let error = resolvers(&bind).named(&name, &["nobody.home.test".to_owned()]).await.unwrap_err();
    assert!(error.contains("has an address"), "{error}");
}

#[tokio::test]
async fn an_answer_that_does_not_fit_into_a_packet_comes_by_tcp() {
    let bind = Bind::start().await;
    // BIND keeps up to 100 records in a set; a packet holds fewer.
    let lines: Vec<_> =
        (1..=95).map(|last| format!("update add many.dyn.home.test. 60 A 192.0.2.{last}")).collect();
    bind.nsupdate(&lines.join("\n")).await;
    let zone = resolvers(&bind).zone(&host("home.test")).await.unwrap();
    let once = (LIMIT, PAUSE, Duration::ZERO);
    let seen = verify(&zone, &host("many.dyn.home.test"), "192.0.2.1".parse().unwrap(), once).await;
    let Seen::NotYet { others, right: 0 } = seen else { panic!("{seen:?}") };
    assert_eq!(others[0].1.split(", ").count(), 95, "{others:?}");
}

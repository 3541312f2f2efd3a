//! What `dns check` finds at a zone's own servers, against a BIND 9.

use std::{net::IpAddr, time::SystemTime};

use chrono::{DateTime, Utc};
use serde_json::{Value, json};
use shared::dns::{
    Host, Provider,
    check::{Finding, Kept, Target, Verdict, check},
};

use crate::{
    SECRET,
    bind::{self, Bind},
    fake::{Fake, says},
    http, limits,
    verify::resolvers,
};

fn sent(address: &str) -> Kept {
    Kept::Sent(address.parse::<IpAddr>().unwrap())
}

async fn look(bind: &Bind, settings: Value, host: &str, v4: Kept, v6: Kept) -> Vec<Finding> {
    let provider = Provider::parse(settings).unwrap();
    let host: Host = host.parse().unwrap();
    let secret = if provider.name() == "rfc2136" { bind::SECRET } else { SECRET }.into();
    let target = Target { host: &host, provider: &provider, secret: &secret, v4, v6, servers: None };
    check(&http(limits()), &resolvers(bind), &target, DateTime::<Utc>::from(SystemTime::now())).await
}

fn rfc2136(server: &str) -> Value {
    json!({"provider": "rfc2136", "server": server, "zone": "home.test", "key": "ddns-key"})
}

/// What is found of one thing; none: nothing.
fn of<'a>(found: &'a [Finding], what: &str) -> Option<(Verdict, &'a str)> {
    let mut all = found.iter().filter(|finding| finding.what == what);
    let one = all.next().map(|finding| (finding.verdict, finding.found.as_str()));
    assert!(all.next().is_none(), "{found:?}");
    one
}

#[tokio::test]
async fn what_follows_is_good_and_what_another_has_is_told() {
    let bind = Bind::start().await;
    let provider = || rfc2136(&bind.server.to_string());
    let found = look(&bind, provider(), "cloud.home.test", sent("192.0.2.1"), Kept::Unsent).await;
    assert!(
        ["key", "policy", "records", "servers"]
            .iter()
            .all(|what| { of(&found, what).is_some_and(|(verdict, _)| verdict == Verdict::Good) }),
        "{found:?}"
    );
    assert_eq!(of(&found, "A"), Some((Verdict::Good, "192.0.2.1")));
    assert_eq!(of(&found, "AAAA"), Some((Verdict::Note, "no address; nothing was sent yet")));
    let primary = format!("ns1.home.test ({}) is what the zone names", bind.server);
    assert_eq!(of(&found, "primary"), Some((Verdict::Good, primary.as_str())));

    let found = look(&bind, provider(), "cloud.home.test", sent("192.0.2.7"), Kept::No).await;
    assert_eq!(of(&found, "A"), Some((Verdict::Bad, "192.0.2.1; 192.0.2.7 was sent")));
    assert_eq!(of(&found, "AAAA"), None, "nothing is there, and nothing is kept");
}

#[tokio::test]
async fn an_alias_is_bad_whatever_is_kept() {
    let bind = Bind::start().await;
    for (v4, v6) in [(sent("192.0.2.1"), Kept::No), (Kept::No, Kept::Unsent), (Kept::Unsent, Kept::Unsent)] {
        let provider = rfc2136(&bind.server.to_string());
        let found = look(&bind, provider, "alias.home.test", v4, v6).await;
        let (verdict, told) = of(&found, "alias").unwrap();
        assert_eq!(verdict, Verdict::Bad);
        assert!(told.contains("an alias of cloud.home.test (CNAME)"), "{told}");
        // Its addresses are the other name's.
        assert_eq!((of(&found, "A"), of(&found, "AAAA")), (None, None), "{found:?}");
    }
}

#[tokio::test]
async fn an_address_of_a_family_that_is_not_kept_is_told() {
    let bind = Bind::start().await;
    bind.nsupdate("update add six.dyn.home.test. 60 AAAA 2001:db8::7").await;
    for (host, v4, v6, what, there, set) in [
        ("cloud.home.test", Kept::No, Kept::Unsent, "A", "192.0.2.1: it is not kept here", "--ipv4"),
        ("six.dyn.home.test", Kept::Unsent, Kept::No, "AAAA", "2001:db8::7: it is not kept here", "--ipv6"),
    ] {
        let found = look(&bind, rfc2136(&bind.server.to_string()), host, v4, v6).await;
        let (verdict, told) = of(&found, what).unwrap();
        assert_eq!(verdict, Verdict::Note, "{found:?}");
        assert!(told.starts_with(there) && told.contains(&format!("dns set HOST {set}")), "{told}");
    }
}

#[tokio::test]
async fn a_server_that_is_not_the_primary_of_the_zone_is_told() {
    let bind = Bind::start().await;
    // Nobody is there; the zone's own servers are asked all the same.
    let elsewhere = format!("127.0.0.9:{}", bind.server.port());
    let found = look(&bind, rfc2136(&elsewhere), "cloud.home.test", sent("192.0.2.1"), Kept::No).await;
    assert_eq!(of(&found, "key").unwrap().0, Verdict::Note, "{found:?}");
    let (verdict, told) = of(&found, "primary").unwrap();
    assert_eq!(verdict, Verdict::Note);
    let why = format!("the zone names ns1.home.test (127.0.0.1) as its primary, not {elsewhere}");
    assert!(told.starts_with(&why), "{told}");
    // A zone that is a name within one has no SOA.
    let mut settings = rfc2136(&bind.server.to_string());
    settings["zone"] = json!("cloud.home.test");
    let found = look(&bind, settings, "cloud.home.test", sent("192.0.2.1"), Kept::No).await;
    let (verdict, told) = of(&found, "primary").unwrap();
    assert!(verdict == Verdict::Note && told.contains("cloud.home.test has no SOA at"), "{told}");
}

#[tokio::test]
async fn a_proxied_name_is_answered_with_others_addresses() {
    let bind = Bind::start().await;
    let result =
        |result: Value| says(200, json!({"success": true, "errors": [], "messages": [], "result": result}));
    for (proxied, verdict, why) in [
        (true, Verdict::Note, "192.0.2.1: the name is proxied"),
        (false, Verdict::Bad, "192.0.2.1; 192.0.2.7 was sent"),
    ] {
        let records = || {
            result(json!([{"id": "372e67954025e0ba6aaa6d586b9e0b59", "type": "A", "name": "cloud.home.test",
            "content": "192.0.2.7", "ttl": 120, "proxied": proxied}]))
        };
        let token = result(json!({"id": "ed17574386854bf78a67040be0a770b0", "status": "active"}));
        let fake = Fake::start([token, records(), records()]).await;
        let settings = json!({"provider": "cloudflare", "url": format!("{}/client/v4", fake.url),
            "zone_id": "0123456789abcdef0123456789abcdef"});
        let found = look(&bind, settings, "cloud.home.test", sent("192.0.2.7"), Kept::No).await;
        let (found_verdict, told) = of(&found, "A").unwrap();
        assert!(found_verdict == verdict && told.starts_with(why), "{found:?}");
        assert!(fake.asked().iter().all(|asked| asked.method == "GET"));
    }
}

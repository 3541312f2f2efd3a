//! What can go wrong with every provider that is called by HTTP: pages, redirects, silence, answers without sense or end.

use std::time::Duration;

use futures_util::future::join_all;
use serde_json::{Value, json};
use shared::dns::{Answers, Limits, Outcome, Park, Provider, Wanted};

use crate::{
    SECRET,
    fake::{Fake, Says, says},
    http, limits, now, wanted,
};

const PORTAL: &str =
    "<!DOCTYPE html>\n<html><head><title>Sign in to the network: good, OK, success</title></head></html>";

/// Settings of each, called at a URL, with the name that it takes.
pub fn all(url: &str) -> Vec<(Value, &'static str)> {
    vec![
        (json!({"provider": "dyndns2", "url": url, "user": "u"}), "home.example.org"),
        (json!({"provider": "key-systems", "url": url}), "home.example.org"),
        (json!({"provider": "duckdns", "url": url}), "home.duckdns.org"),
        (
            json!({"provider": "cloudflare", "url": url, "zone_id": "0123456789abcdef0123456789abcdef"}),
            "home.example.org",
        ),
        (json!({"provider": "desec", "url": url, "user": "u"}), "home.dedyn.io"),
        (json!({"provider": "hetzner", "url": url, "zone": "example.org"}), "home.example.org"),
        (json!({"provider": "inwx", "url": url, "user": "u"}), "home.example.org"),
        (
            json!({"provider": "route53", "url": url, "zone_id": "Z1", "access_key_id": "AKID"}),
            "home.example.org",
        ),
        (
            json!({"provider": "template", "url": url, "good": {"first_word": ["ok"]}, "parameters": [
                {"name": "h", "is": "host"}, {"name": "a", "is": "address"}, {"name": "p", "is": "secret"}]}),
            "home.example.org",
        ),
    ]
}

async fn send(limits: Limits, settings: &Value, wanted: &Wanted) -> Answers {
    let provider = Provider::parse(settings.clone()).unwrap();
    provider.check(wanted, &SECRET.into()).unwrap();
    provider.update(&http(limits), &SECRET.into(), wanted, now()).await
}

/// What each provider makes of one answer.
async fn each(limits: Limits, answer: impl Fn() -> Says, outcome: Outcome, word: &str) {
    let (count, answer) = (all("http://127.0.0.1:1/").len(), &answer);
    join_all((0..count).map(|at| async move {
        let fake = Fake::start([answer()]).await;
        let (settings, host) = all(&fake.url).swap_remove(at);
        let answers = send(limits, &settings, &wanted(host, Some("192.0.2.7"), None)).await;
        let found = answers.a.unwrap();
        assert_eq!(found.outcome, outcome, "{settings}: {found:?}");
        assert!(found.said.contains(word), "{settings}: {found:?}");
        assert!(!found.said.contains("s3cret") && !found.said.contains("127.0.0.1"), "{found:?}");
        assert_eq!(fake.asked().len(), 1, "{settings}");
    }))
    .await;
}

#[tokio::test]
async fn a_captive_portals_page_is_no_answer() {
    for kind in ["text/html; charset=utf-8", "text/plain"] {
        let page = || Says::With(200, "content-type", kind.to_owned(), PORTAL.to_owned());
        each(limits(), page, Outcome::Retry, "").await;
    }
    each(limits(), || says(511, PORTAL), Outcome::Retry, "web page").await;
}

#[tokio::test]
async fn no_redirect_is_followed_to_whatever_host() {
    let elsewhere = Fake::start([]).await;
    for status in [301, 302, 303, 307, 308] {
        let leads = || {
            let to = format!("{}/?token={SECRET}", elsewhere.url.replace("127.0.0.1", "localhost"));
            Says::With(status, "location", to, String::new())
        };
        each(limits(), leads, Outcome::Retry, "leads to localhost").await;
    }
    assert!(elsewhere.asked().is_empty());
}

#[tokio::test]
async fn nothing_nonsense_and_too_much_are_tried_again() {
    each(limits(), || says(200, "<<<\u{0}\u{1}"), Outcome::Retry, "").await;
    each(limits(), || Says::Endless, Outcome::Retry, "longer than 256 KiB").await;
    each(limits(), || says(500, "oops s3cret&+#%/="), Outcome::Retry, "500").await;
    each(limits(), || says(502, ""), Outcome::Retry, "502").await;
    each(
        limits(),
        || Says::With(503, "retry-after", "120".to_owned(), String::new()),
        Outcome::Wait(Duration::from_mins(2)),
        "503",
    )
    .await;
    each(
        limits(),
        || Says::With(429, "retry-after", "60".to_owned(), String::new()),
        Outcome::Wait(Duration::from_mins(1)),
        "429",
    )
    .await;
    each(limits(), || says(401, ""), Outcome::Park(Park::BadAuth), "401").await;
    each(limits(), || says(403, ""), Outcome::Park(Park::NotPermitted), "403").await;
}

#[tokio::test]
async fn each_status_has_its_outcome_where_nothing_else_is_said() {
    for (status, outcome) in [
        (404, Outcome::Park(Park::NoHost)),
        (410, Outcome::Park(Park::NoHost)),
        (408, Outcome::Retry),
        (409, Outcome::Retry),
        (423, Outcome::Retry),
        (400, Outcome::Refused),
        (422, Outcome::Refused),
        (429, Outcome::Wait(Duration::from_mins(5))),
        (504, Outcome::Retry),
    ] {
        each(limits(), || says(status, ""), outcome, &status.to_string()).await;
    }
    // A date, nothing, and for ever.
    for (after, wait) in [
        ("Fri, 20 Nov 2026 12:00:00 GMT", Duration::from_mins(5)),
        ("0", Duration::from_secs(1)),
        ("99999999", Duration::from_hours(24)),
    ] {
        let slow = || Says::With(429, "retry-after", after.to_owned(), String::new());
        each(limits(), slow, Outcome::Wait(wait), "429").await;
    }
}

#[tokio::test]
async fn what_is_empty_or_broken_off_is_tried_again() {
    each(limits(), || says(200, ""), Outcome::Retry, "").await;
    each(limits(), || says(200, " \r\n\t"), Outcome::Retry, "").await;
    for beginning in
        ["good 192.0.2.7", "OK", "{\"success\": true, \"result\": [", "[RESPONSE]\ncode = 200\n", "ok"]
    {
        each(limits(), || Says::BrokenOff(beginning), Outcome::Retry, "no answer").await;
    }
}

#[tokio::test]
async fn json_of_another_shape_is_no_success() {
    for body in [
        "[]",
        "[[]]",
        "\"x\"",
        "7",
        "true",
        "null",
        "{}",
        "{\"rrset\": []}",
        "{\"rrset\": \"x\"}",
        "{\"rrset\": {\"records\": 7}}",
        "{\"result\": \"x\", \"success\": []}",
    ] {
        for status in [200, 404, 500] {
            for at in 0..all("http://127.0.0.1:1/").len() {
                let json = Says::With(status, "content-type", "application/json".to_owned(), body.to_owned());
                let fake = Fake::start([json]).await;
                let (settings, host) = all(&fake.url).swap_remove(at);
                let answers = send(limits(), &settings, &wanted(host, Some("192.0.2.7"), None)).await;
                let found = answers.a.unwrap();
                let success = [Outcome::Good, Outcome::NoChange].contains(&found.outcome);
                assert!(!success, "{settings} {status} {body}: {found:?}");
            }
        }
    }
}

#[tokio::test]
async fn what_is_no_text_is_no_success() {
    for bytes in [b"\xff\xfe\x00good".as_slice(), b"\xc3\x28 OK", b"\x1f\x8b\x08\x00ok"] {
        for at in 0..all("http://127.0.0.1:1/").len() {
            let fake = Fake::start([Says::Bytes(200, bytes.to_vec())]).await;
            let (settings, host) = all(&fake.url).swap_remove(at);
            let answers = send(limits(), &settings, &wanted(host, Some("192.0.2.7"), None)).await;
            let outcome = answers.a.unwrap().outcome;
            assert!([Outcome::Retry, Outcome::Refused].contains(&outcome), "{settings}: {outcome:?}");
        }
    }
}

#[tokio::test]
async fn after_a_refusal_of_the_account_no_other_address_is_sent() {
    for (status, outcome) in
        [(401, Outcome::Park(Park::BadAuth)), (429, Outcome::Wait(Duration::from_mins(5)))]
    {
        let mut some = all("http://127.0.0.1:1/");
        some.push((json!({"provider": "dyndns2", "user": "u", "dual": "separate"}), "home.example.org"));
        for (mut settings, host) in some {
            let fake = Fake::start([says(status, "")]).await;
            settings["url"] = json!(fake.url);
            let answers =
                send(limits(), &settings, &wanted(host, Some("192.0.2.7"), Some("2001:db8::7"))).await;
            let found = (answers.a.unwrap().outcome, answers.aaaa.unwrap().outcome);
            assert_eq!(found, (outcome, outcome), "{settings}");
            assert_eq!(fake.asked().len(), 1, "{settings}");
        }
    }
}

#[tokio::test]
async fn silence_ends_by_the_limit() {
    let limits = Limits { call: Duration::from_secs(5), ..limits() };
    each(limits, || Says::Nothing, Outcome::Retry, "no answer within 5 s").await;
}

#[tokio::test]
async fn nobody_there_and_no_tls_are_told_without_the_url() {
    let fake = Fake::start([]).await;
    let plain = fake.url.replace("http:", "https:");
    drop(fake);
    let without_tls = Fake::start([]).await;
    for url in [plain, without_tls.url.replace("http:", "https:")] {
        for (settings, host) in all(&url) {
            let answers = send(limits(), &settings, &wanted(host, Some("192.0.2.7"), None)).await;
            let found = answers.a.unwrap();
            assert_eq!(found.outcome, Outcome::Retry, "{settings}: {found:?}");
            assert!(found.said.contains("no answer") && !found.said.contains("s3cret"), "{found:?}");
        }
    }
    assert!(without_tls.asked().is_empty());
}

#[tokio::test]
async fn a_plan_sends_nothing_and_shows_no_secret() {
    let fake = Fake::start([]).await;
    for (settings, host) in all(&fake.url) {
        let provider = Provider::parse(settings.clone()).unwrap();
        let plan = provider.plan(&wanted(host, Some("192.0.2.7"), Some("2001:db8::7")), now());
        let text = plan.iter().map(ToString::to_string).collect::<Vec<_>>().join("\n\n");
        assert!(
            text.contains("***") && text.contains("192.0.2.7") && text.contains("user-agent: syncfleet"),
            "{text}"
        );
    }
    assert!(fake.asked().is_empty());
}

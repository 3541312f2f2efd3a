//! What can go wrong with every provider that is called by HTTP: pages, redirects, silence, answers without sense or end.

use std::time::Duration;

use futures_util::future::join_all;
use serde_json::{Value, json};
use shared::dns::{Answers, Limits, Outcome, Park, Provider};

use crate::{
    SECRET,
    fake::{Fake, Says, says},
    google_cloud, http, limits, now, wanted,
};

const PORTAL: &str =
    "<!DOCTYPE html>\n<html><head><title>Sign in to the network: good, OK, success</title></head></html>";

/// A provider that is called at a URL.
pub struct Called {
    pub settings: Value,
    /// A name that it takes.
    pub host: &'static str,
    pub secret: String,
    /// What its first calls are answered with, which are not about a name: Google's for a token.
    pub before: Vec<Says>,
}

/// Each of them.
pub fn all(url: &str) -> Vec<Called> {
    let home = "home.example.org";
    let template = json!({"provider": "template", "url": url, "good": {"first_word": ["ok"]}, "parameters": [
        {"name": "h", "is": "host"}, {"name": "a", "is": "address"}, {"name": "p", "is": "secret"}]});
    let mut all: Vec<Called> = [
        (json!({"provider": "dyndns2", "url": url, "user": "u"}), home),
        (json!({"provider": "key-systems", "url": url}), home),
        (json!({"provider": "duckdns", "url": url}), "home.duckdns.org"),
        (json!({"provider": "cloudflare", "url": url, "zone_id": "0123456789abcdef0123456789abcdef"}), home),
        (json!({"provider": "desec", "url": url, "user": "u"}), "home.dedyn.io"),
        (json!({"provider": "hetzner", "url": url, "zone": "example.org"}), home),
        (json!({"provider": "inwx", "url": url, "user": "u"}), home),
        (json!({"provider": "route53", "url": url, "zone_id": "Z1", "access_key_id": "AKID"}), home),
        (template, home),
    ]
    .map(|(settings, host)| Called { settings, host, secret: SECRET.to_owned(), before: Vec::new() })
    .into();
    all.push(Called {
        settings: json!({"provider": "google-cloud", "url": url, "project": "p-1", "zone": "z-1"}),
        host: home,
        secret: google_cloud::key_file(&format!("{url}/token")),
        // The secret of the calls that follow.
        before: vec![google_cloud::access_token(SECRET)],
    });
    all
}

async fn send(limits: Limits, called: &Called, v6: Option<&str>) -> Answers {
    let provider = Provider::parse(called.settings.clone()).unwrap();
    let (wanted, secret) = (wanted(called.host, Some("192.0.2.7"), v6), called.secret.as_str().into());
    provider.check(&wanted, &secret).unwrap();
    provider.update(&http(limits), &secret, &wanted, now()).await
}

/// A fake that gives one answer to the provider of this place; and how many calls that makes.
async fn faulty(at: usize, answer: Says) -> (Fake, Called, usize) {
    let fake = Fake::start([]).await;
    let mut called = all(&fake.url).swap_remove(at);
    let calls = called.before.len() + 1;
    fake.will_say(called.before.drain(..).chain([answer]));
    (fake, called, calls)
}

/// What each provider makes of one answer.
async fn each(limits: Limits, answer: impl Fn() -> Says, outcome: Outcome, word: &str) {
    let (count, answer) = (all("http://127.0.0.1:1/").len(), &answer);
    join_all((0..count).map(|at| async move {
        let (fake, called, calls) = faulty(at, answer()).await;
        let settings = &called.settings;
        let found = send(limits, &called, None).await.a.unwrap();
        assert_eq!(found.outcome, outcome, "{settings}: {found:?}");
        assert!(found.said.contains(word), "{settings}: {found:?}");
        assert!(!found.said.contains("s3cret") && !found.said.contains("127.0.0.1"), "{found:?}");
        assert_eq!(fake.asked().len(), calls, "{settings}");
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
    // With byte order marks, also one of a file that was put in, and with words before it that are no tag.
    for begin in ["\u{feff}", "\r\n\u{feff}\u{feff} ", "good OK ok code = 200 OK "] {
        let page = || Says::With(200, "content-type", "text/html".to_owned(), format!("{begin}{PORTAL}"));
        each(limits(), page, Outcome::Retry, "").await;
    }
}

#[tokio::test]
async fn a_status_alone_is_no_success_if_a_page_came() {
    let fake = Fake::start([]).await;
    let settings = json!({"provider": "template", "url": fake.url, "good": {"status": [200]}, "parameters": [
        {"name": "h", "is": "host"}, {"name": "a", "is": "address"}, {"name": "p", "is": "secret"}]});
    let secret = SECRET.to_owned();
    let called = Called { settings, host: "home.example.org", secret, before: Vec::new() };
    for (kind, body, outcome) in [
        ("text/html", PORTAL.to_owned(), Outcome::Retry),
        ("text/html", format!("\u{feff}{PORTAL}"), Outcome::Retry),
        ("text/plain", format!("\u{feff}{PORTAL}"), Outcome::Retry),
        ("text/html; charset=utf-8", format!("Welcome! {PORTAL}"), Outcome::Retry),
        ("application/xhtml+xml", format!("Welcome! {PORTAL}"), Outcome::Retry),
        // Servers call plain answers text/html.
        ("text/html", "updated".to_owned(), Outcome::Good),
        ("text/html; charset=utf-8", String::new(), Outcome::Good),
        ("application/json", r#"{"told": "<html>"}"#.to_owned(), Outcome::Good),
    ] {
        fake.will_say([Says::With(200, "content-type", kind.to_owned(), body.clone())]);
        let found = send(limits(), &called, None).await.a.unwrap();
        assert_eq!(found.outcome, outcome, "{kind} {body}: {found:?}");
    }
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
async fn nonsense_is_no_success() {
    for nonsense in ["\u{0}\u{1}\u{7f}", "42", "OKAY good? nochg! success", "%00%ff;;--", "{\"good\""] {
        for at in 0..all("http://127.0.0.1:1/").len() {
            let (fake, called, calls) = faulty(at, says(200, nonsense)).await;
            let found = send(limits(), &called, None).await.a.unwrap();
            // Of these a word is the answer, and this is none: whoever speaks so has refused.
            let words = ["dyndns2", "inwx", "desec", "template"]
                .contains(&called.settings["provider"].as_str().unwrap());
            let outcome = if words { Outcome::Refused } else { Outcome::Retry };
            assert_eq!(found.outcome, outcome, "{} {nonsense:?}: {found:?}", called.settings);
            assert_eq!(fake.asked().len(), calls);
        }
    }
}

#[tokio::test]
async fn too_much_and_what_the_status_alone_tells() {
    each(limits(), || Says::Endless, Outcome::Retry, "longer than 256 KiB").await;
    each(limits(), || says(500, "oops s3cret&+#%/="), Outcome::Retry, "500").await;
    each(limits(), || says(502, ""), Outcome::Retry, "502").await;
    each(
        limits(),
        || Says::With(503, "retry-after", "120".to_owned(), String::new()),
        Outcome::Unknown(Duration::from_mins(2)),
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
    // Dates that are over and far away, beside the answer's own; nothing, and for ever.
    for (after, wait) in [
        ("Fri, 20 Nov 2020 12:00:00 GMT", Duration::from_mins(5)),
        ("Fri, 20 Nov 2099 12:00:00 GMT", Duration::from_hours(24)),
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
                let (_fake, called, _) = faulty(at, json).await;
                let found = send(limits(), &called, None).await.a.unwrap();
                let success = [Outcome::Good, Outcome::NoChange].contains(&found.outcome);
                assert!(!success, "{} {status} {body}: {found:?}", called.settings);
            }
        }
    }
}

#[tokio::test]
async fn what_is_no_text_is_no_success() {
    for bytes in [b"\xff\xfe\x00good".as_slice(), b"\xc3\x28 OK", b"\x1f\x8b\x08\x00ok"] {
        for at in 0..all("http://127.0.0.1:1/").len() {
            let (_fake, called, _) = faulty(at, Says::Bytes(200, bytes.to_vec())).await;
            let outcome = send(limits(), &called, None).await.a.unwrap().outcome;
            let settings = &called.settings;
            assert!([Outcome::Retry, Outcome::Refused].contains(&outcome), "{settings}: {outcome:?}");
        }
    }
}

#[tokio::test]
async fn after_a_refusal_of_the_account_no_other_address_is_sent() {
    for (status, outcome) in
        [(401, Outcome::Park(Park::BadAuth)), (429, Outcome::Wait(Duration::from_mins(5)))]
    {
        for at in 0..=all("http://127.0.0.1:1/").len() {
            // The first one once more, in its other form.
            let separate = at == all("http://127.0.0.1:1/").len();
            let (fake, mut called, calls) = faulty(if separate { 0 } else { at }, says(status, "")).await;
            if separate {
                called.settings["dual"] = json!("separate");
            }
            let settings = &called.settings;
            let answers = send(limits(), &called, Some("2001:db8::7")).await;
            let found = (answers.a.unwrap().outcome, answers.aaaa.unwrap().outcome);
            assert_eq!(found, (outcome, outcome), "{settings}");
            assert_eq!(fake.asked().len(), calls, "{settings}");
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
        for called in all(&url) {
            let found = send(limits(), &called, None).await.a.unwrap();
            assert_eq!(found.outcome, Outcome::Retry, "{}: {found:?}", called.settings);
            let word = if called.before.is_empty() { "no answer" } else { "no access token" };
            assert!(found.said.contains(word) && !found.said.contains("s3cret"), "{found:?}");
        }
    }
    assert!(without_tls.asked().is_empty());
}

#[tokio::test]
async fn a_plan_sends_nothing_and_shows_no_secret() {
    let fake = Fake::start([]).await;
    for Called { settings, host, .. } in all(&fake.url) {
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

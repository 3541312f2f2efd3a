//! Providers of names, sources of addresses, and the look afterwards. RFC 2136 runs against a BIND 9 that each test starts for itself;
//! the others against fakes on loopback, made from the providers' documents: what they answer here is what is written there.
#![expect(clippy::unwrap_used, reason = "a test that cannot go on fails")]

mod address;
mod bind;
mod check;
mod cloudflare;
mod common_faults;
mod dialects;
mod fake;
mod google_cloud;
mod guarded;
mod hetzner;
mod leaks;
mod rfc2136;
mod route53;
mod signed;
mod verify;

use std::time::Duration;

use chrono::{DateTime, Utc};
use serde_json::Value;
use shared::{
    dns::{Answer, Answers, Finding, Held, Http, Limits, Outcome, Provider, Wanted},
    guard::{Allow, system},
};

/// What every fake is to be called with.
const SECRET: &str = "s3cret&+#%/=";

/// Calls fakes on loopback.
fn http(limits: Limits) -> Http {
    Http::with(limits, &loopback(), &system()).unwrap()
}

fn loopback() -> Allow {
    Allow::new(&["127.0.0.0/8".parse().unwrap()])
}

fn now() -> DateTime<Utc> {
    "2026-11-21T12:00:00Z".parse().unwrap()
}

fn limits() -> Limits {
    Limits {
        connect: Duration::from_secs(5),
        call: Duration::from_secs(15),
        poll: Duration::from_millis(5),
        polls: 4,
    }
}

fn wanted(host: &str, v4: Option<&str>, v6: Option<&str>) -> Wanted {
    Wanted {
        host: host.parse().unwrap(),
        v4: v4.map(|address| address.parse().unwrap()),
        v6: v6.map(|address| address.parse().unwrap()),
        beside: None,
        ttl: None,
    }
}

/// Updates once, as the settings say.
async fn update(settings: Value, secret: &str, wanted: &Wanted) -> Answers {
    let provider = Provider::parse(settings).unwrap();
    provider.check(wanted, &secret.into()).unwrap();
    let answers = provider.update(&http(limits()), &secret.into(), wanted, now()).await;
    assert!(answers.a.is_some() == wanted.v4.is_some() && answers.aaaa.is_some() == wanted.v6.is_some());
    for answer in [&answers.a, &answers.aaaa].into_iter().flatten() {
        assert!(!answer.said.contains(secret) && answer.said.chars().count() <= 200, "{answer:?}");
        assert!(!answer.said.contains('\n'), "{answer:?}");
    }
    answers
}

/// What the provider says that it holds.
async fn observe(settings: Value, secret: &str, wanted: &Wanted) -> Result<Held, Answer> {
    let provider = Provider::parse(settings).unwrap();
    let found = provider.observe(&http(limits()), &secret.into(), wanted, now()).await;
    assert_eq!(found.is_some(), provider.can_be_read());
    found.unwrap()
}

/// What is found without changing anything, each with its outcome.
async fn probe(settings: Value, secret: &str, wanted: &Wanted) -> Vec<(&'static str, Outcome)> {
    let provider = Provider::parse(settings).unwrap();
    let found = provider.probe(&http(limits()), &secret.into(), wanted, now()).await.unwrap();
    assert!(found.iter().rev().skip(1).all(Finding::is_good) || found.len() == 1, "{found:?}");
    for Finding { answer, .. } in &found {
        assert!(!answer.said.contains(secret) && answer.said.chars().count() <= 200, "{answer:?}");
    }
    found.into_iter().map(|finding| (finding.what, finding.answer.outcome)).collect()
}

/// The outcome for the A record, with what was said.
fn a(answers: &Answers) -> (Outcome, &str) {
    let answer = answers.a.as_ref().unwrap();
    (answer.outcome, answer.said.as_str())
}

/// The outcome for the AAAA record, with what was said.
fn aaaa(answers: &Answers) -> (Outcome, &str) {
    let answer = answers.aaaa.as_ref().unwrap();
    (answer.outcome, answer.said.as_str())
}

//! What tenants name is not called where only the fleet can reach: providers, their servers, services that tell an address.

use std::{
    net::IpAddr,
    sync::{Arc, Mutex},
};

use futures_util::FutureExt as _;
use serde_json::{Value, json};
use shared::{
    dns::{
        Answer, Http, Outcome, Park, Provider,
        address::{Family, Finder, Rules, Source},
    },
    guard::{Allow, Lookup, system},
};

use crate::{SECRET, fake::Fake, limits, now, wanted};

/// A name that leads somewhere, and elsewhere at the next question; the names that were asked for.
fn leads(answers: &[&str]) -> (Lookup, Arc<Mutex<Vec<String>>>) {
    let answers: Vec<IpAddr> = answers.iter().map(|address| address.parse().unwrap()).collect();
    let asked = Arc::new(Mutex::new(Vec::new()));
    let names = Arc::clone(&asked);
    let lookup: Lookup = Arc::new(move |name| {
        let mut names = names.lock().unwrap();
        let turn = names.len().min(answers.len() - 1);
        names.push(name);
        let found = vec![answers[turn]];
        async move { Ok(found) }.boxed()
    });
    (lookup, asked)
}

/// Every provider whose server a tenant can name, there.
fn at(host: &str, port: u16) -> Vec<Value> {
    let url = format!("https://{host}:{port}/update");
    vec![
        json!({"provider": "dyndns2", "url": url, "user": "u"}),
        json!({"provider": "key-systems", "url": url}),
        json!({"provider": "cloudflare", "url": url, "zone_id": "0123456789abcdef0123456789abcdef"}),
        json!({"provider": "desec", "url": url, "user": "u"}),
        json!({"provider": "hetzner", "url": url, "zone": "example.org"}),
        json!({"provider": "inwx", "url": url, "user": "u"}),
        json!({"provider": "route53", "url": url, "zone_id": "Z1", "access_key_id": "AKID"}),
        json!({"provider": "template", "url": url, "good": {"status": [200]}, "parameters": [
            {"name": "h", "is": "host"}, {"name": "a", "is": "address"}, {"name": "p", "is": "secret"}]}),
        json!({"provider": "rfc2136", "server": format!("{host}:{port}"), "zone": "example.org", "key": "k"}),
    ]
}

async fn update(http: &Http, settings: &Value) -> Answer {
    let provider = Provider::parse(settings.clone()).unwrap();
    let secret = if provider.name() == "rfc2136" { crate::bind::SECRET } else { SECRET };
    let wanted = wanted("home.example.org", Some("192.0.2.7"), None);
    provider.update(http, &secret.into(), &wanted, now()).await.a.unwrap()
}

#[tokio::test]
async fn what_is_not_public_is_not_called_by_its_address() {
    let fake = Fake::start([]).await;
    let port = fake.url.rsplit(':').next().unwrap().parse().unwrap();
    let http = Http::new(limits()).unwrap();
    for host in ["127.0.0.1", "[::1]", "10.0.0.1", "192.168.1.1", "169.254.169.254", "[fd00::1]", "0.0.0.0"] {
        for settings in at(host, port) {
            let answer = update(&http, &settings).await;
            assert_eq!(answer.outcome, Outcome::Park(Park::BadSetting), "{settings}: {answer:?}");
            assert!(
                answer.said.contains("must not be called") && answer.said.contains("SYNCFLEET_DNS_ALLOW"),
                "{settings}: {answer:?}"
            );
        }
    }
    assert!(fake.asked().is_empty());
}

#[tokio::test]
async fn a_name_that_leads_inside_is_not_called_and_cannot_change_its_mind() {
    let fake = Fake::start([]).await;
    let port = fake.url.rsplit(':').next().unwrap().parse().unwrap();
    for inside in ["127.0.0.1", "192.168.1.1", "169.254.169.254", "::ffff:127.0.0.1", "fd00::1"] {
        for settings in at("provider.example", port) {
            // Public at a second question: there is none.
            let (lookup, asked) = leads(&[inside, "192.88.99.1"]);
            let http = Http::with(limits(), &Allow::default(), &lookup).unwrap();
            let answer = update(&http, &settings).await;
            // It may lead elsewhere another time: at a captive portal all names lead inside.
            assert_eq!(answer.outcome, Outcome::Retry, "{settings}: {answer:?}");
            assert!(answer.said.contains("must not be called"), "{settings}: {answer:?}");
            assert_eq!(*asked.lock().unwrap(), ["provider.example"], "{settings}");
        }
    }
    assert!(fake.asked().is_empty());
}

#[tokio::test]
async fn the_endpoint_of_a_key_file_is_googles_or_allowed() {
    let fake = Fake::start([]).await;
    let settings = json!({"provider": "google-cloud", "project": "p-1", "zone": "z-1"});
    for token_uri in [
        format!("{}/token", fake.url),
        "https://tokens.example/".to_owned(),
        "https://googleapis.com.example/".to_owned(),
        // Public, but whose?
        "https://8.8.8.8/token".to_owned(),
        "https://[2606:4700:4700::1111]/token".to_owned(),
    ] {
        let key = crate::google_cloud::key_file(&token_uri);
        let provider = Provider::parse(settings.clone()).unwrap();
        let wanted = wanted("home.example.org", Some("192.0.2.7"), None);
        let http = Http::new(limits()).unwrap();
        let answer = provider.update(&http, &key.into(), &wanted, now()).await.a.unwrap();
        assert_eq!(answer.outcome, Outcome::Park(Park::BadSetting), "{token_uri}: {answer:?}");
        assert!(answer.said.contains("token_uri"), "{answer:?}");
    }
    assert!(fake.asked().is_empty());
    // Google's name is not called where it leads inside, and of public addresses none but what is allowed by name.
    let (lookup, _) = leads(&["10.0.0.1"]);
    let allow = Allow::new(&["8.8.8.8".parse().unwrap()]);
    for (token_uri, outcome, why) in [
        ("https://oauth2.googleapis.com/token", Outcome::Retry, "must not be called"),
        ("https://8.8.4.4/token", Outcome::Park(Park::BadSetting), "token_uri"),
    ] {
        let key = crate::google_cloud::key_file(token_uri);
        let provider = Provider::parse(settings.clone()).unwrap();
        let wanted = wanted("home.example.org", Some("192.0.2.7"), None);
        let http = Http::with(limits(), &allow, &lookup).unwrap();
        let answer = provider.update(&http, &key.into(), &wanted, now()).await.a.unwrap();
        assert_eq!(answer.outcome, outcome, "{answer:?}");
        assert!(answer.said.contains(why), "{answer:?}");
    }
}

#[tokio::test]
async fn sources_of_addresses_are_not_asked_inside_either() {
    let fake = Fake::start([]).await;
    let port = fake.url.rsplit(':').next().unwrap();
    let find = async |lookup: &Lookup, source: Value| {
        let source: Source = serde_json::from_value(source).unwrap();
        let finder = Finder::with(limits(), &Allow::default(), lookup).unwrap();
        finder.find(&source, Family::Ipv4, &Rules::default()).await.unwrap_err().to_string()
    };
    let (lookup, _) = leads(&["127.0.0.1"]);
    for url in [fake.url.clone(), format!("https://echo.example:{port}/"), "https://10.0.0.1/".to_owned()] {
        let error = find(&lookup, json!({"echo": {"services": [url], "agree": 1}})).await;
        assert!(error.contains("must not be called"), "{url}: {error}");
    }
    for source in [json!({"nat_pmp": {"gateway": "192.168.1.1"}}), json!({"pcp": {"gateway": "127.0.0.1"}})] {
        let error = find(&system(), source).await;
        assert!(error.contains("SYNCFLEET_DNS_ALLOW"), "{error}");
    }
    assert!(fake.asked().is_empty());
}

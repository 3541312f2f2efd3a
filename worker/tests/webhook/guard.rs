//! Where messages do not go.

use std::{
    net::IpAddr,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
};

use futures_util::FutureExt;
use shared::{
    secrets::{KeyRing, generate_key},
    webhook::{Allow, Credential, Lookup, Message, SendError, Sender, SigningSecret},
};

use crate::endpoint::Endpoint;

/// Names, and their addresses in the order of the questions.
fn names(answers: &[&[&str]]) -> (Lookup, Arc<AtomicUsize>) {
    let answers: Vec<Vec<IpAddr>> =
        answers.iter().map(|some| some.iter().map(|address| address.parse().unwrap()).collect()).collect();
    let asked = Arc::new(AtomicUsize::new(0));
    let counter = Arc::clone(&asked);
    let lookup: Lookup = Arc::new(move |_| {
        let turn = counter.fetch_add(1, Ordering::SeqCst).min(answers.len() - 1);
        let found = answers[turn].clone();
        async move { Ok(found) }.boxed()
    });
    (lookup, asked)
}

fn sender(lookup: &Lookup, allow: &[&str]) -> Sender {
    let keys = KeyRing::parse(&generate_key("test").unwrap()).unwrap();
    let allow: Vec<_> = allow.iter().map(|network| network.parse().unwrap()).collect();
    Sender::new(keys, Allow::new(&allow), lookup).unwrap()
}

async fn send(sender: &Sender, url: &str) -> Result<u16, SendError> {
    let secret = Credential::Secret(SigningSecret::generate().unwrap());
    let message = Message { id: "msg_1", timestamp: 1, body: "{}" };
    sender.send(&url.parse().unwrap(), &secret, message).await
}

#[tokio::test]
async fn a_name_that_leads_inside_is_not_called() {
    let endpoint = Endpoint::start().await;
    let port = endpoint.address.port();
    for inside in [
        "127.0.0.1",
        "10.0.0.1",
        "100.64.0.1",
        "169.254.169.254",
        "172.16.0.1",
        "192.168.0.1",
        "192.0.2.1",
        "0.0.0.0",
        "224.0.0.1",
        "255.255.255.255",
        "::1",
        "::",
        "::ffff:127.0.0.1",
        "64:ff9b::7f00:1",
        "2002:7f00:1::",
        "fe80::1",
        "fd00::1",
        "2001:db8::1",
        "ff02::1",
    ] {
        let (lookup, asked) = names(&[&[inside]]);
        let error = send(&sender(&lookup, &[]), &format!("https://hooks.example:{port}/")).await.unwrap_err();
        assert!(matches!(error, SendError::Blocked(_)), "{inside}: {error}");
        assert!(error.to_string().contains("must not be called"), "{inside}: {error}");
        assert_eq!(asked.load(Ordering::SeqCst), 1, "the name was resolved once, by the guard");
    }
    assert!(endpoint.requests().is_empty());
}

#[tokio::test]
async fn an_address_in_the_url_is_not_called_either() {
    let endpoint = Endpoint::start().await;
    let port = endpoint.address.port();
    let (lookup, asked) = names(&[&["127.0.0.1"]]);
    let sender = sender(&lookup, &[]);
    for host in ["127.0.0.1", "2130706433", "0x7f000001", "127.1", "[::1]", "[::ffff:127.0.0.1]", "0.0.0.0"] {
        for scheme in ["https", "http"] {
            let error = send(&sender, &format!("{scheme}://{host}:{port}/")).await.unwrap_err();
            assert!(matches!(error, SendError::Blocked(_)), "{scheme} {host}: {error}");
        }
    }
    assert!(endpoint.requests().is_empty());
    assert_eq!(asked.load(Ordering::SeqCst), 0);
}

#[tokio::test]
async fn what_is_allowed_is_called_by_the_very_address_that_was_looked_at() {
    let endpoint = Endpoint::start().await;
    let url = format!("http://hooks.example:{}/x", endpoint.address.port());
    // A second question would lead elsewhere.
    let (lookup, asked) = names(&[&["10.0.0.1", "127.0.0.1"], &["10.0.0.1"]]);
    let sender = sender(&lookup, &["127.0.0.0/8"]);
    assert_eq!(send(&sender, &url).await.unwrap(), 200);
    assert_eq!((endpoint.requests().len(), asked.load(Ordering::SeqCst)), (1, 1));
    // The name has changed its mind.
    let error = send(&sender, &url).await.unwrap_err();
    assert!(matches!(error, SendError::Blocked(_)), "{error}");
    assert_eq!(endpoint.requests().len(), 1);
}

#[tokio::test]
async fn without_tls_only_what_is_allowed_is_called() {
    let (lookup, _) = names(&[&["8.8.8.8"]]);
    let error = send(&sender(&lookup, &["127.0.0.0/8"]), "http://hooks.example/").await.unwrap_err();
    assert!(error.to_string().contains("must not be called without TLS"), "{error}");
    let (lookup, asked) = names(&[&["127.0.0.1"]]);
    let error = send(&sender(&lookup, &[]), "http://hooks.example/").await.unwrap_err();
    assert!(error.to_string().contains("begins with https://"), "{error}");
    assert_eq!(asked.load(Ordering::SeqCst), 0);
}

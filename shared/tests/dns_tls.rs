//! Whom calls of names trust: every provider that is called by HTTP, Google's endpoint for tokens, and services that echo, each behind
//! TLS with certificates of the test's own authority, of nobody, and for another name, as a captive portal shows.
//!
//! A program of its own: what is trusted is read once, before the first client is made.
#![expect(clippy::unwrap_used, reason = "a test that cannot go on fails")]

use std::{
    io::{Read as _, Write as _},
    net::{IpAddr, Ipv4Addr, TcpListener, TcpStream},
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    thread,
    time::Duration,
};

use futures_util::FutureExt as _;
use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, DnType, IsCa, KeyPair};
use rsa::pkcs8::{EncodePrivateKey as _, LineEnding};
use rustls::{
    ServerConfig, ServerConnection, Stream,
    crypto::ring,
    pki_types::{CertificateDer, PrivateKeyDer},
};
use serde_json::{Value, json};
use shared::{
    dns::{
        Http, Limits, Outcome, Provider, Wanted,
        address::{Family, Finder, Rules, Source},
    },
    guard::{Allow, Lookup},
};

const NAME: &str = "provider.example";
const GOOGLE: &str = "oauth2.googleapis.com";

type Shown = (CertificateDer<'static>, PrivateKeyDer<'static>);

fn authority() -> CertifiedIssuer<'static, KeyPair> {
    let mut params = CertificateParams::new(Vec::new()).unwrap();
    params.distinguished_name.push(DnType::CommonName, "the test's authority");
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap()
}

/// A certificate for these names; of nobody without an issuer.
fn certificate(names: &[&str], issuer: Option<&CertifiedIssuer<'static, KeyPair>>) -> Shown {
    let key = KeyPair::generate().unwrap();
    let names: Vec<String> = names.iter().map(ToString::to_string).collect();
    let params = CertificateParams::new(names).unwrap();
    let certificate = match issuer {
        Some(issuer) => params.signed_by(&key, issuer).unwrap(),
        None => params.self_signed(&key).unwrap(),
    };
    (certificate.der().clone(), PrivateKeyDer::try_from(key.serialize_der()).unwrap())
}

/// A server that answers every request with 503. Its port, and how many requests it could read. It lives as long as the test.
fn server((certificate, key): Shown) -> (u16, Arc<AtomicUsize>) {
    let config = ServerConfig::builder_with_provider(Arc::new(ring::default_provider()))
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(vec![certificate], key)
        .unwrap();
    let (config, listener) = (Arc::new(config), TcpListener::bind("127.0.0.1:0").unwrap());
    let (port, requests) = (listener.local_addr().unwrap().port(), Arc::new(AtomicUsize::new(0)));
    let count = Arc::clone(&requests);
    thread::spawn(move || {
        for peer in listener.incoming() {
            let (config, count) = (Arc::clone(&config), Arc::clone(&count));
            thread::spawn(move || answer(config, peer.unwrap(), &count));
        }
    });
    (port, requests)
}

fn answer(config: Arc<ServerConfig>, mut peer: TcpStream, requests: &AtomicUsize) {
    peer.set_read_timeout(Some(Duration::from_secs(30))).unwrap();
    let mut tls = ServerConnection::new(config).unwrap();
    let mut stream = Stream::new(&mut tls, &mut peer);
    // Who does not trust the certificate ends here.
    if stream.read(&mut [0; 4096]).is_ok_and(|length| length > 0) {
        requests.fetch_add(1, Ordering::SeqCst);
        let _ = stream.write_all(b"HTTP/1.1 503 Busy\r\ncontent-length: 0\r\nconnection: close\r\n\r\n");
        tls.send_close_notify();
        let _ = tls.complete_io(&mut peer);
    }
}

/// Each provider that is called by HTTP, with its name and secret.
fn all(host: &str, port: u16) -> Vec<(Value, &'static str, String)> {
    let (url, home) = (format!("https://{host}:{port}/"), "home.example.org");
    let key = rsa::RsaPrivateKey::new(&mut rsa::rand_core::OsRng, 2048).unwrap();
    let key_file = json!({"type": "service_account", "private_key": key.to_pkcs8_pem(LineEnding::LF).unwrap().as_str(),
        "client_email": "dns@p-1.iam.gserviceaccount.com", "client_id": "1",
        "token_uri": format!("https://{GOOGLE}:{port}/token")});
    let secret = || "s3cret".to_owned();
    vec![
        (json!({"provider": "dyndns2", "url": url, "user": "u"}), home, secret()),
        (json!({"provider": "key-systems", "url": url}), home, secret()),
        (json!({"provider": "duckdns", "url": url}), "home.duckdns.org", secret()),
        (
            json!({"provider": "cloudflare", "url": url, "zone_id": "0123456789abcdef0123456789abcdef"}),
            home,
            secret(),
        ),
        (json!({"provider": "desec", "url": url, "user": "u"}), "home.dedyn.io", secret()),
        (json!({"provider": "hetzner", "url": url, "zone": "example.org"}), home, secret()),
        (json!({"provider": "inwx", "url": url, "user": "u"}), home, secret()),
        (
            json!({"provider": "route53", "url": url, "zone_id": "Z1", "access_key_id": "AKID"}),
            home,
            secret(),
        ),
        (
            json!({"provider": "template", "url": url, "good": {"status": [200, 503]}, "parameters": [
                {"name": "h", "is": "host"}, {"name": "a", "is": "address"}, {"name": "p", "is": "secret"}]}),
            home,
            secret(),
        ),
        (json!({"provider": "google-cloud", "project": "p-1", "zone": "z-1"}), home, key_file.to_string()),
    ]
}

#[tokio::test]
async fn nobody_is_told_a_credential_who_cannot_show_a_certificate_for_the_name() {
    let authority = authority();
    let file = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(file.path(), authority.pem()).unwrap();
    shared::tls::trust(file.path()).unwrap();

    let lookup: Lookup = Arc::new(|_| async { Ok(vec![IpAddr::V4(Ipv4Addr::LOCALHOST)]) }.boxed());
    let allow = Allow::new(&["127.0.0.0/8".parse().unwrap()]);
    let limits =
        Limits { connect: Duration::from_secs(15), call: Duration::from_secs(30), ..Limits::default() };
    let http = Http::with(limits, &allow, &lookup).unwrap();
    let finder = Finder::with(limits, &allow, &lookup).unwrap();

    let right = &[NAME, GOOGLE];
    for (shown, host, trusted) in [
        (certificate(right, Some(&authority)), NAME, true),
        (certificate(right, None), NAME, false),
        (certificate(&["portal.example"], Some(&authority)), NAME, false),
        // Its address is not its name.
        (certificate(right, Some(&authority)), "127.0.0.1", false),
    ] {
        let (port, requests) = server(shown);
        for (settings, name, secret) in all(host, port) {
            let provider = Provider::parse(settings.clone()).unwrap();
            if provider.name() == "google-cloud" && host != NAME {
                continue;
            }
            let before = requests.load(Ordering::SeqCst);
            let v4 = Some("192.0.2.7".parse().unwrap());
            let wanted = Wanted { host: name.parse().unwrap(), v4, v6: None, beside: None, ttl: None };
            let now = "2026-11-21T12:00:00Z".parse().unwrap();
            let answer = provider.update(&http, &secret.into(), &wanted, now).await.a.unwrap();
            let came = requests.load(Ordering::SeqCst) - before;
            if trusted {
                assert!(came == 1 && !answer.said.contains("certificate"), "{settings}: {came} {answer:?}");
            } else {
                assert_eq!((came, answer.outcome), (0, Outcome::Retry), "{settings}: {answer:?}");
                assert!(answer.said.contains("certificate"), "{settings}: {answer:?}");
            }
        }
        let before = requests.load(Ordering::SeqCst);
        let services = [format!("https://{host}:{port}/")];
        let source: Source =
            serde_json::from_value(json!({"echo": {"services": services, "agree": 1}})).unwrap();
        let error = finder.find(&source, Family::Ipv4, &Rules::default()).await.unwrap_err().to_string();
        let came = requests.load(Ordering::SeqCst) - before;
        assert_eq!(came, usize::from(trusted), "{host}: {error}");
        assert!(error.contains(if trusted { "503" } else { "certificate" }), "{host}: {error}");
    }
}

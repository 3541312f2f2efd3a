//! No credential is told: not in answers, plans and findings, and not in what is logged, at whatever level, whatever goes wrong.

use std::{
    io,
    sync::{Arc, Mutex},
};

use base64::{Engine as _, engine::general_purpose::STANDARD};
use serde_json::{Value, json};
use shared::dns::Provider;
use tracing::Level;
use tracing_subscriber::fmt::MakeWriter;

use crate::{
    SECRET,
    bind::{self, Bind},
    common_faults::all,
    fake::{Fake, Says, says},
    google_cloud, http, limits, now, wanted,
};

/// All that is logged.
#[derive(Clone, Default)]
struct Log(Arc<Mutex<Vec<u8>>>);

impl io::Write for Log {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.lock().unwrap().extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl<'a> MakeWriter<'a> for Log {
    type Writer = Self;

    fn make_writer(&'a self) -> Self {
        self.clone()
    }
}

impl Log {
    fn text(&self) -> String {
        String::from_utf8_lossy(&self.0.lock().unwrap()).into_owned()
    }

    /// From here on what this thread logs goes here. Each test has a thread and a runtime of its own.
    fn listen(&self) -> tracing::subscriber::DefaultGuard {
        let writer = self.clone();
        let subscriber = tracing_subscriber::fmt()
            .with_max_level(Level::TRACE)
            .with_ansi(false)
            .with_writer(writer)
            .finish();
        tracing::subscriber::set_default(subscriber)
    }
}

/// Does all that a provider can, and tells all that comes of it.
async fn everything(settings: Value, secret: &str, host: &str) -> String {
    let provider = Provider::parse(settings).unwrap();
    let wanted = wanted(host, Some("192.0.2.7"), Some("2001:db8::7"));
    let (http, secret) = (http(limits()), secret.into());
    let answers = provider.update(&http, &secret, &wanted, now()).await;
    let held = provider.observe(&http, &secret, &wanted, now()).await;
    let found = provider.probe(&http, &secret, &wanted, now()).await;
    let plan = provider.plan(&wanted, now());
    format!("{answers:?}\n{held:?}\n{found:?}\n{plan:?}\n{provider:?}\n{http:?}\n{secret:?}")
}

/// Echoes in all forms in which a server could repeat what it was sent.
fn echo(status: u16) -> Says {
    let encoded: String = url::form_urlencoded::byte_serialize(SECRET.as_bytes()).collect();
    let basic = STANDARD.encode(format!("u:{SECRET}"));
    let json =
        json!({"error": {"code": "bad", "message": SECRET}, "errors": [{"code": 1, "message": SECRET}]});
    match status {
        200 => says(200, format!("good? {SECRET} {encoded} Basic {basic}")),
        400 => says(400, json),
        _ => says(status, format!("{SECRET} {encoded} Basic {basic} {}", SECRET.replace('&', "&amp;"))),
    }
}

#[tokio::test]
async fn no_secret_is_told_or_logged_whatever_goes_wrong() {
    let log = Log::default();
    let listening = log.listen();
    tracing::trace!("heard");
    let mut told = String::new();
    let mut forms = vec![
        SECRET.to_owned(),
        url::form_urlencoded::byte_serialize(SECRET.as_bytes()).collect(),
        // What all of the above begin with.
        SECRET[..6].to_owned(),
        STANDARD.encode(format!("u:{SECRET}")),
    ];
    let faults: [&dyn Fn() -> Says; 9] = [
        &|| echo(200),
        &|| echo(400),
        &|| echo(401),
        &|| echo(403),
        &|| echo(500),
        &|| Says::With(302, "location", format!("http://localhost/?t={}", &SECRET[..6]), String::new()),
        &|| Says::BrokenOff("good"),
        &|| Says::Endless,
        &|| Says::Bytes(200, SECRET.as_bytes().to_vec()),
    ];
    for fault in faults {
        for at in 0..all("http://127.0.0.1:1/").len() {
            let fake = Fake::start((0..8).map(|_| fault())).await;
            let called = all(&fake.url).swap_remove(at);
            told += &everything(called.settings, &called.secret, called.host).await;
        }
    }
    let key: Value = serde_json::from_str(&google_cloud::key_file("http://127.0.0.1:1/token")).unwrap();
    forms.push(key["private_key"].as_str().unwrap().lines().nth(3).unwrap().to_owned());
    // Nobody there, and no TLS.
    let nobody = Fake::start([]).await.url;
    let plain = Fake::start([]).await;
    for url in [nobody, plain.url.replace("http:", "https:")] {
        for called in all(&url) {
            told += &everything(called.settings, &called.secret, called.host).await;
        }
    }
    let bind = Bind::start().await;
    for (server, key) in [
        (bind.server.to_string(), "ddns-key"),
        (bind.server.to_string(), "nobody"),
        ("127.0.0.1:9".to_owned(), "k"),
    ] {
        let settings = json!({"provider": "rfc2136", "server": server, "zone": "home.test", "key": key});
        told += &everything(settings, bind::OTHER_SECRET, "cloud.home.test").await;
    }
    forms.push(bind::OTHER_SECRET.to_owned());
    drop(listening);

    let log = log.text();
    assert!(log.contains("heard"), "nothing was logged");
    forms.dedup();
    for form in forms {
        for (where_, text) in [("told", &told), ("logged", &log)] {
            let at = text.find(&form).map(|at| text[..at].chars().rev().take(200).collect::<Vec<_>>());
            let before = at.map(|before| before.into_iter().rev().collect::<String>());
            assert_eq!(before, None, "{form} is {where_}");
        }
    }
}

//! A name whose provider refuses, and those who are told: by real processes, from the call to the telephone.

use std::{
    io::{Read as _, Write as _},
    net::TcpListener,
    sync::{Arc, Mutex},
    time::Duration,
};

use base64::{Engine as _, engine::general_purpose::STANDARD};
use secrecy::{ExposeSecret as _, SecretString};
use serde_json::{Value, json};
use shared::{
    dns::{Provider, address::Family},
    job::Policy,
    secrets::{KeyRing, Owner, generate_key},
    store::{
        PgPool,
        dns_addresses::{self, NewAddress},
        dns_hosts::{self, Told},
        dns_records::{self, NewRecord},
        job_state,
        jobs::{self, NewJob},
        secrets,
    },
    webhook::SigningSecret,
};

use crate::process::{LIMIT, Program, until};

const PASSWORD: &str = "the-right-one";
const TOKEN: &str = "tk_7eevizlsiwf9yi4uxsrs83r4352o0";

/// A request: its head and its body.
type Request = (String, String);

/// A server that answers every request by its head, and remembers all.
fn server(answer: impl Fn(&str) -> String + Send + 'static) -> (String, Arc<Mutex<Vec<Request>>>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}/", listener.local_addr().unwrap());
    let requests = Arc::<Mutex<Vec<Request>>>::default();
    let all = Arc::clone(&requests);
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            let mut stream = stream.unwrap();
            let (mut bytes, mut buffer) = (Vec::new(), [0; 4096]);
            let (head, body) = loop {
                let Ok(n @ 1..) = stream.read(&mut buffer) else { break Default::default() };
                bytes.extend_from_slice(&buffer[..n]);
                let text = String::from_utf8_lossy(&bytes);
                let Some((head, body)) = text.split_once("\r\n\r\n") else { continue };
                let length = head.lines().find_map(|line| line.strip_prefix("content-length: "));
                if body.len() >= length.map_or(0, |length| length.parse().unwrap()) {
                    break (head.to_owned(), body.to_owned());
                }
            };
            let answer = answer(&head);
            all.lock().unwrap().push((head, body));
            let length = answer.len();
            let head = format!("HTTP/1.1 200 OK\r\ncontent-length: {length}\r\nconnection: close\r\n\r\n");
            let _ = stream.write_all(format!("{head}{answer}").as_bytes());
        }
    });
    (url, requests)
}

/// As a dyndns2 provider answers: <https://help.dyn.com/remote-access-api/return-codes/>.
fn dyndns2(head: &str) -> String {
    let basic = STANDARD.encode(format!("ada:{PASSWORD}"));
    let word =
        if head.contains(&format!("authorization: Basic {basic}")) { "good 8.8.8.8" } else { "badauth" };
    word.to_owned()
}

fn policy(kind: &str) -> Policy {
    worker::jobs::policies().into_iter().find(|policy| policy.kind == kind).unwrap()
}

/// A name at the provider that follows an address, with a wrong password; its number.
async fn name(db: &PgPool, keys: &KeyRing, url: &str) -> i64 {
    let mut tx = db.begin().await.unwrap();
    let new = NewAddress { tenant: 1, name: "home", interval: Duration::from_mins(5), allowed: &[] };
    let address = dns_addresses::insert(&mut tx, &new).await.unwrap().unwrap();
    dns_addresses::put_family(&mut tx, address, Family::Ipv4, None).await.unwrap();
    let told = Told { address, ip: "8.8.8.8".parse().unwrap(), by: "router".to_owned() };
    dns_hosts::tell(&mut tx, &[told], &[]).await.unwrap();
    let provider = json!({"provider": "dyndns2", "url": format!("{url}nic/update"), "user": "ada"});
    let new = NewRecord {
        tenant: 1,
        address,
        host: &"home.example.com".parse().unwrap(),
        provider: &Provider::parse(provider).unwrap(),
        ttl: None,
        min_interval: Duration::from_secs(1),
        forced_interval: None,
        verify: false,
        verify_servers: None,
        families: &[(Family::Ipv4, None)],
    };
    let record = dns_records::insert(&mut tx, &new).await.unwrap().unwrap();
    let owner = Owner::dns_record(record, dns_records::SECRET);
    secrets::put(&mut tx, keys, owner, &"the-wrong-one".into(), None).await.unwrap();
    tx.commit().await.unwrap();
    record
}

/// Wants the record's job, as an operator does who has changed something.
async fn want(db: &PgPool, record: i64) {
    let mut tx = db.begin().await.unwrap();
    dns_records::release(&mut tx, record, false).await.unwrap();
    let job = NewJob { key: record.to_string(), tenant: 1, account: None, first: None };
    let jobs = jobs::ensure(&mut tx, &policy(dns_records::KIND), &[job]).await.unwrap();
    job_state::release(&mut tx, &jobs).await.unwrap();
    job_state::want(&mut tx, &jobs, None, None).await.unwrap();
    tx.commit().await.unwrap();
}

fn header<'a>(head: &'a str, name: &str) -> Option<&'a str> {
    head.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(": "))
}

/// What became of names, by the messages that a program got; each is signed.
fn whats(requests: &Mutex<Vec<Request>>, secret: &SigningSecret) -> Vec<String> {
    let mut whats = Vec::new();
    for (head, body) in requests.lock().unwrap().iter() {
        let id = header(head, "webhook-id").unwrap();
        let timestamp = header(head, "webhook-timestamp").unwrap().parse().unwrap();
        assert_eq!(header(head, "webhook-signature").unwrap(), secret.sign(id, timestamp, body).unwrap());
        let json: Value = serde_json::from_str(body).unwrap();
        for change in json["data"]["changes"].as_array().unwrap() {
            assert_eq!(
                (&change["resource"], &change["key"], &change["account"]),
                (&json!("dns_record"), &json!("home.example.com"), &Value::Null)
            );
            whats.push(change["what"].as_str().unwrap().to_owned());
        }
    }
    whats
}

#[sqlx::test(migrator = "shared::store::schema::MIGRATOR")]
async fn a_refused_password_is_one_notification_and_its_end_another(db: PgPool) {
    let key = generate_key("k").unwrap();
    let keys = KeyRing::parse(&key).unwrap();
    let (provider, calls) = server(dyndns2);
    let (ntfy, notified) = server(|_| r#"{"id":"hwQ2YpKdmg","event":"message"}"#.to_owned());
    let (hook, sent) = server(|_| String::new());
    let folder = tempfile::tempdir().unwrap();
    let (token, secret) = (folder.path().join("token"), folder.path().join("secret"));
    let signing = SigningSecret::generate().unwrap();
    std::fs::write(&token, format!("{TOKEN}\n")).unwrap();
    std::fs::write(&secret, signing.text().expose_secret()).unwrap();

    let program = Program::with(&db)
        .env("SYNCFLEET_KEYS", key.expose_secret())
        .env("SYNCFLEET_WEBHOOK_ALLOW", "127.0.0.1")
        .env("SYNCFLEET_DNS_ALLOW", "127.0.0.1");
    program.ok(&["tenant", "add", "home"]).await;
    let add = [
        "webhook",
        "add",
        "--tenant",
        "home",
        "--resource",
        "dns_record",
        "--what",
        "failing,recovered",
        "--url",
    ];
    let of_ntfy = ["--form", "ntfy", "--topic", "names-9fa2", "--token-file", token.to_str().unwrap()];
    program.ok(&[&add[..], &[&ntfy], &of_ntfy].concat()).await;
    program.ok(&[&add[..], &[&hook, "--secret-file", secret.to_str().unwrap()]].concat()).await;
    let record = name(&db, &keys, &provider).await;
    let mut scheduler = program.start(&["scheduler"]).await;
    let mut worker = program.start(&["worker"]).await;
    scheduler.ready().await;
    worker.ready().await;

    want(&db, record).await;
    until("the failure is told to both", LIMIT, async || {
        !notified.lock().unwrap().is_empty() && !whats(&sent, &signing).is_empty()
    })
    .await;
    let (head, body) = notified.lock().unwrap()[0].clone();
    assert!(head.starts_with("POST / HTTP/1.1"), "{head}");
    assert_eq!(header(&head, "authorization"), Some(&*format!("Bearer {TOKEN}")));
    let told: Value = serde_json::from_str(&body).unwrap();
    assert_eq!(told["topic"], "names-9fa2");
    assert_eq!(told["title"], "home.example.com does not follow its address");
    assert!(told["message"].as_str().unwrap().starts_with("IPv4: badauth"), "{told}");

    // It is tried again, and is refused again: no news.
    let before = calls.lock().unwrap().len();
    want(&db, record).await;
    until("it is refused again", LIMIT, async || {
        let parked: String = sqlx::query_scalar(
            "select phase::text from job_state s join jobs on id = job_id where jobs.kind = 'dns_record'",
        )
        .fetch_one(&db)
        .await
        .unwrap();
        calls.lock().unwrap().len() > before && parked == "parked"
    })
    .await;

    let owner = Owner::dns_record(record, dns_records::SECRET);
    let mended = SecretString::from(PASSWORD);
    secrets::put(&mut db.acquire().await.unwrap(), &keys, owner, &mended, None).await.unwrap();
    want(&db, record).await;
    until("the end of it is told to both", LIMIT, async || {
        notified.lock().unwrap().len() > 1 && whats(&sent, &signing).len() > 1
    })
    .await;
    assert_eq!(whats(&sent, &signing), ["failing", "recovered"]);
    let all = notified.lock().unwrap().clone();
    let titles: Vec<Value> =
        all.iter().map(|(_, body)| serde_json::from_str::<Value>(body).unwrap()["title"].clone()).collect();
    assert_eq!(
        titles,
        ["home.example.com does not follow its address", "home.example.com follows its address again"]
    );
    for (process, role) in [(worker, "worker"), (scheduler, "scheduler")] {
        for secret in [PASSWORD, TOKEN, "whsec_", "names-9fa2"] {
            assert!(!process.log().contains(secret), "{role}: {}", process.log());
        }
    }
}

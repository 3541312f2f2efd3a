//! From nothing to a name that follows an address, by a scheduler and a worker, against a BIND 9 and a web service that says the
//! address; with a wrong secret on the way, and what metrics say of it. README's own way is in `up/name.rs`.

mod killed;

use std::{
    io::{Read as _, Write as _},
    net::TcpListener,
    sync::{Arc, Mutex},
};

use secrecy::ExposeSecret as _;
use shared::secrets::generate_key;
use sqlx::PgPool;

use crate::{
    bind::{Bind, SECRET},
    process::{LIMIT, Program, until},
};

/// A web service that says whatever address it is told.
fn echo(says: &Arc<Mutex<String>>) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}/", listener.local_addr().unwrap());
    let says = Arc::clone(says);
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            let mut stream = stream.unwrap();
            let _ = stream.read(&mut [0; 4096]);
            let says = says.lock().unwrap().clone();
            let answer = format!(
                "HTTP/1.1 200 OK\r\ncontent-length: {}\r\nconnection: close\r\n\r\n{says}",
                says.len()
            );
            let _ = stream.write_all(answer.as_bytes());
        }
    });
    url
}

#[sqlx::test(migrations = false)]
async fn from_nothing_to_a_name_that_follows(db: PgPool) {
    let bind = Bind::start().await;
    let says = Arc::new(Mutex::new("8.8.4.4".to_owned()));
    let source = format!("echo:{}", echo(&says));
    let folder = tempfile::tempdir().unwrap();
    let (secret, wrong) = (folder.path().join("key"), folder.path().join("wrong"));
    std::fs::write(&secret, format!("{SECRET}\n")).unwrap();
    std::fs::write(&wrong, "c29tZXRoaW5nLWVsc2U=\n").unwrap();
    let (secret, wrong) = (secret.to_str().unwrap(), wrong.to_str().unwrap());
    let server = bind.server.to_string();

    // BIND and the service that tells the address are on this machine.
    let program = Program::with(&db)
        .env("SYNCFLEET_KEYS", generate_key("k").unwrap().expose_secret())
        .env("SYNCFLEET_DNS_ALLOW", "127.0.0.1");
    program.ok(&["migrate"]).await;
    let mut scheduler = program.start(&["scheduler"]).await;
    let mut worker = program.start(&["worker"]).await;
    scheduler.ready().await;
    worker.ready().await;

    program.ok(&["tenant", "add", "acme"]).await;
    let found = program.ok(&["dns", "address", "find", &source, "--ipv4"]).await;
    assert!(found.contains("8.8.4.4"), "{found}");
    program
        .ok(&["dns", "address", "add", "home", "--tenant", "acme", "--ipv4", &source, "--every", "1m"])
        .await;
    let add = [
        "dns",
        "add",
        "cloud.home.test",
        "--tenant",
        "acme",
        "--address",
        "home",
        "--provider",
        "rfc2136",
        "--server",
        &server,
        "--zone",
        "home.test",
        "--key",
        "ddns-key",
        "--verify-server",
        &server,
        "--secret-file",
    ];
    let dry = program.ok(&[&add[..], &[secret, "--dry-run"]].concat()).await;
    assert!(dry.contains("update add cloud.home.test. 60 A") && !dry.contains(SECRET), "{dry}");
    assert_eq!(bind.dig("cloud.home.test", "A").await, ["192.0.2.1"], "a dry run sends nothing");

    // With a wrong secret it is parked, and says so; the right one has it served again.
    program.ok(&[&add[..], &[wrong]].concat()).await;
    let host = "cloud.home.test";
    until("it is parked", LIMIT, async || {
        program.ok(&["dns", "ls", "--failing"]).await.contains("parked: badsig")
    })
    .await;
    let updates = async |outcome: &str| {
        let label = format!("provider=\"rfc2136\",outcome=\"{outcome}\"");
        worker.metric("syncfleet_dns_updates_total", &label).await
    };
    let failing =
        async |kind: &str| scheduler.metric("syncfleet_dns_failing", &format!("kind=\"{kind}\"")).await;
    assert_eq!((updates("parked").await, updates("good").await), (Some(1.0), Some(0.0)));
    let seen = async |part: &str| {
        worker.metric(&format!("syncfleet_dns_verify_seconds_{part}"), "").await.unwrap_or_default()
    };
    assert_eq!(seen("count").await.to_bits(), 0.0_f64.to_bits(), "nothing was seen yet");
    until("one name is counted that fails", LIMIT, async || failing("dns_record").await == Some(1.0)).await;
    assert_eq!(failing("dns_address").await, Some(0.0));
    program.refused(&["dns", "check", host], 1, &["BAD"]).await;
    assert!(program.ok(&["dns", "history", host]).await.contains("parked"));
    program.ok(&["dns", "set", host, "--secret-file", secret]).await;
    until("BIND has it", LIMIT, async || bind.dig(host, "A").await == ["8.8.4.4"]).await;
    let waited = program.ok(&["dns", "update", host, "--wait", "--timeout", "60s"]).await;
    assert!(waited.contains("8.8.4.4 follows"), "{waited}");
    let checked = program.ok(&["dns", "check", host]).await;
    assert!(!checked.contains("BAD") && checked.contains("8.8.4.4"), "{checked}");

    // The address moves, and the name follows by itself.
    "8.8.8.8".clone_into(&mut says.lock().unwrap());
    program.ok(&["dns", "address", "set", "home", "--every", "2m"]).await;
    until("the name follows", LIMIT, async || bind.dig(host, "A").await == ["8.8.8.8"]).await;
    until("it was seen", LIMIT, async || {
        let shown = program.ok(&["dns", "ls"]).await;
        shown.contains("8.8.8.8") && shown.contains("follows")
    })
    .await;
    let history = program.ok(&["dns", "history", host]).await;
    assert!(history.contains("good") && history.contains("verified"), "{history}");
    assert_eq!((updates("parked").await, updates("good").await), (Some(1.0), Some(2.0)));
    assert_eq!(worker.metric("syncfleet_dns_updates_total", "").await, Some(3.0), "and no other");
    assert_eq!(seen("count").await.to_bits(), 2.0_f64.to_bits(), "each of both was seen");
    assert!((0.0..120.0).contains(&seen("sum").await), "{}", seen("sum").await);
    until("none fails any more", LIMIT, async || failing("dns_record").await == Some(0.0)).await;

    // Nothing is sent again, unless it is forced; and the look changes nothing.
    let sent = |history: &str| history.lines().filter(|line| line.contains(" good ")).count();
    let before = sent(&program.ok(&["dns", "history", host]).await);
    program.ok(&["dns", "update", host, "--wait", "--timeout", "60s"]).await;
    assert_eq!(sent(&program.ok(&["dns", "history", host]).await), before);
    program.ok(&["dns", "update", host, "--force", "--wait", "--timeout", "60s"]).await;
    until("it is sent again", LIMIT, async || {
        sent(&program.ok(&["dns", "history", host]).await) == before + 1
    })
    .await;
    program.ok(&["dns", "rm", host, "--yes"]).await;
    program.ok(&["dns", "address", "rm", "home", "--yes"]).await;
    assert_eq!(bind.dig(host, "A").await, ["8.8.8.8"], "the name at its provider stays");
    for process in [&scheduler, &worker] {
        assert!(!process.log().contains(SECRET), "{}", process.log());
    }
}

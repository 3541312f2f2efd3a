use std::{
    io::{Read as _, Write as _},
    net::TcpListener,
};

use serde_json::{Value, json};
use sqlx::PgPool;

use super::{SECRET, add, home};
use crate::program::Program;

/// A web service that says an address to everybody who calls.
fn echo(says: &'static str) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}/", listener.local_addr().unwrap());
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            let mut stream = stream.unwrap();
            let _ = stream.read(&mut [0; 4096]);
            let answer = format!(
                "HTTP/1.1 200 OK\r\ncontent-length: {}\r\nconnection: close\r\n\r\n{says}",
                says.len()
            );
            let _ = stream.write_all(answer.as_bytes());
        }
    });
    url
}

#[test]
fn a_source_is_asked_now() {
    let program = Program::bare();
    let find =
        |source: &str, more: &[&str]| program.run(&[&["dns", "address", "find", source], more].concat());
    let (one, other, third) = (echo("8.8.4.4\n"), echo("8.8.8.8\n"), echo("8.8.4.4\n"));
    let found = find(&format!("echo:{one}"), &["--ipv4"]);
    assert_eq!((found.code, found.stdout.as_str()), (0, "8.8.4.4\n"), "{found:?}");
    let agree = find(&format!("echo:{one},{other},{third}"), &["--ipv4"]);
    assert_eq!((agree.code, agree.stdout.as_str()), (0, "8.8.4.4\n"), "{agree:?}");
    let disagree = find(&format!("echo:{one},{other}"), &["--ipv4"]);
    assert_eq!(disagree.code, 1, "{disagree:?}");
    let who = format!("fewer than 2 of 2 agree on an address: {one}: 8.8.4.4; {other}: 8.8.8.8");
    assert!(disagree.stderr.contains(&who), "{disagree:?}");
    let twice = find(&format!("echo:{one},{one}"), &["--ipv4"]);
    assert!(twice.code == 1 && twice.stderr.contains("one is there twice"), "{twice:?}");
    let private = echo("192.168.1.5");
    let refused = find(&format!("echo:{private}"), &["--ipv4"]);
    assert!(refused.code == 1 && refused.stderr.contains("it is private"), "{refused:?}");
    let allowed = find(&format!("echo:{private}"), &["--ipv4", "--allow", "192.168.0.0/16"]);
    assert_eq!((allowed.code, allowed.stdout.as_str()), (0, "192.168.1.5\n"), "{allowed:?}");
    // What may be called is a setting, for this as for workers.
    let strict = Program::bare().env("SYNCFLEET_DNS_ALLOW", "public");
    let blocked = strict.run(&["dns", "address", "find", &format!("echo:{one}"), "--ipv4"]);
    assert_eq!((blocked.code, blocked.stdout.contains("8.8.4.4")), (1, false), "{blocked:?}");
    assert!(blocked.stderr.contains("SYNCFLEET_DNS_ALLOW"), "{blocked:?}");
    // Of a fixed address only its own family is asked for.
    let fixed = find("fixed:2a00:1450::7", &["-o", "json"]);
    let fixed: Value = serde_json::from_str(&fixed.stdout).unwrap();
    assert_eq!(
        fixed,
        json!([{"family": "ipv6", "source": "fixed:2a00:1450::7", "address": "2a00:1450::7", "why": null}])
    );
    let none = find("interface:nowhere0", &["--ipv4"]);
    assert!(none.code == 1 && none.stderr.contains("no interface nowhere0"), "{none:?}");
    let lo = find("interface:lo", &["--ipv4", "--allow", "127.0.0.0/8"]);
    assert!(lo.code == 0 && lo.stdout.starts_with("127."), "{lo:?}");
}

#[sqlx::test(migrator = "shared::store::schema::MIGRATOR")]
async fn what_cannot_be_tried_without_an_update_is_told(db: PgPool) {
    let program = home(&db);
    // Nobody listens there: the zone's servers are asked, and their silence told.
    let server = std::net::UdpSocket::bind("127.0.0.1:0").unwrap();
    let server = server.local_addr().unwrap().to_string();
    assert_eq!(
        program.fed(&add("a.example.org", "key-systems", &["--verify-server", &server]), SECRET).code,
        0
    );
    let checked = program.run(&["dns", "check", "a.example.org"]);
    assert_eq!(checked.code, 1, "{checked:?}");
    assert!(checked.stdout.contains("key-systems takes nothing but updates"), "{checked:?}");
    assert!(checked.stdout.contains("BAD") && checked.stdout.contains("no answer within"), "{checked:?}");
    assert!(!checked.stdout.contains("hunter2"), "{checked:?}");
    // As workers do not ask where they may not, neither does this.
    let strict = program.env("SYNCFLEET_DNS_ALLOW", "public");
    let checked = strict.run(&["dns", "check", "a.example.org"]);
    assert!(checked.code == 1 && checked.stdout.contains("SYNCFLEET_DNS_ALLOW"), "{checked:?}");
    assert!(!checked.stdout.contains("no answer within"), "{checked:?}");
    Program::with(&db).refused(&["dns", "check", "1"], 2, &["SYNCFLEET_KEYS"]);
}

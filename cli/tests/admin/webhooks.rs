use std::{
    io::{Read, Write},
    net::TcpListener,
};

use secrecy::ExposeSecret;
use serde_json::{Value, json};
use shared::{secrets::generate_key, store::PgPool};

use crate::program::Program;

fn key(id: &str) -> String {
    generate_key(id).unwrap().expose_secret().to_owned()
}

const OWN: &str = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw";

#[sqlx::test(migrator = "shared::store::schema::MIGRATOR")]
async fn a_webhooks_life(db: PgPool) {
    let (old, new) = (key("old"), key("new"));
    let program = Program::with(&db).env("SYNCFLEET_KEYS", &old);
    program.ok(&["tenant", "add", "acme"]);
    let add = ["webhook", "add", "--tenant", "acme", "--url", "https://hooks.example/x"];
    let made = program.run(&add);
    assert_eq!(made.code, 0, "{made:?}");
    assert!(made.stdout.starts_with("whsec_") && made.stderr.contains("not shown again"), "{made:?}");
    let own = program.fed(&[&add[..], &["--secret-file", "-", "--resource", "event"]].concat(), OWN);
    assert_eq!((own.code, own.stdout.as_str()), (0, "webhook 2 is added, with your secret\n"), "{own:?}");
    let listed = program.json(&["webhook", "ls", "--tenant", "acme"]);
    assert_eq!((&listed[0]["state"], &listed[0]["resources"]), (&json!("active"), &json!(null)));
    assert_eq!(listed[1]["resources"], json!(["event"]));
    assert!(!listed.to_string().contains("whsec_"));
    let shown = program.ok(&["webhook", "ls"]);
    assert!(shown.contains("https://hooks.example/x") && shown.contains("active"), "{shown}");

    assert_eq!(program.json(&["webhook", "pause", "1"])["changed"], true);
    assert_eq!(program.json(&["webhook", "pause", "1"])["changed"], false);
    assert_eq!(program.json(&["webhook", "ls"])[0]["state"], "paused");
    assert!(program.ok(&["webhook", "resume", "1"]).contains("goes on from where it was"));

    // The secrets are sealed anew with all others.
    let both = Program::with(&db).env("SYNCFLEET_KEYS", &format!("{new},{old}"));
    assert_eq!(both.json(&["keys", "rotate"])["resealed"], 2);
    assert_eq!(both.json(&["keys", "ls"])[0]["secrets"], 2);

    program.refused(&["webhook", "rm", "1"], 2, &["give --yes"]);
    program.ok(&["webhook", "rm", "1", "--yes"]);
    let left: (i64, i64) = sqlx::query_as(
        "select (select count(*) from secrets), (select count(*) from jobs where kind = 'webhook')",
    )
    .fetch_one(&db)
    .await
    .unwrap();
    assert_eq!(left, (1, 1));
    program.ok(&["tenant", "rm", "acme", "--yes"]);
    let left: i64 = sqlx::query_scalar("select count(*) from secrets").fetch_one(&db).await.unwrap();
    assert_eq!(left, 0, "a tenant's webhooks leave no secret behind");
    let audit = both.json(&["audit", "ls"]).to_string();
    assert!(
        audit.contains("webhook.rm") && audit.contains("webhook.pause") && !audit.contains("whsec_"),
        "{audit}"
    );
}

#[sqlx::test(migrator = "shared::store::schema::MIGRATOR")]
async fn notifications_through_ntfy(db: PgPool) {
    let (old, new) = (key("old"), key("new"));
    let program = Program::with(&db).env("SYNCFLEET_KEYS", &old);
    program.ok(&["tenant", "add", "home"]);
    let add = ["webhook", "add", "--tenant", "home", "--url", "https://ntfy.sh", "--form", "ntfy"];
    let states = ["--topic", "names-9fa2", "--resource", "dns_record", "--what", "failing,recovered"];
    let made = program.fed(&[&add[..], &states, &["--token-file", "-"]].concat(), "tk_hunter2\n");
    assert_eq!(made.code, 0, "{made:?}");
    assert!(made.stdout.contains("webhook test 1") && made.stdout.contains("names-9fa2"), "{made:?}");
    let open = program.json(&[&add[..], &["--topic", "open"]].concat());
    assert_eq!(open, json!({"id": 2, "tenant": "home", "form": "ntfy", "secret": null}));
    let listed = program.json(&["webhook", "ls"]);
    assert_eq!((&listed[0]["form"], &listed[0]["topic"]), (&json!("ntfy"), &json!("names-9fa2")));
    assert_eq!(
        (&listed[0]["resources"], &listed[0]["whats"]),
        (&json!(["dns_record"]), &json!(["failing", "recovered"]))
    );
    assert_eq!((&listed[1]["resources"], &listed[1]["whats"]), (&json!(null), &json!(null)));
    let shown = program.ok(&["webhook", "ls"]);
    assert!(shown.contains("ntfy:names-9fa2") && shown.contains("dns_record failing+recovered"), "{shown}");
    // Only the token is sealed: an open topic has none.
    let both = Program::with(&db).env("SYNCFLEET_KEYS", &format!("{new},{old}"));
    assert_eq!(both.json(&["keys", "rotate"])["resealed"], 1);
    let audit = program.json(&["audit", "ls"]).to_string();
    for text in [&listed.to_string(), &shown, &audit, &made.stdout, &made.stderr] {
        assert!(!text.contains("hunter2"), "{text}");
    }
    assert!(!audit.contains("9fa2"), "whoever knows a topic may read it: {audit}");

    for (more, code, words) in [
        (&[] as &[&str], 2, "--topic"),
        (&["--topic", "a/b"], 1, "1 to 64 characters"),
        (&["--topic", ""], 1, "1 to 64 characters"),
        (&["--topic", "t", "--url", "https://ntfy.sh/t"], 2, "--url"),
        (&["--topic", "t", "--secret-file", "secret"], 2, "is not signed"),
        (&["--topic", "t", "--token-file", "/nowhere"], 1, "cannot read /nowhere"),
        (&["--topic", "t", "--what", "broken"], 2, "created, updated, deleted, failing, recovered"),
        (&["--topic", "t", "--secret-file", "a", "--token-file", "b"], 2, "cannot be used with"),
    ] {
        program.refused(&[&add[..], more].concat(), code, &[words]);
    }
    let at = |url: &'static str, more: &[&'static str]| {
        [&["webhook", "add", "--tenant", "home", "--url", url], more].concat()
    };
    let ntfy = ["--form", "ntfy", "--topic", "t"];
    for (args, code, words) in [
        (at("https://ntfy.sh/t", &ntfy), 1, "at the root of its server"),
        (at("http://ntfy.sh", &ntfy), 1, "begins with https://"),
        (at("http://192.168.1.7:8080", &ntfy), 1, "it is private, and SYNCFLEET_WEBHOOK_ALLOW"),
        (at("https://192.168.1.7", &ntfy), 1, "it is private, and SYNCFLEET_WEBHOOK_ALLOW"),
        (at("https://a.example", &["--topic", "t"]), 2, "go with --form ntfy"),
        (at("https://a.example", &["--token-file", "-"]), 2, "go with --form ntfy"),
        (at("https://a.example", &["--form", "gotify"]), 2, "possible values: standard, ntfy"),
    ] {
        program.refused(&args, code, &[words]);
    }
    let bad = program.fed(&[&at("https://ntfy.sh", &ntfy)[..], &["--token-file", "-"]].concat(), "hunter 2");
    bad.is_refusal(1, &["not an access token"]);
    assert!(!bad.stderr.contains("hunter"), "{}", bad.stderr);
    let allowed =
        Program::with(&db).env("SYNCFLEET_KEYS", &old).env("SYNCFLEET_WEBHOOK_ALLOW", "192.168.1.0/24");
    allowed.ok(&at("http://192.168.1.7:8080", &ntfy));
    assert_eq!(program.json(&["webhook", "ls"]).as_array().unwrap().len(), 3, "nothing was half-done");
    program.ok(&["tenant", "rm", "home", "--yes"]);
    let left: i64 = sqlx::query_scalar("select count(*) from secrets").fetch_one(&db).await.unwrap();
    assert_eq!(left, 0, "a tenant's webhooks leave no token behind");
}

#[sqlx::test(migrator = "shared::store::schema::MIGRATOR")]
async fn what_makes_no_sense_is_refused_and_nothing_is_left(db: PgPool) {
    let program = Program::with(&db).env("SYNCFLEET_KEYS", &key("k"));
    program.ok(&["tenant", "add", "acme"]);
    let url = |url: &'static str| vec!["webhook", "add", "--tenant", "acme", "--url", url];
    let good = url("https://hooks.example/");
    for (args, code, words) in [
        (url("nonsense"), 1, "is not a URL"),
        (url("http://hooks.example/"), 1, "begins with https://"),
        (url("ftp://hooks.example/"), 1, "not ftp:"),
        (url("https://127.0.0.1/"), 1, "it is loopback, and SYNCFLEET_WEBHOOK_ALLOW"),
        (url("https://[fe80::1]/"), 1, "must not be called"),
        (url("https://169.254.169.254/latest"), 1, "link-local"),
        (url("https://u:hunter2@hooks.example/"), 1, "no user or password"),
        ([&good[..], &["--account", "9"]].concat(), 3, "there is no account 9"),
        ([&good[..], &["--resource", "mail"]].concat(), 2, "the resources are"),
        ([&good[..], &["--after", "soon"]].concat(), 2, "no position in the feed"),
        ([&good[..], &["--secret-file", "/nowhere"]].concat(), 1, "cannot read /nowhere"),
        ([&good[..], &["--webhook-allow", "10.0.0.0/40"]].concat(), 2, "no network"),
        (
            vec!["webhook", "add", "--tenant", "nobody", "--url", "https://a.example"],
            3,
            "there is no tenant nobody",
        ),
        (vec!["webhook", "test", "9"], 3, "there is no webhook 9"),
        (vec!["webhook", "pause", "9"], 3, "there is no webhook 9"),
        (vec!["webhook", "resume", "9"], 3, "there is no webhook 9"),
        (vec!["webhook", "rm", "9", "--yes"], 3, "there is no webhook 9"),
        (vec!["webhook", "pause", "x"], 2, "invalid value"),
    ] {
        let ended = program.refused(&args, code, &[words]);
        assert!(!ended.stderr.contains("hunter2"), "{}", ended.stderr);
    }
    let bad = program.fed(&[&good[..], &["--secret-file", "-"]].concat(), "hunter2");
    bad.is_refusal(1, &["24 to 64 random bytes"]);
    assert!(!bad.stderr.contains("hunter2"), "{}", bad.stderr);
    Program::with(&db).refused(&good, 2, &["SYNCFLEET_KEYS"]);
    let left: (i64, i64, i64) = sqlx::query_as(
        "select (select count(*) from webhooks), (select count(*) from secrets), (select count(*) from jobs)",
    )
    .fetch_one(&db)
    .await
    .unwrap();
    assert_eq!(left, (0, 0, 0), "nothing was half-done");
}

#[sqlx::test(migrator = "shared::store::schema::MIGRATOR")]
async fn a_test_message_is_sent_and_its_answer_told(db: PgPool) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}/", listener.local_addr().unwrap());
    let program =
        Program::with(&db).env("SYNCFLEET_KEYS", &key("k")).env("SYNCFLEET_WEBHOOK_ALLOW", "127.0.0.0/8");
    program.ok(&["tenant", "add", "acme"]);
    program.ok(&["webhook", "add", "--tenant", "acme", "--url", &url]);
    let ntfy = ["webhook", "add", "--tenant", "acme", "--url", &url, "--form", "ntfy", "--topic", "names"];
    let made = program.fed(&[&ntfy[..], &["--token-file", "-"]].concat(), "tk_7");
    assert_eq!(made.code, 0, "{made:?}");
    let server = std::thread::spawn(move || {
        let mut asked = Vec::new();
        for status in ["204 No Content", "500 Oops", "200 OK", "403 Forbidden"] {
            let (mut stream, _) = listener.accept().unwrap();
            let mut bytes = [0; 8192];
            let mut text = String::new();
            while !text.ends_with('}') {
                let n = stream.read(&mut bytes).unwrap();
                text.push_str(&String::from_utf8_lossy(&bytes[..n]));
            }
            let answer = format!("HTTP/1.1 {status}\r\ncontent-length: 0\r\nconnection: close\r\n\r\n");
            stream.write_all(answer.as_bytes()).unwrap();
            asked.push(text);
        }
        asked
    });
    assert!(program.ok(&["webhook", "test", "1"]).contains("the endpoint answered 204"));
    let failed = program.run(&["webhook", "test", "1"]);
    assert_eq!(failed.code, 1);
    assert!(failed.stdout.contains("the endpoint answered 500"), "{failed:?}");
    assert!(program.ok(&["webhook", "test", "2"]).contains("the endpoint answered 200"));
    let failed = program.run(&["webhook", "test", "2"]);
    assert!(failed.code == 1 && failed.stdout.contains("the endpoint answered 403"), "{failed:?}");
    let asked = server.join().unwrap();
    let (head, body) = asked[2].split_once("\r\n\r\n").unwrap();
    assert!(head.starts_with("POST / HTTP/1.1") && head.contains("authorization: Bearer tk_7"), "{head}");
    let message: Value = serde_json::from_str(body).unwrap();
    assert_eq!((&message["topic"], &message["title"]), (&json!("names"), &json!("syncfleet: a test")));
    assert!(
        asked[0].contains("webhook-signature: v1,") && asked[0].contains(r#""type":"test""#),
        "{}",
        asked[0]
    );
    // Whoever does not allow it does not send it.
    let strict = Program::with(&db).env("SYNCFLEET_KEYS", &key("k"));
    assert_eq!(strict.run(&["webhook", "test", "1"]).code, 1);
}

#[sqlx::test(migrator = "shared::store::schema::MIGRATOR")]
async fn a_tenant_has_so_many_webhooks_and_no_more(db: PgPool) {
    let program = Program::with(&db).env("SYNCFLEET_KEYS", &key("k"));
    program.ok(&["tenant", "add", "acme"]);
    program.ok(&["tenant", "add", "other"]);
    sqlx::query(
        "insert into webhooks (tenant_id, url, epoch, xid, change_id)
        select t.id, 'https://hooks.example/' || n, 0, 0, 0
        from tenants t cross join generate_series(1, $1) n where t.name = 'acme'",
    )
    .bind(shared::admin::webhook::MOST - 1)
    .execute(&db)
    .await
    .unwrap();
    let add =
        |tenant: &'static str| ["webhook", "add", "--tenant", tenant, "--url", "https://hooks.example/x"];
    program.ok(&add("acme"));
    program.refused(&add("acme"), 1, &["tenant acme has 50 webhooks already", "webhook rm"]);
    program.ok(&add("other"));
    program.ok(&["webhook", "rm", "1", "--yes"]);
    program.ok(&add("acme"));
}

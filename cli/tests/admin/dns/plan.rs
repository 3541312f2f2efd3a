use loadtest::fake_google::{FakeGoogle, Options};
use serde_json::{Value, json};
use shared::dns::provider::NAMES;
use sqlx::PgPool;

use super::{SECRET, add, home, program, rows, tell};

/// A key file of a service account, as Google makes them; its key was made for this test alone.
async fn key_file() -> Value {
    const ROBOT: &str = "dns@p-1.iam.gserviceaccount.com";
    let google = FakeGoogle::start(Options::default()).await.unwrap();
    google.world().add_service_account(ROBOT).unwrap();
    let mut key = google.key_file(ROBOT).unwrap();
    key["token_uri"] = json!("https://oauth2.googleapis.com/token");
    key
}

#[sqlx::test(migrator = "shared::store::schema::MIGRATOR")]
async fn what_would_be_sent_is_shown_without_the_secret_and_nothing_is_written(db: PgPool) {
    let program = home(&db);
    tell(&db, "ipv4", "8.8.4.4").await;
    let before = rows(&db).await;
    let base64 = "aHVudGVyMiYrIyU=";
    let template = tempfile::NamedTempFile::new().unwrap();
    let settings = json!({
        "provider": "template", "url": "https://ddns.example.net/u", "good": { "first_word": ["ok"] },
        "parameters": [{ "name": "h", "is": "host" }, { "name": "a", "is": "address" }, { "name": "p", "is": "secret" }],
    });
    std::fs::write(template.path(), settings.to_string()).unwrap();
    let template = template.path().to_str().unwrap();
    for name in NAMES {
        let (host, secret, more): (&str, &str, Vec<&str>) = match name {
            "dyndns2" => (
                "a.example.org",
                SECRET,
                vec!["--url", "https://dyn.example.net/nic/update", "--user", "ada"],
            ),
            "desec" | "inwx" => ("a.example.org", SECRET, vec!["--user", "ada"]),
            "duckdns" => ("a.duckdns.org", SECRET, vec![]),
            "hetzner" => ("a.example.org", SECRET, vec!["--zone", "example.org"]),
            "route53" => (
                "a.example.org",
                SECRET,
                vec!["--zone-id", "Z0123456789ABC", "--set", "access_key_id=AKIDEXAMPLE"],
            ),
            // Its secret is a file of many lines, see below.
            "google-cloud" => continue,
            "rfc2136" => (
                "a.example.org",
                base64,
                vec!["--server", "ns1.example.org", "--zone", "example.org", "--key", "ddns-key"],
            ),
            "template" => ("a.example.org", SECRET, vec!["--settings-file", template]),
            _ => ("a.example.org", SECRET, vec![]),
        };
        let shown = program.fed(&add(host, name, &[&more[..], &["--dry-run"]].concat()), secret);
        assert_eq!(shown.code, 0, "{name}: {shown:?}");
        assert!(shown.stderr.contains("nothing was written, and nothing was sent"), "{name}: {shown:?}");
        for bad in [secret, "hunter2", "hunter2%26"] {
            assert!(!shown.stdout.contains(bad), "{name}: {}", shown.stdout);
        }
        assert!(shown.stdout.contains("***") && shown.stdout.contains("8.8.4.4"), "{name}: {}", shown.stdout);
        assert!(shown.stdout.contains("nobody has told the address yet"), "{name}: {}", shown.stdout);
    }
    assert_eq!(rows(&db).await, before);
}

#[sqlx::test(migrator = "shared::store::schema::MIGRATOR")]
async fn what_google_cloud_would_be_sent_is_shown_without_its_key(db: PgPool) {
    let program = home(&db);
    tell(&db, "ipv4", "8.8.4.4").await;
    let before = rows(&db).await;
    let key = key_file().await;
    let more = ["--zone", "home-zone", "--set", "project=p-1", "--ttl", "120", "--ipv4", "--dry-run"];
    let shown = program.fed(&add("a.example.org", "google-cloud", &more), &key.to_string());
    assert_eq!(shown.code, 0, "{shown:?}");
    assert!(shown.stderr.contains("nothing was written, and nothing was sent"), "{shown:?}");
    let agent =
        format!("authorization: Bearer ***\nuser-agent: syncfleet - dns - {}", env!("CARGO_PKG_VERSION"));
    let zone = "https://dns.googleapis.com/dns/v1/projects/p-1/managedZones/home-zone/rrsets";
    let set = r#"{"name":"a.example.org.","rrdatas":["8.8.4.4"],"ttl":120,"type":"A"}"#;
    let expected = format!(
        "# IPv4 8.8.4.4: is sent\n\n\
         # an access token is asked for, where the key file says (token_uri), by an assertion signed with its key\n\n\
         GET {zone}/a.example.org./A\n{agent}\n\n\
         # if the records are others; with the TTL that is there\nPATCH {zone}/a.example.org./A\n{agent}\n\
         content-type: application/json\n\n{set}\n\n\
         # if there are none\nPOST {zone}\n{agent}\ncontent-type: application/json\n\n{set}\n"
    );
    assert_eq!(shown.stdout, expected);

    // What is no key of a service account is refused, and not repeated.
    let pem = key["private_key"].as_str().unwrap();
    let cut = |field: &str| {
        let mut key = key.clone();
        key.as_object_mut().unwrap().remove(field);
        key.to_string()
    };
    for (bad, why) in [
        (pem.to_owned(), "secret"),
        (cut("private_key"), "private_key"),
        (cut("client_email"), "client_email"),
    ] {
        let refused = program.fed(&add("a.example.org", "google-cloud", &more), &bad);
        assert!(refused.code != 0 && refused.stderr.contains(why), "{why}: {refused:?}");
        for line in pem.lines() {
            assert!(!refused.stderr.contains(line) && !refused.stdout.contains(line), "{why}: {refused:?}");
        }
    }
    assert_eq!(rows(&db).await, before);
}

#[sqlx::test(migrator = "shared::store::schema::MIGRATOR")]
async fn an_update_says_what_it_would_send_and_what_not(db: PgPool) {
    let program = home(&db);
    assert_eq!(
        program.fed(&add("a.example.org", "key-systems", &["--forced-interval", "25days"]), SECRET).code,
        0
    );
    let plan = |more: &[&str]| program.json(&[&["dns", "update", "1", "--dry-run"], more].concat());
    let what = |plan: &Value, family: usize| plan["families"][family]["what"].as_str().unwrap().to_owned();

    // Before anybody has told the address, the addresses for documentation stand in, as with `add --dry-run`.
    let unknown = plan(&[]);
    for (family, address) in [(0, "192.0.2.1"), (1, "2001:db8::1")] {
        let told = format!(
            "nobody has told the address yet: nothing is sent until then; {address} stands for it here"
        );
        assert_eq!((what(&unknown, family), &unknown["families"][family]["sent"]), (told, &json!(false)));
    }
    let steps = unknown["steps"].to_string();
    assert!(steps.contains("ip=192.0.2.1") && steps.contains("ip=2001%3Adb8%3A%3A1"), "{unknown}");
    let added = program.fed(&add("a.example.org", "key-systems", &["--dry-run", "-o", "json"]), SECRET);
    let added: Value = serde_json::from_str(&added.stdout).unwrap();
    assert_eq!((&added["steps"], &added["families"]), (&unknown["steps"], &unknown["families"]));
    tell(&db, "ipv4", "8.8.4.4").await;
    let first = plan(&[]);
    assert_eq!(what(&first, 1), "nobody has told the address yet: nothing is sent until then");
    assert_eq!((what(&first, 0).as_str(), first["steps"].as_array().unwrap().len()), ("is sent", 1));

    let sent = |ago: &'static str| {
        let sql = format!(
            "update dns_record_families set sent = '8.8.4.4', sent_at = clock() - interval '{ago}' where family = 'ipv4'"
        );
        let db = db.clone();
        async move { sqlx::query(sqlx::AssertSqlSafe(sql)).execute(&db).await.unwrap() }
    };
    sent("1 hour").await;
    let same = plan(&[]);
    assert!(
        what(&same, 0).contains("was sent 1 h ago: nothing is sent") && same["steps"] == json!([]),
        "{same}"
    );
    assert_eq!(what(&plan(&["--force"]), 0), "is sent");
    sent("26 days").await;
    assert_eq!(what(&plan(&[]), 0), "is sent", "the forced interval is over");
    tell(&db, "ipv4", "8.8.8.8").await;
    let moved = plan(&[]);
    assert!(moved["steps"][0].as_str().unwrap().contains("8.8.8.8"), "{moved}");

    sqlx::query(
        "update dns_records set not_before = clock() + interval '20 min', not_before_why = 'least time'",
    )
    .execute(&db)
    .await
    .unwrap();
    assert_eq!(plan(&["--force"])["not_before_why"], "least time");
    let table = program.ok(&["dns", "update", "a.example.org", "--dry-run"]);
    assert!(table.contains("# not before in 19 m") && table.contains("password=***"), "{table}");

    sqlx::query("update dns_record_families set parked = 'abuse', parked_why = 'too often'")
        .execute(&db)
        .await
        .unwrap();
    assert!(what(&plan(&[]), 0).contains("parked (abuse: too often)"));
    assert_eq!(what(&plan(&["--force"]), 0), "is sent");
    sqlx::query("update dns_record_families set parked = null, parked_why = null, sending = '8.8.8.8', sending_since = clock() where family = 'ipv4'")
        .execute(&db)
        .await
        .unwrap();
    assert!(what(&plan(&[]), 0).contains("whether 8.8.8.8 has arrived is not known"));
}

#[sqlx::test(migrator = "shared::store::schema::MIGRATOR")]
async fn providers_are_listed_with_what_they_need(db: PgPool) {
    let program = program(&db);
    let listed = program.json(&["dns", "providers"]);
    let names: Vec<&str> =
        listed.as_array().unwrap().iter().map(|one| one["name"].as_str().unwrap()).collect();
    assert_eq!(names, NAMES);
    let table = program.ok(&["dns", "providers"]);
    assert!(table.contains("zone_id access_key_id") && table.contains("30 m"), "{table}");
    let completions = program.ok(&["completions", "bash"]);
    for verb in ["dns__subcmd__import", "dns__subcmd__address__subcmd__find"] {
        assert!(completions.contains(verb) || completions.contains(&verb.replace("subcmd__", "")), "{verb}");
    }
}

#[sqlx::test(migrator = "shared::store::schema::MIGRATOR")]
async fn a_network_that_is_told_alone_is_no_names_address(db: PgPool) {
    let program = home(&db);
    tell(&db, "ipv4", "8.8.4.4").await;
    tell(&db, "ipv6", "2a00:1450:0:100::").await;
    let alone = "only a network is told, and the name has no host's part of its own (--host-id)";
    let shown = program.fed(&add("a.example.org", "key-systems", &["--dry-run"]), SECRET);
    assert!(shown.stdout.contains(alone) && !shown.stdout.contains("2a00:1450"), "{shown:?}");
    assert_eq!(program.fed(&add("a.example.org", "key-systems", &[]), SECRET).code, 0);
    let shown = program.json(&["dns", "show", "a.example.org"]);
    assert_eq!(shown["families"][1]["wanted"], Value::Null, "{shown}");
    assert_eq!(shown["families"][1]["state"], alone, "{shown}");
    let plan = program.json(&["dns", "update", "a.example.org", "--dry-run"]);
    assert_eq!(
        (&plan["families"][0]["sent"], &plan["families"][1]["sent"]),
        (&json!(true), &json!(false)),
        "{plan}"
    );
    assert!(plan["families"][1]["what"].as_str().unwrap().starts_with(alone), "{plan}");
    assert!(!plan["steps"].to_string().contains("2a00"), "{plan}");

    // With its own part it has an address.
    program.ok(&["dns", "set", "a.example.org", "--host-id", "::5"]);
    let shown = program.json(&["dns", "show", "a.example.org"]);
    assert_eq!(shown["families"][1]["wanted"], "2a00:1450:0:100::5", "{shown}");
}

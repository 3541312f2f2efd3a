use serde_json::{Value, json};
use sqlx::PgPool;

use super::{fixture, home, rows};

/// What each file holds: its names with their providers, and words of the faults.
fn files() -> Vec<(&'static str, &'static str, Value, Vec<&'static str>)> {
    vec![
        (
            "ddclient.conf",
            "ddclient",
            json!([
                ["home.example.org", "dyndns2"],
                ["cam.example.org", "dyndns2"],
                ["home.duckdns.org", "duckdns"],
                ["cf.example.org", "cloudflare"],
                ["clear.example.org", "dyndns2"],
            ]),
            vec!["the protocol freedns is not known", "over the wire in the clear"],
        ),
        (
            "inadyn.conf",
            "inadyn",
            json!([
                ["inadyn.duckdns.org", "duckdns"],
                ["a.example.org", "key-systems"],
                ["b.example.org", "key-systems"]
            ]),
            vec!["c.example.org: mine"],
        ),
        (
            "config.json",
            "ddns-updater",
            json!([
                ["nas.example.org", "key-systems"],
                ["x.example.org", "cloudflare"],
                ["y.example.org", "cloudflare"]
            ]),
            vec!["setting 3: p.example.org: the provider porkbun"],
        ),
        (
            "cronjob.yaml",
            "command",
            json!([["cloud.example.org", "key-systems"]]),
            vec![
                "did you mean password?",
                "not quoted",
                "busybox",
                "in the URL",
                "exit code alone",
                "ip=auto",
            ],
        ),
        (
            "crontab",
            "command",
            json!([["cron.duckdns.org", "duckdns"]]),
            vec!["-sk: the password goes to whoever answers", "in the URL"],
        ),
    ]
}

fn names(imported: &Value) -> Value {
    let names = imported["records"].as_array().unwrap();
    names.iter().map(|taken| json!([taken["host"], taken["provider"]])).collect()
}

#[sqlx::test(migrator = "shared::store::schema::MIGRATOR")]
async fn each_format_is_taken_over_with_its_faults_told(db: PgPool) {
    let program = home(&db);
    let before = rows(&db).await;
    let import = |file: &str, more: &[&str]| {
        let path = fixture(file);
        program
            .run(&[&["dns", "import", path.as_str(), "--tenant", "acme", "--address", "home"], more].concat())
    };
    let mut stored = 0;
    for (file, format, expected, faults) in files() {
        let dry = import(file, &["--dry-run", "-o", "json"]);
        assert_eq!(dry.code, 0, "{file}: {dry:?}");
        let dry: Value = serde_json::from_str(&dry.stdout).unwrap();
        assert_eq!((names(&dry), &dry["stored"]), (expected.clone(), &json!(false)), "{file}");
        assert_eq!(rows(&db).await.1, stored, "{file}: a dry run writes nothing");

        let real = import(file, &["--format", format]);
        assert_eq!(real.code, 0, "{file}: {real:?}");
        assert!(!real.stdout.contains("hunter2") && !real.stderr.contains("hunter2"), "{file}: {real:?}");
        for word in faults {
            assert!(real.stderr.contains(word), "{file}: {word} is missing: {}", real.stderr);
        }
        stored += i64::try_from(expected.as_array().unwrap().len()).unwrap();
        assert_eq!(rows(&db).await.1, stored, "{file}");
        // Once more: all are there.
        let again = import(file, &[]);
        assert!(again.stdout.contains("there is a record already"), "{again:?}");
        assert_eq!(rows(&db).await, (before.0, stored, stored, before.3 + stored), "{file}");
    }
    let families: i64 =
        sqlx::query_scalar("select count(*) from dns_record_families").fetch_one(&db).await.unwrap();
    assert_eq!(families, stored * 2, "in all families that the address has");
}

#[sqlx::test(migrator = "shared::store::schema::MIGRATOR")]
async fn families_and_ttl_of_a_file_are_taken_over(db: PgPool) {
    let program = home(&db);
    let settings = json!({"settings": [
        {"provider": "cloudflare", "domain": "a.example.org", "token": "hunter2", "ip_version": "ipv4", "ttl": 600},
        {"provider": "cloudflare", "domain": "b.example.org", "token": "hunter2", "ip_version": "ipv6"},
        {"provider": "cloudflare", "domain": "c.example.org", "token": "hunter2"},
        {"provider": "duckdns", "domain": "d.duckdns.org", "token": "hunter2", "ttl": 600},
        {"provider": "cloudflare", "domain": "e.example.org", "token": "hunter2", "ip_version": "ipv4"},
        {"provider": "cloudflare", "domain": "e.example.org", "token": "hunter2", "ip_version": "ipv6"},
    ]})
    .to_string();
    let import = |more: &[&str]| {
        let to = ["dns", "import", "-", "--tenant", "acme", "--address", "home", "-o", "json"];
        let ended = program.fed(&[&to[..], more].concat(), &settings);
        assert_eq!(ended.code, 0, "{ended:?}");
        serde_json::from_str::<Value>(&ended.stdout).unwrap()
    };
    // Each place is what the text says of it.
    let dry = import(&["--dry-run"]);
    assert_eq!((&dry["places"], &dry["records"][3]["place"]), (&json!("settings"), &json!(4)), "{dry}");
    let told = "d.duckdns.org: ttl is not taken over: duckdns lets none be chosen";
    assert_eq!(dry["faults"], json!([{ "place": 4, "what": told }]));
    // What the command says comes over it, and what that does not fit to is told.
    let dry = import(&["--dry-run", "--ipv6", "--ttl", "60"]);
    let faults: Vec<_> =
        dry["faults"].as_array().unwrap().iter().map(|fault| fault["what"].as_str().unwrap()).collect();
    assert_eq!(
        faults,
        [
            "a.example.org: the families of the file (ipv4) give way to those of the command",
            "a.example.org: ttl 600 of the file gives way to --ttl",
            told,
            "d.duckdns.org: --ttl is left out: duckdns lets none be chosen",
            "e.example.org: the families of the file (ipv4 and ipv6) give way to those of the command",
        ]
    );

    import(&[]);
    let kept: Vec<(String, Option<i32>, Vec<String>)> = sqlx::query_as(
        "select r.host, r.ttl, array_agg(f.family::text order by f.family) from dns_records r
        join dns_record_families f on f.record_id = r.id group by r.id order by r.id",
    )
    .fetch_all(&db)
    .await
    .unwrap();
    let row = |host: &str, ttl, families: &[&str]| {
        (host.to_owned(), ttl, families.iter().map(|family| (*family).to_owned()).collect::<Vec<_>>())
    };
    assert_eq!(
        kept,
        [
            row("a.example.org", Some(600), &["ipv4"]),
            row("b.example.org", None, &["ipv6"]),
            row("c.example.org", None, &["ipv4", "ipv6"]),
            row("d.duckdns.org", None, &["ipv4", "ipv6"]),
            row("e.example.org", None, &["ipv4", "ipv6"]),
        ]
    );

    // A family that the address has not refuses the file, with the place that wants it.
    program.ok(&["dns", "address", "add", "four", "--tenant", "acme", "--ipv4", "echo"]);
    let four = program.fed(&["dns", "import", "-", "--tenant", "acme", "--address", "four"], &settings);
    four.is_refusal(1, &["setting 2: b.example.org: the address four has no ipv6"]);
}

#[sqlx::test(migrator = "shared::store::schema::MIGRATOR")]
async fn a_file_is_taken_over_whole_or_not_at_all(db: PgPool) {
    let program = home(&db);
    program.ok(&["dns", "address", "add", "four", "--tenant", "acme", "--ipv4", "echo"]);
    let to = ["--tenant", "acme", "--address", "four", "--format", "ddclient"];
    let read =
        |text: &str, more: &[&str]| program.fed(&[&["dns", "import", "-"], &to[..], more].concat(), text);
    let before = rows(&db).await;
    let good = "protocol=dyndns2, server=dyn.example.net, login=ada, password=hunter2 a.example.org\n";
    read(good, &["--ipv6"]).is_refusal(1, &["line 1: a.example.org: the address four has no ipv6"]);
    let none = read("protocol=nonsense, login=ada, password=hunter2 a.example.org\n", &[]);
    assert_eq!(none.code, 3, "{none:?}");
    assert!(
        none.stderr.contains("nonsense is not known") && none.stderr.contains("0 names, 1 fault"),
        "{none:?}"
    );
    assert_eq!(read("", &[]).code, 3);
    // Of another format than it was said to be.
    let other = program
        .fed(&["dns", "import", "-", "--tenant", "acme", "--address", "four", "--format", "command"], good);
    assert_eq!((other.code, other.stdout.as_str()), (3, ""), "{other:?}");
    let told = "the file: nothing in it looks like command; it looks like ddclient: give --format ddclient";
    assert!(other.stderr.contains(told) && other.stderr.contains("0 names, 1 fault"), "{other:?}");
    for (args, code, words) in [
        (
            vec!["dns", "import", "/nowhere", "--tenant", "acme", "--address", "home"],
            1,
            "cannot read /nowhere",
        ),
        (
            vec!["dns", "import", "-", "--tenant", "acme", "--address", "home", "--format", "bind"],
            2,
            "allowed are ddclient, inadyn",
        ),
        (vec!["dns", "import", "-", "--tenant", "acme"], 2, "--address"),
    ] {
        program.refused(&args, code, &[words]);
    }
    // A part of a file is not taken for the whole.
    let long = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(long.path(), format!("{good}{}", "# no end\n".repeat(500_000))).unwrap();
    let path = long.path().to_str().unwrap();
    program.refused(
        &[&["dns", "import", path], &to[..]].concat(),
        1,
        &["is longer than 4 MiB", "nothing was taken over"],
    );
    std::fs::write(long.path(), [b'#', 0xff]).unwrap();
    program.refused(&[&["dns", "import", path], &to[..]].concat(), 1, &["is not text in UTF-8"]);
    assert_eq!(rows(&db).await, before);
    // A name that stands there twice is taken once.
    let twice = read(&good.repeat(2), &[]);
    assert!(
        twice.code == 0 && twice.stderr.contains("line 2: a.example.org at dyndns2: one before"),
        "{twice:?}"
    );
}

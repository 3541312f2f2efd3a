//! Names that follow addresses, as an operator adds, changes and looks at them. No worker runs: nothing is sent.

mod check;
mod examples;
mod import;
mod parked;
mod plan;
mod refused;

use std::path::PathBuf;

use secrecy::ExposeSecret;
use serde_json::json;
use shared::{secrets::generate_key, store::PgPool};

use crate::program::Program;

/// The secret that nobody may see.
const SECRET: &str = "hunter2&+#%";

fn key(id: &str) -> String {
    generate_key(id).unwrap().expose_secret().to_owned()
}

fn program(db: &PgPool) -> Program {
    Program::with(db).env("SYNCFLEET_KEYS", &key("k"))
}

/// A program with a tenant `acme` and its address `home`, which is told by nobody but a fixed source.
fn home(db: &PgPool) -> Program {
    let program = program(db);
    program.ok(&["tenant", "add", "acme"]);
    program.ok(&[
        "dns",
        "address",
        "add",
        "home",
        "--tenant",
        "acme",
        "--ipv4",
        "fixed:8.8.4.4",
        "--ipv6",
        "router",
    ]);
    program
}

/// Tells an address, as a worker or a router would.
async fn tell(db: &PgPool, family: &str, address: &str) {
    sqlx::query(
        "update dns_address_families set address = $2::inet, since = clock(), told_at = clock(), told_by = 'source'
        where family = $1::address_family",
    )
    .bind(family)
    .bind(address)
    .execute(db)
    .await
    .unwrap();
}

/// How many rows there are of addresses, records, secrets and jobs.
async fn rows(db: &PgPool) -> (i64, i64, i64, i64) {
    sqlx::query_as(
        "select (select count(*) from dns_addresses), (select count(*) from dns_records), (select count(*) from secrets),
            (select count(*) from jobs)",
    )
    .fetch_one(db)
    .await
    .unwrap()
}

fn fixture(name: &str) -> String {
    let path: PathBuf = [env!("CARGO_MANIFEST_DIR"), "tests/admin/dns/fixtures", name].iter().collect();
    path.to_str().unwrap().to_owned()
}

/// `dns add` of a name at a provider, which wants its secret on stdin.
fn add<'a>(host: &'a str, provider: &'a str, more: &[&'a str]) -> Vec<&'a str> {
    let first = ["dns", "add", host, "--tenant", "acme", "--address", "home", "--provider", provider];
    [&first[..], more].concat()
}

#[sqlx::test(migrator = "shared::store::schema::MIGRATOR")]
async fn an_addresss_life(db: PgPool) {
    let program = home(&db);
    let shown = program.json(&["dns", "address", "show", "home"]);
    assert_eq!(shown["families"][0]["source"], "fixed:8.8.4.4");
    assert_eq!((&shown["families"][1]["source"], &shown["every_seconds"]), (&json!("router"), &json!(300)));
    assert!(shown["job"].is_number(), "{shown}");
    let table = program.ok(&["dns", "address", "ls"]);
    assert!(table.contains("? (fixed:8.8.4.4)") && table.contains("? (router)"), "{table}");
    tell(&db, "ipv4", "8.8.4.4").await;
    assert!(program.ok(&["dns", "address", "ls", "--tenant", "acme"]).contains("8.8.4.4"));
    assert!(program.ok(&["dns", "address", "show", "home"]).contains("not told yet"));

    // Without a source there is no job; with one there is again.
    let set = ["dns", "address", "set", "home"];
    program.ok(&[&set[..], &["--ipv4", "router", "--every", "90s"]].concat());
    let shown = program.json(&["dns", "address", "show", "home"]);
    assert_eq!((&shown["job"], &shown["every_seconds"]), (&json!(null), &json!(90)));
    assert_eq!(shown["families"][0]["address"], "8.8.4.4", "what is known stays");
    program
        .ok(&[&set[..], &["--ipv4", "interface:eth0", "--allow", "10.0.0.0/8", "--allow", "fd00::/8"]]
            .concat());
    let shown = program.json(&["dns", "address", "show", "home"]);
    assert!(shown["job"].is_number() && shown["allowed"] == json!(["10.0.0.0/8", "fd00::/8"]), "{shown}");
    program.ok(&[&set[..], &["--no-ipv6", "--no-allow"]].concat());
    let shown = program.json(&["dns", "address", "show", "home"]);
    assert_eq!((shown["families"].as_array().unwrap().len(), &shown["allowed"]), (1, &json!([])));

    // A record holds it, until that follows another.
    program.ok(&["dns", "address", "add", "other", "--tenant", "acme", "--ipv4", "echo"]);
    assert_eq!(program.fed(&add("a.example.org", "key-systems", &[]), SECRET).code, 0);
    program.refused(&["dns", "address", "rm", "home", "--yes"], 1, &["records point at home: a.example.org"]);
    program.refused(&[&set[..], &["--no-ipv4"]].concat(), 1, &["records are kept in ipv4: a.example.org"]);
    program.ok(&["dns", "set", "a.example.org", "--address", "other"]);
    program.ok(&["dns", "address", "rm", "home", "--yes"]);
    assert_eq!(program.json(&["dns", "address", "ls"]).as_array().unwrap().len(), 1);
    let audit = program.json(&["audit", "ls"]).to_string();
    for action in ["dns.address.add", "dns.address.set", "dns.address.rm", "dns.add", "dns.set"] {
        assert!(audit.contains(action), "{action}: {audit}");
    }
    assert!(!audit.contains(SECRET), "{audit}");
}

#[sqlx::test(migrator = "shared::store::schema::MIGRATOR")]
async fn a_records_life(db: PgPool) {
    let (old, new) = (key("old"), key("new"));
    let program = Program::with(&db).env("SYNCFLEET_KEYS", &old);
    program.ok(&["tenant", "add", "acme"]);
    program.ok(&["dns", "address", "add", "home", "--tenant", "acme", "--ipv4", "echo", "--ipv6", "echo"]);
    tell(&db, "ipv4", "8.8.4.4").await;
    tell(&db, "ipv6", "2a00:1450::1").await;
    let made = program.fed(
        &add(
            "Nas.Example.org.",
            "cloudflare",
            &["--set", "proxied=true", "--host-id", "::1234", "--ttl", "300", "-o", "json"],
        ),
        &format!("{SECRET}\n"),
    );
    assert_eq!(made.code, 0, "{made:?}");
    let made: serde_json::Value = serde_json::from_str(&made.stdout).unwrap();
    assert_eq!((&made["id"], &made["host"]), (&json!(1), &json!("nas.example.org")));
    let more =
        ["--ipv4", "--forced-interval", "25days", "--min-interval", "10m", "--verify-server", "192.0.2.53"];
    let url = ["--url", "https://dyn.example.net/nic/update", "--user", "ada"];
    assert_eq!(program.fed(&add("nas.example.org", "dyndns2", &[&url[..], &more].concat()), SECRET).code, 0);

    let shown = program.json(&["dns", "show", "1"]);
    assert_eq!((&shown["settings"]["proxied"], &shown["ttl"]), (&json!(true), &json!(300)));
    assert_eq!(shown["families"].as_array().unwrap().len(), 1, "a host id means IPv6: {shown}");
    assert_eq!(shown["families"][0]["wanted"], "2a00:1450::1234");
    let shown = program.json(&["dns", "show", "2"]);
    assert_eq!(
        (&shown["min_interval_seconds"], &shown["forced_interval_seconds"]),
        (&json!(600), &json!(2_160_000))
    );
    assert_eq!(shown["verify_servers"], json!(["192.0.2.53:53"]));
    program.refused(
        &["dns", "show", "nas.example.org"],
        1,
        &["several records", "1 (tenant acme, cloudflare)", "2 ("],
    );
    let table = program.ok(&["dns", "ls", "--address", "home"]);
    assert!(table.contains("nas.example.org") && table.contains("to be sent"), "{table}");
    assert!(program.ok(&["dns", "show", "1"]).contains("proxied=true"));
    assert_eq!(program.json(&["dns", "history", "1"]), json!([]));

    // What a worker has found out is shown, and a person's hand clears it.
    sqlx::query(
        "update dns_record_families set parked = 'badauth', parked_why = '401 no', refusals = 3, sent = '2a00:1450::1234',
            sent_at = clock(), failing_since = clock(), failing_why = '401 no' where record_id = 1",
    )
    .execute(&db)
    .await
    .unwrap();
    sqlx::query(
        "update job_state s set phase = 'parked', parked = 'failed', run_at = 'infinity'
        from jobs j where j.id = s.job_id and j.kind = 'dns_record' and j.key = '1'",
    )
    .execute(&db)
    .await
    .unwrap();
    sqlx::query("update dns_records set not_before = clock() + interval '1 hour', not_before_why = 'least time' where id = 1")
        .execute(&db)
        .await
        .unwrap();
    sqlx::query(
        "insert into dns_history (record_id, at, family, address, what, said, took_ms)
        values (1, clock(), 'ipv6', '2a00:1450::1234', 'parked', '401 no', 12)",
    )
    .execute(&db)
    .await
    .unwrap();
    let failing = program.json(&["dns", "ls", "--failing"]);
    assert_eq!((failing.as_array().unwrap().len(), &failing[0]["state"]), (1, &json!("parked: badauth")));
    assert!(program.ok(&["dns", "history", "1"]).contains("401 no"));
    let update = program.run(&["dns", "update", "1"]);
    assert_eq!(update.code, 0, "{update:?}");
    assert!(
        update.stderr.contains("at the earliest") && update.stderr.contains("badauth: 401 no"),
        "{update:?}"
    );
    assert_eq!(
        program.json(&["dns", "show", "1"])["state"],
        "parked: badauth",
        "only --force serves it again"
    );
    let forced = program.run(&["dns", "update", "1", "--force"]);
    assert!(forced.code == 0 && forced.stderr.contains("nothing shortens that"), "{forced:?}");
    let shown = program.json(&["dns", "show", "1"]);
    assert_eq!(
        (&shown["families"][0]["parked"], &shown["families"][0]["resend"]),
        (&json!(null), &json!(true))
    );
    assert_eq!(shown["not_before_why"], "least time");

    // A changed secret leaves alone what was sent; changed settings do not.
    sqlx::query("update dns_record_families set parked = 'badauth', parked_why = 'no', sent = '2a00:1450::1234', sent_at = clock(), resend = false where record_id = 1")
        .execute(&db)
        .await
        .unwrap();
    let done = program.fed(&["dns", "set", "1", "--secret-file", "-"], "another");
    assert_eq!(done.code, 0, "{done:?}");
    let shown = program.json(&["dns", "show", "1"]);
    assert_eq!(
        (&shown["families"][0]["parked"], &shown["families"][0]["resend"]),
        (&json!(null), &json!(false))
    );
    program.ok(&["dns", "set", "1", "--set", "proxied=false", "--no-ttl", "--no-host-id", "--ipv4"]);
    let shown = program.json(&["dns", "show", "1"]);
    assert_eq!(
        (&shown["families"][1]["resend"], &shown["families"][1]["wanted"]),
        (&json!(true), &json!("2a00:1450::1"))
    );
    assert_eq!(
        (&shown["ttl"], &shown["settings"]["proxied"], &shown["families"][0]["wanted"]),
        (&json!(null), &json!(false), &json!("8.8.4.4"))
    );

    // The secrets are sealed anew with all others, and go with their owners.
    let both = Program::with(&db).env("SYNCFLEET_KEYS", &format!("{new},{old}"));
    assert_eq!(both.json(&["keys", "rotate"])["resealed"], 2);
    program.refused(&["dns", "rm", "1"], 2, &["give --yes", "the name at its provider stays"]);
    program.ok(&["dns", "rm", "1", "--yes"]);
    assert_eq!(rows(&db).await, (1, 1, 1, 2));
    let gone = program.ok(&["tenant", "rm", "acme", "--yes"]);
    assert!(gone.contains("1 DNS name"), "{gone}");
    assert_eq!(rows(&db).await, (0, 0, 0, 0), "a tenant's names leave nothing behind");
}

#[sqlx::test(migrator = "shared::store::schema::MIGRATOR")]
async fn tenants_have_names_of_their_own(db: PgPool) {
    let program = home(&db);
    program.ok(&["tenant", "add", "other"]);
    program.ok(&["dns", "address", "add", "home", "--tenant", "other", "--ipv4", "echo"]);
    program.refused(
        &["dns", "address", "show", "home"],
        1,
        &["several tenants have an address home", "acme, other"],
    );
    program.ok(&["dns", "address", "show", "home", "--tenant", "other"]);
    assert_eq!(program.fed(&add("a.example.org", "key-systems", &[]), SECRET).code, 0);
    let other = [
        "dns",
        "add",
        "a.example.org",
        "--tenant",
        "other",
        "--address",
        "home",
        "--provider",
        "key-systems",
    ];
    assert_eq!(program.fed(&other, SECRET).code, 0);
    program.refused(&["dns", "update", "a.example.org"], 1, &["tenant acme", "tenant other"]);
    program.ok(&["dns", "update", "a.example.org", "--tenant", "other"]);
    assert_eq!(program.json(&["dns", "ls", "--tenant", "other"]).as_array().unwrap().len(), 1);
    assert_eq!(program.json(&["dns", "ls", "--limit", "1", "--after", "1"])[0]["tenant"], "other");
    program.ok(&["tenant", "rm", "other", "--yes"]);
    assert_eq!(rows(&db).await, (1, 1, 1, 2));
}

//! `dns login`: who may tell addresses from outside.

use serde_json::json;
use sqlx::PgPool;

use crate::program::Program;

const ADD: [&str; 11] = [
    "dns",
    "login",
    "add",
    "router",
    "--tenant",
    "acme",
    "--address",
    "home",
    "--host",
    "Home.Example.org.",
    "--host=nas.example.org",
];

async fn with_home(db: &PgPool) -> Program {
    let program = Program::with(db).env("SYNCFLEET_PUBLIC_URL", "https://sync.example.net");
    program.ok(&["tenant", "add", "acme"]);
    sqlx::query(
        "with address as (
            insert into dns_addresses (tenant_id, name, interval_seconds) select id, 'home', 300 from tenants returning id
        )
        insert into dns_address_families (address_id, family)
        select id, family from address, unnest(enum_range(null::address_family)) as f (family)",
    )
    .execute(db)
    .await
    .unwrap();
    program
}

#[sqlx::test(migrator = "shared::store::schema::MIGRATOR")]
async fn a_login_is_added_with_what_routers_need_and_its_password_is_shown_once(db: PgPool) {
    let program = with_home(&db).await;
    let added = program.ok(&ADD);
    let password = added.lines().next().unwrap().to_owned();
    assert_eq!(password.len(), 24, "{added}");
    for line in [
        "https://sync.example.net/nic/update?hostname=home.example.org,nas.example.org&myip=<ipaddr>&myipv6=<ip6addr>",
        "option username 'router'",
        &format!("password='{password}'"),
        "ddns-server = sync.example.net",
        &format!("machine sync.example.net login router password {password}"),
        &format!("token=router.{password}"),
    ] {
        assert!(added.contains(line), "{line} is missing: {added}");
    }
    let listed = program.json(&["dns", "login", "ls"]);
    assert_eq!(listed[0]["username"], "router");
    assert_eq!(listed[0]["hosts"], json!(["home.example.org", "nas.example.org"]));
    let shown = program.ok(&["dns", "login", "show", "router"]);
    assert!(shown.contains("home.example.org tells home: not told yet"), "{shown}");
    let everything = format!("{listed} {shown} {}", program.ok(&["audit", "ls"]));
    assert!(!everything.contains(&password), "{everything}");
    let stored: String =
        sqlx::query_scalar("select password_hash from dns_logins").fetch_one(&db).await.unwrap();
    assert!(stored.starts_with("$argon2id$v=19$m=19456,t=2,p=1$"), "{stored}");

    let changed = program.json(&["dns", "login", "passwd", "router"]);
    assert_ne!(changed["password"], json!(password));
    let own =
        program.fed(&["dns", "login", "passwd", "router", "--password-file", "-"], "a-password-of-mine\n");
    assert_eq!(own.code, 0, "{own:?}");
    assert!(!own.stdout.contains("a-password-of-mine"), "{}", own.stdout);
}

#[sqlx::test(migrator = "shared::store::schema::MIGRATOR")]
async fn a_router_at_home_gets_an_address_of_its_own_and_is_told_when_its_password_can_be_read(db: PgPool) {
    let program = with_home(&db).await;
    let plain = ["--url", "http://192.168.1.5:8080"];
    let added = program.run(&[&ADD[..], &plain].concat());
    assert_eq!(added.code, 0, "{added:?}");
    let note = "the password goes to http://192.168.1.5:8080/ without TLS";
    assert!(added.stderr.contains(note), "{added:?}");
    for line in [
        "Update-URL   http://192.168.1.5:8080/nic/update?hostname=home.example.org,nas.example.org&myip=<ipaddr>",
        "option use_https '0'",
        "ssl=no\nprotocol=dyndns2\nserver=192.168.1.5:8080",
        "ssl         = false",
    ] {
        assert!(added.stdout.contains(line), "{line} is missing: {}", added.stdout);
    }
    assert!(!added.stdout.contains("sync.example"), "{}", added.stdout);
    let shown = program.run(&["dns", "login", "show", "router", "--url", "https://192.168.1.5"]);
    assert!(shown.stdout.contains("https://192.168.1.5/nic/update") && shown.stderr.is_empty(), "{shown:?}");
    let shown = program.run(&["dns", "login", "show", "router"]);
    assert!(shown.stdout.contains("https://sync.example.net/nic/update"), "{shown:?}");
    let changed = program.json(&[&["dns", "login", "passwd", "router"][..], &plain].concat());
    assert_eq!(changed["url"], "http://192.168.1.5:8080/");

    let nowhere = Program::with(&db).run(&["dns", "login", "show", "router"]);
    assert!(nowhere.stderr.contains("SYNCFLEET_PUBLIC_URL is not set"), "{nowhere:?}");
    assert!(nowhere.stderr.contains("--url http://ADDRESS:8080"), "{nowhere:?}");
    for bad in ["http://8.8.8.8:8080", "http://nas.home.arpa:8080", "192.168.1.5:8080", "ftp://192.168.1.5"] {
        let words = ["--url", "https, or http to a private address"];
        let words = if bad.contains("//") { &words[..] } else { &["--url", "is not a URL"] };
        program.refused(&["dns", "login", "show", "router", "--url", bad], 2, words);
    }
    Program::with(&db).env("SYNCFLEET_PUBLIC_URL", "http://192.168.1.5:8080").refused(
        &["dns", "login", "show", "router"],
        2,
        &["SYNCFLEET_PUBLIC_URL", "dns login add --url"],
    );
}

#[sqlx::test(migrator = "shared::store::schema::MIGRATOR")]
async fn a_login_is_blocked_given_names_and_removed(db: PgPool) {
    let program = with_home(&db).await;
    program.ok(&ADD);
    assert!(
        program.ok(&["dns", "login", "block", "router", "--why", "a loop"]).contains("answered with abuse")
    );
    assert!(program.ok(&["dns", "login", "block", "router"]).contains("was blocked already"));
    assert_eq!(program.json(&["dns", "login", "ls"])[0]["blocked_why"], "blocked by an operator");
    assert!(program.ok(&["dns", "login", "unblock", "router"]).contains("is served again"));
    assert!(program.ok(&["dns", "login", "unblock", "router"]).contains("was not blocked"));

    let allow = ["dns", "login", "allow", "router", "--address", "home", "--host", "cam.example.org"];
    assert!(program.ok(&allow).contains("may call cam.example.org"));
    program.refused(&allow, 1, &["cam.example.org is called by a login already"]);
    program.ok(&["dns", "login", "deny", "router", "--host", "nas.example.org"]);
    program.refused(
        &["dns", "login", "deny", "router", "--host", "nas.example.org"],
        1,
        &["nothing was changed"],
    );
    let shown = program.json(&["dns", "login", "show", "router"]);
    let names: Vec<_> = shown["names"].as_array().unwrap().iter().map(|name| name["host"].clone()).collect();
    assert_eq!(names, ["cam.example.org", "home.example.org"]);

    program.refused(&["dns", "login", "rm", "router"], 2, &["--yes"]);
    assert!(program.ok(&["dns", "login", "rm", "router", "--yes"]).contains("router of acme is removed"));
    let left: i64 = sqlx::query_scalar("select count(*) from dns_hosts").fetch_one(&db).await.unwrap();
    assert_eq!(left, 0);
    let audited = program.ok(&["audit", "ls"]);
    for verb in ["add", "block", "unblock", "allow", "deny", "rm"] {
        assert!(audited.contains(&format!("dns.login.{verb}")), "{verb} is missing: {audited}");
    }
}

#[sqlx::test(migrator = "shared::store::schema::MIGRATOR")]
async fn what_cannot_be_is_refused_and_nothing_is_half_done(db: PgPool) {
    let program = with_home(&db).await;
    let add = |name: &'static str, host: &'static str| {
        ["dns", "login", "add", name, "--tenant", "acme", "--address", "home", "--host", host]
    };
    program.refused(
        &add("Router", "a.example.org"),
        2,
        &["\"Router\" is no user name", "lower-case letters"],
    );
    program.refused(&add("a.b", "a.example.org"), 2, &["is no user name"]);
    program.refused(&add("router", "home"), 2, &["no full host name"]);
    program.refused(&ADD[..8], 2, &["--host"]);
    let mut nowhere = add("router", "a.example.org");
    nowhere[7] = "office";
    program.refused(&nowhere, 3, &["there is no address office of that tenant: `syncfleet dns address ls`"]);
    let mut nobody = add("router", "a.example.org");
    nobody[5] = "nobody";
    program.refused(&nobody, 3, &["nobody"]);
    for (password, why) in
        [("short", "12 to 128"), ("with a blank in it", "visible ASCII"), ("with-a-quote'", "quotes")]
    {
        let mut arguments = add("router", "a.example.org").to_vec();
        arguments.extend(["--password-file", "-"]);
        let refused = program.fed(&arguments, password);
        refused.is_refusal(2, &[why]);
        assert!(!refused.stderr.contains(password), "{}", refused.stderr);
    }
    for verb in ["show", "passwd", "block", "unblock"] {
        program.refused(&["dns", "login", verb, "router"], 3, &["there is no login router", "dns login ls"]);
    }
    program.ok(&add("first", "a.example.org"));
    program.refused(&add("second", "a.example.org"), 1, &["is called by a login already"]);
    program.refused(&add("first", "b.example.org"), 1, &["there is a login first already"]);
    let left: (i64, i64) =
        sqlx::query_as("select (select count(*) from dns_logins), (select count(*) from dns_hosts)")
            .fetch_one(&db)
            .await
            .unwrap();
    assert_eq!(left, (1, 1));
}

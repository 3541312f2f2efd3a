use sqlx::PgPool;

use super::{SECRET, add, home, rows};
use crate::program::Program;

#[sqlx::test(migrator = "shared::store::schema::MIGRATOR")]
async fn addresses_that_make_no_sense_are_refused(db: PgPool) {
    let program = home(&db);
    let new = |name: &'static str, more: &[&'static str]| {
        [&["dns", "address", "add", name, "--tenant", "acme"][..], more].concat()
    };
    let set = |more: &[&'static str]| [&["dns", "address", "set", "home"][..], more].concat();
    for (args, code, words) in [
        (new("x", &[]), 2, "give --ipv4 SOURCE, --ipv6 SOURCE or both"),
        (new("x", &["--ipv4", "ecko"]), 2, "allowed are echo, echo:URL"),
        (new("x", &["--ipv4", "echo:http://a.example/"]), 2, "https://"),
        (new("x", &["--ipv6", "upnp"]), 2, "ipv6: source: a router tells its IPv4 address alone"),
        (new("x", &["--ipv4", "fixed:2001:db8::1"]), 2, "ipv4: fixed.address: 2001:db8::1 is not of IPv4"),
        (new("x", &["--ipv4", "fixed:192.168.1.5"]), 2, "it is private"),
        (
            new("x", &["--ipv4", "fixed:10.0.0.1"]),
            2,
            "allow its network by --allow (`syncfleet dns address add`",
        ),
        (new("x", &["--ipv4", "echo:https://a.example/,https://a.example/"]), 2, "one is there twice"),
        (new("x", &["--ipv4", "fixed:100.64.0.1"]), 2, "a provider's customers"),
        (new("x", &["--ipv4", "echo", "--allow", "10.0.0.0/40"]), 2, "no network"),
        (
            new("x", &["--ipv4", "echo", "--every", "30s"]),
            2,
            "every: 30 s is not allowed; allowed are 1 m to 1 d",
        ),
        (new("x", &["--ipv4", "echo", "--every", "soon"]), 2, "give it as 90s"),
        (new("No Name", &["--ipv4", "echo"]), 2, "is not an address's name"),
        (new("home", &["--ipv4", "echo"]), 1, "tenant acme has an address home already"),
        (
            vec!["dns", "address", "add", "x", "--tenant", "nobody", "--ipv4", "echo"],
            3,
            "there is no tenant nobody",
        ),
        (vec!["dns", "address", "show", "nowhere"], 3, "there is no address nowhere"),
        (vec!["dns", "address", "rm", "nowhere", "--yes"], 3, "there is no address nowhere"),
        (set(&[]), 2, "required"),
        (set(&["--ipv4", "echo", "--no-ipv4"]), 2, "cannot be used with"),
        (set(&["--no-ipv4", "--no-ipv6"]), 1, "would have no family left"),
        (set(&["--every", "2days"]), 2, "allowed are 1 m to 1 d"),
        (vec!["dns", "address", "find", "router"], 2, "nobody is asked"),
        (vec!["dns", "address", "find", "nat_pmp:home"], 2, "no gateway"),
        (new("x", &["--ipv4", "pcp:0.0.0.0"]), 2, "no gateway"),
    ] {
        program.refused(&args, code, &[words]);
    }
    assert_eq!(rows(&db).await, (1, 0, 0, 1), "nothing was half-done");
}

#[sqlx::test(migrator = "shared::store::schema::MIGRATOR")]
async fn records_that_make_no_sense_are_refused_and_nothing_is_left(db: PgPool) {
    let program = home(&db);
    program.ok(&["dns", "address", "add", "four", "--tenant", "acme", "--ipv4", "echo"]);
    let rfc2136 = ["--server", "ns1.example.org", "--key", "k", "--zone"];
    for (args, code, words) in [
        (add("localhost", "cloudflare", &[]), 2, "no full host name"),
        (add("a.example.org", "cloudfare", &[]), 2, "allowed are dyndns2, key-systems"),
        (add("a.example.org", "inwx", &[]), 2, "missing field `user`"),
        (add("a.example.org", "inwx", &["--set", "usr=u"]), 2, "unknown field `usr`"),
        (add("a.example.org", "inwx", &["--set", "user"]), 2, "KEY=VALUE"),
        (add("a.example.org", "inwx", &["--user", "u", "--set", "password=hunter2"]), 2, "--secret-file"),
        (add("a.example.org", "inwx", &["--user", "u", "--url", "http://a.example/"]), 2, "https://"),
        (
            add("a.example.org", "key-systems", &["--url", "https://a.example/?p=hunter2%26%2B%23%25"]),
            2,
            "url: the secret stands in it",
        ),
        (add("a.example.org", "duckdns", &[]), 2, "host: Duck DNS has names as home.duckdns.org"),
        (
            add("a.example.org", "hetzner", &["--zone", "example.net"]),
            2,
            "a.example.org is not in the zone example.net",
        ),
        (
            add("a.example.org", "rfc2136", &[&rfc2136[..], &["example.org"]].concat()),
            2,
            "secret: it is not base64",
        ),
        (add("a.example.org", "google-cloud", &["--zone", "z", "--set", "project=p"]), 2, "secret:"),
        (add("a.example.org", "cloudflare", &["--zone-id", "12"]), 2, "zone_id: it is 32 hexadecimal digits"),
        (add("a.example.org", "cloudflare", &["--ttl", "0"]), 2, "1 to 86400 seconds"),
        (
            add("a.example.org", "key-systems", &["--min-interval", "5m"]),
            2,
            "min-interval: 5 m is not allowed; allowed are 30 m to 7 d",
        ),
        (add("a.example.org", "key-systems", &["--forced-interval", "1h"]), 2, "allowed are 1 d to 365 d"),
        (add("a.example.org", "key-systems", &["--host-id", "1::1"]), 2, "the network's"),
        (add("a.example.org", "key-systems", &["--host-id", "x"]), 2, "::1:2:3:4"),
        (add("a.example.org", "key-systems", &["--verify-server", "ns1"]), 2, "no server's address"),
        (add("a.example.org", "key-systems", &["--verify-server", "192.0.2.53:0"]), 2, "no server's address"),
        (add("a.example.org", "key-systems", &["--ttl", "60"]), 2, "ttl: key-systems lets none be chosen"),
        (add("a.example.org", "inwx", &["--user", "u", "--set", "ttl=60"]), 2, "ttl: it is the name's"),
        (
            add("a.example.org", "key-systems", &["--ipv4", "--host-id", "::5"]),
            2,
            "host-id: it is a part of an IPv6 address, and --ipv4 alone keeps none",
        ),
        (add("a.example.org", "key-systems", &["--secret-file", "/nowhere"]), 1, "cannot read /nowhere"),
        (add("a.example.org", "key-systems", &["--settings-file", "/nowhere"]), 1, "cannot read /nowhere"),
        (
            vec!["dns", "add", "a.example.org", "--tenant", "acme", "--address", "home"],
            2,
            "--provider is missing",
        ),
        (
            vec![
                "dns",
                "add",
                "a.example.org",
                "--tenant",
                "acme",
                "--address",
                "four",
                "--provider",
                "key-systems",
                "--ipv6",
            ],
            1,
            "the address four has no ipv6",
        ),
        (
            vec![
                "dns",
                "add",
                "a.example.org",
                "--tenant",
                "acme",
                "--address",
                "four",
                "--provider",
                "key-systems",
                "--host-id",
                "::5",
            ],
            1,
            "host-id: it is a part of an IPv6 address, and the address four has no ipv6",
        ),
        (
            vec![
                "dns",
                "add",
                "a.example.org",
                "--tenant",
                "acme",
                "--address",
                "nowhere",
                "--provider",
                "key-systems",
            ],
            3,
            "there is no address nowhere",
        ),
        (
            vec![
                "dns",
                "add",
                "a.example.org",
                "--tenant",
                "nobody",
                "--address",
                "home",
                "--provider",
                "key-systems",
            ],
            3,
            "there is no tenant nobody",
        ),
    ] {
        let ended = program.fed(&args, SECRET);
        ended.is_refusal(code, &[words]);
        assert!(!ended.stderr.contains("hunter2"), "{args:?}: {}", ended.stderr);
    }
    let several = "hunter2\nhunter3";
    program
        .fed(&add("a.example.org", "key-systems", &[]), several)
        .is_refusal(2, &["secret: it has line breaks"]);
    let long = "hunter2".repeat(10_000);
    program.fed(&add("a.example.org", "key-systems", &[]), &long).is_refusal(1, &["longer than 64 KiB"]);
    // What a dry run shows is what would be added.
    let dry = add("a.example.org", "key-systems", &["--ttl", "60", "--dry-run"]);
    program.fed(&dry, SECRET).is_refusal(2, &["ttl: key-systems lets none be chosen"]);
    program.fed(&add("a.example.org", "key-systems", &[]), "").is_refusal(2, &["secret: it is empty"]);
    let without = Program::with(&db);
    without.fed(&add("a.example.org", "key-systems", &[]), SECRET).is_refusal(2, &["SYNCFLEET_KEYS"]);
    assert_eq!(rows(&db).await, (2, 0, 0, 2), "nothing was half-done");
}

#[sqlx::test(migrator = "shared::store::schema::MIGRATOR")]
async fn changes_that_make_no_sense_are_refused_and_change_nothing(db: PgPool) {
    let program = home(&db);
    assert_eq!(program.fed(&add("a.example.org", "inwx", &["--user", "ada"]), SECRET).code, 0);
    program
        .fed(&add("a.example.org", "inwx", &["--user", "u"]), SECRET)
        .is_refusal(1, &["acme has a record of a.example.org at inwx already"]);
    let before = program.json(&["dns", "show", "1"]);
    let set = |more: &[&'static str]| [&["dns", "set", "a.example.org"][..], more].concat();
    for (args, code, words) in [
        (set(&[]), 2, "nothing is to change"),
        (set(&["--set", "provider=desec"]), 1, "one at desec is another record"),
        (set(&["--set", "token=hunter2"]), 2, "--secret-file"),
        (set(&["--set", "user="]), 2, "missing field `user`"),
        (set(&["--set", "nonsense=1"]), 2, "unknown field `nonsense`"),
        (set(&["--no-ipv4", "--no-ipv6"]), 1, "would be kept in no family"),
        (set(&["--ipv4", "--no-ipv4"]), 2, "cannot be used with"),
        (set(&["--address", "nowhere"]), 3, "there is no address nowhere"),
        (set(&["--min-interval", "1m"]), 2, "allowed are 5 m to 7 d"),
        (set(&["--ttl", "-1"]), 2, "1 to 86400 seconds"),
        (set(&["--ttl", "5m"]), 2, "1 to 86400 seconds"),
        (set(&["--ttl", "90000"]), 2, "1 to 86400 seconds"),
        (set(&["--ttl", "60"]), 2, "ttl: inwx lets none be chosen: leave it out"),
        (vec!["dns", "set", "b.example.org", "--ttl", "60"], 3, "there is no record b.example.org"),
        (vec!["dns", "show", "9"], 3, "there is no record 9"),
        (vec!["dns", "show", "localhost"], 2, "or name a record by its number"),
        (vec!["dns", "update", "9"], 3, "there is no record 9"),
        (vec!["dns", "update", "1", "--dry-run", "--wait"], 2, "cannot be used with"),
        (vec!["dns", "update", "1", "--timeout", "1s"], 2, "--wait"),
        (vec!["dns", "check", "9"], 3, "there is no record 9"),
        (vec!["dns", "history", "9"], 3, "there is no record 9"),
        (vec!["dns", "history", "1", "--limit", "0"], 2, "not a number from 1 to 10000"),
        (vec!["dns", "rm", "9", "--yes"], 3, "there is no record 9"),
        (vec!["dns", "ls", "--address", "nowhere"], 3, "there is no address nowhere"),
    ] {
        let ended = program.refused(&args, code, &[words]);
        assert!(!ended.stderr.contains("hunter2"), "{args:?}: {}", ended.stderr);
    }
    assert_eq!(program.json(&["dns", "show", "1"]), before);

    // A host's part of an IPv6 address is nothing to a name that is kept in IPv4 alone.
    program.ok(&set(&["--no-ipv6"]));
    program.refused(&set(&["--host-id", "::5"]), 1, &["a.example.org is not kept in ipv6: give --ipv6 too"]);
    program.ok(&set(&["--ipv6", "--host-id", "::5"]));
    assert_eq!(program.json(&["dns", "show", "1"])["families"][1]["host_id"]["id"], "::5");

    // One that was taken before it was looked at stays until somebody touches it, and can be taken away.
    sqlx::query("update dns_records set ttl = 60").execute(&db).await.unwrap();
    program.ok(&set(&["--min-interval", "10m"]));
    program.refused(&set(&["--user", "eve"]), 2, &["--no-ttl takes one away"]);
    program.ok(&set(&["--user", "eve", "--no-ttl"]));
}

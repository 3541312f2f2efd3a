use serde_json::{Value, json};
use shared::store::{
    PgPool,
    changes::{self, Change, Resource, What},
};

use crate::program::Program;

async fn change(db: &PgPool, account: i64, resource: Resource, key: &str) {
    let change = Change { account, resource, parent: None, key: key.to_owned(), what: What::Created };
    changes::write(&mut db.acquire().await.unwrap(), &[change]).await.unwrap();
}

/// What stands on the lines. Other tests' transactions may hold changes back for a while, so that is waited for.
fn printed(program: &Program, args: &[&str], count: usize) -> Vec<Value> {
    for _ in 0..200 {
        let stdout = program.ok(args);
        let lines: Vec<Value> = stdout.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
        if lines.len() >= count {
            return lines;
        }
        std::thread::sleep(std::time::Duration::from_millis(100));
    }
    panic!("{args:?} does not print {count} lines");
}

#[sqlx::test(migrator = "shared::store::schema::MIGRATOR")]
async fn the_feed_is_followed_from_the_database(db: PgPool) {
    let program = Program::with(&db);
    for tenant in ["acme", "other"] {
        program.ok(&["tenant", "add", tenant]);
    }
    sqlx::query(
        "insert into accounts (tenant_id, provider, email) select id, 'google', 'a@' || name || '.example' from tenants order by id",
    )
    .execute(&db)
    .await
    .unwrap();
    change(&db, 1, Resource::Event, "e1").await;
    change(&db, 2, Resource::Event, "foreign").await;
    change(&db, 1, Resource::Calendar, "7").await;
    let tail = |more: &[&'static str]| [&["feed", "tail", "--after", "oldest", "--no-follow"], more].concat();
    let all = printed(&program, &tail(&["--tenant", "acme"]), 2);
    assert_eq!((all.len(), &all[0]["key"], &all[1]["key"]), (2, &json!("e1"), &json!("7")));
    assert_eq!((&all[0]["account"], &all[0]["what"]), (&json!(1), &json!("created")));
    for (args, keys) in [
        (&["--account", "a@other.example"] as &[&'static str], vec!["foreign"]),
        (&["--account", "1", "--resource", "calendar"], vec!["7"]),
        (&["--tenant", "acme", "--account", "1", "--resource", "event", "--resource", "file"], vec!["e1"]),
    ] {
        let lines = printed(&program, &tail(args), 1);
        assert_eq!(lines.iter().map(|line| line["key"].as_str().unwrap()).collect::<Vec<_>>(), keys);
    }
    // Names are of the tenant, and of none of its accounts.
    sqlx::query(
        "with home as (
            insert into dns_addresses (tenant_id, name, interval_seconds)
            select id, 'home', 300 from tenants where name = 'acme'
            returning id, tenant_id
        )
        insert into dns_records (tenant_id, address_id, host, provider, min_interval_seconds)
        select tenant_id, id, 'home.example.com', '{\"provider\": \"duckdns\"}', 300 from home",
    )
    .execute(&db)
    .await
    .unwrap();
    let mut conn = db.acquire().await.unwrap();
    for (what, detail) in [(What::Updated, "203.0.113.7"), (What::Failing, "badauth")] {
        changes::dns_record(&mut conn, 1, what, Some(detail)).await.unwrap();
    }
    drop(conn);
    let failing = ["--tenant", "acme", "--resource", "dns_record,event", "--what", "failing,recovered"];
    let lines = printed(&program, &tail(&failing), 1);
    assert_eq!(
        (lines.len(), &lines[0]["account"], &lines[0]["detail"]),
        (1, &json!(null), &json!("badauth"))
    );
    assert_eq!(printed(&program, &tail(&["--tenant", "acme"]), 4).len(), 4);
    assert_eq!(printed(&program, &tail(&["--account", "1"]), 2).len(), 2, "an account's alone");
    let first = all[0]["id"].as_str().unwrap();
    let rest = program.ok(&["feed", "tail", "--tenant", "acme", "--after", first, "--no-follow"]);
    assert_eq!(rest.lines().count(), 3);

    for (args, code, words) in [
        (&["feed", "tail"] as &[&str], 2, "--tenant"),
        (&["feed", "tail", "--tenant", "nobody", "--no-follow"], 3, "there is no tenant nobody"),
        (&["feed", "tail", "--tenant", "other", "--account", "1", "--no-follow"], 3, "not in that tenant"),
        (&["feed", "tail", "--account", "9", "--no-follow"], 3, "there is no account 9"),
        (&["feed", "tail", "--tenant", "acme", "--after", "today"], 2, "no position in the feed"),
        (
            &["feed", "tail", "--tenant", "acme", "--after", "2147483647-1-1", "--no-follow"],
            2,
            "--after oldest",
        ),
        (&["feed", "tail", "--tenant", "acme", "--resource", "mail"], 2, "the resources are"),
        (&["feed", "tail", "--tenant", "acme", "--what", "broken"], 2, "created, updated, deleted, failing"),
        (&["feed", "token", "rm", "9"], 3, "there is no feed token 9"),
        (&["feed", "token", "add", "--tenant", "nobody", "--name", "x"], 3, "there is no tenant nobody"),
        (&["feed", "token", "add", "--tenant", "acme", "--name", " "], 1, "1 to 100 characters"),
    ] {
        program.refused(args, code, &[words]);
    }
}

#[sqlx::test(migrator = "shared::store::schema::MIGRATOR")]
async fn tokens_are_made_listed_and_removed(db: PgPool) {
    let program = Program::with(&db);
    program.ok(&["tenant", "add", "acme"]);
    let made = program.run(&["feed", "token", "add", "--tenant", "acme", "--name", "crm"]);
    assert_eq!(made.code, 0, "{made:?}");
    let token = made.stdout.trim();
    assert!(
        token.starts_with("sft_1_") && token.len() > 40 && made.stderr.contains("not shown again"),
        "{made:?}"
    );
    program.refused(
        &["feed", "token", "add", "--tenant", "acme", "--name", "crm"],
        1,
        &["named crm already"],
    );
    let second = program.json(&["feed", "token", "add", "--tenant", "acme", "--name", "erp"]);
    assert!(second["token"].as_str().unwrap().starts_with("sft_"));
    let listed = program.json(&["feed", "token", "ls", "--tenant", "acme"]);
    assert_eq!((&listed[0]["name"], &listed[0]["used_at"]), (&json!("crm"), &json!(null)));
    assert_eq!(program.json(&["feed", "token", "rm", "1"])["name"], "crm");
    assert_eq!(program.json(&["feed", "token", "ls"]).as_array().unwrap().len(), 1);
    let audit = program.json(&["audit", "ls"]);
    assert_eq!(audit[0]["action"], "feed.token.rm");
    assert!(!audit.to_string().contains("sft_") && !listed.to_string().contains("sft_"));
}

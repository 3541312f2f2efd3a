use serde_json::json;
use sqlx::PgPool;

use crate::program::Program;

#[sqlx::test(migrator = "shared::store::schema::MIGRATOR")]
async fn a_tenants_life(db: PgPool) {
    let program = Program::with(&db);
    let none = program.run(&["tenant", "ls"]);
    assert_eq!((none.code, none.stdout.as_str()), (0, ""));
    assert!(none.stderr.contains("no tenants"), "{}", none.stderr);
    assert_eq!(program.json(&["tenant", "ls"]), json!([]));

    assert_eq!(program.ok(&["tenant", "add", "acme"]), "tenant acme is added\n");
    program.ok(&["enqueue", "noop", "--key", "a", "--tenant", "acme"]);
    let listed = program.json(&["tenant", "ls"]);
    assert_eq!(listed[0]["name"], "acme");
    assert_eq!((&listed[0]["jobs"], &listed[0]["paused"]), (&json!(1), &json!(false)));
    let created = listed[0]["created_at"].as_str().unwrap();
    assert!(chrono::DateTime::parse_from_rfc3339(created).is_ok(), "{created}");
    let table = program.ok(&["tenant", "ls"]);
    assert!(table.starts_with("NAME") && table.contains("\nacme"), "{table}");
    assert!(!table.contains('\u{1b}'), "no colours into a pipe: {table:?}");

    assert!(program.ok(&["tenant", "pause", "acme", "--note", "unpaid"]).contains("is paused"));
    assert!(program.ok(&["job", "explain", "noop/a"]).contains("tenant acme is paused (unpaid)"));
    assert_eq!(program.json(&["tenant", "show", "acme"])["paused"], true);
    assert_eq!(program.json(&["tenant", "resume", "acme"])["changed"], true);
    assert_eq!(program.json(&["tenant", "resume", "acme"])["changed"], false);

    program.refused(&["tenant", "rm", "acme"], 2, &["0 accounts, 1 job,", "give --yes"]);
    assert_eq!(program.json(&["tenant", "ls"])[0]["jobs"], 1);
    assert_eq!(program.json(&["tenant", "rm", "acme", "--yes"])["jobs"], 1);
    program.refused(&["tenant", "show", "acme"], 3, &["error: there is no tenant acme"]);

    let entries = program.json(&["audit", "ls", "--target", "acme"]);
    let actions: Vec<_> = entries.as_array().unwrap().iter().map(|entry| &entry["action"]).collect();
    assert_eq!(actions, ["tenant.rm", "tenant.resume", "tenant.pause", "tenant.add"]);
    assert_eq!(entries[0]["actor"], "cli:ada");
}

#[sqlx::test(migrator = "shared::store::schema::MIGRATOR")]
async fn the_audit_log_names_whom_it_was_told(db: PgPool) {
    let program = Program::with(&db).env("SYNCFLEET_ACTOR", "grace\n");
    program.ok(&["tenant", "add", "acme"]);
    program.ok(&["tenant", "pause", "acme", "--actor", "linus"]);
    let entries = program.json(&["audit", "ls"]);
    assert_eq!((&entries[0]["actor"], &entries[1]["actor"]), (&json!("cli:linus"), &json!("cli:grace")));
    assert_eq!(
        program.json(&["audit", "ls", "--by", "cli:grace", "--since", "1h"]).as_array().unwrap().len(),
        1
    );
}

#[sqlx::test(migrator = "shared::store::schema::MIGRATOR")]
async fn kinds_and_lanes_are_paused_and_listed(db: PgPool) {
    let program = Program::with(&db);
    program.ok(&["kind", "pause", "noop"]);
    let kinds = program.json(&["kind", "ls"]);
    let noop = kinds.as_array().unwrap().iter().find(|kind| kind["name"] == "noop").unwrap();
    assert_eq!(noop["gates"][0]["reason"], "paused");
    assert_eq!(noop["policy"]["lane"], "normal");
    program.ok(&["kind", "resume", "noop"]);
    program.ok(&["lane", "pause", "bulk"]);
    let lanes = program.json(&["lane", "ls"]);
    assert_eq!((&lanes[2]["lane"], &lanes[2]["paused"]), (&json!("bulk"), &json!(true)));
    assert!(program.ok(&["kind", "ls"]).contains("does nothing"));
    assert!(program.ok(&["lane", "ls"]).contains("interactive"));
    assert_eq!(program.json(&["worker", "ls"]), json!([]));
    program.refused(&["kind", "pause", "nope"], 2, &["unknown kind \"nope\": the kinds are", "noop"]);
    program.refused(&["lane", "pause", "fast"], 2, &["the lanes are interactive, normal and bulk"]);
}

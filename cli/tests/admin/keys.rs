use secrecy::ExposeSecret;
use serde_json::json;
use shared::{secrets::generate_key, store::PgPool};

use crate::program::Program;

fn key(id: &str) -> String {
    generate_key(id).unwrap().expose_secret().to_owned()
}

fn with(db: &PgPool, keys: &[&String]) -> Program {
    let keys: Vec<&str> = keys.iter().map(|key| key.as_str()).collect();
    Program::with(db).env("SYNCFLEET_KEYS", &keys.join(","))
}

#[sqlx::test(migrator = "shared::store::schema::MIGRATOR")]
async fn keys_are_listed_and_rotated(db: PgPool) {
    let (old, new) = (key("old"), key("new"));
    let before = with(&db, &[&old]);
    before.ok(&["tenant", "add", "acme"]);
    for email in ["a@example.com", "b@example.com"] {
        let add = ["account", "add", "--no-check", "--tenant", "acme", "--email", email];
        assert_eq!(before.fed(&add, "a-token").code, 0);
    }
    let without = with(&db, &[&new]).run(&["keys", "ls"]);
    assert_eq!(without.code, 1, "{without:?}");
    assert!(without.stderr.contains("the ring lacks the key old, which 2 secrets"), "{without:?}");
    let namesake = with(&db, &[&key("old")]).run(&["keys", "ls"]);
    assert_eq!(namesake.code, 1);
    assert!(namesake.stderr.contains("another key under this id"), "{namesake:?}");

    let both = with(&db, &[&new, &old]);
    let listed = both.json(&["keys", "ls"]);
    let key = |id: &str, current: bool, secrets: i64, opens: Option<bool>| json!({ "id": id, "in_ring": true, "current": current, "secrets": secrets, "opens": opens });
    assert_eq!(listed, json!([key("new", true, 0, None), key("old", false, 2, Some(true))]));
    let rotated = both.json(&["keys", "rotate"]);
    assert_eq!(rotated, json!({ "to": "new", "resealed": 2, "left": 0, "unopened": 0 }));
    assert!(both.ok(&["keys", "rotate"]).contains("0 secrets sealed anew; all are under the key new"));
    let listed = with(&db, &[&new]).json(&["keys", "ls"]);
    assert_eq!(listed, json!([key("new", true, 2, Some(true))]));
    let shown = both.json(&["account", "show", "a@example.com"]);
    assert_eq!(shown["tokens"][0]["key_id"], "new");
    assert_eq!(both.json(&["audit", "ls"])[0]["action"], "keys.rotate");
    for text in [shown.to_string(), listed.to_string()] {
        assert!(!text.contains("a-token"), "{text}");
    }
}

#[sqlx::test(migrator = "shared::store::schema::MIGRATOR")]
async fn what_cannot_be_rotated_is_told(db: PgPool) {
    let (old, new) = (key("old"), key("new"));
    let before = with(&db, &[&old]);
    before.ok(&["tenant", "add", "acme"]);
    before.fed(&["account", "add", "--no-check", "--tenant", "acme", "--email", "a@example.com"], "t");
    let ended = with(&db, &[&new]).run(&["keys", "rotate"]);
    assert_eq!(ended.code, 1, "{ended:?}");
    assert!(ended.stderr.contains("refresh_token of account 1 is sealed under the key old"), "{ended:?}");
    assert!(ended.stdout.contains("1 secret left under others: 1 of them cannot be opened"), "{ended:?}");
    Program::with(&db).refused(&["keys", "ls"], 2, &["SYNCFLEET_KEYS"]);
    with(&db, &[&"k:AAAA".to_owned()]).refused(
        &["keys", "rotate"],
        2,
        &["SYNCFLEET_KEYS: the key k has 3 bytes"],
    );
}

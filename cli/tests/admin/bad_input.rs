use sqlx::{ConnectOptions as _, PgPool};

use crate::program::Program;

#[test]
fn the_database_must_be_named_and_reachable() {
    let bare = Program::bare();
    bare.refused(&["tenant", "ls"], 2, &["error: DATABASE_URL: not set", "--database-url"]);
    Program::bare().env("DATABASE_URL", " \n").refused(&["tenant", "ls"], 2, &["not set"]);
    let flag = |url| bare.refused(&["tenant", "ls", "--database-url", url], 2, &["DATABASE_URL: not"]);
    for url in ["hunter2", "mysql://u:hunter2@h/d", "postgres://u:hunter2@h:port/d"] {
        let ended = flag(url);
        assert!(!ended.stderr.contains("hunter2"), "{}", ended.stderr);
    }
    let gone = "postgres://u:hunter2@127.0.0.1:1/d";
    for args in [&["tenant", "ls"] as &[&str], &["migrate"], &["enqueue", "noop", "--all"]] {
        let program = Program::bare().env("DATABASE_URL", gone);
        let ended = program.refused(args, 1, &["cannot reach the database at 127.0.0.1:1", "refused"]);
        assert!(!ended.stderr.contains("hunter2"), "{}", ended.stderr);
        assert_eq!(ended.stderr.lines().count(), 1, "{}", ended.stderr);
    }
}

#[sqlx::test(migrator = "shared::store::schema::MIGRATOR")]
async fn what_postgres_says_comes_without_its_source_code(db: PgPool) {
    let mut url: url::Url = db.connect_options().to_url_lossy();
    url.set_path("/nowhere");
    let program = Program::bare().env("DATABASE_URL", url.as_str());
    let ended = program.refused(
        &["tenant", "ls"],
        1,
        &["cannot reach the database at", "\"nowhere\" does not exist"],
    );
    assert!(!ended.stderr.contains(" at line "), "{}", ended.stderr);
    // The same within a statement.
    sqlx::query("alter table tenants rename to other").execute(&db).await.unwrap();
    let ended = Program::with(&db).refused(&["tenant", "ls"], 1, &["relation \"tenants\" does not exist"]);
    assert!(!ended.stderr.contains(" at line "), "{}", ended.stderr);
}

#[sqlx::test(migrator = "shared::store::schema::MIGRATOR")]
async fn a_usage_line_holds_what_was_typed_and_what_is_missing(db: PgPool) {
    let program = Program::with(&db).env("SYNCFLEET_ACTOR", "ada").env("REDIS_URL", "redis://127.0.0.1:1");
    let ended = program.refused(
        &["dns", "add", "a.example.org"],
        2,
        &["--tenant <TENANT>", "Usage: syncfleet dns add"],
    );
    for setting in ["--database-url", "--redis-url", "--actor"] {
        assert!(!ended.stderr.contains(setting), "{}", ended.stderr);
    }
    let typed = ["enqueue", "noop", "--all", "--key", "a", "--actor", "eve"];
    let ended = program.refused(&typed, 2, &["cannot be used with", "Usage: syncfleet enqueue"]);
    assert!(!ended.stderr.contains("--database-url"), "{}", ended.stderr);
    // A wrong value of the environment has no other usage.
    let wrong = Program::with(&db).env("SYNCFLEET_DATABASE_CONNECTIONS", "many");
    wrong.refused(&["tenant", "ls"], 2, &["environment variable SYNCFLEET_DATABASE_CONNECTIONS"]);
}

#[sqlx::test(migrations = false)]
async fn an_empty_database_is_migrated_first(db: PgPool) {
    let program = Program::with(&db);
    program.refused(&["tenant", "ls"], 1, &["the database is empty: run `syncfleet migrate` first"]);
    assert_eq!(program.json(&["migrate"]), serde_json::json!({ "migrated": true, "from": 0 }));
    assert!(program.ok(&["migrate"]).contains("was up to date"));
    program.ok(&["tenant", "ls"]);
}

#[sqlx::test(migrator = "shared::store::schema::MIGRATOR")]
async fn an_older_or_newer_database_is_refused(db: PgPool) {
    let program = Program::with(&db);
    sqlx::query(
        "insert into _sqlx_migrations (version, description, success, checksum, execution_time)
        values (9999, 'of the future', true, '', 0)",
    )
    .execute(&db)
    .await
    .unwrap();
    let newer = ["migration 9999", "a newer syncfleet"];
    program.refused(&["tenant", "ls"], 1, &newer);
    program.refused(&["migrate"], 1, &newer);
    let check = program.run(&["config", "check"]);
    assert_eq!(check.code, 1);
    assert!(check.stdout.contains("migration 9999"), "{}", check.stdout);

    // One that came later than the next has not been applied.
    sqlx::query("delete from _sqlx_migrations where version in (11, 9999)").execute(&db).await.unwrap();
    program.refused(&["tenant", "ls"], 1, &["run `syncfleet migrate` first"]);

    sqlx::query("delete from _sqlx_migrations where version > 1").execute(&db).await.unwrap();
    program.refused(&["tenant", "ls"], 1, &["at migration 1", "run `syncfleet migrate` first"]);
}

#[sqlx::test(migrator = "shared::store::schema::MIGRATOR")]
async fn what_is_not_there_is_told_apart_from_what_is_wrong(db: PgPool) {
    let program = Program::with(&db);
    program.ok(&["tenant", "add", "acme"]);
    for (args, code, words) in [
        (&["tenant", "show", "nobody"] as &[&str], 3, "there is no tenant nobody"),
        (&["tenant", "rm", "nobody", "--yes"], 3, "there is no tenant nobody"),
        (&["tenant", "add", "acme"], 1, "there is a tenant acme already"),
        (&["tenant", "add", "No Name"], 1, "not a tenant's name"),
        (&["enqueue", "nope", "--all"], 2, "unknown kind \"nope\": the kinds are"),
        (&["enqueue", "noop"], 2, "required"),
        (&["enqueue", "noop", "--all", "--key", "a"], 2, "cannot be used with"),
        (&["enqueue", "noop", "--key", "a"], 3, "name its tenant with --tenant"),
        (&["enqueue", "noop", "--key", "a", "--tenant", "nobody"], 3, "there is no tenant nobody"),
        (&["enqueue", "noop", "--key", "", "--tenant", "acme"], 1, "1 to 255 characters"),
        (&["enqueue", "noop", "--key", "a", "--at", "soon"], 2, "not a time"),
        (&["enqueue", "noop", "--all", "--timeout", "1s"], 2, "--wait"),
        (&["job", "show", "noop/a"], 3, "there is no job noop/a"),
        (&["job", "explain", "7"], 3, "there is no job 7"),
        (&["job", "retry", "7"], 3, "there is no job 7"),
        (&["job", "show", "x"], 2, "KIND/KEY"),
        (&["job", "ls", "--kind", "nope"], 2, "unknown kind"),
        (&["job", "ls", "--state", "asleep"], 2, "possible values: idle, due"),
        (&["job", "ls", "--limit", "0"], 2, "from 1 to 10000"),
        (&["job", "ls", "--tenant", "nobody"], 3, "there is no tenant nobody"),
        (&["run", "ls", "--kind", "nope"], 2, "unknown kind"),
        (&["run", "ls", "--since", "long"], 2, "give it as 90s, 5m or 2days"),
        (&["run", "show", "7"], 2, "invalid value"),
        (&["run", "show", "019a9f3c-5d1e-7c31-8f2a-0242ac120002"], 3, "there is no run"),
        (&["account", "show", "7"], 3, "there is no account 7"),
        (&["account", "show", "x"], 2, "by its number"),
        (&["event", "ls"], 2, "--account"),
        (&["calendar", "ls", "--tenant", "nobody"], 3, "there is no tenant nobody"),
        (&["frobnicate"], 2, "unrecognized subcommand"),
    ] {
        program.refused(args, code, &[words]);
    }
    let before = program.json(&["job", "ls"]);
    assert_eq!(before, serde_json::json!([]), "nothing was half-done");
}

#[sqlx::test(migrator = "shared::store::schema::MIGRATOR")]
async fn one_wrong_name_among_several_stops_all(db: PgPool) {
    let program = Program::with(&db);
    program.ok(&["tenant", "add", "acme"]);
    program.ok(&["enqueue", "noop", "--key", "a", "--tenant", "acme"]);
    program.refused(&["job", "pause", "noop/a", "noop/b"], 3, &["there is no job noop/b"]);
    assert_eq!(program.json(&["job", "show", "noop/a"])["paused"], false);
}

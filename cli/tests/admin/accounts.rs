use std::time::Duration;

use secrecy::{ExposeSecret, SecretString};
use serde_json::json;
use shared::{
    google::auth::REFRESH_TOKEN,
    secrets::{KeyRing, Owner, generate_key},
    store::{
        PgPool,
        gates::{self, Gate, Reason},
        secrets,
    },
};

use crate::program::Program;

/// Without asking Google: `sign_in.rs` does.
const ADD: [&str; 7] = ["account", "add", "--no-check", "--tenant", "acme", "--email", "ada@example.com"];

fn program(db: &PgPool) -> (Program, KeyRing) {
    let key: SecretString = generate_key("k1").unwrap();
    let program = Program::with(db).env("SYNCFLEET_KEYS", &format!("{}\n", key.expose_secret()));
    program.ok(&["tenant", "add", "acme"]);
    (program, KeyRing::parse(&key).unwrap())
}

async fn token(db: &PgPool, keys: &KeyRing, account: i64) -> String {
    let mut conn = db.acquire().await.unwrap();
    let stored = secrets::get(&mut conn, keys, Owner::account(account, REFRESH_TOKEN)).await.unwrap();
    stored.unwrap().value.expose_secret().to_owned()
}

#[sqlx::test(migrator = "shared::store::schema::MIGRATOR")]
async fn an_accounts_life(db: PgPool) {
    let (program, keys) = program(&db);
    let added = program.fed(&[&ADD as &[&str], &["-o", "json"]].concat(), "1//first\n");
    assert_eq!(added.code, 0, "{added:?}");
    assert!(!added.stdout.contains("1//first"), "{added:?}");
    let added: serde_json::Value = serde_json::from_str(&added.stdout).unwrap();
    let id = added["id"].as_i64().unwrap();
    assert_eq!((&added["new"], &added["tenant"]), (&json!(true), &json!("acme")));
    assert_eq!(token(&db, &keys, id).await, "1//first");
    let per_account = worker::jobs::policies().iter().filter(|policy| policy.per_account.is_some()).count();
    let jobs = program.json(&["job", "ls", "--account", &id.to_string()]);
    assert_eq!(jobs.as_array().unwrap().len(), per_account);
    assert!(
        jobs.as_array()
            .unwrap()
            .iter()
            .all(|job| job["state"] == "due" && job["key"] == json!(id.to_string()))
    );

    let file = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(file.path(), "1//second\n").unwrap();
    let mut conn = db.acquire().await.unwrap();
    gates::close(&mut conn, &Gate::Account(id), Reason::SignIn, None, "").await.unwrap();
    assert_eq!(program.json(&["account", "show", "ada@example.com"])["gates"][0]["reason"], "sign_in");
    let path = file.path().to_str().unwrap();
    let again = program.json(&[&ADD as &[&str], &["--token-file", path]].concat());
    assert_eq!((&again["new"], &again["id"]), (&json!(false), &json!(id)));
    assert_eq!(again["gates"], json!([]));
    assert_eq!(token(&db, &keys, id).await, "1//second");

    assert!(program.ok(&["account", "ls", "--tenant", "acme"]).contains("ada@example.com"));
    program.refused(&["account", "rm", "ada@example.com"], 2, &["1 account", "give --yes"]);
    program.ok(&["account", "rm", "ada@example.com", "--yes"]);
    assert_eq!(program.json(&["account", "ls"]), json!([]));
    for table in ["secrets", "jobs", "gates"] {
        let sql = sqlx::AssertSqlSafe(format!("select count(*) from {table}"));
        assert_eq!(sqlx::query_scalar::<_, i64>(sql).fetch_one(&db).await.unwrap(), 0, "{table}");
    }
    let entries = program.json(&["audit", "ls", "--target", "acme/ada@example.com"]);
    let actions: Vec<_> = entries.as_array().unwrap().iter().map(|entry| &entry["action"]).collect();
    assert_eq!(actions, ["account.rm", "account.sign_in", "account.add"]);
}

#[sqlx::test(migrator = "shared::store::schema::MIGRATOR")]
async fn a_bad_account_leaves_nothing_behind(db: PgPool) {
    let (program, _) = program(&db);
    program.fed(&ADD, "").is_refusal(1, &["not a refresh token"]);
    program.fed(&ADD, "two words").is_refusal(1, &["not a refresh token"]);
    program
        .fed(&["account", "add", "--no-check", "--tenant", "acme", "--email", "ada"], "t")
        .is_refusal(1, &["not an e-mail"]);
    program
        .fed(&["account", "add", "--no-check", "--tenant", "nobody", "--email", "a@b"], "t")
        .is_refusal(3, &["there is no tenant nobody"]);
    program
        .fed(&[&ADD as &[&str], &["--token-file", "/nowhere/token"]].concat(), "")
        .is_refusal(1, &["cannot read /nowhere/token: No such file"]);
    Program::with(&db).fed(&ADD, "t").is_refusal(2, &["set SYNCFLEET_KEYS"]);
    Program::with(&db)
        .env("SYNCFLEET_KEYS", "k1:AAAA")
        .fed(&ADD, "t")
        .is_refusal(2, &["SYNCFLEET_KEYS: the key k1"]);
    let checked = &ADD[..2].iter().chain(&ADD[3..]).copied().collect::<Vec<_>>();
    program.fed(checked, "t").is_refusal(2, &["SYNCFLEET_GOOGLE_CLIENT_ID: not set", "--no-check"]);
    assert_eq!(program.json(&["account", "ls"]), json!([]));
    assert_eq!(program.json(&["job", "ls"]), json!([]));
}

#[sqlx::test(migrator = "shared::store::schema::MIGRATOR")]
async fn an_address_of_two_tenants_must_be_told_apart(db: PgPool) {
    let (program, _) = program(&db);
    program.ok(&["tenant", "add", "other"]);
    program.fed(&ADD, "t");
    program.fed(&["account", "add", "--no-check", "--tenant", "other", "--email", "ada@example.com"], "t");
    let words = ["several tenants have an account ada@example.com", "one of "];
    program.refused(&["account", "show", "ada@example.com"], 1, &words);
}

#[sqlx::test(migrator = "shared::store::schema::MIGRATOR")]
async fn calendars_and_events_are_listed(db: PgPool) {
    let (program, _) = program(&db);
    program.fed(&ADD, "t");
    let calendar: i64 = sqlx::query_scalar(
        "insert into calendars (account_id, google_id, summary, access_role, raw, list_generation)
        select id, 'primary', E'Work\\x1b[31m', 'owner', '{}', 1 from accounts returning id",
    )
    .fetch_one(&db)
    .await
    .unwrap();
    sqlx::query(
        "insert into events
            (account_id, calendar_id, event_id, status, summary, start_at, start_date, raw, generation)
        select account_id, id, e.event_id, e.status, e.event_id, e.at, e.day, '{}', 1
        from calendars, (values
            ('timed', 'confirmed', timestamptz '2026-03-01T10:00:00Z', null),
            ('day', 'confirmed', null, date '2026-03-02'),
            ('off', 'cancelled', null, null)
        ) as e (event_id, status, at, day)",
    )
    .execute(&db)
    .await
    .unwrap();

    let calendars = program.json(&["calendar", "ls", "--tenant", "acme"]);
    assert_eq!((&calendars[0]["events"], &calendars[0]["readable"]), (&json!(2), &json!(true)));
    let table = program.ok(&["calendar", "ls"]);
    assert!(table.contains("not synced yet") && !table.contains('\u{1b}'), "{table:?}");

    let id = calendar.to_string();
    let events = program.json(&["event", "ls", "--calendar", &id]);
    assert_eq!((&events[0]["id"], &events[1]["id"]), (&json!("day"), &json!("timed")));
    assert_eq!(program.json(&["event", "ls", "--calendar", &id, "--cancelled"]).as_array().unwrap().len(), 3);
    let table = program.ok(&["event", "ls", "--calendar", &id]);
    assert!(table.contains("2026-03-01T10:00:00Z") && table.contains("2026-03-02"), "{table}");
    drive(&db).await;
    let held = program.run(&["account", "rm", "ada@example.com", "--yes"]);
    assert!(held.stderr.contains("1 calendar, 3 events, 1 drive, 2 files"), "{held:?}");
    tokio::time::timeout(Duration::from_secs(5), db.close()).await.unwrap();
}

#[sqlx::test(migrator = "shared::store::schema::MIGRATOR")]
async fn a_paused_account_rests_until_it_is_resumed(db: PgPool) {
    let (program, _) = program(&db);
    program.fed(&ADD, "t");
    let paused = program.ok(&["account", "pause", "ada@example.com", "--note", "asked for by her"]);
    assert!(paused.contains("account acme/ada@example.com is paused"), "{paused}");
    let shown = program.json(&["account", "show", "ada@example.com"]);
    assert_eq!(
        (&shown["gates"][0]["reason"], &shown["gates"][0]["note"]),
        (&json!("paused"), &json!("asked for by her"))
    );
    let job = program.json(&["job", "ls"])[0]["id"].to_string();
    let explained = program.ok(&["job", "explain", &job]);
    assert!(explained.contains("is paused") && explained.contains("syncfleet account resume"), "{explained}");
    assert!(program.ok(&["account", "pause", "ada@example.com"]).contains("was paused already"));
    assert!(program.ok(&["account", "resume", "ada@example.com"]).contains("goes on"));
    assert!(program.ok(&["account", "resume", "ada@example.com"]).contains("was not paused"));
    program.refused(&["account", "pause", "nobody@example.com"], 3, &["there is no account"]);
    let entries = program.json(&["audit", "ls", "--target", "acme/ada@example.com"]);
    let actions: Vec<_> = entries.as_array().unwrap().iter().map(|entry| &entry["action"]).collect();
    assert_eq!(actions, ["account.resume", "account.pause", "account.add"]);
}

#[sqlx::test(migrator = "shared::store::schema::MIGRATOR")]
async fn kinds_are_taken_with_dashes(db: PgPool) {
    let (program, _) = program(&db);
    program.fed(&ADD, "t");
    let wanted = program.json(&["enqueue", "calendar-list", "--account", "ada@example.com"]);
    assert_eq!((&wanted["kind"], &wanted["jobs"]), (&json!("calendar_list"), &json!(1)));
    program.refused(&["enqueue", "calendar-events", "--account", "ada@example.com"], 3, &["calendar_events"]);
    assert_eq!(program.json(&["job", "ls", "--kind", "calendar-list"]).as_array().unwrap().len(), 1);
    program.refused(&["enqueue", "calendar-lists", "--all"], 2, &["unknown kind", "calendar_list"]);
    assert!(program.ok(&["kind", "pause", "calendar-list"]).contains("kind calendar_list is paused"));
}

/// The account's My Drive with two files, not swept to its end yet, and its job.
async fn drive(db: &PgPool) {
    for statement in [
        "insert into drives (account_id, google_id, is_mine, raw, list_generation) select id, 'root', true, '{}', 1 from accounts",
        "insert into files (
            account_id, drive_id, file_id, name, trashed, explicitly_trashed, owned_by_me, shared, starred, raw, generation
        )
        select account_id, id, f, f, false, false, true, false, false, '{}', 1
        from drives, unnest(array['a', 'b']) as f",
        "with made as (
            insert into jobs (kind, key, tenant_id, account_id)
            select 'drive_changes', d.id::text, a.tenant_id, a.id from drives d join accounts a on a.id = d.account_id
            returning id, kind, tenant_id, account_id
        )
        insert into job_state (job_id, kind, tenant_id, account_id, lane, run_at)
        select id, kind, tenant_id, account_id, 'normal', 'infinity' from made",
    ] {
        sqlx::query(statement).execute(db).await.unwrap();
    }
}

#[sqlx::test(migrator = "shared::store::schema::MIGRATOR")]
async fn a_first_sync_counts_drives_and_files_too(db: PgPool) {
    let (program, _) = program(&db);
    program.fed(&ADD, "t");
    let first = || program.json(&["account", "show", "ada@example.com"])["first_sync"].clone();
    let told = || program.ok(&["account", "show", "ada@example.com"]);
    let (before, text) = (first(), told());
    assert_eq!((&before["listed"], &before["going_on"]), (&json!(false), &json!(2)), "{before}");
    assert!(text.contains("not read yet"), "{text}");

    drive(&db).await;
    for statement in [
        "insert into calendar_lists (account_id, full_at) select id, clock() from accounts",
        "insert into drive_lists (account_id, full_at) select id, clock() from accounts",
    ] {
        sqlx::query(statement).execute(&db).await.unwrap();
    }
    let (sweeping, text) = (first(), told());
    assert_eq!((&sweeping["listed"], &sweeping["going_on"]), (&json!(true), &json!(1)), "{sweeping}");
    assert!(text.contains("0 of 1 drive, 2 files so far"), "{text}");

    sqlx::query("update drives set full_at = clock()").execute(&db).await.unwrap();
    let (done, text) = (first(), told());
    assert_eq!((&done["drives_done"], &done["files"], &done["going_on"]), (&json!(1), &json!(2), &json!(0)));
    assert!(text.contains("1 of 1 drive, 2 files") && !text.contains("so far"), "{text}");

    // A list that was not granted holds up nothing beside one that was.
    sqlx::query("delete from drive_lists").execute(&db).await.unwrap();
    assert_eq!(first()["listed"], false);
    let park = "update job_state set phase = 'parked', run_at = 'infinity', parked = 'scope' where kind = 'drive_list'";
    sqlx::query(park).execute(&db).await.unwrap();
    let parked = first();
    assert_eq!((&parked["listed"], &parked["parked"][1]), (&json!(true), &json!(null)), "{parked}");
    sqlx::query("delete from calendar_lists").execute(&db).await.unwrap();
    let park = "update job_state set phase = 'parked', run_at = 'infinity', parked = 'scope' where kind = 'calendar_list'";
    sqlx::query(park).execute(&db).await.unwrap();
    assert_eq!((&first()["listed"], &first()["going_on"]), (&json!(false), &json!(0)), "nothing was granted");
}

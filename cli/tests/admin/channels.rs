use serde_json::json;
use shared::store::PgPool;

use crate::program::Program;

/// An account with a live channel and a job that is polled; gives the numbers of the two jobs.
async fn watched(db: &PgPool, program: &Program) -> (i64, i64) {
    program.ok(&["tenant", "add", "acme"]);
    let account: i64 = sqlx::query_scalar(
        "insert into accounts (tenant_id, provider, email) select id, 'google', 'ada@example.com' from tenants returning id",
    )
    .fetch_one(db)
    .await
    .unwrap();
    let mut jobs = Vec::new();
    for kind in ["calendar_list", "calendar_events", "google_channels"] {
        let job: i64 = sqlx::query_scalar(
            "with made as (
                insert into jobs (kind, key, tenant_id, account_id)
                select $1, $2::bigint::text, tenant_id, id from accounts returning id, kind, tenant_id, account_id
            )
            insert into job_state (job_id, kind, tenant_id, account_id, lane, run_at)
            select id, kind, tenant_id, account_id, 'normal', 'infinity' from made returning job_id",
        )
        .bind(kind)
        .bind(account)
        .fetch_one(db)
        .await
        .unwrap();
        jobs.push(job);
    }
    sqlx::query(
        "insert into channels (id, account_id, job_id, api, state, address, resource_id, expires_at)
        values ('c1', $1, $2, 'calendar', 'live', 'https://a.example/', 'r', clock() + interval '3 days')",
    )
    .bind(account)
    .bind(jobs[0])
    .execute(db)
    .await
    .unwrap();
    sqlx::query(
        "insert into channel_refusals (job_id, account_id, reason, note, until)
        values ($1, $2, 'unsupported', 'Google said no', clock() + interval '3 days')",
    )
    .bind(jobs[1])
    .bind(account)
    .execute(db)
    .await
    .unwrap();
    (jobs[0], jobs[1])
}

#[sqlx::test(migrator = "shared::store::schema::MIGRATOR")]
async fn channels_are_listed_with_what_is_polled_and_why(db: PgPool) {
    let program = Program::with(&db);
    let (list, events) = watched(&db, &program).await;
    let listed = program.json(&["channel", "ls"]);
    assert_eq!(listed.as_array().unwrap().len(), 2);
    let (live, polled) = (&listed[0], &listed[1]);
    assert_eq!((&live["id"], &live["job"], &live["state"]), (&json!("c1"), &json!(list), &json!("live")));
    assert_eq!((&live["watches"], &live["email"]), (&json!("calendar list"), &json!("ada@example.com")));
    assert_eq!(
        (&polled["id"], &polled["job"], &polled["state"]),
        (&json!(null), &json!(events), &json!("polled"))
    );
    assert_eq!(polled["note"], "unsupported: Google said no");
    let table = program.run(&["channel", "ls", "--account", "ada@example.com"]);
    assert!(table.stdout.contains("Google said no") && table.stdout.contains("CHANNEL"), "{table:?}");
    assert!(table.stderr.contains("SYNCFLEET_PUBLIC_URL is not set"), "{table:?}");
    let told = Program::with(&db).env("SYNCFLEET_PUBLIC_URL", "https://a.example").run(&["channel", "ls"]);
    assert_eq!(told.stderr, "", "{told:?}");
    program.refused(&["channel", "ls", "--account", "eve@example.com"], 3, &["no account eve@example.com"]);
}

#[sqlx::test(migrator = "shared::store::schema::MIGRATOR")]
async fn a_channel_is_stopped_until_it_is_renewed(db: PgPool) {
    let program = Program::with(&db);
    let (list, events) = watched(&db, &program).await;
    let keeper: i64 = sqlx::query_scalar("select id from jobs where kind = 'google_channels'")
        .fetch_one(&db)
        .await
        .unwrap();
    let state = async || -> (String, bool) {
        sqlx::query_as("select state::text, renew_at <= clock() from channels").fetch_one(&db).await.unwrap()
    };
    let due = async || -> bool {
        let due = "update job_state set run_at = 'infinity', done = wanted, dirty_since = null
            where job_id = $1 and wanted > done and run_at <= clock() and lane = 'interactive'";
        sqlx::query(due).bind(keeper).execute(&db).await.unwrap().rows_affected() == 1
    };
    let renewed = program.json(&["channel", "renew", "c1"]);
    assert_eq!((&renewed["jobs"], &renewed["by"]), (&json!([list]), &json!(keeper)));
    assert_eq!(state().await, ("live".to_owned(), true));
    assert!(due().await);

    program.ok(&["channel", "stop", "c1"]);
    assert_eq!(state().await.0, "stopping");
    assert!(due().await);
    let notes = program.json(&["channel", "ls"]);
    let stopped =
        notes.as_array().unwrap().iter().find(|one| one["state"] == "polled" && one["job"] == json!(list));
    assert!(stopped.unwrap()["note"].as_str().unwrap().contains("stopped by cli:ada"), "{notes}");
    assert_eq!(stopped.unwrap()["until"], json!(null));

    // What is polled is named by its job.
    program.ok(&["channel", "renew", &events.to_string()]);
    program.ok(&["channel", "renew", "--account", "ada@example.com"]);
    let refusals: i64 =
        sqlx::query_scalar("select count(*) from channel_refusals").fetch_one(&db).await.unwrap();
    assert_eq!(refusals, 0);
    let audit = program.json(&["audit", "ls"]);
    let actions: Vec<_> =
        audit.as_array().unwrap().iter().map(|entry| entry["action"].as_str().unwrap()).collect();
    assert_eq!(actions.iter().filter(|action| **action == "channel.renew").count(), 3, "{audit}");
    program.refused(&["channel", "stop", "nothing"], 3, &["no channel nothing", "channel ls"]);
    program.refused(&["channel", "stop"], 2, &["<ID|--account"]);
}

#[sqlx::test(migrator = "shared::store::schema::MIGRATOR")]
async fn a_jobs_explanation_says_what_push_means_for_it(db: PgPool) {
    let program = Program::with(&db);
    let (list, events) = watched(&db, &program).await;
    let explain = |job: i64| program.ok(&["job", "explain", &job.to_string()]);
    let (live, polled) = (explain(list), explain(events));
    assert!(
        live.contains("watched by a channel until ") && live.contains("it has not delivered yet"),
        "{live}"
    );
    assert!(polled.contains("polled only: Google does not push it (Google said no)"), "{polled}");
    sqlx::query("update channels set heard_at = clock(), pushed_at = clock() - interval '90 seconds'")
        .execute(&db)
        .await
        .unwrap();
    assert!(explain(list).contains("last told of a change 1 m 30 s ago"), "{}", explain(list));
    let told = &program.json(&["job", "explain", &list.to_string()])["push"];
    assert_eq!(
        (&told["is"], &told["channel"], &told["missed"]),
        (&json!("watched"), &json!("c1"), &json!(0))
    );
    // A drive's log has neither yet, and what has nothing to watch has no such line.
    sqlx::query("update jobs set kind = 'drive_changes' where id = $1")
        .bind(list)
        .execute(&db)
        .await
        .unwrap();
    sqlx::query("delete from channels").execute(&db).await.unwrap();
    let keeper: i64 = sqlx::query_scalar("select id from jobs where kind = 'google_channels'")
        .fetch_one(&db)
        .await
        .unwrap();
    assert!(explain(list).contains(&format!("job {keeper} keeps them")), "{}", explain(list));
    assert_eq!(program.json(&["job", "explain", &keeper.to_string()])["push"], json!(null));
}

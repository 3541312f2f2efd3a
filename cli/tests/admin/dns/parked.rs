use serde_json::json;
use sqlx::PgPool;

use super::home;

/// Forty names that a setting of the workers has parked, two that a provider has refused, and one of another tenant, each with its
/// job. The address `home` is theirs.
async fn park(db: &PgPool) {
    sqlx::query(
        "with other as (
            insert into tenants (name) values ('other') returning id
        ), place as (
            insert into dns_addresses (tenant_id, name, interval_seconds) select id, 'home', 300 from other
            returning id, tenant_id
        ), record as (
            insert into dns_records (tenant_id, address_id, host, provider, min_interval_seconds)
            select a.tenant_id, a.id, 'n' || n || '.example.org', '{\"provider\": \"duckdns\"}'::jsonb, 300
            from generate_series(1, 42) n, dns_addresses a
            union all
            select tenant_id, id, 'n43.example.org', '{\"provider\": \"duckdns\"}'::jsonb, 300 from place
            returning id, tenant_id, host
        ), family as (
            insert into dns_record_families (record_id, family, parked, parked_why, failing_since, failing_why)
            select id, 'ipv4', word, 'why', clock(), word || ': why'
            from record, lateral (
                select case when host in ('n41.example.org', 'n42.example.org') then 'nohost' else 'badsetting' end
            ) as w (word)
        ), job as (
            insert into jobs (kind, key, tenant_id, note) select 'dns_record', id::text, tenant_id, 'why' from record
            returning id, kind, tenant_id
        )
        insert into job_state (job_id, kind, tenant_id, lane, run_at, phase, parked, wanted, seen, dirty_since)
        select id, kind, tenant_id, 'normal', 'infinity', 'parked', 'failed', 1, 1, clock() from job",
    )
    .execute(db)
    .await
    .unwrap();
}

/// How many families are parked, and how many jobs are; and how many are due.
async fn left(db: &PgPool) -> (i64, i64, i64) {
    sqlx::query_as(
        "select (select count(*) from dns_record_families where parked is not null),
            count(*) filter (where phase = 'parked'), count(*) filter (where phase = 'idle' and run_at <= clock())
        from job_state where kind = 'dns_record'",
    )
    .fetch_one(db)
    .await
    .unwrap()
}

#[sqlx::test(migrator = "shared::store::schema::MIGRATOR")]
async fn all_that_is_parked_is_served_again_by_one_command(db: PgPool) {
    let program = home(&db);
    park(&db).await;
    assert_eq!(left(&db).await, (43, 43, 0));
    let all = ["dns", "update", "--all-parked"];
    let with = |more: &[&'static str]| [&all[..], more].concat();
    for (args, code, words) in [
        (vec!["dns", "update"], 2, "<HOST>"),
        (with(&["n1.example.org"]), 2, "cannot be used with"),
        (with(&["--force"]), 2, "cannot be used with"),
        (vec!["dns", "update", "n1.example.org", "--reason", "nohost"], 2, "cannot be used with"),
        (with(&["--reason", "bad"]), 1, "allowed are badauth, badagent, nohost,"),
        (with(&["--tenant", "nobody"]), 3, "there is no tenant nobody"),
        (with(&["--address", "nowhere"]), 3, "there is no address nowhere"),
        (with(&["--dry-run", "--wait"]), 2, "cannot be used with"),
    ] {
        program.refused(&args, code, &[words]);
    }
    let listed = program.json(&with(&["--reason", "badsetting", "--tenant", "acme", "--dry-run"]));
    assert_eq!((listed.as_array().unwrap().len(), &listed[0]["host"]), (40, &json!("n1.example.org")));
    let dry = program.run(&with(&["--dry-run"]));
    assert!(dry.stdout.contains("n41.example.org") && dry.stderr.contains("nothing was written"), "{dry:?}");
    assert_eq!(left(&db).await, (43, 43, 0), "nothing was changed so far");

    let done = program.run(&with(&["--reason", "badsetting", "--tenant", "acme"]));
    assert_eq!((done.code, done.stdout.as_str()), (0, "40 records are served again\n"), "{done:?}");
    assert!(done.stderr.contains("serving 40 parked records again"), "{done:?}");
    assert_eq!(left(&db).await, (3, 3, 40));
    let shown = program.json(&["dns", "show", "n1.example.org"]);
    let family = &shown["families"][0];
    assert_eq!(
        (&family["parked"], &family["failing_why"], &family["resend"]),
        (&json!(null), &json!("being tried again; before that: badsetting: why"), &json!(false))
    );
    let explained = program.json(&["job", "explain", &shown["job"].to_string()]);
    assert_eq!((&explained["answer"]["is"], &explained["job"]["note"]), (&json!("no_worker"), &json!(null)));
    assert_eq!(explained["unserved"][0]["why"], "nobody has told the address yet", "{explained}");
    let job = program.json(&["dns", "show", "n41.example.org"])["job"].to_string();
    let explained = program.json(&["job", "explain", &job]);
    assert_eq!((&explained["answer"]["is"], &explained["job"]["note"]), (&json!("parked"), &json!("why")));

    let rest = program.json(&with(&["--address", "home", "--tenant", "other"]));
    assert_eq!(rest, json!({ "records": 1, "outcome": null }));
    let waited = program.run(&with(&["--wait", "--timeout", "1s"]));
    assert_eq!(waited.code, 4, "no worker runs: {waited:?}");
    assert!(waited.stdout.starts_with("2 records are served again: 0 done, 0 parked, 2 left"), "{waited:?}");
    assert_eq!(left(&db).await, (0, 0, 43));
    assert_eq!(program.ok(&all), "0 records are served again\n");
    let audit = program.json(&["audit", "ls"]).to_string();
    assert!(audit.contains("all that is parked") && audit.contains("\"records\":40"), "{audit}");
}

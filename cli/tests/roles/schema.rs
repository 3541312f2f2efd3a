//! Roles and the version of the database.

use shared::store::PgPool;

use crate::process::{LIMIT, Program, free, get, until};

const ROLES: [&str; 3] = ["scheduler", "ingress", "worker"];

#[sqlx::test(migrations = false)]
async fn roles_wait_for_the_schema(db: PgPool) {
    let program = Program::with(&db);
    let mut roles = Vec::new();
    for role in ROLES {
        let mut process = program.start(&[role]).await;
        until("it is alive", LIMIT, async || process.status("/livez").await == 200).await;
        let (status, reason) = process.get("/readyz").await.unwrap();
        assert_eq!(status, 503, "{role}: {reason}");
        assert!(reason.contains("beginning"), "{role}: {reason}");
        until("it says what it waits for", LIMIT, async || {
            process.said("waiting for `syncfleet migrate`") == 1
        })
        .await;
        assert!(process.is_running(), "{role}");
        // Without Redis, those who would share a bell say what that costs.
        assert_eq!(process.said("REDIS_URL is not set"), 1, "{role}");
        roles.push(process);
    }
    program.ok(&["migrate"]).await;
    for role in &mut roles {
        role.ready().await;
        assert_eq!(role.said("waiting for"), 1, "said once: {}", role.log());
    }
    assert_eq!(get(roles[1].public, "/healthz").await.unwrap().0, 200);
}

#[sqlx::test(migrations = false)]
async fn a_role_that_waits_ends_at_a_signal(db: PgPool) {
    for role in ROLES {
        let process = Program::with(&db).start(&[role]).await;
        until("it waits", LIMIT, async || process.said("waiting for") == 1).await;
        process.signal(rustix::process::Signal::TERM);
        let ended = process.ended(LIMIT).await;
        assert_eq!(ended.code, 0, "{role}: {}", ended.log);
    }
}

#[sqlx::test(migrator = "shared::store::schema::MIGRATOR")]
async fn a_newer_database_is_refused(db: PgPool) {
    sqlx::query(
        "insert into _sqlx_migrations (version, description, success, checksum, execution_time)
        values (99990101, 'from the future', true, '', 0)",
    )
    .execute(&db)
    .await
    .unwrap();
    for command in ["scheduler", "ingress", "worker", "migrate"] {
        let words = ["99990101", "migrated by a newer syncfleet"];
        Program::with(&db).refused(&[command], 1, &words).await;
    }
}

#[tokio::test]
async fn a_database_that_is_away_is_waited_for() {
    let away = free().await;
    let program = Program::default().env("DATABASE_URL", &format!("postgres://u:secret-word@{away}/x"));
    let mut process = program.start(&["scheduler"]).await;
    until("it is alive", LIMIT, async || process.status("/livez").await == 200).await;
    assert_eq!(process.status("/readyz").await, 503);
    until("it says so", LIMIT, async || process.said("the database does not answer: waiting") == 1).await;
    assert!(process.is_running());
    assert!(!process.log().contains("secret-word"));
}

//! A fleet that Google pushes to: scheduler, worker and ingress as processes, over HTTP.

use std::time::Duration;

use loadtest::fake_google::{EventDraft, FakeGoogle, Options, When};
use secrecy::ExposeSecret;
use shared::{secrets::generate_key, store::PgPool};

use crate::process::{LIMIT, Program, free, until};

#[sqlx::test(migrator = "shared::store::schema::MIGRATOR")]
async fn a_change_at_google_is_mirrored_by_a_push_and_an_account_that_goes_takes_its_channels_along(
    db: PgPool,
) {
    let fake = FakeGoogle::start(Options { http_callbacks: true, ..Options::default() }).await.unwrap();
    let people = fake.seed_world(1, 2, 5).unwrap();
    let public = free().await;
    let key = generate_key("k1").unwrap();
    let program = Program::with(&db)
        .env("SYNCFLEET_KEYS", key.expose_secret())
        .env("SYNCFLEET_PUBLIC_URL", &format!("http://{public}"))
        .envs(fake.settings());
    let mut ingress = program.start(&["ingress", "--public-addr", &public.to_string()]).await;
    let mut worker = program.start(&["worker"]).await;
    let mut scheduler = program.start(&["scheduler"]).await;
    for process in [&mut ingress, &mut worker, &mut scheduler] {
        process.ready().await;
    }
    program.ok(&["tenant", "add", "acme"]).await;
    let file = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(file.path(), &people[0].refresh_token).unwrap();
    let path = file.path().to_str().unwrap();
    let email = &people[0].email;
    program.ok(&["account", "add", "--tenant", "acme", "--email", email, "--token-file", path]).await;
    until("all is watched", LIMIT, async || {
        let heard = "select count(*) from channels where state = 'live' and heard_at is not null";
        sqlx::query_scalar::<_, i64>(heard).fetch_one(&db).await.unwrap() == 3
    })
    .await;
    until("all is in step", LIMIT, async || {
        let unanswered = "select count(*) from job_state where wanted > done";
        sqlx::query_scalar::<_, i64>(unanswered).fetch_one(&db).await.unwrap() == 0
    })
    .await;

    let start = When::at("2026-03-02T10:00:00+01:00".parse().unwrap(), None);
    let id = fake.world().put_event(&people[0].calendars[0], EventDraft::new("News", start)).unwrap();
    until("the change is mirrored", Duration::from_secs(20), async || {
        let there = sqlx::query_scalar("select exists (select from events where event_id = $1)");
        there.bind(&id).fetch_one(&db).await.unwrap()
    })
    .await;
    assert!(ingress.metric("syncfleet_push_requests_total", "result=\"wanted\"").await.unwrap() >= 1.0);
    assert!(ingress.metric("syncfleet_push_requests_total", "result=\"sync\"").await.unwrap() >= 3.0);
    until("the worker has measured it", LIMIT, async || {
        worker.metric("syncfleet_push_to_mirrored_seconds_count", "").await.is_some_and(|count| count >= 1.0)
    })
    .await;

    let listed = program.ok(&["channel", "ls", "-o", "json"]).await;
    assert_eq!(listed.matches("\"live\"").count(), 3, "{listed}");
    let gone = program.ok(&["account", "rm", email, "--yes"]).await;
    assert!(gone.contains("3 push channels stopped"), "{gone}");
    assert_eq!(fake.push().channels, []);
}

#[sqlx::test(migrator = "shared::store::schema::MIGRATOR")]
async fn a_fleet_without_a_public_address_says_that_it_polls(db: PgPool) {
    let program = Program::with(&db);
    for role in ["worker", "ingress"] {
        let mut process = program.start(&[role]).await;
        process.ready().await;
        until("it says so", LIMIT, async || process.said("SYNCFLEET_PUBLIC_URL is not set") == 1).await;
    }
}

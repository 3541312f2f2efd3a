use std::time::Instant;

use futures_util::future::join_all;
use secrecy::SecretString;
use shared::{
    secrets::password,
    store::{PgPool, dns_logins},
};

use crate::rig::{PASSWORD, Rig};

const CALL: &str = "hostname=home.example.org&myip=8.8.8.8";

#[sqlx::test(migrator = "shared::store::schema::MIGRATOR")]
async fn a_new_password_ends_the_old_one_at_once(db: PgPool) {
    let rig = Rig::start(db).await;
    assert_eq!(rig.call(CALL).await, "good 8.8.8.8\n");
    let hash = password::hash(&SecretString::from("a new one")).unwrap();
    let mut conn = rig.db.acquire().await.unwrap();
    assert!(dns_logins::set_password(&mut conn, "router", &hash).await.unwrap());
    let old = rig.call_as("router", PASSWORD, CALL, "").await;
    assert_eq!((old.status, old.body.as_str()), (401, "badauth\n"));
    assert_eq!(rig.call_as("router", "a new one", CALL, "").await.body, "nochg 8.8.8.8\n");
    dns_logins::remove(&mut conn, "router").await.unwrap();
    assert_eq!(rig.call_as("router", "a new one", CALL, "").await.status, 401);
    rig.end().await;
}

#[sqlx::test(migrator = "shared::store::schema::MIGRATOR")]
async fn a_source_may_fail_some_times_and_who_was_right_before_comes_in_all_the_same(db: PgPool) {
    let rig = Rig::start(db).await;
    assert_eq!(rig.call(CALL).await, "good 8.8.8.8\n");
    let (mut wrong, mut away) = (0, 0);
    while away == 0 {
        let answer = rig.call_as(if wrong % 2 == 0 { "router" } else { "nobody" }, "wrong", CALL, "").await;
        match (answer.status, answer.body.as_str()) {
            (401, "badauth\n") => wrong += 1,
            (503, "911\n") => away += 1,
            other => panic!("{other:?}"),
        }
        assert!(wrong < 1_000, "it may fail for ever");
    }
    assert!(wrong >= 20, "only {wrong} were looked at");
    assert_eq!(rig.call(CALL).await, "nochg 8.8.8.8\n", "the one who was right before");
    // Whoever was not waits until the source may fail again.
    let began = Instant::now();
    let other = "hostname=other.example.org&myip=8.8.8.8";
    while rig.call_as("other", PASSWORD, other, "").await.status != 200 {
        assert!(began.elapsed().as_secs() < 60, "a source is never let in again");
        tokio::time::sleep(std::time::Duration::from_millis(50)).await;
    }
    rig.end().await;
}

#[sqlx::test(migrator = "shared::store::schema::MIGRATOR")]
async fn a_flood_from_many_sources_is_bounded_and_the_known_pass_it(db: PgPool) {
    let rig = Rig::behind(db, &["127.0.0.0/8"]).await;
    assert_eq!(rig.call(CALL).await, "good 8.8.8.8\n");
    let flood = join_all((0..150).map(|n| {
        let headers = format!("X-Forwarded-For: 9.{}.{}.1\r\n", n / 250, n % 250);
        let rig = &rig;
        async move { rig.call_as("router", "wrong", CALL, &headers).await.status }
    }));
    let known = join_all((0..50).map(|_| rig.call(CALL)));
    let (flood, known) = tokio::join!(flood, known);
    assert!(flood.iter().all(|status| matches!(status, 401 | 503)), "{flood:?}");
    assert!(known.iter().all(|answer| answer == "nochg 8.8.8.8\n"), "{known:?}");
    rig.end().await;
}

#[sqlx::test(migrator = "shared::store::schema::MIGRATOR")]
async fn many_guesses_at_once_are_no_way_around_the_limit(db: PgPool) {
    let rig = Rig::start(db).await;
    let guesses =
        join_all((0..100).map(|_| async { rig.call_as("router", "wrong", CALL, "").await.status })).await;
    let looked_at = guesses.iter().filter(|status| **status == 401).count();
    assert!(guesses.iter().all(|status| matches!(status, 401 | 503)), "{guesses:?}");
    // Twenty, and one for each second that it took.
    assert!((1..=60).contains(&looked_at), "{looked_at} were looked at");
    rig.end().await;
}

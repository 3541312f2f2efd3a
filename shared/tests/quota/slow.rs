//! The rate that gives way to Google's refusals.

use std::time::Duration;

use futures_util::future::join_all;
use shared::{
    config::google::Limits,
    google::quota::{LEAST, SETTLE, bucket},
    store::{
        PgPool,
        quotas::{self, Slowed},
    },
};

use crate::{
    API, MINUTE, PROJECT,
    fleet::{Fleet, ask, draw_at, most, shifted},
};

const LIMIT: u32 = 1_200;

async fn slow_at(db: &PgPool, at: Duration, account: Option<i64>) -> Option<f64> {
    let mut tx = shifted(db, at).await;
    let rate = quotas::slow(&mut tx, API, PROJECT, account, LEAST, SETTLE).await.unwrap();
    tx.commit().await.unwrap();
    rate
}

async fn rates_at(db: &PgPool, at: Duration) -> Vec<Slowed> {
    quotas::slowed(&mut *shifted(db, at).await).await.unwrap()
}

fn close_to(rate: Option<f64>, expected: f64) -> bool {
    rate.is_some_and(|rate| (rate - expected).abs() < 0.001)
}

#[sqlx::test(migrator = "shared::store::schema::MIGRATOR")]
async fn case_67_a_refusal_for_the_rate_halves_it_once_and_it_grows_back(db: PgPool) {
    let start = Duration::from_mins(1);
    assert_eq!(slow_at(&db, start, None).await, None, "nothing was drawn yet");
    draw_at(&db, start, &[ask(None, 1, LIMIT, None), ask(Some(7), 1, LIMIT, None)]).await;
    assert!(close_to(slow_at(&db, start, None).await, 0.5));
    // The same burst, told of by others.
    for (seconds, back) in [(0, false), (19, false), (19, true)] {
        let time = Duration::from_secs(seconds);
        let at = if back { start.saturating_sub(time) } else { start + time };
        assert_eq!(slow_at(&db, at, None).await, None, "{seconds} s");
    }
    assert_eq!(rates_at(&db, start).await, [Slowed { api: API.to_owned(), of_account: false, rate: 0.5 }]);
    // It grows by a twentieth a minute.
    assert!(close_to(rates_at(&db, start + 2 * MINUTE).await.first().map(|slowed| slowed.rate), 0.6));
    assert!(close_to(slow_at(&db, start + 4 * MINUTE, None).await, 0.35));
    // Never below its least, and in the end all of it is in use again.
    let mut at = start + 4 * MINUTE;
    for _ in 0..10 {
        at += Duration::from_secs(21);
        slow_at(&db, at, None).await;
    }
    assert!(close_to(rates_at(&db, at).await.first().map(|slowed| slowed.rate), LEAST));
    assert_eq!(rates_at(&db, at + 19 * MINUTE).await, []);
    // An account's rate is its own.
    assert!(close_to(slow_at(&db, at, Some(7)).await, 0.5));
    let of_accounts: Vec<_> = rates_at(&db, at + 19 * MINUTE).await.iter().map(|s| s.of_account).collect();
    assert_eq!(of_accounts, Vec::<bool>::new());
}

#[sqlx::test(migrator = "shared::store::schema::MIGRATOR")]
async fn halvings_at_the_same_moment_are_one(db: PgPool) {
    let mut conn = db.acquire().await.unwrap();
    quotas::draw(&mut conn, API, PROJECT, &[ask(None, 1, LIMIT, None)]).await.unwrap();
    let halved = join_all((0..16).map(async |_| {
        let mut conn = db.acquire().await.unwrap();
        quotas::slow(&mut conn, API, PROJECT, None, LEAST, SETTLE).await.unwrap()
    }))
    .await;
    assert_eq!(halved.iter().flatten().count(), 1, "{halved:?}");
}

#[sqlx::test(migrator = "shared::store::schema::MIGRATOR")]
async fn a_slowed_bucket_fills_slower_and_holds_as_much(db: PgPool) {
    let project = |need| [ask(None, need, LIMIT, None)];
    let start = Duration::from_mins(1);
    let whole = bucket(LIMIT, None, 0);
    draw_at(&db, start, &project(1_000)).await;
    slow_at(&db, start, None).await;
    let drawn = draw_at(&db, start + Duration::from_secs(1), &project(1_000)).await[0];
    let half = whole.per_second * (0.5 + 1.0 / 1_200.0);
    assert!((f64::from(drawn.units) - half).abs() <= 1.0, "{} of {half}", drawn.units);
    // A full one still holds all of the burst.
    assert_eq!(draw_at(&db, start + MINUTE, &project(1_000)).await[0].units, 60);
}

/// Google's limit is a third of the configured one. The gate is closed for a minute after a refusal, as by a worker.
#[sqlx::test(migrator = "shared::store::schema::MIGRATOR")]
async fn case_67_a_fleet_finds_googles_own_limit_and_uses_it(db: PgPool) {
    const TRUE_LIMIT: usize = 300;
    let limits = Limits { per_minute: 1_000, user_per_minute: 100_000, per_day: 10_000_000, kept: 0 };
    let mut fleet = Fleet::new(db.clone(), limits, 2, &[7]);
    let (mut at, mut opens, mut refusals) = (Duration::ZERO, Duration::ZERO, 0);
    let half = 15 * MINUTE;
    let mut settled_from = 0;
    while at < 2 * half {
        if at >= opens {
            let before = fleet.of_project().len();
            for worker in 0..fleet.workers.len() {
                fleet.act(worker, at, Duration::ZERO).await;
            }
            let calls = fleet.of_project();
            let minute = calls.partition_point(|call| *call + MINUTE <= at);
            if calls.len() > before && calls.len() - minute > TRUE_LIMIT {
                slow_at(&db, at, None).await;
                opens = at + MINUTE;
                refusals += usize::from(at >= half);
            }
            if at < half {
                settled_from = calls.len();
            }
        }
        at += Duration::from_secs(1);
    }
    let calls = fleet.of_project();
    // At the configured rate every second minute would begin with a refusal.
    assert!(refusals <= 5, "{refusals} refusals in the second quarter of an hour");
    let settled = calls.len() - settled_from;
    assert!(settled > 15 * TRUE_LIMIT / 3, "{settled} calls in a quarter of an hour");
    assert!(most(calls) <= 1_000);
}

//! The budget of calls on a real database. Time is shifted, not waited for: the database's by `syncfleet.clock_shift`, the
//! workers' as arguments.
#![expect(clippy::unwrap_used, reason = "a test that cannot go on fails")]

mod budget;
mod fleet;
mod kept;
mod shown;
mod slow;

use std::time::{Duration, Instant};

use chrono::TimeDelta;
use fleet::{Fleet, ask, call, draw_at, most};
use futures_util::future::join_all;
use shared::{
    config::google::Limits,
    google::quota::{Blocks, LIFE, Spend, WAY, bucket},
    store::{
        PgPool,
        quotas::{self, Ask, Unspent},
    },
};

const API: &str = "calendar";
const PROJECT: &str = "1";
const MINUTE: Duration = Duration::from_mins(1);

/// How often simulated workers act.
const TICK: Duration = Duration::from_millis(250);

/// The worst that can happen: what is drawn in the 8 seconds before a minute is spent as late as allowed and is long on its
/// way, so that it arrives in that minute, and all that is drawn in it arrives at once.
#[sqlx::test(migrator = "shared::store::schema::MIGRATOR")]
async fn case_69_a_fleet_stays_below_the_projects_limit_in_any_minute(db: PgPool) {
    let limits = Limits { per_minute: 1_000, user_per_minute: 100_000, per_day: 1_000_000, kept: 0 };
    let mut fleet = Fleet::new(db, limits, 4, &[7]);
    let turn = Duration::from_secs(20);
    let mut at = turn.saturating_sub(LIFE + WAY);
    while at < turn + 2 * MINUTE {
        let late = if at < turn { LIFE + WAY } else { Duration::ZERO };
        for worker in 0..fleet.workers.len() {
            fleet.act(worker, at, late).await;
        }
        at += TICK;
    }
    let most = most(fleet.of_project());
    assert!((960..=1_000).contains(&most), "{most} calls in a minute");
    // In the long run the fleet uses what the burst and the delays leave.
    let calls = fleet.of_project().len();
    assert!(calls > 1_800, "{calls} calls in {at:?}");
}

/// Their clocks differ by days, and each call takes its own time. Users' limits are lower than the project's share.
#[sqlx::test(migrator = "shared::store::schema::MIGRATOR")]
async fn case_72_the_limits_hold_whatever_the_workers_clocks_say(db: PgPool) {
    let limits = Limits { per_minute: 600, user_per_minute: 100, per_day: 1_000_000, kept: 0 };
    let mut fleet = Fleet::new(db, limits, 3, &[1, 2, 3, 4, 5, 6, 7, 8]);
    let mut at = Duration::ZERO;
    let mut delay = Duration::ZERO;
    while at < 3 * MINUTE {
        for worker in 0..fleet.workers.len() {
            delay = (delay + Duration::from_millis(1_777)).min(LIFE + WAY);
            fleet.act(worker, at, delay).await;
            if delay == LIFE + WAY {
                delay = Duration::ZERO;
            }
        }
        at += TICK;
    }
    assert!(most(fleet.of_project()) <= 600);
    for (account, calls) in fleet.calls {
        assert!(most(calls.clone()) <= 100, "account {account}");
        assert!(calls.len() > 150, "account {account} got {} calls in {at:?}", calls.len());
    }
}

#[sqlx::test(migrator = "shared::store::schema::MIGRATOR")]
async fn a_worker_that_dies_costs_its_block_and_no_more(db: PgPool) {
    let project = |need| [ask(None, need, 1_200, None)];
    let bucket = bucket(1_200, None, 0);
    let at = Duration::from_secs(10);
    // It draws, and is never heard of again.
    let block = draw_at(&db, at, &project(25)).await[0].units;
    assert_eq!(block, 25);
    let mut drawn = 0;
    for second in 0..=60 {
        drawn += draw_at(&db, at + Duration::from_secs(second), &project(100)).await[0].units;
    }
    let all = bucket.most + 60.0 * bucket.per_second;
    assert!((f64::from(drawn + block) - all).abs() < 1.0, "{drawn} and {block} of {all}");
}

#[sqlx::test(migrator = "shared::store::schema::MIGRATOR")]
async fn a_block_is_not_spent_after_its_time_nor_twice(db: PgPool) {
    let limits = Limits { per_minute: 1_000, user_per_minute: 1_000, per_day: 1_000, kept: 0 };
    let (mut blocks, now) = (Blocks::new(limits), Instant::now());
    blocks.wait(call(7, 2));
    blocks.wait(call(7, 2));
    let asks = blocks.asks(now);
    assert_eq!(asks.iter().map(|ask| (ask.account, ask.need)).collect::<Vec<_>>(), [(None, 4), (Some(7), 4)]);
    for drawn in &draw_at(&db, Duration::ZERO, &asks).await {
        blocks.take(&asks[0], drawn, now, now);
    }
    assert_eq!(blocks.spend(call(7, 2), now + LIFE.saturating_sub(Duration::from_millis(1))), Spend::Spent);
    assert_eq!(blocks.spend(call(7, 3), now), Spend::Draw, "two units are left");
    assert_eq!(blocks.spend(call(8, 1), now), Spend::Draw, "of another account there are none");
    assert_eq!(blocks.spend(call(7, 2), now + LIFE), Spend::Draw, "too late");
    assert_eq!(blocks.spend(call(7, 2), now), Spend::Spent);
    assert_eq!(blocks.spend(call(7, 1), now), Spend::Draw);
}

#[sqlx::test(migrator = "shared::store::schema::MIGRATOR")]
async fn a_days_limit_holds_until_midnight_in_california(db: PgPool) {
    let project = [ask(None, 8, 1_000, Some(10))];
    // 1,780,000,000 is 20:26:40 UTC on May 28, 2026: 13:26:40 in California.
    let first = draw_at(&db, Duration::ZERO, &project).await[0];
    assert_eq!(first.units, 8);
    let unspent = Some(Unspent { units: 1, drawn: first.at });
    let drawn = draw_at(&db, Duration::from_mins(1), &[Ask { unspent, ..project[0] }]).await[0];
    assert_eq!(drawn.units, 3, "what is left of the day, with what was drawn and not spent");
    let drawn = draw_at(&db, Duration::from_mins(2), &project).await[0];
    let midnight = TimeDelta::seconds(10 * 3_600 + 33 * 60 + 20 - 120).to_std().unwrap();
    assert_eq!((drawn.units, drawn.again.full), (0, midnight));
    assert_eq!(drawn.again.soon, midnight + Duration::from_millis(1));
    // What was left yesterday does not lower what is counted today.
    let tomorrow = Duration::from_mins(2) + midnight;
    assert_eq!(draw_at(&db, tomorrow, &project).await[0].units, 8);
    let unspent = Some(Unspent { units: 2, drawn: drawn.at });
    let late = draw_at(&db, tomorrow + Duration::from_mins(1), &[Ask { unspent, ..project[0] }]).await[0];
    assert_eq!(late.units, 2, "eight of ten are used");
}

#[sqlx::test(migrator = "shared::store::schema::MIGRATOR")]
async fn near_the_end_those_who_do_not_wait_get_little(db: PgPool) {
    let greedy = [Ask { need: 1, want: 1_000, ..ask(None, 1, 800, None) }];
    let mut blocks = Vec::new();
    for _ in 0..100 {
        blocks.push(draw_at(&db, Duration::ZERO, &greedy).await[0].units);
    }
    assert_eq!(blocks[..4], [10, 7, 5, 4]);
    assert_eq!(blocks.iter().sum::<u32>(), 40, "all of it can be drawn");
    // Nothing is given that is too little for a call.
    let dear = [Ask { smallest: 5, ..ask(None, 10, 800, None) }];
    let drawn = draw_at(&db, Duration::from_millis(300), &dear).await[0];
    assert_eq!(drawn.units, 0);
    assert!(drawn.again.soon > Duration::ZERO && drawn.again.soon < drawn.again.full, "{drawn:?}");
    assert_eq!(draw_at(&db, Duration::from_millis(300) + drawn.again.soon, &dear).await[0].units, 5);
}

#[sqlx::test(migrator = "shared::store::schema::MIGRATOR")]
async fn a_clock_that_goes_back_gives_nothing_and_is_not_waited_for_longer_than_a_minute(db: PgPool) {
    let project = [ask(None, 50, 1_000, None)];
    let hour = Duration::from_hours(1);
    assert_eq!(draw_at(&db, hour, &project).await[0].units, 50);
    assert_eq!(draw_at(&db, Duration::ZERO, &project).await[0].units, 0);
    assert_eq!(draw_at(&db, Duration::from_secs(30), &project).await[0].units, 0);
    assert_eq!(draw_at(&db, Duration::from_secs(70), &project).await[0].units, 50);
}

#[sqlx::test(migrator = "shared::store::schema::MIGRATOR")]
async fn draws_at_the_same_moment_share_one_bucket(db: PgPool) {
    let bucket = bucket(400, None, 0);
    let began = Instant::now();
    let worker = |n: i64| {
        let db = db.clone();
        async move {
            let mut drawn = 0;
            for round in 0..30 {
                // Each names the accounts in its own order.
                let mut asks = vec![ask(Some((n + round) % 3 + 1), 1, 400, None), ask(None, 1, 400, None)];
                asks.push(ask(Some((n + round + 1) % 3 + 1), 1, 400, None));
                let mut conn = db.acquire().await.unwrap();
                let blocks = quotas::draw(&mut conn, API, PROJECT, &asks).await.unwrap();
                assert_eq!(blocks.len(), 3);
                drawn += blocks.iter().find(|block| block.account.is_none()).unwrap().units;
            }
            drawn
        }
    };
    let drawn: u32 = join_all((0..8).map(worker)).await.into_iter().sum();
    let most = bucket.most + bucket.per_second * began.elapsed().as_secs_f64();
    assert!(f64::from(drawn) >= bucket.most && f64::from(drawn) <= most, "{drawn} of {most}");
}

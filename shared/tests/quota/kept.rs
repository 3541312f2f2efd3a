//! The share that is kept for push-driven work.

use std::time::{Duration, Instant};

use shared::{
    config::google::Limits,
    google::quota::{Blocks, Call, Spend, bucket},
    store::{
        PgPool,
        quotas::{Ask, Bucket},
    },
};

use crate::{
    MINUTE, TICK,
    fleet::{Fleet, ask, call, draw_at, most},
};

fn others(bucket: Bucket, need: u32) -> Ask {
    Ask { bucket, ..ask(None, need, 0, None) }
}

fn urgent(bucket: Bucket, need: u32) -> Ask {
    Ask { urgent: need, smallest_urgent: 1, ..others(bucket, need) }
}

async fn units_at(db: &PgPool, at: Duration, ask: Ask) -> u32 {
    draw_at(db, at, &[ask]).await[0].units
}

#[sqlx::test(migrator = "shared::store::schema::MIGRATOR")]
async fn polls_leave_the_kept_share_alone_and_pushes_use_all(db: PgPool) {
    // A full one holds 60 units, 12 of them kept.
    let bucket = bucket(1_200, None, 20);
    let start = Duration::from_secs(10);
    assert_eq!(units_at(&db, start, others(bucket, 1_000)).await, 48);
    let drawn = draw_at(&db, start, &[others(bucket, 1)]).await[0];
    assert_eq!(drawn.units, 0);
    let soon = 1.0 / bucket.per_second;
    assert!((drawn.again.soon.as_secs_f64() - soon).abs() < 0.01, "{drawn:?}");
    assert!(drawn.urgent_again.soon < Duration::from_millis(2), "{drawn:?}");
    assert_eq!(units_at(&db, start, urgent(bucket, 5)).await, 5);
    assert_eq!(units_at(&db, start, urgent(bucket, 20)).await, 7);
    assert_eq!(units_at(&db, start, urgent(bucket, 1)).await, 0);
    // Below the share, what comes in is for pushes alone.
    let later = start + Duration::from_millis(600);
    assert_eq!(units_at(&db, later, others(bucket, 1)).await, 0);
    assert_eq!(units_at(&db, later, urgent(bucket, 100)).await, 10);
    // One draw for both: what nobody waits for gets nothing of the share.
    let full = start + MINUTE;
    let both = |pushes| Ask { need: 100, want: 100, ..urgent(bucket, pushes) };
    assert_eq!(units_at(&db, full, both(2)).await, 48);
    assert_eq!(units_at(&db, full, both(3)).await, 3);
}

#[sqlx::test(migrator = "shared::store::schema::MIGRATOR")]
async fn a_share_of_the_day_is_kept_too(db: PgPool) {
    let bucket = bucket(1_000, Some(10), 20);
    assert_eq!(units_at(&db, Duration::ZERO, others(bucket, 100)).await, 8);
    let drawn = draw_at(&db, Duration::ZERO, &[others(bucket, 1)]).await[0];
    assert_eq!(drawn.units, 0);
    assert!(drawn.again.soon > Duration::from_hours(10), "at midnight: {drawn:?}");
    assert!(drawn.urgent_again.soon < Duration::from_secs(1), "{drawn:?}");
    assert_eq!(units_at(&db, Duration::ZERO, urgent(bucket, 100)).await, 2);
    let drawn = draw_at(&db, Duration::ZERO, &[urgent(bucket, 1)]).await[0];
    assert!(drawn.units == 0 && drawn.urgent_again.soon > Duration::from_hours(10), "{drawn:?}");
}

#[sqlx::test(migrator = "shared::store::schema::MIGRATOR")]
async fn a_bucket_as_small_as_one_call_keeps_nothing(db: PgPool) {
    assert_eq!(units_at(&db, Duration::ZERO, others(bucket(10, None, 90), 5)).await, 1);
    // A download of Drive, where a full bucket holds just one.
    let download = Ask { smallest: 200, ..others(bucket(4_000, None, 20), 200) };
    assert_eq!(units_at(&db, Duration::from_hours(1), download).await, 200);
}

#[sqlx::test(migrator = "shared::store::schema::MIGRATOR")]
async fn nobody_overtakes_an_urgent_call_that_needs_more_than_there_is(db: PgPool) {
    let bucket = bucket(4_000, None, 20);
    assert_eq!(units_at(&db, Duration::ZERO, others(bucket, 100)).await, 100);
    // A list that is urgent costs 150; reads that would cost 5 wait, too.
    let both = Ask { smallest: 5, need: 200, urgent: 150, smallest_urgent: 150, ..others(bucket, 200) };
    let drawn = draw_at(&db, Duration::ZERO, &[both]).await[0];
    assert_eq!(drawn.units, 0);
    let after = drawn.urgent_again.soon;
    assert!(after > Duration::ZERO && after < drawn.urgent_again.full, "{drawn:?}");
    assert_eq!(units_at(&db, after, both).await, 150);
}

#[sqlx::test(migrator = "shared::store::schema::MIGRATOR")]
async fn what_was_drawn_for_a_push_no_poll_spends(db: PgPool) {
    let limits = Limits { per_minute: 1_000, user_per_minute: 1_000, per_day: 1_000, kept: 20 };
    let (mut blocks, now) = (Blocks::new(limits), Instant::now());
    let push = Call { urgent: true, ..call(7, 3) };
    blocks.wait(push);
    blocks.wait(call(7, 2));
    let asks = blocks.asks(now);
    assert_eq!(asks.iter().map(|ask| (ask.need, ask.urgent)).collect::<Vec<_>>(), [(5, 3), (5, 3)]);
    for drawn in &draw_at(&db, Duration::ZERO, &asks).await {
        blocks.take(&asks[0], drawn, now, now);
    }
    assert_eq!(blocks.spend(call(7, 2), now), Spend::Spent);
    blocks.waited(call(7, 2));
    assert_eq!(blocks.spend(call(7, 1), now), Spend::Draw, "three are left, for the push");
    assert_eq!(blocks.spend(push, now), Spend::Spent);
    assert_eq!(blocks.spend(Call { urgent: true, ..call(7, 1) }, now), Spend::Draw);
    // What the push has left alone, because it waits no more, is given up for those that do.
    blocks.waited(push);
    blocks.wait(call(7, 1));
    assert_eq!(blocks.asks(now).len(), 2);
}

/// Three workers poll as much as they may. Now and then one of them is told of a change: its call finds units at its first
/// draw, and no minute sees more than the limit.
#[sqlx::test(migrator = "shared::store::schema::MIGRATOR")]
async fn case_69_a_push_finds_units_at_once_while_polls_use_up_the_rest(db: PgPool) {
    let limits = Limits { per_minute: 1_200, user_per_minute: 100_000, per_day: 1_000_000, kept: 20 };
    let mut fleet = Fleet::new(db, limits, 3, &[1, 2, 3]);
    let (mut at, mut turn, mut pushed) = (Duration::ZERO, 0, 0);
    while at < 2 * MINUTE {
        for worker in 0..fleet.workers.len() {
            fleet.act(worker, at, Duration::ZERO).await;
        }
        // Twice a second, each time in another process.
        if turn % 2 == 0 {
            let worker = turn / 2 % fleet.workers.len();
            assert!(fleet.push(worker, at, 9).await, "a push found no units at {at:?}");
            pushed += 1;
        }
        turn += 1;
        at += TICK;
    }
    assert!(pushed >= 200, "{pushed}");
    let polls = fleet.of_project().len() - pushed;
    assert!(polls > 1_500, "{polls} polls in {at:?}");
    assert!(most(fleet.of_project()) <= 1_200);
}

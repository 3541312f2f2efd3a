//! Calls of one process.

use std::time::{Duration, Instant};

use futures_util::future::join_all;
use shared::{
    config::google::Limits,
    google::quota::{Budget, QuotaError},
    store::PgPool,
};

use crate::{API, PROJECT, fleet::call};

/// Counts the statements that write the table.
async fn count_draws(db: &PgPool) {
    sqlx::raw_sql(
        "create table draws (n bigint not null); insert into draws values (0);
        create function count_draw() returns trigger language plpgsql as
            $$ begin update draws set n = n + 1; return null; end $$;
        create trigger draws after update on quotas for each statement execute function count_draw()",
    )
    .execute(db)
    .await
    .unwrap();
}

#[sqlx::test(migrator = "shared::store::schema::MIGRATOR")]
async fn many_calls_of_many_accounts_are_few_draws(db: PgPool) {
    count_draws(&db).await;
    let limits = Limits { per_minute: 1_000_000, user_per_minute: 1_000_000, per_day: 1_000_000, kept: 0 };
    let budget = Budget::new(API, PROJECT, limits);
    let began = Instant::now();
    // Sixty accounts, ten calls each, one after another.
    join_all((1..=60).map(async |account| {
        for _ in 0..10 {
            budget.spend(&db, call(account, 1)).await.unwrap();
        }
    }))
    .await;
    let draws: i64 = sqlx::query_scalar("select n from draws").fetch_one(&db).await.unwrap();
    let most = 3.0 + began.elapsed().as_secs_f64() * 10.0;
    assert!(f64::from(i32::try_from(draws).unwrap()) <= most, "{draws} draws, {most} allowed");
    assert!(draws <= 60, "{draws} draws for 600 calls");
    let today: Vec<i64> =
        sqlx::query_scalar("select today from quotas order by account_id").fetch_all(&db).await.unwrap();
    assert_eq!(today.len(), 61);
    assert!(today.iter().all(|today| *today >= 10) && today[0] >= 600, "{today:?}");
}

#[sqlx::test(migrator = "shared::store::schema::MIGRATOR")]
async fn an_account_without_units_holds_up_no_other(db: PgPool) {
    let limits = Limits { per_minute: 100_000, user_per_minute: 60, per_day: 1_000_000, kept: 0 };
    let budget = Budget::new(API, PROJECT, limits);
    let busy = async {
        let calls = join_all((0..40).map(|_| budget.spend(&db, call(1, 1)))).await;
        calls.into_iter().filter_map(Result::err).collect::<Vec<_>>()
    };
    let other = async {
        let began = Instant::now();
        for _ in 0..3 {
            budget.spend(&db, call(2, 1)).await.unwrap();
        }
        began.elapsed()
    };
    let (refused, waited) = tokio::join!(busy, other);
    assert!(refused.len() >= 30, "{}", refused.len());
    for error in refused {
        let QuotaError::Spent { account: Some(1), after, .. } = error else { panic!("{error:?}") };
        assert!(after > Duration::ZERO && after < Duration::from_secs(10), "{after:?}");
    }
    assert!(waited < Duration::from_secs(1), "the other waited {waited:?}");
}

//! Workers that draw and spend, in simulated time.

use std::{
    collections::BTreeMap,
    time::{Duration, Instant},
};

use chrono::{DateTime, Utc};
use shared::{
    config::google::Limits,
    google::quota::{Blocks, Call, Spend, bucket},
    job::AccountId,
    store::{
        PgPool, Tx,
        quotas::{self, Ask, Drawn},
    },
};

use crate::{API, MINUTE, PROJECT};

/// A fleet that has always more to do than it may.
pub struct Fleet {
    db: PgPool,
    pub workers: Vec<Worker>,
    /// When calls reached Google, by account.
    pub calls: BTreeMap<AccountId, Vec<Duration>>,
}

/// A worker process, whose clock began somewhere.
pub struct Worker {
    blocks: Blocks,
    began: Instant,
}

impl Fleet {
    pub fn new(db: PgPool, limits: Limits, workers: u64, accounts: &[AccountId]) -> Self {
        let worker = |n| {
            let mut blocks = Blocks::new(limits);
            for account in accounts {
                for _ in 0..20 {
                    blocks.wait(call(*account, 1));
                }
            }
            Worker { blocks, began: Instant::now() + Duration::from_secs(100_000 * n) }
        };
        let calls = accounts.iter().map(|account| (*account, Vec::new())).collect();
        Self { db, workers: (0..workers).map(worker).collect(), calls }
    }

    /// A worker draws what it needs and spends all of it. Each call reaches Google after `delay`.
    pub async fn act(&mut self, worker: usize, at: Duration, delay: Duration) {
        let Worker { blocks, began } = &mut self.workers[worker];
        let now = *began + at;
        let asks = blocks.asks(now);
        let drawn = draw_at(&self.db, at, &asks).await;
        for drawn in &drawn {
            let ask = asks.iter().find(|ask| ask.account == drawn.account).unwrap();
            blocks.take(ask, drawn, now, now);
        }
        let mut left: Vec<AccountId> = self.calls.keys().copied().collect();
        // Another one is the first each time.
        left.rotate_left(usize::try_from(at.as_secs()).unwrap() % self.calls.len());
        while !left.is_empty() {
            left.retain(|account| {
                let spent = blocks.spend(call(*account, 1), now) == Spend::Spent;
                if spent {
                    self.calls.get_mut(account).unwrap().push(at + delay);
                }
                spent
            });
        }
    }

    /// A worker is told of a change, and draws for the call. Says whether there were units at once.
    pub async fn push(&mut self, worker: usize, at: Duration, account: AccountId) -> bool {
        let Worker { blocks, began } = &mut self.workers[worker];
        let (now, call) = (*began + at, Call { urgent: true, ..call(account, 1) });
        if blocks.spend(call, now) == Spend::Draw {
            blocks.wait(call);
            let asks = blocks.asks(now);
            for drawn in &draw_at(&self.db, at, &asks).await {
                let ask = asks.iter().find(|ask| ask.account == drawn.account).unwrap();
                blocks.take(ask, drawn, now, now);
            }
            let spent = blocks.spend(call, now) == Spend::Spent;
            blocks.waited(call);
            if !spent {
                return false;
            }
        }
        self.calls.entry(account).or_default().push(at);
        true
    }

    pub fn of_project(&self) -> Vec<Duration> {
        self.calls.values().flatten().copied().collect()
    }
}

/// The database's clock when the simulation shows `at`.
pub fn clock(at: Duration) -> DateTime<Utc> {
    DateTime::from_timestamp(1_780_000_000, 0).unwrap() + at
}

/// A transaction whose clock shows `at`.
pub async fn shifted(db: &PgPool, at: Duration) -> Tx {
    let mut tx = db.begin().await.unwrap();
    sqlx::query("select set_config('syncfleet.clock_shift', ($1 - now())::text, true)")
        .bind(clock(at))
        .execute(&mut *tx)
        .await
        .unwrap();
    tx
}

pub async fn draw_at(db: &PgPool, at: Duration, asks: &[Ask]) -> Vec<Drawn> {
    let mut tx = shifted(db, at).await;
    let drawn = quotas::draw(&mut tx, API, PROJECT, asks).await.unwrap();
    tx.commit().await.unwrap();
    drawn
}

/// The most calls in any minute.
pub fn most(mut calls: Vec<Duration>) -> usize {
    calls.sort();
    let within = |(n, first): (usize, &Duration)| calls[n..].partition_point(|call| *call < *first + MINUTE);
    calls.iter().enumerate().map(within).max().unwrap_or(0)
}

pub fn ask(account: Option<AccountId>, need: u32, per_minute: u32, per_day: Option<u32>) -> Ask {
    let bucket = bucket(per_minute, per_day, 0);
    Ask { account, smallest: 1, need, want: need, urgent: 0, smallest_urgent: 0, unspent: None, bucket }
}

pub fn call(account: AccountId, cost: u32) -> Call {
    Call { account, cost, urgent: false }
}

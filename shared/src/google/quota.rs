//! The budget of calls: below Google's limits by our own count, however many workers there are.
//!
//! Google counts in a sliding minute, per project, and per user and project:
//! <https://developers.google.com/workspace/calendar/api/guides/quota>. A row in `quotas` stands for each of them, a bucket of
//! units that fills by itself. Workers draw *blocks* from it and spend them in memory, call by call.
//!
//! # Why no minute sees more than the limit L
//!
//! 1. A bucket holds B = L/20 units at the most and fills by r units a second, so what is drawn in any time T is no more than
//!    B + r T, whoever draws: a draw is one statement that holds the row's lock, and a bucket's time never goes back.
//! 2. A block is spent within [`LIFE`] of the moment when it was *asked for*, by the worker's steady clock. That moment lies
//!    before the draw, so what reaches Google in a minute was drawn in that minute or at most `LIFE` + [`WAY`] before it began;
//!    `WAY` is how long a call may be on its way, a new connection included.
//! 3. So a minute sees no more than B + r (60 s + `LIFE` + `WAY`), and r is chosen so that this is L.
//!
//! No wall clock of a worker takes part, and the server's only by its steps: one that jumps ahead, or a failover that forgets the
//! last draws, fills the bucket once too often. A fleet can use five sixths of the limit for long; the rest is the price of the
//! burst B and of not asking for each call. A call that Google did not even see is counted, too.
//!
//! What is told below only takes away from it. A share that is kept refuses draws, and a rate in use is a share of r, never more,
//! while B stays what it is: a fill that is slower than r is within the proof.
//!
//! # Push-driven work comes first
//!
//! A share of every bucket, and of the project's day, is kept for the lane interactive ([`Limits::kept`]). A draw for anybody else
//! takes only what lies above it, so that a push finds units at once, however much is polled; and while the bucket is below
//! the share, all that comes in is for push-driven work alone. When nothing is pushed, the others have the whole rate: a kept
//! share costs no call of a minute, only those of the day.
//!
//! - *A worker has drawn for a push, and a poll would spend it.* What urgent calls waited for is set apart in the block.
//! - *A poll finds nothing, and closes the gate.* Its gate has the reason `share`, which the lane interactive passes; and no job is
//!   parked behind it, because a want does not wake a parked one.
//! - *An urgent call needs more than there is* while cheaper ones would do with it: who draws for both gets nothing yet.
//! - *A bucket so small that one call takes all of it* keeps nothing: else that call would never be made.
//!
//! # When Google refuses all the same
//!
//! Its limits may be lower than configured, or others may use them: another program of the project, a user's own scripts. After a
//! refusal for the rate (429, 403 `rateLimitExceeded`) the rate in use is halved in the row, of the account or of the project, as the
//! refusal says, and grows back by a twentieth of the limit each minute. It never falls below [`LEAST`] of it. This is beside the
//! gate, which closes for half a minute or a minute: what comes after it is slower.
//!
//! - *One burst is refused many times, in all processes.* The rate is halved once in [`SETTLE`], by a guarded statement: what was sent
//!   before a halving says nothing of the rate after it, and has been answered by then.
//! - *Two halve at the same moment.* The second waits for the row, looks at it again, and finds it done.
//! - *The halving is lost* (the database is away): the next refusal halves.
//! - *Blocks drawn before* are spent at the old pace, for [`LIFE`] at the most.
//! - *The server's clock jumps back by more than [`SETTLE`]*: one halving may come too early; growth begins from where it stood.
//!
//! # What else it wants
//!
//! - *A worker that dies costs its block*: about what it would have needed in a second. The bucket fills on. What a living one
//!   does not spend is lost to the bucket, too, but not to the day: it is reported with the next draw, and taken off where it was
//!   counted, in its span and on its day.
//! - *No hot row*: a process draws for all its waiting calls by one statement, `SPACING` apart, whatever the number of calls
//!   and accounts. A block is what waits now and what the last second took; where little is left, what does not wait gets
//!   a quarter of it at the most.
//! - *An account without units holds up nobody else*: nobody waits for a bucket to fill while holding the right to draw.
//! - *A bucket that is empty* is waited for up to `PATIENCE` within the step; then the step ends, and the gate of the
//!   account, or of all that call the API, is closed until the bucket is full again. Meanwhile nothing is lost.
//! - *A draw whose answer was lost* costs that block.

mod blocks;
mod projects;

use std::{
    sync::{Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant},
};

use metrics::{Unit, counter, describe_counter, describe_gauge, describe_histogram, gauge, histogram};
use sqlx::PgPool;

pub use self::{
    blocks::{Blocks, Call, Dry, Spend},
    projects::Projects,
};
use crate::{
    config::google::Limits,
    job::AccountId,
    store::{
        limited,
        quotas::{self, Bucket},
    },
};

/// How long a block may be spent, from when it was asked for.
pub const LIFE: Duration = Duration::from_secs(3);

/// How long a call may take to reach Google: as long as a connection may take to come about.
pub const WAY: Duration = super::transport::CONNECT_LIMIT;

/// The least time between two draws of one process.
const SPACING: Duration = Duration::from_millis(100);

/// How long a step waits in place for units.
const PATIENCE: Duration = Duration::from_secs(1);

/// What Google counts in.
const WINDOW: Duration = Duration::from_mins(1);

/// A full bucket is this part of the limit.
const BURST: u32 = 20;

/// The rate in use is never less than this share of the configured one.
pub const LEAST: f64 = 1.0 / 16.0;

/// Between two halvings of a rate, at the least: a block's life and the longest wait for an answer fit into it.
pub const SETTLE: Duration = Duration::from_secs(20);

/// Why a call is not made.
#[derive(Debug, thiserror::Error)]
pub enum QuotaError {
    /// There are no units for it.
    #[error("the {}budget of {api} calls is used up{}", whose(.account.is_some()), left(*.urgent))]
    Spent {
        /// The API.
        api: &'static str,
        /// Whose budget; none: the project's.
        account: Option<AccountId>,
        /// Whether it may have used all of it.
        urgent: bool,
        /// When it is worth coming again.
        after: Duration,
    },
    /// The project of a service account has no units for it.
    #[error("the budget of {api} calls of the service account's project {project} is used up{}", left(*.urgent))]
    ProjectSpent {
        /// The API.
        api: &'static str,
        /// The project's id.
        project: String,
        /// Whether it may have used all of it.
        urgent: bool,
        /// When it is worth coming again.
        after: Duration,
    },
    /// The database did not answer.
    #[error("cannot draw from the budget of calls")]
    Database(#[from] sqlx::Error),
}

fn whose(is_account: bool) -> &'static str {
    if is_account { "account's " } else { "project's " }
}

fn left(urgent: bool) -> &'static str {
    if urgent { "" } else { ", but for what is kept for pushes" }
}

/// One process's share in the budget of one API.
#[derive(Debug)]
pub struct Budget {
    api: &'static str,
    project: String,
    blocks: Mutex<Blocks>,
    /// The right to draw, with the moment of the last draw.
    draw: tokio::sync::Mutex<Option<Instant>>,
}

impl Budget {
    /// A budget without a block.
    #[must_use]
    pub fn new(api: &'static str, project: &str, limits: Limits) -> Self {
        describe_metrics(api, limits);
        Self {
            api,
            project: project.to_owned(),
            blocks: Mutex::new(Blocks::new(limits)),
            draw: tokio::sync::Mutex::default(),
        }
    }

    /// Spends what a call costs. The call must follow at once.
    pub async fn spend(&self, db: &PgPool, call: Call) -> Result<(), QuotaError> {
        let began = Instant::now();
        let mut spend = self.blocks().spend(call, began);
        if spend != Spend::Spent {
            let _waiting = Waiting::new(self, call);
            spend = self.wait(db, call, began + PATIENCE).await?;
            histogram!("syncfleet_quota_wait_seconds", "api" => self.api).record(began.elapsed());
        }
        if let Spend::Dry(dry) = spend {
            counter!("syncfleet_quota_refusals_total", "api" => self.api, "scope" => scope(dry.account))
                .increment(1);
            let after = dry.full.saturating_duration_since(Instant::now());
            return Err(QuotaError::Spent {
                api: self.api,
                account: dry.account,
                urgent: call.urgent,
                after,
            });
        }
        counter!("syncfleet_quota_units_total", "api" => self.api).increment(call.cost.into());
        Ok(())
    }

    /// Waits for units, and draws them, for as long as it is worth it.
    async fn wait(&self, db: &PgPool, call: Call, until: Instant) -> Result<Spend, QuotaError> {
        loop {
            // Whoever comes to draw draws for all that wait, so most find their units here.
            let mut last = self.draw.lock().await;
            let now = Instant::now();
            let spend = self.blocks().spend(call, now);
            match spend {
                Spend::Draw => {}
                Spend::Dry(dry) if dry.soon <= until => {
                    drop(last);
                    tokio::time::sleep_until(dry.soon.into()).await;
                    continue;
                }
                Spend::Spent | Spend::Dry(_) => return Ok(spend),
            }
            if let Some(last) = *last {
                tokio::time::sleep_until((last + SPACING).into()).await;
            }
            *last = Some(Instant::now());
            self.draw(db).await?;
        }
    }

    /// Draws for all calls that wait.
    async fn draw(&self, db: &PgPool) -> Result<(), QuotaError> {
        let asked = Instant::now();
        let asks = self.blocks().asks(asked);
        let draw = async {
            let mut connection = db.acquire().await?;
            quotas::draw(&mut connection, self.api, &self.project, &asks).await
        };
        // A block that comes later is of no use any more.
        let drawn = limited(LIFE, draw).await?;
        counter!("syncfleet_quota_draws_total", "api" => self.api).increment(1);
        let now = Instant::now();
        let mut blocks = self.blocks();
        for drawn in &drawn {
            if let Some(ask) = asks.iter().find(|ask| ask.account == drawn.account) {
                blocks.take(ask, drawn, asked, now);
            }
        }
        gauge!("syncfleet_quota_units_in_hand", "api" => self.api).set(blocks.in_hand(now));
        Ok(())
    }

    /// Halves the rate in use, of an account or of the project, after Google refused a call for its rate.
    pub async fn slow(&self, db: &PgPool, account: Option<AccountId>) {
        let slow = async {
            let mut connection = db.acquire().await?;
            quotas::slow(&mut connection, self.api, &self.project, account, LEAST, SETTLE).await
        };
        match limited(LIFE, slow).await {
            Ok(None) => {}
            Ok(Some(rate)) => {
                counter!("syncfleet_quota_slowdowns_total", "api" => self.api, "scope" => scope(account))
                    .increment(1);
                let percent = (rate * 100.0).round();
                tracing::info!(
                    api = self.api,
                    account,
                    percent,
                    "Google refuses calls: fewer are made a minute"
                );
            }
            // The refusal itself is logged by whoever made the call; the next one tries again.
            Err(error) => tracing::debug!("cannot lower the rate of calls: {error}"),
        }
    }

    fn blocks(&self) -> MutexGuard<'_, Blocks> {
        // Nothing panics halfway through a change.
        self.blocks.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn scope(account: Option<AccountId>) -> &'static str {
    if account.is_some() { "account" } else { "project" }
}

/// The bucket that keeps a limit: see above. No call may cost more than a full one. `kept`: the percent that urgent calls alone
/// may use.
#[must_use]
pub fn bucket(per_minute: u32, per_day: Option<u32>, kept: u32) -> Bucket {
    let most = f64::from((per_minute / BURST).max(1));
    let per_second = (f64::from(per_minute) - most) / (WINDOW + LIFE + WAY).as_secs_f64();
    Bucket { per_minute, per_day, most, per_second, kept: f64::from(kept) / 100.0 }
}

/// A call that waits; dropped when it does not any more, for whatever reason.
struct Waiting<'a> {
    budget: &'a Budget,
    call: Call,
}

impl<'a> Waiting<'a> {
    fn new(budget: &'a Budget, call: Call) -> Self {
        budget.blocks().wait(call);
        Self { budget, call }
    }
}

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        self.budget.blocks().waited(self.call);
    }
}

fn describe_metrics(api: &'static str, limits: Limits) {
    describe_gauge!("syncfleet_quota_limit_units", "The provider's limits, as configured");
    describe_gauge!(
        "syncfleet_quota_units_in_hand",
        "Units of the project that this process last had to spend"
    );
    describe_counter!("syncfleet_quota_units_total", "Units spent on calls");
    describe_counter!("syncfleet_quota_draws_total", "Statements that drew blocks of units");
    describe_counter!("syncfleet_quota_refusals_total", "Calls that were not made for want of units");
    describe_counter!(
        "syncfleet_quota_slowdowns_total",
        "How often the rate of calls was halved because the provider refused some"
    );
    describe_histogram!(
        "syncfleet_quota_wait_seconds",
        Unit::Seconds,
        "From a call's wish to spend to its units, or to none, if it had to wait"
    );
    let limit = |scope, per, units: u32| {
        gauge!("syncfleet_quota_limit_units", "api" => api, "scope" => scope, "per" => per).set(units);
    };
    limit("project", "minute", limits.per_minute);
    limit("project", "day", limits.per_day);
    limit("account", "minute", limits.user_per_minute);
    gauge!("syncfleet_quota_units_in_hand", "api" => api).set(0);
    counter!("syncfleet_quota_units_total", "api" => api).absolute(0);
    counter!("syncfleet_quota_draws_total", "api" => api).absolute(0);
    for scope in ["project", "account"] {
        counter!("syncfleet_quota_refusals_total", "api" => api, "scope" => scope).absolute(0);
        counter!("syncfleet_quota_slowdowns_total", "api" => api, "scope" => scope).absolute(0);
    }
}

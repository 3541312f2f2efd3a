//! The bell: ids of jobs that are due, on their way to a worker with a free slot. Only a doorbell, never the truth: it may
//! lose, repeat or refuse ids at any moment, and `PostgreSQL` makes up for it.
//!
//! # Properties, and the races
//!
//! - *An id is lost* (FLUSHALL, a crash between taking and claiming): the row is still due, and the dispatcher rings it again
//!   when five seconds have passed without a claim.
//! - *An id is rung twice*: the second claim finds the row running or not due, and leaves it.
//! - *The bell is away*: [`Away`] is said after a second, and from then on at once: a bell that swallows calls must not hold
//!   up those who can do without it. One call every [`PAUSE`] tries again; meanwhile workers ask `PostgreSQL` themselves, and
//!   all come back when that call succeeds.
//! - *A late answer*: a call that began before the bell went or came back says nothing about it any more.
//! - *The bell is full*: what does not fit is dropped, and rung again later.

mod memory;
mod offers;
mod redis;

use std::{
    sync::{Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant},
};

use metrics::{counter, describe_counter, describe_gauge, gauge};
use secrecy::SecretString;

use self::{memory::Memory, offers::Offers, redis::Redis};
use crate::job::{JobId, Lane, TenantId};

/// The most ids that wait in a lane. Beyond it ids are dropped.
pub const BOUND: usize = 20_000;

/// How long a bell that is away is left alone before it is tried again.
pub const PAUSE: Duration = Duration::from_secs(3);

/// A job that is due now, as far as its ringer knows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Ring {
    /// The job.
    pub job: JobId,
    /// Its tenant.
    pub tenant: TenantId,
    /// Its lane.
    pub lane: Lane,
}

/// The bell did not answer.
#[derive(Debug, thiserror::Error)]
#[error("the bell is away: {0}")]
pub struct Away(String);

/// One bell for all lanes.
#[derive(Debug)]
pub struct Bell {
    means: Means,
    offers: Offers,
    heard: Mutex<Heard>,
}

/// What the last calls have shown.
#[derive(Debug, Default)]
struct Heard {
    away: bool,
    /// When that changed last.
    since: Option<Instant>,
    /// When the bell may be tried again, while it is away.
    again: Option<Instant>,
}

#[derive(Debug)]
enum Means {
    /// Always away.
    None,
    Memory(Box<Memory>),
    Redis(Box<Redis>),
}

impl Bell {
    /// A bell within the process.
    #[must_use]
    pub fn in_memory() -> Self {
        Self::new(Means::Memory(Box::default()))
    }

    /// A bell that processes share: lists in Redis, version 7.0 or later. Connects when it is first used.
    pub fn in_redis(url: &SecretString) -> anyhow::Result<Self> {
        Ok(Self::new(Means::Redis(Box::new(Redis::new(url)?))))
    }

    /// No bell at all: always away, so that workers ask `PostgreSQL` for what is due.
    #[must_use]
    pub fn none() -> Self {
        let bell = Self::new(Means::None);
        bell.lock().away = true;
        gauge!("syncfleet_bell_up").set(0.0);
        bell
    }

    fn new(means: Means) -> Self {
        describe_gauge!("syncfleet_bell_up", "Whether the bell answers this process");
        describe_counter!("syncfleet_bell_errors_total", "Calls that the bell did not answer");
        gauge!("syncfleet_bell_up").set(1.0);
        for operation in ["ring", "take", "len"] {
            counter!("syncfleet_bell_errors_total", "operation" => operation).absolute(0);
        }
        Self { means, offers: Offers::default(), heard: Mutex::default() }
    }

    /// Whether the last call failed.
    #[must_use]
    pub fn is_away(&self) -> bool {
        self.lock().away
    }

    /// Rings ids in a lane, and says how many wait there now.
    pub async fn ring(&self, lane: Lane, jobs: &[JobId]) -> Result<usize, Away> {
        if jobs.is_empty() {
            return self.len(lane).await;
        }
        let began = self.may_call(Instant::now())?;
        let length = match &self.means {
            Means::None => return Err(no_bell()),
            Means::Memory(memory) => Ok(memory.ring(lane, jobs)),
            Means::Redis(redis) => redis.ring(lane, jobs).await,
        };
        self.heard("ring", began, length)
    }

    /// Takes at most `most` ids of a lane; waits for the first one, at most `wait`.
    pub async fn take(&self, lane: Lane, most: usize, wait: Duration) -> Result<Vec<JobId>, Away> {
        if self.is_away() {
            // A question that is answered at once: waiting for ids would hold up the lane for longer.
            self.len(lane).await?;
        }
        let began = Instant::now();
        let jobs = match &self.means {
            Means::None => return Err(no_bell()),
            Means::Memory(memory) => Ok(memory.take(lane, most, wait).await),
            Means::Redis(redis) => redis.take(lane, most, wait).await,
        };
        self.heard("take", began, jobs)
    }

    /// How many ids wait in a lane.
    pub async fn len(&self, lane: Lane) -> Result<usize, Away> {
        let began = self.may_call(Instant::now())?;
        let length = match &self.means {
            Means::None => return Err(no_bell()),
            Means::Memory(memory) => Ok(memory.len(lane)),
            Means::Redis(redis) => redis.len(lane).await,
        };
        self.heard("len", began, length)
    }

    /// Rings jobs that have just become due, as far as that is fair: while the lane's bell is short and the tenant under its
    /// share of it. The rest is left to the dispatcher, which sees all tenants.
    pub async fn offer(&self, rings: impl IntoIterator<Item = Ring>, now: Instant) {
        let rings: Vec<Ring> = rings.into_iter().collect();
        for lane in Lane::ALL {
            let jobs = self.offers.fair(lane, &rings, now);
            if jobs.is_empty() {
                continue;
            }
            if let Ok(length) = self.ring(lane, &jobs).await {
                self.offers.learn(lane, length, now);
            }
        }
    }

    fn lock(&self) -> MutexGuard<'_, Heard> {
        // Each change is whole between any two locks, so a panic elsewhere spoils nothing.
        self.heard.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Whether a call may be made at `now`: always, or once in a while if the bell is away.
    fn may_call(&self, now: Instant) -> Result<Instant, Away> {
        let mut heard = self.lock();
        if heard.away && heard.again.is_some_and(|again| now < again) {
            return Err(Away("it is tried again soon".to_owned()));
        }
        heard.again = Some(now + PAUSE);
        Ok(now)
    }

    /// Says once when the bell goes, and once when it comes back.
    fn heard<T>(&self, operation: &'static str, began: Instant, answer: Result<T, Away>) -> Result<T, Away> {
        if answer.is_err() {
            counter!("syncfleet_bell_errors_total", "operation" => operation).increment(1);
        }
        let (mut heard, now, away) = (self.lock(), Instant::now(), answer.is_err());
        if away {
            heard.again = Some(now + PAUSE);
        }
        let is_late = heard.since.is_some_and(|since| began < since);
        if heard.away == away || is_late {
            return answer;
        }
        (heard.away, heard.since) = (away, Some(now));
        gauge!("syncfleet_bell_up").set(if away { 0.0 } else { 1.0 });
        match &answer {
            Ok(_) => tracing::info!("the bell is back"),
            Err(error) => tracing::warn!("{error}; going on through PostgreSQL"),
        }
        answer
    }
}

fn no_bell() -> Away {
    Away("there is none".to_owned())
}

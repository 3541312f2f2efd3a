//! Push channels: <https://developers.google.com/workspace/calendar/api/guides/push>,
//! <https://developers.google.com/workspace/drive/api/guides/push>. Watches, what is sent over them, and
//! what goes wrong with that on demand.

mod asked;
mod channel;
mod control;
mod deliver;
mod faults;
mod posted;
mod stop;
mod watch;

use std::{
    collections::{BTreeMap, HashSet},
    sync::{Arc, Mutex},
};

use chrono::{DateTime, Utc};
use rand::{SeedableRng, rngs::StdRng};
use serde::{Deserialize, Serialize};
use tokio::{sync::Notify, task::JoinSet};

pub use self::faults::PushFaults;
use self::{
    channel::Channel,
    deliver::{Client, Message},
};
pub(super) use self::{
    control::routes,
    stop::{stop_calendar, stop_drive},
    watch::{watch_changes, watch_events, watch_list},
};
use super::{FakeGoogle, Shared, lock};

/// All channels, and how they are served.
pub(super) struct Push {
    inner: Mutex<Inner>,
    client: Client,
}

struct Inner {
    live: Vec<Channel>,
    /// Ids that can never be used again.
    used: HashSet<String>,
    faults: PushFaults,
    counts: PushCounts,
    /// Messages that no change has caused.
    outbox: Vec<Message>,
    /// Told when one is there.
    wake: Arc<Notify>,
    rng: StdRng,
}

/// What was sent over channels.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct PushCounts {
    /// Messages, their further tries left out.
    pub sent: u64,
    /// Those that were not sent because a fault said so.
    pub lost: u64,
    /// Tries, by the status that was answered; `none` where there was no answer.
    pub answers: BTreeMap<String, u64>,
    /// Messages that were given up.
    pub given_up: u64,
}

/// A channel that delivers.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PushChannel {
    /// Its id.
    pub id: String,
    /// The account that made it.
    pub account: String,
    /// Google's id of what is watched.
    pub resource_id: String,
    /// The calendar whose events are watched; none: the list of calendars, or a drive.
    pub calendar: Option<String>,
    /// The drive whose log is watched, by its id, or `my drive`; none: it is a channel of Calendar.
    pub drive: Option<String>,
    /// Where it delivers.
    pub address: String,
    /// What it sends along.
    pub token: Option<String>,
    /// When it ends, by the fake's clock.
    pub expires: DateTime<Utc>,
    /// The number of its last message.
    pub number: u64,
}

/// How push stands.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct PushState {
    /// The channels that deliver, oldest first.
    pub channels: Vec<PushChannel>,
    /// What was sent.
    pub counts: PushCounts,
    /// What goes wrong.
    pub faults: PushFaults,
}

impl Push {
    /// `wake` is told when something is to be sent.
    pub(super) fn new(seed: u64, wake: Arc<Notify>) -> anyhow::Result<Self> {
        let inner = Inner {
            live: Vec::new(),
            used: HashSet::new(),
            faults: PushFaults::default(),
            counts: PushCounts::default(),
            outbox: Vec::new(),
            wake,
            rng: StdRng::seed_from_u64(seed),
        };
        Ok(Self { inner: Mutex::new(inner), client: Client::new()? })
    }
}

/// Starts to send.
pub(super) fn start(shared: &Shared, tasks: &mut JoinSet<()>) {
    tasks.spawn(deliver::run(shared.clone()));
}

pub(super) fn set(shared: &Shared, faults: PushFaults) -> anyhow::Result<()> {
    faults.check()?;
    lock(&shared.push.inner).faults = faults;
    Ok(())
}

fn state(shared: &Shared) -> PushState {
    let world = lock(&shared.world);
    let now = world.now();
    let inner = lock(&shared.push.inner);
    let live = inner.live.iter().filter(|channel| channel.expires > now);
    PushState {
        channels: live.map(|channel| channel.view(&world)).collect(),
        counts: inner.counts.clone(),
        faults: inner.faults.clone(),
    }
}

/// Ends all channels without a word, as when their time is over.
fn end_all(shared: &Shared) {
    lock(&shared.push.inner).live.clear();
}

impl FakeGoogle {
    /// What goes wrong with pushes from now on.
    pub fn push_faults(&self, faults: PushFaults) -> anyhow::Result<()> {
        set(&self.shared, faults)
    }

    /// How push stands.
    #[must_use]
    pub fn push(&self) -> PushState {
        state(&self.shared)
    }

    /// Ends all channels without a word, as when their time is over.
    pub fn end_channels(&self) {
        end_all(&self.shared);
    }

    /// Sends messages over a channel as if there had been so many changes.
    pub fn notify(&self, channel: &str, times: usize) -> anyhow::Result<()> {
        deliver::again(&self.shared, channel, times)
    }
}

/// Counts a message.
fn counted(shared: &Arc<super::Inner>, count: impl FnOnce(&mut PushCounts)) {
    count(&mut lock(&shared.push.inner).counts);
}

use std::{
    collections::HashMap,
    time::{Duration, Instant},
};

use super::{LIFE, WINDOW, bucket};
use crate::{
    config::google::Limits,
    job::AccountId,
    store::quotas::{Ask, Bucket, Drawn, Moment, Unspent},
};

/// A block holds what is needed now, and what was needed in this time.
const AHEAD: Duration = Duration::from_secs(1);

/// The blocks of one process: the project's, and those of accounts in use. Plain memory: all times come in as arguments.
#[derive(Debug)]
pub struct Blocks {
    limits: Limits,
    project: Block,
    accounts: HashMap<AccountId, Block>,
}

#[derive(Debug, Default)]
struct Block {
    units: u32,
    /// When it was asked for; none: never.
    asked: Option<Instant>,
    /// When it was drawn, as the server counts.
    drawn: Option<Moment>,
    /// Units spent since.
    spent: u32,
    /// The costs of the calls that wait.
    waiting: Vec<u32>,
    /// What is known of the bucket, where it had not enough.
    dry: Option<Dry>,
}

/// A bucket that had not enough.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Dry {
    /// Whose bucket; none: the project's.
    pub account: Option<AccountId>,
    /// When there will be units for a call again.
    pub soon: Instant,
    /// When it will be full, if nobody draws.
    pub full: Instant,
}

/// What came of a wish to spend.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Spend {
    /// The units are spent: the call is to be made now.
    Spent,
    /// A block is needed first.
    Draw,
    /// It is known that there is none yet.
    Dry(Dry),
}

impl Blocks {
    /// No block yet.
    #[must_use]
    pub fn new(limits: Limits) -> Self {
        Self { limits, project: Block::default(), accounts: HashMap::new() }
    }

    /// Spends units of the project and of the account for one call, or of neither.
    pub fn spend(&mut self, account: AccountId, cost: u32, now: Instant) -> Spend {
        let both = [&mut self.project, self.accounts.entry(account).or_default()];
        if both.iter().all(|block| block.left(now) >= cost) {
            for block in both {
                block.units -= cost;
                block.spent = block.spent.saturating_add(cost);
            }
            return Spend::Spent;
        }
        let lacking = both.into_iter().filter(|block| block.left(now) < cost);
        let dry = lacking.filter_map(|block| block.dry).filter(|dry| dry.soon > now);
        dry.max_by_key(|dry| dry.soon).map_or(Spend::Draw, Spend::Dry)
    }

    /// A call waits from now on.
    pub fn wait(&mut self, account: AccountId, cost: u32) {
        self.project.waiting.push(cost);
        self.accounts.entry(account).or_default().waiting.push(cost);
    }

    /// It does not wait any more.
    pub fn waited(&mut self, account: AccountId, cost: u32) {
        for block in [&mut self.project, self.accounts.entry(account).or_default()] {
            if let Some(place) = block.waiting.iter().position(|waiting| *waiting == cost) {
                block.waiting.swap_remove(place);
            }
        }
    }

    /// The blocks that calls wait for, without those that are known not to be there yet. What is left of the blocks before is
    /// given up. Forgets who has not asked for long.
    pub fn asks(&mut self, now: Instant) -> Vec<Ask> {
        self.accounts.retain(|_, block| block.is_of_use(now));
        let of_project = bucket(self.limits.per_minute, Some(self.limits.per_day));
        let of_account = bucket(self.limits.user_per_minute, None);
        let accounts =
            self.accounts.iter_mut().map(|(account, block)| block.ask(Some(*account), of_account, now));
        std::iter::once(self.project.ask(None, of_project, now)).chain(accounts).flatten().collect()
    }

    /// Takes what came of an ask made at `asked`.
    pub fn take(&mut self, ask: &Ask, drawn: &Drawn, asked: Instant, now: Instant) {
        let block = match drawn.account {
            None => &mut self.project,
            Some(account) => self.accounts.entry(account).or_default(),
        };
        if drawn.units > 0 {
            (block.units, block.asked, block.spent) = (drawn.units, Some(asked), 0);
            block.drawn = Some(drawn.at);
        }
        let dry = Dry { account: drawn.account, soon: now + drawn.soon, full: now + drawn.full };
        block.dry = (drawn.units < ask.need).then_some(dry);
    }

    /// The project's units in hand.
    #[must_use]
    pub fn in_hand(&self, now: Instant) -> u32 {
        self.project.left(now)
    }
}

impl Block {
    fn left(&self, now: Instant) -> u32 {
        if self.asked.is_some_and(|asked| now < asked + LIFE) { self.units } else { 0 }
    }

    fn ask(&mut self, account: Option<AccountId>, bucket: Bucket, now: Instant) -> Option<Ask> {
        let smallest = self.waiting.iter().copied().min()?;
        let need = self.waiting.iter().fold(0, |sum: u32, cost| sum.saturating_add(*cost));
        if self.left(now) >= need || self.dry.is_some_and(|dry| dry.soon > now) {
            return None;
        }
        let since = self.asked.map(|asked| now.saturating_duration_since(asked).max(AHEAD));
        let soon = since.map_or(0.0, |since| f64::from(self.spent) * AHEAD.div_duration_f64(since));
        #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "it saturates")]
        let want = need.saturating_add(soon.ceil() as u32);
        let units = std::mem::take(&mut self.units);
        let unspent = self.drawn.filter(|_| units > 0).map(|drawn| Unspent { units, drawn });
        Some(Ask { account, smallest, need, want, unspent, bucket })
    }

    fn is_of_use(&self, now: Instant) -> bool {
        !self.waiting.is_empty()
            || self.asked.is_some_and(|asked| now < asked + WINDOW)
            || self.dry.is_some_and(|dry| dry.soon > now)
    }
}

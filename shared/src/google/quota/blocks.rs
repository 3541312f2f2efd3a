use std::{
    collections::HashMap,
    time::{Duration, Instant},
};

use super::{LIFE, WINDOW, bucket};
use crate::{
    config::google::Limits,
    job::AccountId,
    store::quotas::{Again, Ask, Bucket, Drawn, Moment, Unspent},
};

/// A block holds what is needed now, and what was needed in this time.
const AHEAD: Duration = Duration::from_secs(1);

/// A call that wants units.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Call {
    /// Whose.
    pub account: AccountId,
    /// What it costs, in the provider's units.
    pub cost: u32,
    /// Whether it is of push-driven work, which may use all of the budget.
    pub urgent: bool,
}

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
    /// So many of them are for urgent calls: those that waited for the draw.
    kept: u32,
    /// When it was asked for; none: never.
    asked: Option<Instant>,
    /// When it was drawn, as the server counts.
    drawn: Option<Moment>,
    /// Units spent since.
    spent: u32,
    /// The calls that wait.
    waiting: Vec<Call>,
    /// What is known of the bucket, where it had not enough for all calls.
    dry: Option<Dry>,
    /// The same, where it had not enough for the urgent ones.
    dry_to_urgent: Option<Dry>,
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
    pub fn spend(&mut self, call: Call, now: Instant) -> Spend {
        let both = [&mut self.project, self.accounts.entry(call.account).or_default()];
        if both.iter().all(|block| block.left_to(call.urgent, now) >= call.cost) {
            for block in both {
                block.spend(call);
            }
            return Spend::Spent;
        }
        let lacking = both.into_iter().filter(|block| block.left_to(call.urgent, now) < call.cost);
        let dry = lacking.filter_map(|block| block.known_dry(call.urgent, now));
        dry.max_by_key(|dry| dry.soon).map_or(Spend::Draw, Spend::Dry)
    }

    /// A call waits from now on.
    pub fn wait(&mut self, call: Call) {
        self.project.waiting.push(call);
        self.accounts.entry(call.account).or_default().waiting.push(call);
    }

    /// It does not wait any more.
    pub fn waited(&mut self, call: Call) {
        for block in [&mut self.project, self.accounts.entry(call.account).or_default()] {
            if let Some(place) = block.waiting.iter().position(|waiting| *waiting == call) {
                block.waiting.swap_remove(place);
            }
        }
    }

    /// The blocks that calls wait for, without those that are known not to be there yet. What is left of the blocks before is
    /// given up. Forgets who has not asked for long.
    pub fn asks(&mut self, now: Instant) -> Vec<Ask> {
        self.accounts.retain(|_, block| block.is_of_use(now));
        let Limits { per_minute, user_per_minute, per_day, kept } = self.limits;
        let of_project = bucket(per_minute, Some(per_day), kept);
        let of_account = bucket(user_per_minute, None, kept);
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
            // Those that nobody waits for come after them.
            block.kept = ask.urgent.min(drawn.units);
            block.drawn = Some(drawn.at);
        }
        let dry =
            |again: Again| Dry { account: drawn.account, soon: now + again.soon, full: now + again.full };
        block.dry = (drawn.units < ask.need).then(|| dry(drawn.again));
        block.dry_to_urgent = (drawn.units < ask.urgent).then(|| dry(drawn.urgent_again));
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

    fn left_to(&self, urgent: bool, now: Instant) -> u32 {
        let kept = if urgent { 0 } else { self.kept };
        self.left(now).saturating_sub(kept)
    }

    fn known_dry(&self, urgent: bool, now: Instant) -> Option<Dry> {
        let dry = if urgent { self.dry_to_urgent } else { self.dry };
        dry.filter(|dry| dry.soon > now)
    }

    fn spend(&mut self, call: Call) {
        self.units -= call.cost;
        self.spent = self.spent.saturating_add(call.cost);
        if call.urgent {
            self.kept = self.kept.saturating_sub(call.cost);
        }
    }

    fn ask(&mut self, account: Option<AccountId>, bucket: Bucket, now: Instant) -> Option<Ask> {
        let need_of = |urgent| {
            let calls = self.waiting.iter().filter(move |call| call.urgent == urgent);
            calls.fold(0, |sum: u32, call| sum.saturating_add(call.cost))
        };
        let may_ask =
            |urgent, need| need > self.left_to(urgent, now) && self.known_dry(urgent, now).is_none();
        let (urgent, others) = (need_of(true), need_of(false));
        let asks_for_others = may_ask(false, others);
        if !asks_for_others && !may_ask(true, urgent) {
            return None;
        }
        let smallest_of = |only_urgent: bool| {
            let calls = self.waiting.iter().filter(move |call| call.urgent || !only_urgent);
            calls.map(|call| call.cost).min()
        };
        let smallest = smallest_of(!asks_for_others)?;
        let need = if asks_for_others { urgent.saturating_add(others) } else { urgent };
        let since = self.asked.map(|asked| now.saturating_duration_since(asked).max(AHEAD));
        let soon = since.map_or(0.0, |since| f64::from(self.spent) * AHEAD.div_duration_f64(since));
        #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "it saturates")]
        let want = need.saturating_add(soon.ceil() as u32);
        let smallest_urgent = smallest_of(true).unwrap_or(0);
        let units = std::mem::take(&mut self.units);
        self.kept = 0;
        let unspent = self.drawn.filter(|_| units > 0).map(|drawn| Unspent { units, drawn });
        Some(Ask { account, smallest, need, urgent, smallest_urgent, want, unspent, bucket })
    }

    fn is_of_use(&self, now: Instant) -> bool {
        !self.waiting.is_empty()
            || self.asked.is_some_and(|asked| now < asked + WINDOW)
            || self.known_dry(false, now).is_some()
            || self.known_dry(true, now).is_some()
    }
}

//! How far a paged list of a provider is mirrored: the cursor columns that `calendar_lists` and `calendars` share.

use std::time::Duration;

use rand::{Rng, RngExt};

use crate::job::Failure;

/// How long a second full pass in a row waits.
const FIRST_HOLD: Duration = Duration::from_mins(5);

/// The longest that one waits.
const LONGEST_HOLD: Duration = Duration::from_hours(6);

/// A pass over a list.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Pass {
    /// Everything; what was not seen at its end is gone.
    Full,
    /// What changed since the sync token.
    Incremental,
}

impl Pass {
    const FULL: &'static str = "full";
    const INCREMENTAL: &'static str = "incremental";

    /// The word in SQL.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Full => Self::FULL,
            Self::Incremental => Self::INCREMENTAL,
        }
    }

    /// The pass of a word in SQL.
    #[must_use]
    pub fn of(word: &str) -> Option<Self> {
        match word {
            Self::FULL => Some(Self::Full),
            Self::INCREMENTAL => Some(Self::Incremental),
            _ => None,
        }
    }
}

/// A cursor as it was read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Cursor {
    /// What the last completed pass ended with; none: a full pass is needed.
    pub sync_token: Option<String>,
    /// The next page of the pass under way.
    pub page_token: Option<String>,
    /// A page of the pass under way that must not come again: see `migrations/0014_pages_and_projects.sql`, where it is set.
    pub page_mark: Option<String>,
    /// The pass under way; none: the next step begins one.
    pub pass: Option<Pass>,
    /// Counts full passes.
    pub generation: i64,
    /// Counts writes of the cursor. A step writes only if the count is still the one it read.
    pub step: i64,
    /// How often in a row the sync token was refused.
    pub resyncs: i32,
    /// How long no pass may begin.
    pub held: Option<Duration>,
    /// How long ago the last full pass ended; none: there was none.
    pub full_age: Option<Duration>,
}

impl Cursor {
    /// The pass that the next step belongs to; it is begun if none is under way.
    #[must_use]
    pub fn begin(&self) -> Pass {
        match (self.pass, &self.sync_token) {
            (Some(pass), _) => pass,
            (None, Some(_)) => Pass::Incremental,
            (None, None) => Pass::Full,
        }
    }

    /// The cursor within its pass: a full one that begins now counts as a new generation.
    #[must_use]
    pub fn within(self, pass: Pass) -> Self {
        let begins = self.pass.is_none() && pass == Pass::Full;
        Self {
            pass: Some(pass),
            generation: self.generation + i64::from(begins),
            sync_token: self.sync_token.filter(|_| pass == Pass::Incremental),
            ..self
        }
    }

    /// The cursor after a page that is followed by another.
    #[must_use]
    pub fn next_page(self, page_token: String) -> Self {
        Self { page_token: Some(page_token), ..self }
    }

    /// The cursor after the last page of its pass. Only an incremental pass proves that a sync token was good.
    #[must_use]
    pub fn finished(self, sync_token: String) -> Self {
        let resyncs = if self.pass == Some(Pass::Incremental) { 0 } else { self.resyncs };
        Self { sync_token: Some(sync_token), page_token: None, pass: None, resyncs, ..self }
    }

    /// The cursor after its tokens were refused: everything is listed anew, and nothing holds that for the first time. What is
    /// refused again before an incremental pass has ended is held, twice as long each time.
    #[must_use]
    pub fn expired(self, rng: &mut impl Rng) -> Self {
        let held = match self.resyncs {
            ..=0 => None,
            again => {
                let doubled = FIRST_HOLD.saturating_mul(1 << (again - 1).min(8));
                Some(doubled.min(LONGEST_HOLD).mul_f64(rng.random_range(1.0..=1.25)))
            }
        };
        let resyncs = self.resyncs.saturating_add(1);
        Self { sync_token: None, page_token: None, pass: None, resyncs, held, ..self }
    }
}

/// What SQL gives for a cursor; made by the queries of the two tables.
#[derive(Debug)]
pub(super) struct Columns {
    pub(super) sync_token: Option<String>,
    pub(super) page_token: Option<String>,
    pub(super) page_mark: Option<String>,
    pub(super) pass: Option<String>,
    pub(super) generation: i64,
    pub(super) step: i64,
    pub(super) resyncs: i32,
    /// Seconds, negative or zero: not held.
    pub(super) held: f64,
    /// Seconds, infinite: never.
    pub(super) full_age: f64,
}

impl From<Columns> for Cursor {
    fn from(columns: Columns) -> Self {
        let time = |seconds: f64| Duration::try_from_secs_f64(seconds).ok();
        Self {
            sync_token: columns.sync_token,
            page_token: columns.page_token,
            page_mark: columns.page_mark,
            pass: columns.pass.as_deref().and_then(Pass::of),
            generation: columns.generation,
            step: columns.step,
            resyncs: columns.resyncs,
            held: time(columns.held).filter(|held| !held.is_zero()),
            full_age: time(columns.full_age),
        }
    }
}

/// The cursor moved since the step read it: another step wrote it. Roll back.
#[derive(Debug, thiserror::Error)]
pub enum SaveError {
    /// The count of writes is another one.
    #[error("the cursor of {0} moved meanwhile: another step has done this page")]
    Moved(String),
    /// The database did not answer.
    #[error(transparent)]
    Database(#[from] sqlx::Error),
}

impl From<SaveError> for Failure {
    fn from(error: SaveError) -> Self {
        Self::retry(error, None)
    }
}

#[cfg(test)]
mod tests {
    use rand::{SeedableRng, rngs::StdRng};

    use super::*;

    fn fresh() -> Cursor {
        Cursor {
            sync_token: None,
            page_token: None,
            page_mark: None,
            pass: None,
            generation: 3,
            step: 0,
            resyncs: 0,
            held: None,
            full_age: None,
        }
    }

    #[test]
    fn a_full_pass_is_one_generation_over_all_its_pages() {
        let begun = fresh();
        assert_eq!(begun.begin(), Pass::Full);
        let first = begun.within(Pass::Full).next_page("p".to_owned());
        assert_eq!((first.generation, first.begin()), (4, Pass::Full));
        let last = first.within(Pass::Full).finished("s".to_owned());
        assert_eq!((last.generation, last.begin(), last.page_token), (4, Pass::Incremental, None));
    }

    #[test]
    fn an_incremental_pass_keeps_its_token_and_generation() {
        let known = Cursor { sync_token: Some("s".to_owned()), ..fresh() };
        let page = known.within(Pass::Incremental).next_page("p".to_owned());
        assert_eq!((page.generation, page.sync_token.as_deref()), (3, Some("s")));
    }

    #[test]
    fn refusals_count_until_an_incremental_pass_ends() {
        let mut rng = StdRng::seed_from_u64(1);
        let refused = Cursor { sync_token: Some("s".to_owned()), ..fresh() }.expired(&mut rng);
        assert_eq!(refused.held, None);
        let again = refused.within(Pass::Full).finished("t".to_owned());
        assert_eq!((again.resyncs, again.sync_token.as_deref()), (1, Some("t")));
        let mut held = Vec::new();
        let mut cursor = again.clone();
        for _ in 0..12 {
            cursor = cursor.expired(&mut rng);
            held.push(cursor.held.unwrap());
        }
        assert!(held[0] >= FIRST_HOLD && held[1] >= FIRST_HOLD * 2 && held[11] >= LONGEST_HOLD, "{held:?}");
        assert!(held.iter().all(|held| *held <= LONGEST_HOLD.mul_f64(1.25)), "{held:?}");
        assert_eq!(again.within(Pass::Incremental).finished("u".to_owned()).resyncs, 0);
    }
}

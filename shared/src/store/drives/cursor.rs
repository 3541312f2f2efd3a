use std::time::Duration;

use rand::{Rng, RngExt};

use crate::google::Pages;

/// How long a second sweep for a refused token waits; twice as long each time after it.
const FIRST_HOLD: Duration = Duration::from_mins(5);

/// The longest that one waits.
const LONGEST_HOLD: Duration = Duration::from_hours(6);

/// A later sweep does not hold the log up: it is read so often meanwhile.
const UNREAD: Duration = Duration::from_secs(10);

/// How far a drive is mirrored, as it was read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DriveCursor {
    /// Where the next step reads the log; none: a sweep comes first.
    pub log_token: Option<String>,
    /// Where the log stood before the sweep under way began; none: none is under way.
    pub start_token: Option<String>,
    /// The next page of the sweep.
    pub page_token: Option<String>,
    /// A page of the sweep that must not come again.
    pub page_mark: Option<String>,
    /// The same of the log.
    pub log_mark: Option<String>,
    /// A page of the sweep was not whole.
    pub incomplete: bool,
    /// Counts sweeps.
    pub generation: i64,
    /// Counts writes of the cursor.
    pub step: i64,
    /// How often in a row the log's token was refused.
    pub resyncs: i32,
    /// Whether it is time for a sweep although the log is good.
    pub sweep_is_due: bool,
    /// Whether a whole sweep has ended once.
    pub is_full: bool,
    /// How long no sweep may begin.
    pub held: Duration,
    /// How long ago the log was read.
    pub unread: Duration,
}

/// What a step does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Next {
    /// Takes the log's place, and the first page of a sweep.
    Begin,
    /// The next page of a sweep.
    Sweep,
    /// A page of the log.
    Read,
    /// Nothing for now.
    Hold(Duration),
}

/// Seconds as SQL gives them; those that do not fit are as good as for ever.
pub(super) fn span(seconds: f64) -> Duration {
    Duration::try_from_secs_f64(seconds).unwrap_or(Duration::MAX)
}

impl DriveCursor {
    /// The page of the sweep to be asked for.
    #[must_use]
    pub fn pages(&self) -> Pages<'_> {
        Pages { token: self.page_token.as_deref(), mark: self.page_mark.as_deref() }
    }

    /// The page of the log to be asked for.
    #[must_use]
    pub fn log_pages(&self) -> Pages<'_> {
        Pages { token: self.log_token.as_deref(), mark: self.log_mark.as_deref() }
    }

    /// What the next step does.
    #[must_use]
    pub fn next(&self) -> Next {
        match (&self.start_token, &self.log_token) {
            (Some(_), Some(_)) if self.is_full && self.unread >= UNREAD => Next::Read,
            (Some(_), _) => Next::Sweep,
            (None, Some(_)) if !self.sweep_is_due => Next::Read,
            (None, _) if !self.held.is_zero() => Next::Hold(self.held),
            (None, _) => Next::Begin,
        }
    }

    /// The cursor of a sweep that begins. The log's own place stays good meanwhile.
    #[must_use]
    pub fn begun(self, start_token: String) -> Self {
        Self {
            start_token: Some(start_token),
            page_token: None,
            incomplete: false,
            generation: self.generation + 1,
            ..self
        }
    }

    /// The cursor after a page of the sweep. After the last one the log is read from where it stood before the first.
    #[must_use]
    pub fn swept(self, page_token: Option<String>, incomplete: bool) -> Self {
        let incomplete = self.incomplete || incomplete;
        match page_token {
            Some(_) => Self { page_token, incomplete, ..self },
            None => Self { log_token: self.start_token, start_token: None, page_token, incomplete, ..self },
        }
    }

    /// The cursor after a page of the log, which proves that its token was good.
    #[must_use]
    pub fn read(self, place: String) -> Self {
        Self { log_token: Some(place), resyncs: 0, ..self }
    }

    /// The cursor after its token was refused: all is swept anew, the first time at once, then later and later.
    #[must_use]
    pub fn expired(self, rng: &mut impl Rng) -> Self {
        let held = match self.resyncs {
            ..=0 => Duration::ZERO,
            again => {
                let doubled = FIRST_HOLD.saturating_mul(1 << (again - 1).min(8));
                doubled.min(LONGEST_HOLD).mul_f64(rng.random_range(1.0..=1.25))
            }
        };
        let resyncs = self.resyncs.saturating_add(1);
        Self { log_token: None, start_token: None, page_token: None, resyncs, held, ..self }
    }
}

#[cfg(test)]
mod tests {
    use rand::{SeedableRng, rngs::StdRng};

    use super::*;

    fn fresh() -> DriveCursor {
        DriveCursor {
            log_token: None,
            start_token: None,
            page_token: None,
            page_mark: None,
            log_mark: None,
            incomplete: false,
            generation: 3,
            step: 0,
            resyncs: 0,
            sweep_is_due: true,
            is_full: false,
            held: Duration::ZERO,
            unread: Duration::MAX,
        }
    }

    #[test]
    fn a_sweep_ends_where_the_log_stood_before_it_began() {
        assert_eq!(fresh().next(), Next::Begin);
        let begun = fresh().begun("s".to_owned()).swept(Some("p".to_owned()), true);
        assert_eq!((begun.generation, begun.next()), (4, Next::Sweep));
        let ended = begun.swept(None, false);
        assert_eq!((ended.log_token.as_deref(), ended.start_token.as_deref()), (Some("s"), None));
        assert!(ended.incomplete, "one page is enough");
        assert_eq!(DriveCursor { sweep_is_due: false, ..ended }.next(), Next::Read);
    }

    #[test]
    fn a_later_sweep_does_not_hold_the_log_up() {
        let full = DriveCursor { is_full: true, log_token: Some("l".to_owned()), ..fresh() };
        let sweeping = full.begun("s".to_owned());
        assert_eq!(sweeping.next(), Next::Read);
        let read = DriveCursor { unread: Duration::ZERO, ..sweeping.read("m".to_owned()) };
        assert_eq!((read.next(), read.log_token.as_deref()), (Next::Sweep, Some("m")));
        assert_eq!(read.swept(None, false).log_token.as_deref(), Some("s"), "and is read again after it");
    }

    #[test]
    fn refusals_in_a_row_wait_longer_and_longer() {
        let mut rng = StdRng::seed_from_u64(1);
        let mut cursor = DriveCursor { log_token: Some("l".to_owned()), ..fresh() }.expired(&mut rng);
        assert_eq!((cursor.held, cursor.next()), (Duration::ZERO, Next::Begin));
        for least in [FIRST_HOLD, FIRST_HOLD * 2, FIRST_HOLD * 4] {
            cursor = cursor.expired(&mut rng);
            assert!(cursor.held >= least && cursor.held <= least.mul_f64(1.25), "{:?}", cursor.held);
            assert_eq!(cursor.next(), Next::Hold(cursor.held));
        }
        assert_eq!(cursor.read("l".to_owned()).resyncs, 0);
    }
}

use chrono::{DateTime, Days, FixedOffset, NaiveDate, NaiveTime, Utc};
use serde::Serialize;

use super::Zone;

/// When something begins or ends: a day of an all-day event, or a moment. As JSON a date, or RFC 3339.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(untagged)]
pub enum Time {
    /// A day; of an end, the day after the last one.
    Day(NaiveDate),
    /// A moment, with the offset of its zone. Moments are equal whatever their offset.
    Moment(DateTime<FixedOffset>),
}

impl Time {
    /// The moment: days begin at midnight in that zone.
    #[must_use]
    pub fn moment(self, zone: Zone) -> DateTime<Utc> {
        match self {
            Self::Day(day) => zone.moment(day.and_time(NaiveTime::MIN)).to_utc(),
            Self::Moment(moment) => moment.to_utc(),
        }
    }
}

/// Between two moments; the second is exclusive.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Window {
    /// The first moment.
    pub from: DateTime<Utc>,
    /// The moment after the last one.
    pub to: DateTime<Utc>,
}

impl Window {
    /// Whether something lies in it, wholly or in part. What has no length lies where it begins.
    #[must_use]
    pub fn holds(&self, start: DateTime<Utc>, end: DateTime<Utc>) -> bool {
        start < self.to && (end > self.from || start >= self.from)
    }

    /// Its days in a zone: the first, and the one after the last.
    #[must_use]
    pub fn days(&self, zone: Zone) -> (NaiveDate, NaiveDate) {
        let (first, after) = (zone.local(self.from), zone.local(self.to));
        let whole = u64::from(after.time() > NaiveTime::MIN);
        (first.date(), after.date().checked_add_days(Days::new(whole)).unwrap_or(NaiveDate::MAX))
    }
}

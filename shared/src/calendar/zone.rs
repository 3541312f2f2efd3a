use std::fmt;

use chrono::{DateTime, FixedOffset, NaiveDateTime, Offset, TimeDelta, TimeZone, Utc, offset::LocalResult};

/// No gap in local time is longer (Samoa left out a day).
const LONGEST_GAP_HOURS: i64 = 30;

/// Where local times become moments.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Zone {
    /// A zone of the IANA database.
    Named(chrono_tz::Tz),
    /// An offset, all year.
    Fixed(FixedOffset),
}

impl Zone {
    /// The first of the names that is known (an event's own, its calendar's); else the offset of a moment as it was given; else
    /// UTC. Google takes names of newer databases, and has passed on names that are none.
    #[must_use]
    pub fn find(names: &[Option<&str>], given: Option<&str>) -> Self {
        let named = names.iter().flatten().find_map(|name| name.parse().ok());
        let offset = || Some(*DateTime::parse_from_rfc3339(given?).ok()?.offset());
        named.map(Self::Named).or_else(|| offset().map(Self::Fixed)).unwrap_or(Self::Named(chrono_tz::UTC))
    }

    /// A moment, as a clock there shows it.
    #[must_use]
    pub fn at(self, moment: DateTime<Utc>) -> DateTime<FixedOffset> {
        match self {
            Self::Named(zone) => moment.with_timezone(&zone).fixed_offset(),
            Self::Fixed(offset) => moment.with_timezone(&offset),
        }
    }

    /// The local time of a moment.
    #[must_use]
    pub fn local(self, moment: DateTime<Utc>) -> NaiveDateTime {
        self.at(moment).naive_local()
    }

    /// The moment of a local time: the first, if there are two; with the offset before the gap, if there is none.
    #[must_use]
    pub fn moment(self, local: NaiveDateTime) -> DateTime<FixedOffset> {
        match self.read(local) {
            LocalResult::Single(moment) | LocalResult::Ambiguous(moment, _) => moment,
            LocalResult::None => {
                let before = (1..=LONGEST_GAP_HOURS)
                    .find_map(|hours| self.read(local.checked_sub_signed(TimeDelta::hours(hours))?).latest());
                let offset = before.map_or_else(|| Utc.fix(), |moment| *moment.offset());
                let moment = local.checked_sub_offset(offset).unwrap_or(local).and_utc();
                self.at(moment)
            }
        }
    }

    fn read(self, local: NaiveDateTime) -> LocalResult<DateTime<FixedOffset>> {
        match self {
            Self::Named(zone) => zone.from_local_datetime(&local).map(|moment| moment.fixed_offset()),
            Self::Fixed(offset) => offset.from_local_datetime(&local),
        }
    }
}

impl fmt::Display for Zone {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Named(zone) => f.write_str(zone.name()),
            Self::Fixed(offset) => offset.fmt(f),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn moment(zone: &str, local: &str) -> String {
        Zone::find(&[Some(zone)], None).moment(local.parse().unwrap()).to_rfc3339()
    }

    #[test]
    fn a_local_time_in_a_gap_is_taken_with_the_offset_before_it() {
        assert_eq!(moment("Europe/Berlin", "2026-03-29T02:30:00"), "2026-03-29T03:30:00+02:00");
        assert_eq!(moment("Australia/Lord_Howe", "2026-10-04T02:15:00"), "2026-10-04T02:45:00+11:00");
        // A day that was left out.
        assert_eq!(moment("Pacific/Apia", "2011-12-30T12:00:00"), "2011-12-31T12:00:00+14:00");
    }

    #[test]
    fn of_two_moments_of_a_local_time_the_first_is_meant() {
        assert_eq!(moment("Europe/Berlin", "2026-10-25T02:30:00"), "2026-10-25T02:30:00+02:00");
        assert_eq!(moment("America/New_York", "2026-11-01T01:30:00"), "2026-11-01T01:30:00-04:00");
    }

    #[test]
    fn a_zone_is_the_events_or_the_calendars_or_an_offset() {
        let odd = Some("2026-01-02T10:00:00+05:45");
        let found = |names: &[Option<&str>], given| Zone::find(names, given).to_string();
        assert_eq!(found(&[Some("Asia/Kolkata"), Some("Europe/Berlin")], odd), "Asia/Kolkata");
        assert_eq!(found(&[Some("Mars/Olympus"), Some("Europe/Berlin")], odd), "Europe/Berlin");
        assert_eq!(found(&[None, None], odd), "+05:45");
        assert_eq!(found(&[Some("")], Some("never")), "UTC");
    }
}

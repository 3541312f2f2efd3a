//! One series in a window.
//!
//! The crate `rrule` knows the patterns. All else is done here, because of what it does with it (version 0.14):
//!
//! - it is only given local times, and told that they are UTC: in a zone it leaves out a time in a gap or an ambiguous one if
//!   that day's midnight is one too, as where clocks change at midnight;
//! - `UNTIL` and `COUNT` are taken out of the rule: it refuses an `UNTIL` without a zone or before the start, and does not count
//!   a start that the rule does not fit;
//! - RDATE and EXDATE are read in `recurrence`: it refuses local times that are in a gap or ambiguous.

use std::collections::BTreeSet;

use chrono::{DateTime, Days, NaiveDateTime, NaiveTime, TimeDelta, Utc};
use rrule::{Frequency, RRule, Tz, Unvalidated};

use super::{
    Time, Window, Zone,
    recurrence::{Point, Recurrence, Rule},
};

/// Steps that a rule is followed, at most: 270 years of days, 11 years of hours. A series is followed from its start.
pub const STEPS: usize = 100_000;

/// Offsets reach 14 hours; a local time is at most so far from any moment that it may mean.
const SLACK: TimeDelta = TimeDelta::days(2);

/// A recurring event.
#[derive(Debug, Clone, Copy)]
pub struct Series<'a> {
    /// When its first occurrence begins.
    pub start: Time,
    /// When that one ends, exclusive; of the start's kind.
    pub end: Time,
    /// The zone that it is counted in. Of an all-day series, where its days lie in the window.
    pub zone: Zone,
    /// RRULE, RDATE, EXDATE and EXRULE lines.
    pub lines: &'a [String],
}

/// A series in a window.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Expanded {
    /// Start and end of each occurrence, in order.
    pub occurrences: Vec<(Time, Time)>,
    /// What was left out, and why, for people.
    pub notes: Vec<String>,
}

impl Series<'_> {
    /// The occurrences that lie in the window, wholly or in part, but those that begin at one of `replaced`: exceptions stand
    /// for them. A day replaces all that begins on it.
    #[must_use]
    pub fn within(&self, window: Window, replaced: &[Time]) -> Expanded {
        let recurrence = Recurrence::read(self.lines);
        let mut notes: Vec<String> =
            recurrence.unread.iter().map(|line| format!("{line:?} could not be read")).collect();
        let mut starts = BTreeSet::new();
        if recurrence.rules.is_empty() || recurrence.rules.iter().any(|rule| self.goes_on(rule, self.start)) {
            starts.insert(self.start);
        }
        for rule in &recurrence.rules {
            self.follow(rule, window, &mut notes, |start| _ = starts.insert(start));
        }
        starts.extend(recurrence.dates.iter().map(|point| self.start_at(*point)));
        for rule in &recurrence.exrules {
            self.follow(rule, window, &mut notes, |start| _ = starts.remove(&start));
        }
        for point in &recurrence.exdates {
            match point {
                Point::Day(day) => self.drop(&mut starts, Time::Day(*day)),
                _ => self.drop(&mut starts, self.start_at(*point)),
            }
        }
        for time in replaced {
            self.drop(&mut starts, *time);
        }
        let occurrences = starts
            .into_iter()
            .filter_map(|start| Some((start, self.end_of(start)?)))
            .filter(|(start, end)| window.holds(start.moment(self.zone), end.moment(self.zone)))
            .collect();
        Expanded { occurrences, notes }
    }

    /// A moment by which all of it has ended; none if it is endless, or only its count ends it. Does not follow the rules.
    #[must_use]
    pub fn ends_by(&self) -> Option<DateTime<Utc>> {
        let recurrence = Recurrence::read(self.lines);
        let mut last = self.start;
        if !recurrence.unread.is_empty() {
            return None;
        }
        for rule in &recurrence.rules {
            last = last.max(self.start_at(rule.until?));
        }
        for point in &recurrence.dates {
            last = last.max(self.start_at(*point));
        }
        // An `UNTIL` that is a day includes that day.
        self.end_of(last)?.moment(self.zone).checked_add_signed(SLACK)
    }

    /// Follows a rule to the window's end, and hands on what may reach into the window.
    fn follow(&self, rule: &Rule, window: Window, notes: &mut Vec<String>, mut found: impl FnMut(Time)) {
        let first = self.local(self.start);
        let pattern = match read(&rule.pattern, first) {
            Ok(pattern) => pattern,
            Err(why) => {
                notes.push(format!("the rule {:?} is not expanded: {why}", rule.pattern));
                return;
            }
        };
        let last = self.zone.local(window.to).checked_add_signed(SLACK).unwrap_or(NaiveDateTime::MAX);
        let mut left = rule.count.unwrap_or(u32::MAX);
        for (step, local) in pattern.into_iter().map(|at| at.naive_utc()).enumerate() {
            if step == 0 && local != first {
                // The start is an occurrence that the rule does not give.
                left = left.saturating_sub(1);
            }
            let start = if local == first { self.start } else { self.start_at(Point::Local(local)) };
            if local > last || left == 0 || !self.goes_on(rule, start) {
                return;
            }
            if step == STEPS {
                notes.push(format!("the rule {:?} was followed to {local} only", rule.pattern));
                return;
            }
            left -= 1;
            let end = self.end_of(start).map(|end| end.moment(self.zone));
            if end.is_none_or(|end| end >= window.from) {
                found(start);
            }
        }
    }

    /// Whether a rule has not ended before this start.
    fn goes_on(&self, rule: &Rule, start: Time) -> bool {
        match (rule.until, start) {
            (None, _) => true,
            (Some(Point::Day(until)), Time::Moment(_)) => self.local(start).date() <= until,
            (Some(until), _) => start <= self.start_at(until),
        }
    }

    fn local(&self, time: Time) -> NaiveDateTime {
        match time {
            Time::Day(day) => day.and_time(NaiveTime::MIN),
            Time::Moment(moment) => self.zone.local(moment.to_utc()),
        }
    }

    /// What a point means as a start: of an all-day series its day, as written; a day alone has the time of the first start.
    fn start_at(&self, point: Point) -> Time {
        match (self.start, point) {
            (Time::Day(_), Point::Day(day)) => Time::Day(day),
            (Time::Day(_), Point::Local(at)) => Time::Day(at.date()),
            (Time::Day(_), Point::Moment(moment)) => Time::Day(moment.date_naive()),
            (Time::Moment(_), Point::Day(day)) => {
                Time::Moment(self.zone.moment(day.and_time(self.local(self.start).time())))
            }
            (Time::Moment(_), Point::Local(at)) => Time::Moment(self.zone.moment(at)),
            (Time::Moment(_), Point::Moment(moment)) => Time::Moment(self.zone.at(moment.to_utc())),
        }
    }

    /// The end of an occurrence; none beyond all calendars.
    fn end_of(&self, start: Time) -> Option<Time> {
        match (start, self.start, self.end) {
            (Time::Day(day), Time::Day(first), Time::Day(end)) => {
                let days = u64::try_from((end - first).num_days()).unwrap_or(0).max(1);
                day.checked_add_days(Days::new(days)).map(Time::Day)
            }
            (Time::Moment(at), Time::Moment(first), Time::Moment(end)) => {
                let end = at.to_utc().checked_add_signed((end - first).max(TimeDelta::zero()))?;
                Some(Time::Moment(self.zone.at(end)))
            }
            _ => Some(start),
        }
    }

    /// Takes out what begins at a time. A day stands for all of it.
    fn drop(&self, starts: &mut BTreeSet<Time>, time: Time) {
        match (self.start, time) {
            (Time::Moment(_), Time::Day(day)) => starts.retain(|start| self.local(*start).date() != day),
            (Time::Day(_), Time::Moment(moment)) => {
                starts.remove(&Time::Day(self.zone.local(moment.to_utc()).date()));
            }
            _ => _ = starts.remove(&time),
        }
    }
}

/// The pattern from its first local time on, which is called UTC. Seconds and minutes are no calendar's business: to follow
/// them from a start years ago takes long, and nobody means it.
fn read(pattern: &str, first: NaiveDateTime) -> Result<rrule::RRuleSet, String> {
    let rule: RRule<Unvalidated> = pattern.parse().map_err(|error: rrule::RRuleError| error.to_string())?;
    if matches!(rule.get_freq(), Frequency::Secondly | Frequency::Minutely) {
        return Err("it comes more often than hourly".to_owned());
    }
    let first = first.and_utc().with_timezone(&Tz::UTC);
    Ok(rule.build(first).map_err(|error| error.to_string())?.limit())
}

#[cfg(test)]
mod tests;

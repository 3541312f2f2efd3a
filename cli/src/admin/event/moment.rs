use std::str::FromStr;

use chrono::{DateTime, Datelike, NaiveDate, NaiveTime, TimeDelta, Utc};

/// A moment as people give it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Moment {
    At(DateTime<Utc>),
    FromNow(TimeDelta),
}

impl Moment {
    pub(super) fn seen_from(self, now: DateTime<Utc>) -> DateTime<Utc> {
        match self {
            Self::At(at) => at,
            Self::FromNow(span) => now + span,
        }
    }
}

impl FromStr for Moment {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        read(text.trim()).ok_or_else(|| {
            "give it as RFC 3339 (2026-03-01T09:00:00+01:00), as a date (2026-03-01: midnight UTC), as `now`, or as seen \
             from now (-1d, +12h); years from 1 to 9999"
                .to_owned()
        })
    }
}

fn read(text: &str) -> Option<Moment> {
    if text == "now" {
        return Some(Moment::FromNow(TimeDelta::zero()));
    }
    if let Some(span) = text.strip_prefix('+') {
        return Some(Moment::FromNow(read_span(span)?));
    }
    if let Some(span) = text.strip_prefix('-') {
        return Some(Moment::FromNow(-read_span(span)?));
    }
    let moment = DateTime::parse_from_rfc3339(text).ok().map(|at| at.to_utc());
    let day = || Some(text.parse::<NaiveDate>().ok()?.and_time(NaiveTime::MIN).and_utc());
    moment.or_else(day).filter(|at| (1..=9999).contains(&at.year())).map(Moment::At)
}

/// At most a thousand years.
fn read_span(text: &str) -> Option<TimeDelta> {
    let span = TimeDelta::from_std(humantime::parse_duration(text).ok()?).ok()?;
    (span <= TimeDelta::days(366_000)).then_some(span)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_moment_has_several_forms() {
        let now: DateTime<Utc> = "2026-03-01T12:00:00Z".parse().unwrap();
        for (text, moment) in [
            ("2026-03-01T09:00:00+05:30", "2026-03-01T03:30:00Z"),
            (" 2026-03-02 ", "2026-03-02T00:00:00Z"),
            ("now", "2026-03-01T12:00:00Z"),
            ("-1d", "2026-02-28T12:00:00Z"),
            ("+1h30m", "2026-03-01T13:30:00Z"),
        ] {
            assert_eq!(
                text.parse::<Moment>().unwrap().seen_from(now),
                moment.parse::<DateTime<Utc>>().unwrap()
            );
        }
    }

    #[test]
    fn what_is_no_moment_is_refused_with_what_is() {
        for text in [
            "",
            "soon",
            "1d",
            "+",
            "-x",
            "2026-02-30",
            "2026-03-01T09:00",
            "+9999999y",
            "0000-01-01",
            "12026-01-01",
        ] {
            let error = text.parse::<Moment>().unwrap_err();
            assert!(error.contains("RFC 3339") && error.contains("-1d"), "{text}: {error}");
        }
    }
}

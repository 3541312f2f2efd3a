//! The lines of a series, as Google gives them: RRULE, RDATE, EXDATE, EXRULE of RFC 5545, without DTSTART.

use chrono::{DateTime, FixedOffset, NaiveDate, NaiveDateTime};

use super::Zone;

/// Characters in a line, at most: a rule that a person can mean is much shorter. Lists of dates may be longer.
const LONGEST_RULE: usize = 1000;

/// A day or a time in a line.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Point {
    Day(NaiveDate),
    Local(NaiveDateTime),
    Moment(DateTime<FixedOffset>),
}

/// A rule. How it ends is read here; `pattern` is the rest, for the crate.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Rule {
    pub(super) pattern: String,
    pub(super) until: Option<Point>,
    pub(super) count: Option<u32>,
}

#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Recurrence {
    pub(super) rules: Vec<Rule>,
    /// EXRULE: deprecated, and still in old series.
    pub(super) exrules: Vec<Rule>,
    pub(super) dates: Vec<Point>,
    pub(super) exdates: Vec<Point>,
    /// Lines that could not be read.
    pub(super) unread: Vec<String>,
}

impl Recurrence {
    /// Reads the lines. Local times are the series' own; dates with an unknown zone count as such.
    pub(super) fn read(lines: &[String]) -> Self {
        let mut recurrence = Self::default();
        for line in lines {
            if recurrence.add(line).is_none() {
                recurrence.unread.push(line.clone());
            }
        }
        recurrence
    }

    fn add(&mut self, line: &str) -> Option<()> {
        let (head, value) = line.trim().split_once(':')?;
        let mut parameters = head.split(';');
        match parameters.next()?.to_ascii_uppercase().as_str() {
            "RRULE" => self.rules.push(Rule::read(value)?),
            "EXRULE" => self.exrules.push(Rule::read(value)?),
            "RDATE" => self.dates.extend(points(parameters, value)?),
            "EXDATE" => self.exdates.extend(points(parameters, value)?),
            _ => return None,
        }
        Some(())
    }
}

impl Rule {
    /// The crate slices text by bytes, so it is given ASCII only.
    fn read(value: &str) -> Option<Self> {
        if !value.is_ascii() || value.len() > LONGEST_RULE {
            return None;
        }
        let mut rule = Self { pattern: String::new(), until: None, count: None };
        for part in value.to_ascii_uppercase().split(';').filter(|part| !part.is_empty()) {
            match part.split_once('=')? {
                ("UNTIL", until) => rule.until = Some(point(until, None)?),
                ("COUNT", count) => rule.count = Some(count.parse().ok()?),
                _ if rule.pattern.is_empty() => part.clone_into(&mut rule.pattern),
                _ => rule.pattern = format!("{};{part}", rule.pattern),
            }
        }
        Some(rule)
    }
}

/// The values of an RDATE or EXDATE. Of a period only the start counts.
fn points<'a>(mut parameters: impl Iterator<Item = &'a str>, value: &str) -> Option<Vec<Point>> {
    let name = parameters.find_map(|parameter| {
        let (name, value) = parameter.split_once('=')?;
        name.eq_ignore_ascii_case("TZID").then(|| value.trim_matches('"'))
    });
    let zone = name.and_then(|name| name.parse().ok()).map(Zone::Named);
    value.split(',').map(|value| point(value.split('/').next()?, zone)).collect()
}

/// `20260302`, `20260302T090000` (in the zone, if there is one), `20260302T080000Z`.
fn point(text: &str, zone: Option<Zone>) -> Option<Point> {
    let text = text.trim().to_ascii_uppercase();
    // chrono would take signs and spaces, too.
    if !text.bytes().all(|byte| byte.is_ascii_digit() || byte == b'T' || byte == b'Z') {
        return None;
    }
    let local = |text: &str| NaiveDateTime::parse_from_str(text, "%Y%m%dT%H%M%S").ok();
    match (text.len(), text.strip_suffix('Z')) {
        (8, None) => NaiveDate::parse_from_str(&text, "%Y%m%d").ok().map(Point::Day),
        (15, None) => {
            local(&text).map(|at| zone.map_or(Point::Local(at), |zone| Point::Moment(zone.moment(at))))
        }
        (16, Some(text)) => local(text).map(|at| Point::Moment(at.and_utc().fixed_offset())),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(line: &str) -> Recurrence {
        Recurrence::read(&[line.to_owned()])
    }

    #[test]
    fn a_lines_forms() {
        let day = NaiveDate::from_ymd_opt(2026, 3, 2).unwrap();
        assert_eq!(read("EXDATE;VALUE=DATE:20260302").exdates, [Point::Day(day)]);
        let berlin = read("EXDATE;TZID=\"Europe/Berlin\":20260302T090000,20260303T090000").exdates;
        let utc = read("exdate:20260302T080000Z,20260303T080000Z").exdates;
        assert_eq!((berlin.len(), &berlin), (2, &utc));
        let local = [Point::Local(day.and_hms_opt(9, 0, 0).unwrap())];
        assert_eq!(read("RDATE:20260302T090000").dates, local);
        assert_eq!(read("RDATE;TZID=Mars/Olympus;VALUE=PERIOD:20260302T090000/PT1H").dates, local);
        let rule = &read("RRULE:FREQ=DAILY;UNTIL=20260302;INTERVAL=2").rules[0];
        assert_eq!((rule.pattern.as_str(), rule.until), ("FREQ=DAILY;INTERVAL=2", Some(Point::Day(day))));
    }

    #[test]
    fn what_is_no_line_is_left_out_and_told() {
        for line in [
            "",
            "RRULE",
            "X-RULE:FREQ=DAILY",
            "RRULE:FREQ=DAILY;COUNT=x",
            "RRULE:FREQ=DAILY;UNTIL=soon",
            "RRULE:FREQ",
            "RRULE:FREQ=WEEKLY;BYDAY=\u{e9}",
            "EXDATE:2026-03-02",
            "EXDATE:20260230",
            "RDATE:+2026032",
            "EXDATE:",
        ] {
            assert_eq!(read(line), Recurrence { unread: vec![line.to_owned()], ..Recurrence::default() });
        }
        assert_eq!(read(&format!("RRULE:FREQ=DAILY;BYHOUR={}1", "1,".repeat(600))).unread.len(), 1);
    }
}

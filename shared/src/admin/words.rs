//! Words for people: spans of time and numbers of things.

use chrono::{DateTime, Utc};

/// A span of time in its two largest units: `3 d 4 h`, `12 s`. What is less than a second is `0 s`.
#[must_use]
pub fn span(seconds: i64) -> String {
    let seconds = seconds.max(0);
    let parts =
        [(seconds / 86_400, "d"), (seconds / 3_600 % 24, "h"), (seconds / 60 % 60, "m"), (seconds % 60, "s")];
    let first = parts.iter().position(|(n, _)| *n > 0).unwrap_or(parts.len() - 1);
    let words: Vec<_> = parts[first..]
        .iter()
        .take(2)
        .filter(|(n, unit)| *n > 0 || (*unit == "s" && seconds == 0))
        .map(|(n, unit)| format!("{n} {unit}"))
        .collect();
    words.join(" ")
}

/// A moment as seen from `now`: `3 s ago`, `in 5 m`, `now`.
#[must_use]
pub fn when(at: DateTime<Utc>, now: DateTime<Utc>) -> String {
    match (at - now).num_seconds() {
        0 => "now".to_owned(),
        ahead @ 1.. => format!("in {}", span(ahead)),
        past => format!("{} ago", span(-past)),
    }
}

/// A number of things: `1 job`, `2 jobs`.
#[must_use]
pub fn count(n: i64, thing: &str) -> String {
    if n == 1 { format!("1 {thing}") } else { format!("{n} {thing}s") }
}

#[cfg(test)]
mod tests {
    use chrono::{TimeDelta, TimeZone};

    use super::*;

    #[test]
    fn spans_show_their_two_largest_units() {
        for (seconds, text) in [
            (-5, "0 s"),
            (0, "0 s"),
            (59, "59 s"),
            (60, "1 m"),
            (61, "1 m 1 s"),
            (3_600, "1 h"),
            (3_601, "1 h"),
            (90_000, "1 d 1 h"),
            (1_000_000, "11 d 13 h"),
        ] {
            assert_eq!(span(seconds), text);
        }
    }

    #[test]
    fn moments_are_told_from_now() {
        let now = Utc.timestamp_opt(1_000_000, 0).unwrap();
        assert_eq!(when(now + TimeDelta::seconds(90), now), "in 1 m 30 s");
        assert_eq!(when(now - TimeDelta::seconds(3), now), "3 s ago");
        assert_eq!(when(now + TimeDelta::milliseconds(400), now), "now");
    }
}

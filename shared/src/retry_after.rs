//! `Retry-After`: RFC 9110 section 10.2.3.

use std::time::Duration;

use chrono::DateTime;
use reqwest::header::{DATE, HeaderMap, RETRY_AFTER};

/// Seconds, or a date, which is compared with the answer's own date. None: there is none, or it is over.
pub(crate) fn retry_after(headers: &HeaderMap) -> Option<Duration> {
    let text = |name| headers.get(name)?.to_str().ok();
    let wait = text(RETRY_AFTER)?.trim();
    if let Ok(seconds) = wait.parse() {
        return Some(Duration::from_secs(seconds));
    }
    let then = DateTime::parse_from_rfc2822(wait).ok()?;
    let now = DateTime::parse_from_rfc2822(text(DATE)?).ok()?;
    (then - now).to_std().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn after(headers: &[(&'static str, &str)]) -> Option<Duration> {
        let mut map = HeaderMap::new();
        for (name, value) in headers {
            map.insert(*name, value.parse().unwrap());
        }
        retry_after(&map)
    }

    #[test]
    fn retry_after_is_seconds_or_a_date_beside_the_answers_own() {
        assert_eq!(after(&[]), None);
        assert_eq!(after(&[("retry-after", "7")]), Some(Duration::from_secs(7)));
        assert_eq!(after(&[("retry-after", "soon")]), None);
        let then = ("retry-after", "Fri, 02 Jan 2026 10:00:30 GMT");
        assert_eq!(after(&[then]), None);
        assert_eq!(after(&[then, ("date", "Fri, 02 Jan 2026 10:00:00 GMT")]), Some(Duration::from_secs(30)));
        assert_eq!(after(&[then, ("date", "Fri, 02 Jan 2026 10:01:00 GMT")]), None);
    }
}

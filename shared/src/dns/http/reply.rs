use std::{fmt::Write as _, time::Duration};

use reqwest::{Response, StatusCode, header};
use serde_json::Value;

use super::{Limits, RATE_LIMITED};
use crate::{
    dns::{Answer, Outcome, Park, outcome::said},
    retry_after::retry_after,
};

/// No answer is read further.
const ANSWER_LIMIT: usize = 256 << 10;

/// No provider's word on when to come back is followed for longer.
const LONGEST_WAIT: Duration = Duration::from_hours(24);

/// A page has one of these tags among its first characters.
const PAGE_TAGS: [&str; 7] = ["<!doctype", "<html", "<head", "<body", "<meta", "<title", "<script"];
const PAGE_BEGIN: usize = 2048;

/// What came back.
#[derive(Debug, Clone)]
pub(in crate::dns) struct Reply {
    pub(in crate::dns) status: StatusCode,
    pub(in crate::dns) retry_after: Option<Duration>,
    pub(in crate::dns) body: String,
    /// Whether it calls itself text/html.
    is_html: bool,
    /// The host that it wants to lead to.
    leads_to: Option<String>,
}

impl Reply {
    /// Whether a web page came instead of an answer. By its text, as servers call plain answers text/html: it begins with a tag, or calls
    /// itself text/html and has a page's tags near its beginning.
    pub(in crate::dns) fn is_page(&self) -> bool {
        let begin = || self.body.chars().take(PAGE_BEGIN).collect::<String>().to_ascii_lowercase();
        self.body.trim_start().starts_with('<')
            || (self.is_html && PAGE_TAGS.iter().any(|tag| begin().contains(tag)))
    }

    /// What a status means that is no success, where the provider's own words do not say more.
    pub(in crate::dns) fn by_status(&self, secret: &str) -> Answer {
        let status = self.status;
        let mut text = status.to_string();
        if let Some(host) = &self.leads_to {
            let _ = write!(text, ": leads to {host}; redirects are not followed");
        } else if self.is_page() {
            text.push_str(": a web page came instead of an answer");
        } else if !self.body.trim().is_empty() {
            let _ = write!(text, ": {}", self.body);
        }
        let outcome = match status {
            StatusCode::UNAUTHORIZED => Outcome::Park(Park::BadAuth),
            StatusCode::FORBIDDEN => Outcome::Park(Park::NotPermitted),
            StatusCode::NOT_FOUND | StatusCode::GONE => Outcome::Park(Park::NoHost),
            StatusCode::TOO_MANY_REQUESTS => Outcome::Wait(self.retry_after.unwrap_or(RATE_LIMITED)),
            StatusCode::REQUEST_TIMEOUT | StatusCode::CONFLICT | StatusCode::LOCKED => Outcome::Retry,
            _ if status.is_server_error() => self.retry_after.map_or(Outcome::Retry, Outcome::Unknown),
            _ if status.is_redirection() || status.is_informational() || self.is_page() => Outcome::Retry,
            _ => Outcome::Refused,
        };
        Answer::new(outcome, said(&text, secret))
    }

    /// A success that makes no sense.
    pub(in crate::dns) fn malformed(&self, what: &str, secret: &str) -> Answer {
        if self.is_page() {
            return Answer::retry(
                "a web page came instead of an answer: a captive portal, or the URL is no update server's",
            );
        }
        let text = if self.body.trim().is_empty() { "nothing" } else { self.body.trim() };
        Answer::retry(said(&format!("{what}; it said: {text}"), secret))
    }

    pub(in crate::dns) fn json(&self) -> Option<Value> {
        serde_json::from_str(&self.body).ok()
    }
}

/// Reads an answer. An error is told without URL and headers.
pub(super) async fn read(mut response: Response, limits: Limits) -> Result<Reply, String> {
    let status = response.status();
    let header = |name| response.headers().get(name).and_then(|value| value.to_str().ok()).map(str::trim);
    let retry_after =
        retry_after(response.headers()).map(|time| time.clamp(Duration::from_secs(1), LONGEST_WAIT));
    let is_html = header(header::CONTENT_TYPE).is_some_and(|kind| kind.to_ascii_lowercase().contains("html"));
    let leads_to =
        header(header::LOCATION).filter(|_| status.is_redirection()).map(|location| {
            match response.url().join(location) {
                Ok(url) => url.host_str().unwrap_or("nowhere").to_owned(),
                Err(_) => "nowhere".to_owned(),
            }
        });
    let mut bytes = Vec::new();
    while let Some(chunk) = response.chunk().await.map_err(|error| broken(error, limits))? {
        if bytes.len() + chunk.len() > ANSWER_LIMIT {
            return Err(format!("the answer is longer than {} KiB", ANSWER_LIMIT >> 10));
        }
        bytes.extend_from_slice(&chunk);
    }
    // A byte order mark is none of the text.
    let text = String::from_utf8_lossy(&bytes);
    let body = text.trim_start_matches(|c: char| c == '\u{feff}' || c.is_whitespace()).to_owned();
    Ok(Reply { status, retry_after, body, is_html, leads_to })
}

/// What went wrong with a call.
pub(super) fn broken(error: reqwest::Error, limits: Limits) -> String {
    let error = error.without_url();
    if error.is_timeout() {
        return format!("no answer within {} s", limits.call.as_secs_f32());
    }
    let first: &dyn std::error::Error = &error;
    let last = std::iter::successors(Some(first), |error| error.source()).last();
    said(&format!("no answer: {}", last.map_or_else(String::new, ToString::to_string)), "")
}

#[cfg(test)]
pub(in crate::dns) mod tests {
    use super::*;

    /// An answer, for the tests of those who read answers.
    pub(in crate::dns) fn reply(status: StatusCode, body: &str) -> Reply {
        Reply { status, retry_after: None, body: body.to_owned(), is_html: false, leads_to: None }
    }

    #[test]
    fn each_status_has_its_meaning() {
        for (status, after, outcome) in [
            (401, None, Outcome::Park(Park::BadAuth)),
            (403, None, Outcome::Park(Park::NotPermitted)),
            (404, None, Outcome::Park(Park::NoHost)),
            (408, None, Outcome::Retry),
            (429, None, Outcome::Wait(RATE_LIMITED)),
            (429, Some(7), Outcome::Wait(Duration::from_secs(7))),
            (302, None, Outcome::Retry),
            (400, None, Outcome::Refused),
            (422, None, Outcome::Refused),
            (500, None, Outcome::Retry),
            (503, Some(60), Outcome::Unknown(Duration::from_mins(1))),
            (511, None, Outcome::Retry),
        ] {
            let mut reply = reply(StatusCode::from_u16(status).unwrap(), "it says s3cret");
            reply.retry_after = after.map(Duration::from_secs);
            let answer = reply.by_status("s3cret");
            assert_eq!(answer.outcome, outcome, "{status}");
            assert!(answer.said.contains("it says ***"), "{answer:?}");
        }
    }
}

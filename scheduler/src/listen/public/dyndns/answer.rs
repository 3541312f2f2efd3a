//! What callers are told, in the words of dyndns2 (<https://help.dyn.com/remote-access-api/return-codes/>) and of Duck DNS
//! (<https://www.duckdns.org/spec.jsp>).

use std::{fmt::Write as _, net::IpAddr};

use axum::{
    http::{HeaderName, HeaderValue, StatusCode, header},
    response::{IntoResponse, Response},
};
use metrics::counter;

/// For people who look why: the protocol's words give no reason.
const REASON: HeaderName = HeaderName::from_static("x-syncfleet-reason");

/// A word of dyndns2.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Word {
    /// The address is another one now, and the records will follow.
    Good,
    /// It was that already.
    NoChange,
    /// No login of that name and password.
    BadAuth,
    /// What is asked for is not to be had here.
    NotDonator,
    /// The name is missing, or not a full one.
    NotFqdn,
    /// No name of this login.
    NoHost,
    /// Too many names at once.
    NumHost,
    /// Blocked, or called far too often with nothing new.
    Abuse,
    /// The address cannot be used.
    DnsError,
    /// Not now: come again.
    OutOfOrder,
}

impl Word {
    pub(super) const ALL: [Self; 10] = [
        Self::Good,
        Self::NoChange,
        Self::BadAuth,
        Self::NotDonator,
        Self::NotFqdn,
        Self::NoHost,
        Self::NumHost,
        Self::Abuse,
        Self::DnsError,
        Self::OutOfOrder,
    ];

    /// As clients read it, and as in the label `answer`.
    pub(super) const fn as_str(self) -> &'static str {
        match self {
            Self::Good => "good",
            Self::NoChange => "nochg",
            Self::BadAuth => "badauth",
            Self::NotDonator => "!donator",
            Self::NotFqdn => "notfqdn",
            Self::NoHost => "nohost",
            Self::NumHost => "numhost",
            Self::Abuse => "abuse",
            Self::DnsError => "dnserr",
            Self::OutOfOrder => "911",
        }
    }

    pub(super) const fn is_success(self) -> bool {
        matches!(self, Self::Good | Self::NoChange)
    }

    /// The status of an answer with that word alone.
    ///
    /// `badauth` is 401 with a challenge: GNU wget, which `OpenWrt` uses, sends no password before it was asked for one. `911` is 503:
    /// to inadyn and wget a status of 5xx means to try again, as it does to proxies with several fleets behind them. All else is 200:
    /// ddclient reads no word of anything but 2xx, and inadyn takes any other 4xx for lasting.
    const fn status(self) -> StatusCode {
        match self {
            Self::BadAuth => StatusCode::UNAUTHORIZED,
            Self::OutOfOrder => StatusCode::SERVICE_UNAVAILABLE,
            _ => StatusCode::OK,
        }
    }
}

/// The answer for a name, or for the call as a whole.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Line {
    pub(super) word: Word,
    /// The addresses that it is about.
    pub(super) ips: Vec<IpAddr>,
}

/// The answer to a call: a line for each name in the order of the call, or one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Answer {
    pub(super) lines: Vec<Line>,
    /// Why it is no better.
    pub(super) why: Option<String>,
}

impl Answer {
    /// One word for the whole call.
    pub(super) fn new(word: Word, why: impl Into<String>) -> Self {
        Self { lines: vec![Line { word, ips: Vec::new() }], why: Some(why.into()) }
    }

    pub(super) fn is_success(&self) -> bool {
        self.lines.iter().all(|line| line.word.is_success())
    }

    pub(super) fn has(&self, word: Word) -> bool {
        self.lines.iter().any(|line| line.word == word)
    }

    /// In the form of dyndns2: a line for each name.
    pub(super) fn dyndns2(&self) -> Response {
        let mut text = String::new();
        for line in &self.lines {
            text.push_str(line.word.as_str());
            for (place, ip) in line.ips.iter().enumerate() {
                // Writing to a text does not fail.
                let _ = write!(text, "{}{ip}", if place == 0 { ' ' } else { ',' });
            }
            text.push('\n');
        }
        let status = self.lines.first().map_or(StatusCode::OK, |line| line.word.status());
        let mut response = self.response(status, text);
        if status == StatusCode::UNAUTHORIZED {
            let challenge = HeaderValue::from_static("Basic realm=\"dyndns\", charset=\"UTF-8\"");
            response.headers_mut().insert(header::WWW_AUTHENTICATE, challenge);
        }
        response
    }

    /// In the form of Duck DNS: `OK` or `KO`; more lines if wished.
    pub(super) fn duckdns(&self, verbose: bool) -> Response {
        let is_away = self.has(Word::OutOfOrder);
        let status = if is_away { StatusCode::SERVICE_UNAVAILABLE } else { StatusCode::OK };
        let mut text = if self.is_success() { "OK" } else { "KO" }.to_owned();
        if verbose && self.is_success() {
            let ips = || self.lines.iter().flat_map(|line| &line.ips);
            let of = |found: Option<&IpAddr>| found.map(ToString::to_string).unwrap_or_default();
            let (v4, v6) = (of(ips().find(|ip| ip.is_ipv4())), of(ips().find(|ip| ip.is_ipv6())));
            let what = if self.has(Word::Good) { "UPDATED" } else { "NOCHANGE" };
            text = format!("OK\n{v4}\n{v6}\n{what}");
        }
        self.response(status, text)
    }

    fn response(&self, status: StatusCode, text: String) -> Response {
        for line in &self.lines {
            counter!("syncfleet_dns_calls_total", "answer" => line.word.as_str()).increment(1);
        }
        let mut response = (status, text).into_response();
        let headers = response.headers_mut();
        headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
        if status == StatusCode::SERVICE_UNAVAILABLE {
            headers.insert(header::RETRY_AFTER, HeaderValue::from_static("5"));
        }
        let why = self.why.as_deref().map(|why| why.replace(|c: char| !(' '..='~').contains(&c), "?"));
        if let Some(why) = why.and_then(|why| HeaderValue::from_str(&why).ok()) {
            headers.insert(REASON, why);
        }
        response
    }
}

#[cfg(test)]
mod tests {
    use axum::body::to_bytes;

    use super::*;

    async fn read(response: Response) -> (u16, String) {
        let status = response.status().as_u16();
        let body = to_bytes(response.into_body(), 4096).await.unwrap();
        (status, String::from_utf8(body.to_vec()).unwrap())
    }

    fn line(word: Word, ips: &[&str]) -> Line {
        Line { word, ips: ips.iter().map(|ip| ip.parse().unwrap()).collect() }
    }

    #[tokio::test]
    async fn each_word_has_its_status_in_both_forms() {
        for (word, status, duck) in [
            (Word::Good, 200, "OK"),
            (Word::NoChange, 200, "OK"),
            (Word::BadAuth, 401, "KO"),
            (Word::NotDonator, 200, "KO"),
            (Word::NotFqdn, 200, "KO"),
            (Word::NoHost, 200, "KO"),
            (Word::NumHost, 200, "KO"),
            (Word::Abuse, 200, "KO"),
            (Word::DnsError, 200, "KO"),
            (Word::OutOfOrder, 503, "KO"),
        ] {
            let answer = Answer::new(word, "because of \"ä\"\n");
            let response = answer.dyndns2();
            assert_eq!(response.headers()[REASON], "because of \"?\"?");
            assert_eq!(response.headers().contains_key(header::WWW_AUTHENTICATE), status == 401);
            assert_eq!(response.headers().contains_key(header::RETRY_AFTER), status == 503);
            assert_eq!(read(response).await, (status, format!("{}\n", word.as_str())));
            let status = if word == Word::OutOfOrder { 503 } else { 200 };
            assert_eq!(read(answer.duckdns(false)).await, (status, duck.to_owned()));
        }
    }

    #[tokio::test]
    async fn names_have_a_line_each_and_verbose_ones_four() {
        let lines = vec![
            line(Word::Good, &["192.0.2.1", "2001:db8::1"]),
            line(Word::NoChange, &["192.0.2.1"]),
            line(Word::NoHost, &[]),
        ];
        let mixed = Answer { lines, why: None };
        let (_, text) = read(mixed.dyndns2()).await;
        assert_eq!(text, "good 192.0.2.1,2001:db8::1\nnochg 192.0.2.1\nnohost\n");
        assert_eq!(read(mixed.duckdns(true)).await.1, "KO");
        let good = Answer { lines: mixed.lines[..2].to_vec(), why: None };
        assert_eq!(read(good.duckdns(true)).await.1, "OK\n192.0.2.1\n2001:db8::1\nUPDATED");
        let same = Answer { lines: mixed.lines[1..2].to_vec(), why: None };
        assert_eq!(read(same.duckdns(true)).await.1, "OK\n192.0.2.1\n\nNOCHANGE");
    }
}

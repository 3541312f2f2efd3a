//! Calls to providers.
//!
//! Wanted: no credential in a log, an error or a plan; none to another host than the one that was named; no call without an end.
//! So: TLS by the system's certificates, without which only loopback addresses are called; no redirect is followed; no proxy is
//! used; time and length of an answer are limited; errors never name the URL; a plan is the very request, built with `***` for a secret.

use std::{
    fmt::{self, Write as _},
    net::IpAddr,
    time::Duration,
};

use anyhow::Context as _;
use reqwest::{Method, StatusCode, header};
use secrecy::{ExposeSecret as _, SecretString};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use url::{Host, Url};

use super::{Answer, Outcome, Park, outcome::said};
use crate::google::{AssertionClient, assertion_client};

/// What stands for a secret where people read.
pub(super) const MASK: &str = "***";

/// Providers ask for a name that tells program and version: <https://help.dyn.com/remote-access-api/policies/>.
pub(super) const USER_AGENT: &str = concat!("syncfleet - dns - ", env!("CARGO_PKG_VERSION"));

/// No answer is read further.
const ANSWER_LIMIT: usize = 256 << 10;

/// No provider's word on when to come back is followed for longer.
const LONGEST_WAIT: Duration = Duration::from_hours(24);

/// How long to wait after 429 without such a word.
pub(super) const RATE_LIMITED: Duration = Duration::from_mins(5);

/// A URL that credentials may be sent to: https, or http at a loopback address.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Endpoint(Url);

impl Endpoint {
    /// The URL.
    #[must_use]
    pub const fn url(&self) -> &Url {
        &self.0
    }

    /// The URL with more path segments, each percent-encoded.
    pub(super) fn with(&self, segments: &[&str]) -> Url {
        let mut url = self.0.clone();
        if let Ok(mut path) = url.path_segments_mut() {
            path.pop_if_empty().extend(segments);
        }
        url
    }

    /// The URL with parameters, percent-encoded, after those that it has.
    pub(super) fn query(&self, parameters: &[(&str, &str)]) -> Url {
        let mut url = self.0.clone();
        url.query_pairs_mut().extend_pairs(parameters);
        url
    }
}

impl From<Endpoint> for String {
    fn from(endpoint: Endpoint) -> Self {
        endpoint.0.into()
    }
}

impl TryFrom<String> for Endpoint {
    type Error = String;

    // The text is never repeated: people paste URLs with passwords in them.
    fn try_from(text: String) -> Result<Self, String> {
        let url = Url::parse(text.trim()).map_err(|error| format!("not a URL ({error})"))?;
        if !url.username().is_empty() || url.password().is_some() {
            return Err(
                "user and password do not belong into the URL: give them in fields of their own".to_owned()
            );
        }
        if url.fragment().is_some() {
            return Err("a part after # is never sent: percent-encode it (%23) or leave it out".to_owned());
        }
        if url.scheme() == "https" || (url.scheme() == "http" && loopback(&url)) {
            Ok(Self(url))
        } else {
            Err("it must begin with https:// (http:// only at a loopback address)".to_owned())
        }
    }
}

fn loopback(url: &Url) -> bool {
    match url.host() {
        Some(Host::Ipv4(address)) => address.is_loopback(),
        Some(Host::Ipv6(address)) => address.is_loopback(),
        _ => false,
    }
}

/// How a call shows who it is.
#[derive(Debug, Clone)]
pub(super) enum Auth {
    /// It does not, or by what stands in URL or body.
    None,
    /// `Authorization: Basic`: this user, and the secret.
    Basic(String),
    /// `Authorization: Bearer`: the secret.
    Bearer,
    /// `Authorization` as given: made from the secret, with what is shown in its place.
    Made { shown: String, sent: SecretString },
}

/// A call, as it is sent and as it is shown.
pub(super) struct Request {
    pub(super) method: Method,
    pub(super) url: Url,
    pub(super) auth: Auth,
    pub(super) headers: Vec<(String, String)>,
    pub(super) body: Option<String>,
    pub(super) note: &'static str,
}

impl Request {
    pub(super) fn new(method: Method, url: Url, auth: Auth) -> Self {
        Self { method, url, auth, headers: Vec::new(), body: None, note: "" }
    }

    pub(super) fn get(url: Url, auth: Auth) -> Self {
        Self::new(Method::GET, url, auth)
    }

    pub(super) fn json(method: Method, url: Url, auth: Auth, body: &Value) -> Self {
        let mut request = Self::new(method, url, auth);
        request.headers.push(("content-type".to_owned(), "application/json".to_owned()));
        request.body = Some(body.to_string());
        request
    }

    /// When it is sent, for a plan.
    pub(super) fn noted(mut self, note: &'static str) -> Self {
        self.note = note;
        self
    }
}

impl fmt::Display for Request {
    /// Meant for a request that was built with [`MASK`] for a secret.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if !self.note.is_empty() {
            writeln!(f, "# {}", self.note)?;
        }
        write!(f, "{} {}", self.method, self.url)?;
        match &self.auth {
            Auth::None => {}
            Auth::Basic(user) => write!(f, "\nauthorization: Basic {user}:{MASK}")?,
            Auth::Bearer => write!(f, "\nauthorization: Bearer {MASK}")?,
            Auth::Made { shown, .. } => write!(f, "\nauthorization: {shown}")?,
        }
        write!(f, "\nuser-agent: {USER_AGENT}")?;
        for (name, value) in &self.headers {
            write!(f, "\n{name}: {value}")?;
        }
        if let Some(body) = &self.body {
            write!(f, "\n\n{body}")?;
        }
        Ok(())
    }
}

/// What came back.
#[derive(Debug, Clone)]
pub(super) struct Reply {
    pub(super) status: StatusCode,
    pub(super) retry_after: Option<Duration>,
    pub(super) body: String,
    /// The host that it wants to lead to.
    leads_to: Option<String>,
}

impl Reply {
    /// Whether a web page came instead of an answer. By its text, as servers call plain answers text/html.
    pub(super) fn is_page(&self) -> bool {
        self.body.trim_start().starts_with('<')
    }

    /// What a status means that is no success, where the provider's own words do not say more.
    pub(super) fn by_status(&self, secret: &str) -> Answer {
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
            _ if status.is_server_error() => self.retry_after.map_or(Outcome::Retry, Outcome::Wait),
            _ if status.is_redirection() || status.is_informational() || self.is_page() => Outcome::Retry,
            _ => Outcome::Refused,
        };
        Answer::new(outcome, said(&text, secret))
    }

    /// A success that makes no sense.
    pub(super) fn malformed(&self, what: &str, secret: &str) -> Answer {
        if self.is_page() {
            return Answer::retry(
                "a web page came instead of an answer: a captive portal, or the URL is no update server's",
            );
        }
        let text = if self.body.trim().is_empty() { "nothing" } else { self.body.trim() };
        Answer::retry(said(&format!("{what}; it said: {text}"), secret))
    }

    pub(super) fn json(&self) -> Option<Value> {
        serde_json::from_str(&self.body).ok()
    }
}

/// Limits of calls.
#[derive(Debug, Clone, Copy)]
pub struct Limits {
    /// For a connection to come about.
    pub connect: Duration,
    /// For a call, from the look-up of the name to the end of the answer.
    pub call: Duration,
    /// Between two looks at something that a provider does in its own time.
    pub poll: Duration,
    /// How often is looked.
    pub polls: u32,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            connect: Duration::from_secs(5),
            call: Duration::from_secs(15),
            poll: Duration::from_secs(3),
            polls: 30,
        }
    }
}

/// Calls providers.
#[derive(Clone)]
pub struct Http {
    client: reqwest::Client,
    assertions: AssertionClient,
    pub(super) limits: Limits,
}

impl fmt::Debug for Http {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Http").field("limits", &self.limits).finish_non_exhaustive()
    }
}

impl Http {
    /// A client with the system's certificates.
    pub fn new(limits: Limits) -> anyhow::Result<Self> {
        Ok(Self {
            client: client(limits, None)?,
            assertions: assertion_client(crate::tls::client(true)?),
            limits,
        })
    }

    /// A client that calls from an address of this family alone.
    pub(super) fn of_family(limits: Limits, from: IpAddr) -> anyhow::Result<reqwest::Client> {
        client(limits, Some(from))
    }

    /// What carries a service account's request for a token.
    pub(super) fn assertions(&self) -> AssertionClient {
        self.assertions.clone()
    }

    /// Sends a request once. An error is an answer already: nothing is known to have changed.
    pub(super) async fn send(&self, request: Request, secret: &SecretString) -> Result<Reply, Answer> {
        if request.url.scheme() != "https" && !loopback(&request.url) {
            return Err(Answer::park(Park::BadSetting, "only loopback addresses are called without TLS"));
        }
        let mut call = self.client.request(request.method, request.url);
        call = match request.auth {
            Auth::None => call,
            Auth::Basic(user) => call.basic_auth(user, Some(secret.expose_secret())),
            Auth::Bearer => call.bearer_auth(secret.expose_secret()),
            Auth::Made { sent, .. } => call.header(header::AUTHORIZATION, sent.expose_secret()),
        };
        for (name, value) in request.headers {
            call = call.header(name, value);
        }
        if let Some(body) = request.body {
            call = call.body(body);
        }
        reply(call, self.limits).await.map_err(Answer::retry)
    }
}

fn client(limits: Limits, from: Option<IpAddr>) -> anyhow::Result<reqwest::Client> {
    reqwest::Client::builder()
        .tls_backend_preconfigured(crate::tls::client(true)?)
        .no_proxy()
        .redirect(reqwest::redirect::Policy::none())
        .connect_timeout(limits.connect)
        .timeout(limits.call)
        .pool_max_idle_per_host(1)
        .local_address(from)
        .user_agent(USER_AGENT)
        .build()
        .context("cannot make a client for providers of names")
}

/// Sends, and reads the answer. An error is told without URL and headers.
pub(super) async fn reply(call: reqwest::RequestBuilder, limits: Limits) -> Result<Reply, String> {
    let mut response = call.send().await.map_err(|error| broken(error, limits))?;
    let status = response.status();
    let header = |name| response.headers().get(name).and_then(|value| value.to_str().ok()).map(str::trim);
    let retry_after = header(header::RETRY_AFTER)
        .and_then(|seconds| seconds.parse().ok())
        .map(|seconds| Duration::from_secs(seconds).clamp(Duration::from_secs(1), LONGEST_WAIT));
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
    Ok(Reply { status, retry_after, body: String::from_utf8_lossy(&bytes).into_owned(), leads_to })
}

fn broken(error: reqwest::Error, limits: Limits) -> String {
    let error = error.without_url();
    if error.is_timeout() {
        return format!("no answer within {} s", limits.call.as_secs_f32());
    }
    let first: &dyn std::error::Error = &error;
    let last = std::iter::successors(Some(first), |error| error.source()).last();
    said(&format!("no answer: {}", last.map_or_else(String::new, ToString::to_string)), "")
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;

    /// An answer, for the tests of those who read answers.
    pub(in crate::dns) fn reply(status: StatusCode, body: &str) -> Reply {
        Reply { status, retry_after: None, body: body.to_owned(), leads_to: None }
    }

    fn endpoint(text: &str) -> Result<Endpoint, String> {
        Endpoint::try_from(text.to_owned())
    }

    #[test]
    fn credentials_go_to_https_alone() {
        for good in ["https://a.example/nic/update", "http://127.0.0.1:8080/", "http://[::1]/x"] {
            assert!(endpoint(good).is_ok(), "{good}");
        }
        for (bad, why) in [
            ("http://a.example/", "https://"),
            ("http://localhost/", "https://"),
            ("http://127.0.0.1.a.example/", "https://"),
            ("ftp://127.0.0.1/", "https://"),
            ("https://u:hunter2@a.example/", "user and password"),
            ("https://a.example/?p=hunter2#x", "#"),
            ("hunter2", "not a URL"),
        ] {
            let error = endpoint(bad).unwrap_err();
            assert!(error.contains(why) && !error.contains("hunter2"), "{bad}: {error}");
        }
    }

    #[test]
    fn parameters_and_segments_are_percent_encoded() {
        let url = endpoint("https://a.example/x?k=1").unwrap().query(&[("p", "a&b=c#d%e+f g/ü")]);
        assert_eq!(url.as_str(), "https://a.example/x?k=1&p=a%26b%3Dc%23d%25e%2Bf+g%2F%C3%BC");
        let url = endpoint("https://a.example/v1").unwrap().with(&["zones", "a/b?c", "*.x"]);
        assert_eq!(url.as_str(), "https://a.example/v1/zones/a%2Fb%3Fc/*.x");
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
            (503, Some(60), Outcome::Wait(Duration::from_mins(1))),
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

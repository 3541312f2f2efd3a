//! Calls to providers.
//!
//! Wanted: no credential in a log, an error or a plan; none to another host than the one that was named; no call without an end; no
//! call to what only the fleet can reach.
//! So: TLS by whom the process trusts ([`crate::tls`]), without which only loopback addresses are called; no redirect is followed; no
//! proxy is used; time and length of an answer are limited; errors never name the URL; a plan is the very request, built with `***` for
//! a secret; each address is looked at before it is called ([`crate::guard`]).

mod endpoint;
mod reply;

use std::{fmt, net::IpAddr, sync::Arc, time::Duration};

use anyhow::Context as _;
use reqwest::{Method, header};
use secrecy::{ExposeSecret as _, SecretString};
use serde_json::Value;
use url::Url;

pub use self::endpoint::Endpoint;
use self::endpoint::loopback;
pub(super) use self::reply::Reply;
#[cfg(test)]
pub(super) use self::reply::tests;
use super::{Answer, Park};
use crate::guard::{Allow, Guard, Lookup, Resolver, system};

/// The setting that allows networks beside the public internet.
const SETTING: &str = "SYNCFLEET_DNS_ALLOW";

/// What stands for a secret where people read.
pub(super) const MASK: &str = "***";

/// Providers ask for a name that tells program and version: <https://help.dyn.com/remote-access-api/policies/>.
pub(super) const USER_AGENT: &str = concat!("syncfleet - dns - ", env!("CARGO_PKG_VERSION"));

/// How long to wait after 429 without such a word.
pub(super) const RATE_LIMITED: Duration = Duration::from_mins(5);

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

/// What looks at addresses before they are called.
pub(super) const fn guard(allow: Allow) -> Guard {
    Guard::new(allow, false, SETTING)
}

/// A client that calls only where it may.
#[derive(Clone)]
pub(super) struct Caller {
    client: reqwest::Client,
    guard: Guard,
    limits: Limits,
}

impl Caller {
    /// A client that calls from an address, and so by its family alone; none: by both.
    pub(super) fn new(
        limits: Limits,
        from: Option<IpAddr>,
        allow: &Allow,
        lookup: &Lookup,
    ) -> anyhow::Result<Self> {
        let guard = guard(allow.clone());
        let client = reqwest::Client::builder()
            .tls_backend_preconfigured(crate::tls::client(true)?)
            .dns_resolver(Arc::new(Resolver { lookup: Arc::clone(lookup), guard: guard.clone() }))
            .no_proxy()
            .redirect(reqwest::redirect::Policy::none())
            .connect_timeout(limits.connect)
            .timeout(limits.call)
            .pool_max_idle_per_host(1)
            .local_address(from)
            .user_agent(USER_AGENT)
            .build()
            .context("cannot make a client for providers of names")?;
        Ok(Self { client, guard, limits })
    }

    pub(super) fn request(&self, method: Method, url: Url) -> reqwest::RequestBuilder {
        self.client.request(method, url)
    }

    /// Sends once, and reads the answer. An error is told without URL and headers.
    pub(super) async fn send(&self, call: reqwest::RequestBuilder) -> Result<Reply, String> {
        // What cannot be built says what it holds.
        let request = call.build().map_err(|_| "the request cannot be made of these settings".to_owned())?;
        self.guard.check_host(request.url()).map_err(|blocked| blocked.to_string())?;
        let answer = self.client.execute(request).await;
        reply::read(answer.map_err(|error| reply::broken(error, self.limits))?, self.limits).await
    }
}

/// Calls providers.
#[derive(Clone)]
pub struct Http {
    caller: Caller,
    lookup: Lookup,
    pub(super) guard: Guard,
    pub(super) limits: Limits,
}

impl fmt::Debug for Http {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Http")
            .field("limits", &self.limits)
            .field("guard", &self.guard)
            .finish_non_exhaustive()
    }
}

impl Http {
    /// Calls the public internet alone, with the system's certificates.
    pub fn new(limits: Limits) -> anyhow::Result<Self> {
        Self::with(limits, &Allow::default(), &system())
    }

    /// Calls these networks too, and finds names by `lookup`: [`system`], but for tests.
    pub fn with(limits: Limits, allow: &Allow, lookup: &Lookup) -> anyhow::Result<Self> {
        Ok(Self {
            caller: Caller::new(limits, None, allow, lookup)?,
            lookup: Arc::clone(lookup),
            guard: guard(allow.clone()),
            limits,
        })
    }

    /// The addresses of a server that may be called. An address that is named and must not be called is a setting to be changed; a
    /// name may lead elsewhere at another time.
    pub(super) async fn addresses(&self, host: &str) -> Result<Vec<IpAddr>, Answer> {
        if let Ok(address) = host.parse() {
            let blocked =
                |blocked: crate::guard::Blocked| Answer::park(Park::BadSetting, blocked.to_string());
            return self.guard.check(address).map(|()| vec![address]).map_err(blocked);
        }
        let found = tokio::time::timeout(self.limits.call, (self.lookup)(host.to_owned())).await;
        let found = found
            .map_err(|_| Answer::retry(format!("{host} is not found in time")))?
            .map_err(|error| Answer::retry(format!("{host} is not found: {error}")))?;
        self.guard.those_of(host, &found).map_err(|blocked| Answer::retry(blocked.to_string()))
    }

    /// Sends a request once. An error is an answer already: nothing is known to have changed.
    pub(super) async fn send(&self, request: Request, secret: &SecretString) -> Result<Reply, Answer> {
        let setting = |why: &str| Answer::park(Park::BadSetting, why);
        if request.url.scheme() != "https" && !loopback(&request.url) {
            return Err(setting("only loopback addresses are called without TLS"));
        }
        self.guard.check_host(&request.url).map_err(|blocked| setting(&blocked.to_string()))?;
        let mut call = self.caller.request(request.method, request.url);
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
        self.caller.send(call).await.map_err(Answer::retry)
    }
}

use std::{fmt, sync::Arc, time::Duration};

use anyhow::Context as _;
use reqwest::{StatusCode, header};
use rustls::ClientConfig;
use secrecy::ExposeSecret;
use url::Url;

use super::{
    credential::Credential,
    sign::BadSecret,
    url::{check_url, guard},
};
use crate::{
    guard::{Allow, Blocked, Lookup, Resolver},
    secrets::KeyRing,
    tls,
};

/// How long an endpoint may take, from the name's look-up to the end of its answer.
const LIMIT: Duration = Duration::from_secs(15);

/// How long a connection may take to come about.
const CONNECT_LIMIT: Duration = Duration::from_secs(5);

/// What is read of an answer. It is only told in notes.
const ANSWER_LIMIT: usize = 2_000;

/// No endpoint's word on when to come back is followed for longer.
const LONGEST: Duration = Duration::from_hours(1);

/// A message.
#[derive(Debug, Clone, Copy)]
pub struct Message<'a> {
    /// The same whenever it is sent again.
    pub id: &'a str,
    /// When it is sent, in seconds since 1970.
    pub timestamp: i64,
    /// JSON.
    pub body: &'a str,
}

/// Why a message was not taken. The texts hold no secret; URLs are not in them.
#[derive(Debug, thiserror::Error)]
pub enum SendError {
    /// The endpoint wants no more of them (410).
    #[error("the endpoint answered 410: it wants no more messages")]
    Gone,
    /// The endpoint refused it: any other status that is neither good nor its own failure.
    #[error("the endpoint answered {status}{answer}")]
    Refused {
        /// The status.
        status: u16,
        /// What it said, if anything.
        answer: String,
    },
    /// It was not sent: it must not go there.
    #[error(transparent)]
    Blocked(#[from] Blocked),
    /// It failed, and may go better later.
    #[error("{what}")]
    Failed {
        /// What happened.
        what: String,
        /// When the endpoint wants to be asked again.
        after: Option<Duration>,
    },
    /// The secret is none.
    #[error(transparent)]
    Secret(#[from] BadSecret),
}

impl SendError {
    /// The word in metrics.
    #[must_use]
    pub const fn result(&self) -> &'static str {
        match self {
            Self::Gone => "gone",
            Self::Refused { .. } => "refused",
            Self::Blocked(_) => "blocked",
            Self::Failed { .. } | Self::Secret(_) => "failed",
        }
    }
}

/// Sends messages.
#[derive(Clone)]
pub struct Sender {
    /// What opens the signing secrets.
    pub keys: KeyRing,
    allow: Allow,
    tls: reqwest::Client,
    plain: reqwest::Client,
}

impl fmt::Debug for Sender {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Sender").field("keys", &self.keys).field("allow", &self.allow).finish_non_exhaustive()
    }
}

impl Sender {
    /// A sender that finds names by `lookup`: [`super::system`], but for tests.
    pub fn new(keys: KeyRing, allow: Allow, lookup: &Lookup) -> anyhow::Result<Self> {
        let client = |plain| {
            let guard = guard(allow.clone(), plain);
            reqwest::Client::builder()
                .tls_backend_preconfigured(trusting()?)
                .https_only(!plain)
                .dns_resolver(Arc::new(Resolver { lookup: Arc::clone(lookup), guard }))
                .no_proxy()
                .redirect(reqwest::redirect::Policy::none())
                .connect_timeout(CONNECT_LIMIT)
                .timeout(LIMIT)
                .pool_max_idle_per_host(1)
                .user_agent(concat!("syncfleet/", env!("CARGO_PKG_VERSION")))
                .build()
                .context("cannot make a client for webhooks")
        };
        Ok(Self { keys, tls: client(false)?, plain: client(true)?, allow })
    }

    /// Whether messages could go to a URL, as far as it tells by itself.
    pub fn check(&self, url: &Url) -> Result<(), Blocked> {
        check_url(url, &self.allow)
    }

    /// Sends a message once. Any status of 200 to 299 is an acknowledgement.
    pub async fn send(
        &self,
        url: &Url,
        credential: &Credential,
        message: Message<'_>,
    ) -> Result<u16, SendError> {
        self.check(url)?;
        let client = if url.scheme() == "https" { &self.tls } else { &self.plain };
        let request = client
            .post(url.clone())
            .header(header::CONTENT_TYPE, "application/json")
            .body(message.body.to_owned());
        let request = match credential {
            Credential::Secret(secret) => request
                .header("webhook-id", message.id)
                .header("webhook-timestamp", message.timestamp)
                .header("webhook-signature", secret.sign(message.id, message.timestamp, message.body)?),
            Credential::Token(Some(token)) => request.bearer_auth(token.expose_secret()),
            Credential::Token(None) => request,
        };
        let response = request.send().await.map_err(failed)?;
        let (status, after) = (response.status(), retry_after(&response));
        if status.is_success() {
            // The answer is of no interest; a short one is read, so that the connection can be used again.
            read(response).await;
            return Ok(status.as_u16());
        }
        if status == StatusCode::GONE {
            return Err(SendError::Gone);
        }
        let answer = quoted(&read(response).await);
        if status.is_server_error()
            || [StatusCode::REQUEST_TIMEOUT, StatusCode::TOO_MANY_REQUESTS].contains(&status)
        {
            let what = format!("the endpoint answered {}{answer}", status.as_u16());
            return Err(SendError::Failed { what, after });
        }
        let answer = if status.is_redirection() { ": redirects are not followed".to_owned() } else { answer };
        Err(SendError::Refused { status: status.as_u16(), answer })
    }
}

fn trusting() -> anyhow::Result<ClientConfig> {
    tls::client(true).or_else(|error| {
        tracing::warn!("webhooks over https will fail: {error:#}");
        tls::client(false)
    })
}

/// The endpoint's word on when to come back, in seconds; a date is not followed.
fn retry_after(response: &reqwest::Response) -> Option<Duration> {
    let seconds = response.headers().get(header::RETRY_AFTER)?.to_str().ok()?.trim().parse().ok()?;
    Some(Duration::from_secs(seconds).clamp(Duration::from_secs(1), LONGEST))
}

/// The beginning of an answer; what comes after it is left, with its connection.
async fn read(mut response: reqwest::Response) -> String {
    let mut bytes = Vec::new();
    while bytes.len() < ANSWER_LIMIT
        && let Ok(Some(chunk)) = response.chunk().await
    {
        bytes.extend_from_slice(&chunk[..chunk.len().min(ANSWER_LIMIT - bytes.len())]);
    }
    String::from_utf8_lossy(&bytes).into_owned()
}

/// What an endpoint said, short and on one line.
fn quoted(answer: &str) -> String {
    let line: String = answer.chars().map(|c| if c.is_control() { ' ' } else { c }).take(200).collect();
    let line = line.trim();
    if line.is_empty() { String::new() } else { format!(": {line}") }
}

fn failed(error: reqwest::Error) -> SendError {
    let error = error.without_url();
    let first: &dyn std::error::Error = &error;
    for cause in std::iter::successors(Some(first), |error| error.source()) {
        if let Some(blocked) = cause.downcast_ref::<Blocked>() {
            return SendError::Blocked(blocked.clone());
        }
    }
    let what = if error.is_timeout() {
        format!("the endpoint did not answer within {} s", LIMIT.as_secs())
    } else {
        let last = std::iter::successors(Some(first), |error| error.source()).last();
        format!("the endpoint cannot be called: {}", last.map_or_else(String::new, ToString::to_string))
    };
    SendError::Failed { what, after: None }
}

//! `POST /webhooks/google/<api>`: Google tells that something has changed.
//! <https://developers.google.com/workspace/calendar/api/guides/push>,
//! <https://developers.google.com/workspace/drive/api/guides/push>
//!
//! # Properties wanted, and what stands for them
//!
//! - *An answer of 2xx means that the want is durable*: it is given after the commit. While the database is away, or more
//!   comes than it can take, the answer is 503 within seconds; Google tries again after 500, 502, 503 and 504. Any other
//!   answer it takes as final.
//! - *Nothing is done for who is not Google*: the channel's token is checked before anything is looked up or waits
//!   ([`shared::google::channels::token`]). The resource is compared by the statement that wants the job.
//! - *A burst costs little*: what comes within some milliseconds is written by one statement ([`inbox`]).
//! - *Memory is bounded*: the queue, the bodies, and what is remembered of sources ([`Sources`]) all are.
//! - *What calls and should not is ended*: a message of a channel that is not known, with a good token, leaves a row by
//!   which the account's job stops it. If the account is gone nobody can, and the channel runs out by itself.
//!
//! Numbers of messages are not looked at: they have gaps by design, come twice and in any order, and a want has no order.

mod inbox;
mod message;

use std::{
    net::SocketAddr,
    sync::Arc,
    time::{Duration, Instant},
};

use axum::{
    Router,
    body::{Body, to_bytes},
    extract::{ConnectInfo, State},
    http::{HeaderMap, HeaderValue, StatusCode, header},
    response::{IntoResponse, Response},
    routing::post,
};
use metrics::{Unit, counter, describe_counter, describe_histogram, histogram};
use shared::{
    google::{Google, scopes},
    shutdown::Tasks,
    store::channels::{Heard, Outcome as Noted},
};

use self::{inbox::Inbox, message::Message};
use super::Ingress;
use crate::listen::{
    Peer,
    gather::Refused,
    sources::{Charge, Sources},
};

/// The APIs that push here.
const APIS: [&str; 2] = [scopes::CALENDAR, scopes::DRIVE];

/// A notification's body is nothing, or a word of JSON. It is not read further than that, and not used.
const BODY: usize = 4 * 1024;

/// How long the body may take.
const BODY_LIMIT: Duration = Duration::from_secs(5);

/// What a request came to, as in the label `result`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Outcome {
    /// Its job is wanted.
    Wanted,
    /// A channel has said that it delivers.
    Sync,
    /// The channel was stopped before.
    Stopped,
    /// The channel is not known, and will be stopped.
    Unknown,
    WrongResource,
    BadToken,
    BadRequest,
    /// More than the source may send.
    TooMany,
    /// The same, and without a good token.
    TooManyBad,
    Full,
    Unavailable,
    NotConfigured,
}

impl Outcome {
    const ALL: [Self; 12] = [
        Self::Wanted,
        Self::Sync,
        Self::Stopped,
        Self::Unknown,
        Self::WrongResource,
        Self::BadToken,
        Self::BadRequest,
        Self::TooMany,
        Self::TooManyBad,
        Self::Full,
        Self::Unavailable,
        Self::NotConfigured,
    ];

    const fn as_str(self) -> &'static str {
        match self {
            Self::Wanted => "wanted",
            Self::Sync => "sync",
            Self::Stopped => "stopped",
            Self::Unknown => "unknown",
            Self::WrongResource => "wrong_resource",
            Self::BadToken => "bad_token",
            Self::BadRequest => "bad_request",
            Self::TooMany => "too_many",
            Self::TooManyBad => "too_many_bad",
            Self::Full => "full",
            Self::Unavailable => "unavailable",
            Self::NotConfigured => "not_configured",
        }
    }

    const fn status(self) -> StatusCode {
        match self {
            Self::Wanted | Self::Sync | Self::Stopped | Self::Unknown => StatusCode::NO_CONTENT,
            Self::WrongResource | Self::BadToken => StatusCode::FORBIDDEN,
            Self::BadRequest => StatusCode::BAD_REQUEST,
            Self::TooManyBad => StatusCode::TOO_MANY_REQUESTS,
            // Not 429: what is good is to come again.
            Self::TooMany | Self::Full | Self::Unavailable | Self::NotConfigured => {
                StatusCode::SERVICE_UNAVAILABLE
            }
        }
    }
}

/// What the webhooks work with.
struct Webhooks {
    /// None: no OAuth client is configured, so there is no channel of ours.
    google: Option<Google>,
    inbox: Inbox,
    sources: Sources,
}

/// The routes, and the tasks behind them.
pub(super) fn routes(ingress: &Ingress, tasks: &Tasks) -> Router {
    describe_metrics();
    let webhooks = Arc::new(Webhooks {
        google: ingress.google.clone(),
        inbox: Inbox::start(ingress, tasks),
        sources: Sources::default(),
    });
    let mut routes = Router::new();
    for api in APIS {
        let handler = move |webhooks, source, headers, body| receive(api, webhooks, source, headers, body);
        routes = routes.route(&format!("/webhooks/google/{api}"), post(handler));
    }
    routes.with_state(webhooks)
}

async fn receive(
    api: &'static str,
    State(webhooks): State<Arc<Webhooks>>,
    ConnectInfo(Peer(source)): ConnectInfo<Peer>,
    headers: HeaderMap,
    body: Body,
) -> Response {
    let began = Instant::now();
    let outcome = webhooks.outcome(api, source, &headers, body, began).await;
    counter!("syncfleet_push_requests_total", "result" => outcome.as_str()).increment(1);
    histogram!("syncfleet_push_request_duration_seconds").record(began.elapsed());
    let mut response = outcome.status().into_response();
    if outcome.status() == StatusCode::SERVICE_UNAVAILABLE {
        response.headers_mut().insert(header::RETRY_AFTER, HeaderValue::from_static("1"));
    }
    response
}

impl Webhooks {
    async fn outcome(
        &self,
        api: &'static str,
        source: SocketAddr,
        headers: &HeaderMap,
        body: Body,
        now: Instant,
    ) -> Outcome {
        let Some(google) = &self.google else { return Outcome::NotConfigured };
        let charge = |charge| self.sources.charge(source.ip(), charge, now);
        let message = match Message::read(headers) {
            Ok(message) => message,
            Err(what) => {
                tracing::debug!(api, "a webhook was called without what Google sends: {what}");
                return if charge(Charge::Bad) { Outcome::BadRequest } else { Outcome::TooManyBad };
            }
        };
        let named = match google.channel_tokens().check(message.channel, message.token) {
            Ok(named) => named,
            Err(error) => {
                tracing::debug!(api, "a notification was refused: {error}");
                return if charge(Charge::Bad) { Outcome::BadToken } else { Outcome::TooManyBad };
            }
        };
        if !charge(Charge::Good) {
            return Outcome::TooMany;
        }
        if !matches!(tokio::time::timeout(BODY_LIMIT, to_bytes(body, BODY)).await, Ok(Ok(_))) {
            return Outcome::BadRequest;
        }
        let heard = Heard {
            channel: message.channel.to_owned(),
            account: named.account,
            job: named.job,
            resource_id: message.resource_id.to_owned(),
            sync: message.sync,
        };
        match self.inbox.bring(api, heard).await {
            Ok(Noted::Wanted) => Outcome::Wanted,
            Ok(Noted::Synced) => Outcome::Sync,
            Ok(Noted::Stopped) => Outcome::Stopped,
            Ok(Noted::Unknown) => Outcome::Unknown,
            Ok(Noted::WrongResource) => Outcome::WrongResource,
            Err(Refused::Full) => Outcome::Full,
            Err(Refused::Unavailable) => Outcome::Unavailable,
        }
    }
}

fn describe_metrics() {
    describe_counter!("syncfleet_push_requests_total", "Notifications, by what they came to");
    describe_counter!("syncfleet_jobs_enqueued_total", "Jobs that were wanted, by who wanted them");
    describe_histogram!(
        "syncfleet_push_request_duration_seconds",
        Unit::Seconds,
        "From a notification's headers to its answer"
    );
    for outcome in Outcome::ALL {
        counter!("syncfleet_push_requests_total", "result" => outcome.as_str()).absolute(0);
    }
}

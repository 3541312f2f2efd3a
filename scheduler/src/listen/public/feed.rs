//! `GET /feed`: a tenant's changes as they happen, as server-sent events
//! (<https://html.spec.whatwg.org/multipage/server-sent-events.html>). `docs/feed.md` tells how it is read.
//!
//! # Properties
//!
//! - *A token opens its tenant's feed and no other.* It comes in the header alone: addresses stand in logs.
//! - *Whoever has no token may try a hundred a second*, and the database is not asked for more of them ([`strangers`]). A reader
//!   behind the same proxy whose token was good here before comes in all the same.
//! - *Each reader has a bounded buffer*: the next changes are read when the last ones were taken by the connection. A reader
//!   that takes nothing for half a minute is cut off ([`crate::listen`]).
//! - *Readers share one connection that listens*; each asks the database by itself, at most so many times a second.
//! - *A token that is removed* ends its streams with the next sign of life; *the soft word* ends all at once.

mod ask;
mod readers;
mod strangers;
mod stream;

use std::{
    net::{IpAddr, SocketAddr},
    sync::Arc,
    time::{Duration, Instant},
};

use axum::{
    Json, Router,
    body::Body,
    extract::{ConnectInfo, RawQuery, State},
    http::{HeaderMap, HeaderValue, StatusCode, header},
    response::{IntoResponse, Response},
    routing::get,
};
use metrics::{counter, describe_counter, describe_gauge, gauge};
use secrecy::SecretString;
use serde_json::json;
use shared::{
    job::TenantId,
    shutdown::Tasks,
    store::{
        PgPool, accounts,
        changes::{self, After, Position, Subject},
        feed_tokens, limited,
    },
};
use tokio_util::sync::CancellationToken;

use self::{ask::Asked, readers::Readers, strangers::Strangers, stream::Reader};
use super::Ingress;
use crate::listen::Peer;

/// How long the database may take to answer.
const ANSWER: Duration = Duration::from_secs(10);

/// What the route works with.
#[derive(Debug, Clone)]
struct Feed {
    db: PgPool,
    readers: Arc<Readers>,
    strangers: Arc<Strangers>,
    soft: CancellationToken,
}

/// The route, and the task behind it that listens.
pub(super) fn routes(ingress: &Ingress, tasks: &Tasks) -> Router {
    describe_gauge!("syncfleet_feed_readers", "Streams of the change feed that are open here");
    describe_counter!("syncfleet_feed_sent_total", "Changes that were sent to readers of the feed");
    describe_counter!("syncfleet_feed_refused_total", "Readers of the feed that were refused, by the status");
    gauge!("syncfleet_feed_readers").set(0.0);
    counter!("syncfleet_feed_sent_total").absolute(0);
    for status in ["400", "401", "404", "410", "429", "503"] {
        counter!("syncfleet_feed_refused_total", "status" => status).absolute(0);
    }
    let readers = Arc::new(Readers::new(ingress.feed_readers));
    let heard = Arc::clone(&readers);
    let (db, soft) = (ingress.db.clone(), tasks.soft().clone());
    tasks.spawn(changes::listen(db, soft, move |tenant| heard.wake(tenant)));
    let strangers = Arc::new(Strangers::default());
    let feed = Feed { db: ingress.db.clone(), readers, strangers, soft: tasks.soft().clone() };
    Router::new().route("/feed", get(follow)).with_state(feed)
}

/// An answer that is none of the feed: a status, and why.
#[derive(Debug)]
struct Refusal {
    status: StatusCode,
    body: serde_json::Value,
}

impl Refusal {
    fn new(status: StatusCode, why: impl std::fmt::Display) -> Self {
        Self { status, body: json!({ "error": why.to_string() }) }
    }
}

impl From<sqlx::Error> for Refusal {
    fn from(error: sqlx::Error) -> Self {
        tracing::warn!("a reader of the feed was refused: {error}");
        Self::new(StatusCode::SERVICE_UNAVAILABLE, "the database does not answer: try again soon")
    }
}

impl IntoResponse for Refusal {
    fn into_response(self) -> Response {
        counter!("syncfleet_feed_refused_total", "status" => self.status.as_u16().to_string()).increment(1);
        let mut response = (self.status, Json(self.body)).into_response();
        let (name, value) = match self.status {
            StatusCode::UNAUTHORIZED => (header::WWW_AUTHENTICATE, "Bearer"),
            StatusCode::TOO_MANY_REQUESTS => (header::RETRY_AFTER, "1"),
            _ => return response,
        };
        response.headers_mut().insert(name, HeaderValue::from_static(value));
        response
    }
}

async fn follow(
    State(feed): State<Feed>,
    ConnectInfo(Peer(from)): ConnectInfo<Peer>,
    headers: HeaderMap,
    RawQuery(query): RawQuery,
) -> Result<Response, Refusal> {
    let (tenant, token) = limited(ANSWER, admitted(&feed, from, &headers)).await?;
    let last = headers.get("last-event-id").map(|last| last.to_str().unwrap_or("?"));
    let asked = Asked::read(query.as_deref().unwrap_or_default(), last)
        .map_err(|why| Refusal::new(StatusCode::BAD_REQUEST, why))?;
    let seat = feed.readers.seat(tenant).ok_or_else(|| {
        let most = feed.readers.most();
        let why =
            format!("the tenant has {most} readers here already, as many as are allowed: close one of them");
        Refusal::new(StatusCode::TOO_MANY_REQUESTS, why)
    })?;
    let subject = Subject { tenant, account: asked.account, resources: asked.resources, whats: asked.whats };
    let at = limited(ANSWER, begin(&feed, &subject, asked.after)).await?;
    let stream = Reader::new(feed, subject, at, token, seat).stream();
    let headers = [
        (header::CONTENT_TYPE, "text/event-stream"),
        (header::CACHE_CONTROL, "no-store"),
        // Proxies of the nginx kind must not wait for more.
        (header::HeaderName::from_static("x-accel-buffering"), "no"),
    ];
    Ok((headers, Body::from_stream(stream)).into_response())
}

/// Whose feed is asked for, and by which token.
async fn admitted(feed: &Feed, from: SocketAddr, headers: &HeaderMap) -> Result<(TenantId, i64), Refusal> {
    let Some(token) = bearer(headers) else { return Err(stranger(feed, from.ip())) };
    if !feed.strangers.may_try(from.ip(), &token, Instant::now()) {
        return Err(too_many());
    }
    let found = {
        let mut conn = feed.db.acquire().await?;
        feed_tokens::check(&mut conn, &token).await?
    };
    feed.strangers.learn(&token, found.is_some());
    found.ok_or_else(|| stranger(feed, from.ip()))
}

fn bearer(headers: &HeaderMap) -> Option<SecretString> {
    let (scheme, token) = headers.get(header::AUTHORIZATION)?.to_str().ok()?.split_once(' ')?;
    scheme.eq_ignore_ascii_case("bearer").then(|| SecretString::from(token.trim()))
}

/// The answer to one without a good token.
fn stranger(feed: &Feed, from: IpAddr) -> Refusal {
    if feed.strangers.failed(from, Instant::now()) {
        Refusal::new(StatusCode::UNAUTHORIZED, "a feed token is needed: Authorization: Bearer sft_…")
    } else {
        too_many()
    }
}

fn too_many() -> Refusal {
    let why = "too many calls without a good token came from this address: try again in a second";
    Refusal::new(StatusCode::TOO_MANY_REQUESTS, why)
}

/// The position to begin with. One that lies before what is kept is refused: the reader has to know.
async fn begin(feed: &Feed, subject: &Subject, after: After) -> Result<Position, Refusal> {
    let mut conn = feed.db.acquire().await?;
    if let Some(account) = subject.account {
        let found = accounts::get(&mut conn, account).await?;
        if found.is_none_or(|found| found.tenant != subject.tenant) {
            return Err(Refusal::new(StatusCode::NOT_FOUND, format!("the tenant has no account {account}")));
        }
    }
    let at = changes::begin(&mut conn, subject.tenant, after).await?;
    if changes::read(&mut conn, subject, at, Some(at), 1).await?.gone {
        let is_ahead = at > changes::now(&mut conn).await?;
        return Err(Refusal { status: StatusCode::GONE, body: gone(at, is_ahead) });
    }
    Ok(at)
}

/// What is told to readers who have missed changes, or whose position is none. `is_ahead`: it lies after all that is there.
fn gone(at: Position, is_ahead: bool) -> serde_json::Value {
    let why = if is_ahead {
        "lies ahead of this feed: it was another database's, or this one was taken back to an earlier moment"
    } else {
        "lies before what is kept: changes after it were dropped"
    };
    json!({
        "error": format!("the position {at} {why}; read the tables anew, and go on with after=now"),
        "position": at,
    })
}

//! Messages: what is due over which channel, and how it is sent.

use std::{sync::Arc, time::Duration};

use anyhow::{Context, ensure};
use chrono::{DateTime, Utc};
use hyper_rustls::ConfigBuilderExt;
use rand::RngExt;
use rustls::{ClientConfig, crypto::ring};
use tokio::{
    sync::{Semaphore, oneshot},
    task::JoinSet,
};

use super::{Inner, PushFaults, channel::Channel, counted};
use crate::fake_google::{Shared, lock};

/// Messages under way at once, at the most.
const AT_ONCE: usize = 512;

/// How long an answer may take.
const PATIENCE: Duration = Duration::from_secs(10);

/// The first pause before a message is tried again; it doubles.
const PAUSE: Duration = Duration::from_millis(200);

/// Tries of one message.
const TRIES: u32 = 9;

/// How long a message is held back that others are to overtake.
const OVERTAKEN: Duration = Duration::from_millis(300);

/// What sends.
pub(super) struct Client {
    http: reqwest::Client,
    at_once: Arc<Semaphore>,
}

impl Client {
    /// A client that trusts the system's certificates.
    pub(super) fn new() -> anyhow::Result<Self> {
        let config = ClientConfig::builder_with_provider(Arc::new(ring::default_provider()))
            .with_safe_default_protocol_versions()
            .context("no TLS version is left to speak")?;
        let config = match config.clone().with_native_roots() {
            Ok(config) => config,
            // Without certificates nothing can be called by https.
            Err(_) => config.with_root_certificates(rustls::RootCertStore::empty()),
        };
        let http = reqwest::Client::builder()
            .tls_backend_preconfigured(config.with_no_client_auth())
            .http1_only()
            .tcp_nodelay(true)
            .redirect(reqwest::redirect::Policy::none())
            .timeout(PATIENCE)
            .user_agent("APIs-Google; (+https://developers.google.com/webmasters/APIs-Google.html)")
            .build()
            .context("cannot make a client for notifications")?;
        Ok(Self { http, at_once: Arc::new(Semaphore::new(AT_ONCE)) })
    }
}

/// One message.
pub(super) struct Message {
    channel: Channel,
    number: u64,
    state: &'static str,
    delay: Duration,
    /// Told when it has come, or was given up.
    done: Option<oneshot::Sender<()>>,
}

/// Sends what changes make due, for ever.
pub(super) async fn run(shared: Shared) {
    let changed = Arc::clone(&lock(&shared.world).changed);
    let mut under_way = JoinSet::new();
    loop {
        changed.notified().await;
        for message in due(&shared) {
            under_way.spawn(send(shared.clone(), message));
        }
        while under_way.try_join_next().is_some() {}
    }
}

/// The messages for what has changed.
fn due(shared: &Shared) -> Vec<Message> {
    let world = lock(&shared.world);
    let now = world.now();
    let inner = &mut *lock(&shared.push.inner);
    let mut messages = std::mem::take(&mut inner.outbox);
    inner.live.retain(|channel| channel.expires > now);
    for place in 0..inner.live.len() {
        let Some(version) = inner.live[place].version(&world) else { continue };
        let changes = version - inner.live[place].seen.min(version);
        inner.live[place].seen = version;
        let times = usize::try_from(changes).unwrap_or(usize::MAX).saturating_mul(inner.faults.burst.max(1));
        for _ in 0..times {
            draw(inner, place, &mut messages);
        }
    }
    messages
}

/// A change's message over a channel, or several, or none, as the faults have it.
fn draw(inner: &mut Inner, place: usize, messages: &mut Vec<Message>) {
    let Inner { live, faults, counts, rng, .. } = inner;
    let PushFaults { lost, twice, late, late_ms, overtaken, gaps, .. } = *faults;
    let channel = &mut live[place];
    channel.number += if gaps { rng.random_range(1..=5) } else { 1 };
    if rng.random_bool(lost) {
        counts.lost += 1;
        return;
    }
    let mut delay = Duration::ZERO;
    if rng.random_bool(late) {
        delay += Duration::from_millis(late_ms);
    }
    if rng.random_bool(overtaken) {
        delay += OVERTAKEN;
    }
    for _ in 0..if rng.random_bool(twice) { 2 } else { 1 } {
        let (number, state) = (channel.number, channel.state());
        messages.push(Message { channel: channel.clone(), number, state, delay, done: None });
    }
}

/// Sends a channel's first message. The answer tells when it has come, or was given up.
pub(super) fn sync(shared: &Shared, id: &str) -> oneshot::Receiver<()> {
    let (done, told) = oneshot::channel();
    let inner = &mut *lock(&shared.push.inner);
    if let Some(channel) = inner.live.iter_mut().find(|channel| channel.id == id) {
        channel.number = 1;
        if !inner.faults.lost_sync {
            let channel = channel.clone();
            let delay = Duration::ZERO;
            inner.outbox.push(Message { channel, number: 1, state: "sync", delay, done: Some(done) });
            inner.wake.notify_one();
        }
    }
    told
}

/// Sends messages over a channel without a change.
pub(super) fn again(shared: &Shared, id: &str, times: usize) -> anyhow::Result<()> {
    ensure!(times <= 100_000, "{times} messages: at most 100000 are allowed");
    let mut inner = lock(&shared.push.inner);
    let place = inner.live.iter().position(|channel| channel.id == id);
    let place = place.with_context(|| format!("no channel {id}"))?;
    let mut messages = Vec::new();
    for _ in 0..times {
        draw(&mut inner, place, &mut messages);
    }
    inner.outbox.append(&mut messages);
    inner.wake.notify_one();
    Ok(())
}

/// Sends a message until it is taken, or nobody will take it.
async fn send(shared: Shared, mut message: Message) {
    let done = message.done.take();
    deliver(&shared, &message).await;
    if let Some(done) = done {
        // Nobody may wait for it.
        let _ = done.send(());
    }
}

async fn deliver(shared: &Shared, message: &Message) {
    tokio::time::sleep(message.delay).await;
    counted(&shared.0, |counts| counts.sent += 1);
    let mut pause = PAUSE;
    for attempt in 1..=TRIES {
        let status = match shared.push.client.at_once.acquire().await {
            Ok(_permit) => request(shared, message).await,
            Err(_) => return,
        };
        counted(&shared.0, |counts| {
            let status = status.map_or_else(|| "none".to_owned(), |status| status.to_string());
            *counts.answers.entry(status).or_default() += 1;
        });
        match status {
            Some(102 | 200 | 201 | 202 | 204) => return,
            Some(500 | 502 | 503 | 504) if attempt < TRIES => {
                tokio::time::sleep(pause).await;
                pause *= 2;
            }
            _ => break,
        }
    }
    counted(&shared.0, |counts| counts.given_up += 1);
}

async fn request(shared: &Shared, message: &Message) -> Option<u16> {
    let Message { channel, number, state, .. } = message;
    let mut request = shared
        .push
        .client
        .http
        .post(&channel.address)
        .header("x-goog-channel-id", &channel.id)
        .header("x-goog-message-number", *number)
        .header("x-goog-resource-id", &channel.resource_id)
        .header("x-goog-resource-state", *state)
        .header("x-goog-resource-uri", &channel.resource_uri)
        .header("x-goog-channel-expiration", date(channel.expires));
    if let Some(token) = &channel.token {
        request = request.header("x-goog-channel-token", token);
    }
    let body = channel.body();
    if body.is_empty() {
        request = request.header("content-length", 0);
    } else {
        request = request.header("content-type", "application/json; utf-8").body(body);
    }
    let answer = request.send().await.ok()?;
    let status = answer.status().as_u16();
    // The body is read, so that the connection can be used again.
    let _ = answer.bytes().await;
    Some(status)
}

/// As Google writes it: RFC 1123.
fn date(at: DateTime<Utc>) -> String {
    at.format("%a, %d %b %Y %H:%M:%S GMT").to_string()
}

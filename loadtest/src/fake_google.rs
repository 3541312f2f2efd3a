//! A Google of its own: sign-in, token endpoint, Calendar and Drive API on loopback, strict where Google is strict.
//!
//! A test changes its [`World`], sets faults, and compares what was mirrored with its truth. Another process does the
//! same over HTTP, under `/control/`. Point google-calendar3 at [`FakeGoogle::calendar_url`].

mod answer;
mod api;
mod assertion;
mod calendar;
mod calendar_list;
mod churn;
mod connection;
mod control;
mod cursor;
mod drive;
mod event;
mod events;
mod faults;
mod id_token;
mod list;
mod oauth;
mod push;
mod query;
mod quota;
mod refusal;
mod scenario;
mod seed;
mod sign_in;
mod stats;
mod truth;
mod world;

use std::{
    net::{Ipv4Addr, SocketAddr},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::{Duration, SystemTime},
};

use anyhow::{Context, ensure};
use axum::{
    Router,
    routing::{get, post},
};
use chrono::{DateTime, Utc};
use tokio::{net::TcpListener, task::JoinSet};
use tokio_util::sync::CancellationToken;

pub use self::{
    api::Api,
    calendar::Role,
    churn::Churned,
    control::Operation,
    drive::{Content, FOLDER, FileDraft, PermissionRole, SHORTCUT, TruthFile},
    event::{EventDraft, When},
    faults::{FaultBody, FaultKind, FaultRule},
    id_token::Wrong,
    push::{PushChannel, PushCounts, PushFaults, PushState},
    quota::{QuotaCounts, QuotaLimits},
    scenario::Scenario,
    seed::SeededAccount,
    stats::{ListCounts, MediaCounts, Stats},
    truth::{TruthAccount, TruthCalendar, TruthEvent, TruthRow},
    world::{Consent, World},
};

/// How a fake Google is set up.
#[derive(Debug, Clone)]
pub struct Options {
    /// The port on 127.0.0.1; 0 takes a free one.
    pub port: u16,
    /// What ids, faults and churn are drawn from.
    pub seed: u64,
    /// No page is longer than this, whatever `maxResults` says.
    pub page_size_cap: usize,
    /// How long access tokens are good.
    pub access_token_lifetime: Duration,
    /// How long each API answer takes.
    pub latency: Duration,
    /// The id of the OAuth client that accounts have granted access, unless they name another.
    pub client_id: String,
    /// That client's secret.
    pub client_secret: String,
    /// What the fake's clock shows when it starts.
    pub now: DateTime<Utc>,
    /// Push channels may lead to http on loopback. Google takes https alone.
    pub http_callbacks: bool,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            port: 0,
            seed: 0,
            page_size_cap: 2500,
            access_token_lifetime: Duration::from_secs(3599),
            latency: Duration::ZERO,
            client_id: "fake-client.apps.googleusercontent.com".to_owned(),
            client_secret: "fake-client-secret".to_owned(),
            now: SystemTime::now().into(),
            http_callbacks: false,
        }
    }
}

/// What the handlers share.
#[derive(Clone)]
struct Shared(Arc<Inner>);

struct Inner {
    options: Options,
    address: SocketAddr,
    world: Mutex<World>,
    faults: faults::Faults,
    counters: stats::Counters,
    quota: quota::Quotas,
    churn: Mutex<churn::Churns>,
    push: push::Push,
}

impl std::ops::Deref for Shared {
    type Target = Inner;

    fn deref(&self) -> &Inner {
        &self.0
    }
}

impl Shared {
    fn token_url(&self) -> String {
        format!("http://{}/token", self.address)
    }
}

/// A lock whose holder panicked is still good: a panic is a failed test already.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// A running fake Google. Dropping it ends it.
pub struct FakeGoogle {
    shared: Shared,
    address: SocketAddr,
    shutdown: CancellationToken,
    server: JoinSet<std::io::Result<()>>,
    /// The troubles of its scenario. Dropping the set ends them.
    troubles: JoinSet<()>,
    /// What sends notifications. Dropping the set ends it.
    pushes: JoinSet<()>,
}

impl FakeGoogle {
    /// Binds the port and begins to serve an empty world. Needs a tokio runtime.
    pub async fn start(options: Options) -> anyhow::Result<Self> {
        ensure!(options.page_size_cap > 0, "page_size_cap: at least 1 is needed");
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, options.port))
            .await
            .with_context(|| format!("cannot listen on 127.0.0.1:{}", options.port))?;
        let address = listener.local_addr().context("cannot read the address that was bound")?;
        let mut world = World::new(options.seed, options.now, &options.client_id, &options.client_secret);
        world.issuer = format!("http://{address}");
        let shared = Shared(Arc::new(Inner {
            push: push::Push::new(options.seed, Arc::clone(&world.changed))?,
            world: Mutex::new(world),
            faults: faults::Faults::new(options.seed),
            counters: stats::Counters::default(),
            quota: quota::Quotas::default(),
            churn: Mutex::default(),
            address,
            options,
        }));
        let app = Router::new()
            .route("/.well-known/openid-configuration", get(answer::discovery))
            .route("/oauth2/v3/certs", get(answer::certs))
            .route(sign_in::PATH, get(sign_in::page).post(sign_in::decide))
            .route("/token", post(answer::token))
            .route("/revoke", post(answer::revoke))
            .route("/calendar/v3/users/me/calendarList", get(answer::calendar_list))
            .route("/calendar/v3/users/me/calendarList/primary", get(answer::primary_calendar))
            .route("/calendar/v3/calendars/{calendar}/events", get(answer::events))
            .route("/calendar/v3/users/me/calendarList/watch", post(push::watch_list))
            .route("/calendar/v3/calendars/{calendar}/events/watch", post(push::watch_events))
            .route("/calendar/v3/channels/stop", post(push::stop_calendar))
            .route("/drive/v3/changes/watch", post(push::watch_changes))
            .route("/drive/v3/channels/stop", post(push::stop_drive))
            .merge(drive::routes())
            .merge(control::routes())
            .merge(quota::routes())
            .merge(push::routes())
            .fallback(answer::unknown)
            .with_state(shared.clone())
            .into_make_service_with_connect_info::<connection::Connection>();
        let shutdown = CancellationToken::new();
        let stopped = shutdown.clone().cancelled_owned();
        let mut server = JoinSet::new();
        let serve = axum::serve(connection::CuttableListener(listener), app).with_graceful_shutdown(stopped);
        server.spawn(async move { serve.await });
        let mut pushes = JoinSet::new();
        push::start(&shared, &mut pushes);
        Ok(Self { shared, address, shutdown, server, troubles: JoinSet::new(), pushes })
    }

    /// The same, with what a scenario says: its world, its faults, its churn, and its troubles from now on.
    pub async fn play(scenario: &Scenario, port: u16) -> anyhow::Result<Self> {
        let mut google = Self::start(scenario.options(port)).await?;
        scenario.begin(&google.shared, &mut google.troubles)?;
        Ok(google)
    }

    /// `http://127.0.0.1:<port>`, without a slash at the end.
    #[must_use]
    pub fn base_url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// The token endpoint.
    #[must_use]
    pub fn token_url(&self) -> String {
        self.shared.token_url()
    }

    /// The root of the Calendar API, with the slash at the end that google-calendar3 needs.
    #[must_use]
    pub fn calendar_url(&self) -> String {
        format!("http://{}/calendar/v3/", self.address)
    }

    /// The root of the Drive API, with the slash at the end that google-drive3 needs.
    #[must_use]
    pub fn drive_url(&self) -> String {
        format!("http://{}/drive/v3/", self.address)
    }

    /// The settings that lead a fleet here.
    #[must_use]
    pub fn settings(&self) -> [(&'static str, String); 6] {
        let options = self.options();
        [
            ("SYNCFLEET_GOOGLE_CLIENT_ID", options.client_id.clone()),
            ("SYNCFLEET_GOOGLE_CLIENT_SECRET", options.client_secret.clone()),
            ("SYNCFLEET_GOOGLE_TOKEN_URL", self.token_url()),
            ("SYNCFLEET_GOOGLE_ISSUER", self.base_url()),
            ("SYNCFLEET_GOOGLE_CALENDAR_URL", self.calendar_url()),
            ("SYNCFLEET_GOOGLE_DRIVE_URL", self.drive_url()),
        ]
    }

    /// How it was set up.
    #[must_use]
    pub fn options(&self) -> &Options {
        &self.shared.0.options
    }

    /// A service account's key file, as Google Cloud's console gives it. Its `token_uri` leads here.
    pub fn key_file(&self, service_account: &str) -> anyhow::Result<serde_json::Value> {
        self.world().key_file(service_account, &self.token_url())
    }

    /// Locks the world, to change it or to ask for the truth. No call is answered until the guard is dropped, so do
    /// not hold it across an await.
    pub fn world(&self) -> MutexGuard<'_, World> {
        lock(&self.shared.world)
    }

    /// Adds accounts `user<n>@example.com` with refresh tokens `fake-refresh-<n>`, calendars and events.
    pub fn seed_world(
        &self,
        accounts: usize,
        calendars_per_account: usize,
        events_per_calendar: usize,
    ) -> anyhow::Result<Vec<SeededAccount>> {
        self.world().seed(accounts, calendars_per_account, events_per_calendar)
    }

    /// Adds a rule; the first one that fits a call strikes.
    pub fn add_fault(&self, rule: FaultRule) -> anyhow::Result<()> {
        rule.check()?;
        self.shared.faults.add(rule);
        Ok(())
    }

    /// The rules that are left.
    #[must_use]
    pub fn faults(&self) -> Vec<FaultRule> {
        self.shared.faults.rules()
    }

    /// Forgets all rules.
    pub fn clear_faults(&self) {
        self.shared.faults.clear();
    }

    /// The counters as they stand.
    #[must_use]
    pub fn stats(&self) -> Stats {
        self.shared.counters.snapshot()
    }

    /// Starts to change calendars, `rate_per_s` times a second, drawn from `seed`.
    pub fn start_churn(&self, rate_per_s: f64, seed: u64) -> anyhow::Result<()> {
        churn::start(&self.shared, Churned::Events, rate_per_s, seed)
    }

    /// Starts to change files and shared drives, `rate_per_s` times a second, drawn from `seed`.
    pub fn start_churn_of_files(&self, rate_per_s: f64, seed: u64) -> anyhow::Result<()> {
        churn::start(&self.shared, Churned::Files, rate_per_s, seed)
    }

    /// Stops changing calendars and drives. When this returns, no further change will happen.
    pub fn stop_churn(&self) {
        churn::stop(&self.shared);
    }

    /// Ends the server: calls under way are answered, for up to 5 seconds.
    pub async fn stop(mut self) -> anyhow::Result<()> {
        self.troubles.shutdown().await;
        self.pushes.shutdown().await;
        self.shutdown.cancel();
        let ended = tokio::time::timeout(Duration::from_secs(5), self.server.join_next()).await;
        match ended {
            Ok(Some(result)) => result.context("the fake Google panicked")?.context("the fake Google failed"),
            Ok(None) => Ok(()),
            Err(_) => anyhow::bail!("the fake Google still had calls under way after 5 s"),
        }
    }
}

impl Drop for FakeGoogle {
    fn drop(&mut self) {
        self.shutdown.cancel();
        churn::stop(&self.shared);
    }
}

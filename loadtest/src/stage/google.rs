//! A fake Google in a process of its own, so that what it costs is told apart from what the fleet costs.

use std::{process::Stdio, time::Duration};

use anyhow::{Context, ensure};
use loadtest::fake_google::{Operation, Options, PushState, SeededAccount, TruthRow};
use serde::{Deserialize, de::DeserializeOwned};
use tokio::{
    io::{AsyncBufReadExt, BufReader},
    process::{Child, Command},
};

use super::usage;

/// How long it may take to start, and how long an answer may take.
const PATIENCE: Duration = Duration::from_mins(1);

/// A running fake Google. Dropping it ends it.
pub struct Google {
    child: Child,
    /// `http://127.0.0.1:<port>`.
    pub url: String,
    http: reqwest::Client,
}

#[derive(Deserialize)]
struct Seeded {
    accounts: Vec<SeededAccount>,
}

impl Google {
    /// Starts one whose world is empty.
    pub async fn start(seed: u64) -> anyhow::Result<Self> {
        let mut child = Command::new(std::env::current_exe()?)
            .args(["fake-google", "--accounts", "0", "--http-callbacks", "--seed", &seed.to_string()])
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .kill_on_drop(true)
            .spawn()
            .context("cannot start the fake Google")?;
        let mut lines = BufReader::new(child.stdout.take().context("the fake Google has no output")?).lines();
        let line = tokio::time::timeout(PATIENCE, lines.next_line())
            .await
            .context("the fake Google does not start")??;
        let url = line.context("the fake Google has ended")?;
        Ok(Self { child, url, http: client()? })
    }

    /// The CPU seconds that it has used by now.
    pub fn cpu(&self) -> anyhow::Result<f64> {
        usage::process_cpu(self.child.id().context("the fake Google has ended")?)
    }

    /// Adds accounts with calendars and events.
    pub async fn seed(
        &self,
        accounts: usize,
        calendars_per_account: usize,
        events_per_calendar: usize,
    ) -> anyhow::Result<Vec<SeededAccount>> {
        let seed = Operation::Seed { accounts, calendars_per_account, events_per_calendar };
        let seeded: Seeded = self.apply(&seed).await?;
        Ok(seeded.accounts)
    }

    /// Changes the world.
    pub async fn apply<T: DeserializeOwned>(&self, operation: &Operation) -> anyhow::Result<T> {
        let url = format!("{}/control/world", self.url);
        self.ask(self.http.post(url).json(operation)).await
    }

    /// A change of the world, for a task of its own.
    pub fn applying<T: DeserializeOwned>(
        &self,
        operation: &Operation,
    ) -> impl Future<Output = anyhow::Result<T>> + Send + use<T> {
        let request = self.http.post(format!("{}/control/world", self.url)).json(operation);
        answer(request)
    }

    /// What a faithful mirror holds, sorted.
    pub async fn truth(&self) -> anyhow::Result<Vec<TruthRow>> {
        self.ask(self.http.get(format!("{}/control/truth/rows", self.url))).await
    }

    /// An access token, as the fleet gets its own.
    pub async fn access_token(&self, account: &SeededAccount) -> anyhow::Result<String> {
        #[derive(Deserialize)]
        struct Answer {
            access_token: String,
        }
        let options = Options::default();
        let form = [
            ("grant_type", "refresh_token"),
            ("refresh_token", account.refresh_token.as_str()),
            ("client_id", options.client_id.as_str()),
            ("client_secret", options.client_secret.as_str()),
        ];
        let answer: Answer = self.ask(self.http.post(format!("{}/token", self.url)).form(&form)).await?;
        Ok(answer.access_token)
    }

    /// How a fleet is told of it. The budget of calls is raised, so that it does not slow the fleet.
    pub fn settings(&self, keys: &str) -> Vec<(&'static str, String)> {
        let options = Options::default();
        let most = "100000000";
        vec![
            ("SYNCFLEET_KEYS", keys.to_owned()),
            ("SYNCFLEET_GOOGLE_CLIENT_ID", options.client_id),
            ("SYNCFLEET_GOOGLE_CLIENT_SECRET", options.client_secret),
            ("SYNCFLEET_GOOGLE_TOKEN_URL", format!("{}/token", self.url)),
            ("SYNCFLEET_GOOGLE_ISSUER", self.url.clone()),
            ("SYNCFLEET_GOOGLE_CALENDAR_URL", format!("{}/calendar/v3/", self.url)),
            ("SYNCFLEET_GOOGLE_DRIVE_URL", format!("{}/drive/v3/", self.url)),
            ("SYNCFLEET_GOOGLE_CALENDAR_PER_MINUTE", most.to_owned()),
            ("SYNCFLEET_GOOGLE_CALENDAR_PER_USER_PER_MINUTE", most.to_owned()),
            ("SYNCFLEET_GOOGLE_CALENDAR_PER_DAY", most.to_owned()),
            ("SYNCFLEET_GOOGLE_DRIVE_UNITS_PER_MINUTE", most.to_owned()),
            ("SYNCFLEET_GOOGLE_DRIVE_UNITS_PER_USER_PER_MINUTE", most.to_owned()),
            ("SYNCFLEET_GOOGLE_DRIVE_UNITS_PER_DAY", "2000000000".to_owned()),
        ]
    }

    /// How its pushes stand.
    pub async fn push(&self) -> anyhow::Result<PushState> {
        self.ask(self.http.get(format!("{}/control/push", self.url))).await
    }

    async fn ask<T: DeserializeOwned>(&self, request: reqwest::RequestBuilder) -> anyhow::Result<T> {
        answer(request).await
    }
}

async fn answer<T: DeserializeOwned>(request: reqwest::RequestBuilder) -> anyhow::Result<T> {
    let answer = request.send().await.context("the fake Google does not answer")?;
    let status = answer.status();
    let body = answer.bytes().await?;
    ensure!(
        status.is_success(),
        "the fake Google answers {status}: {}",
        String::from_utf8_lossy(&body).trim()
    );
    serde_json::from_slice(&body).context("the fake Google's answer is another one")
}

/// A client with the settings of the fleet's own.
pub fn client() -> anyhow::Result<reqwest::Client> {
    // Another provider may have been chosen already.
    let _ = rustls::crypto::ring::default_provider().install_default();
    reqwest::Client::builder()
        .http1_only()
        .tcp_nodelay(true)
        .pool_idle_timeout(Duration::from_secs(50))
        .timeout(PATIENCE)
        .build()
        .context("cannot make an HTTP client")
}

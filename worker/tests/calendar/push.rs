//! Push channels, end to end: the fake Google calls the real listener, and the jobs are stepped.

#[path = "push/adapt.rs"]
mod adapt;
#[path = "push/channel.rs"]
mod channel;
#[path = "push/deliver.rs"]
mod deliver;
#[path = "push/refuse.rs"]
mod refuse;
#[path = "push/renew.rs"]
mod renew;

use std::{net::SocketAddr, sync::Arc, time::Duration};

use anyhow::{Context as _, bail, ensure};
use chrono::{DateTime, Utc};
use loadtest::fake_google::{FakeGoogle, Options, PushChannel};
use scheduler::listen::public::{self, Ingress};
use shared::{
    bell::Bell,
    job::{JobId, Verdict},
    shutdown::Tasks,
    store::{
        PgPool,
        channels::{self, Channel, State},
    },
};
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::{TcpListener, TcpStream},
};

use super::rig::{ANNA, Rig};

/// Anna, whose list and whose one calendar are mirrored and watched, and the listener that Google calls.
pub struct Pushed {
    pub rig: Rig,
    pub address: SocketAddr,
    /// The jobs of her list, of her calendar, and of her channels.
    pub list: JobId,
    pub events: JobId,
    pub channels: JobId,
    tasks: Tasks,
}

impl Pushed {
    /// All in step, both channels heard.
    pub async fn new(db: PgPool) -> anyhow::Result<Self> {
        let pushed = Self::unwatched(db).await?;
        pushed.watch().await?;
        pushed.heard(2).await?;
        pushed.rig.settle().await?;
        Ok(pushed)
    }

    /// All in step, no channel yet.
    pub async fn unwatched(db: PgPool) -> anyhow::Result<Self> {
        let mut rig = Rig::new(db, Options { http_callbacks: true, ..Options::default() }).await?;
        let listener = TcpListener::bind("127.0.0.1:0").await?;
        let address = listener.local_addr()?;
        rig.context.public_url = Some(format!("http://{address}/").parse()?);
        let tasks = Tasks::new();
        let ingress = Ingress {
            db: rig.db.clone(),
            bell: Arc::new(Bell::in_memory()),
            google: rig.context.google.clone(),
            public_url: rig.context.public_url.clone(),
            policies: worker::jobs::policies().into(),
            feed_readers: 10,
            trusted_proxies: [].into(),
        };
        public::serve(listener, ingress, &tasks);
        rig.fake.world().add_account(ANNA, "refresh-anna", None)?;
        rig.fake.world().add_calendar(ANNA, None, "Anna")?;
        let account = rig.connect(ANNA, "refresh-anna").await?;
        let list = rig.list_job(account).await?;
        rig.complete(list).await?;
        let events = rig.events_job(ANNA).await?;
        rig.complete(events).await?;
        let channels = rig.job_of("google_channels").await?;
        Ok(Self { rig, address, list, events, channels, tasks })
    }

    pub fn fake(&self) -> &FakeGoogle {
        &self.rig.fake
    }

    /// A pass over the channels, which must complete.
    pub async fn watch(&self) -> anyhow::Result<()> {
        self.rig.again(self.channels).await.map(drop)
    }

    /// A pass over the channels, however it ends.
    pub async fn watch_once(&self) -> anyhow::Result<Verdict> {
        self.rig.want(self.channels).await?;
        Ok(self.rig.pass(self.channels).await?.0)
    }

    /// The rows, oldest first.
    pub async fn rows(&self) -> anyhow::Result<Vec<Channel>> {
        let account = sqlx::query_scalar("select id from accounts").fetch_one(&self.rig.db).await?;
        let mut connection = self.rig.db.acquire().await?;
        Ok(channels::of_account(&mut connection, account).await?.0)
    }

    /// The rows of the calendar in a state.
    pub async fn of_events(&self, state: State) -> anyhow::Result<Vec<Channel>> {
        let mut rows = self.rows().await?;
        rows.retain(|row| row.job == self.events && row.state == state);
        Ok(rows)
    }

    /// The one live channel of the calendar.
    pub async fn live(&self) -> anyhow::Result<Channel> {
        let mut live = self.of_events(State::Live).await?;
        ensure!(live.len() == 1, "{live:?}");
        live.pop().context("no channel")
    }

    /// The channels of the calendar, as Google has them.
    pub fn delivering(&self) -> Vec<PushChannel> {
        let mut all = self.fake().push().channels;
        all.retain(|channel| channel.calendar.is_some());
        all
    }

    /// Changes rows of the calendar's channels, or of its job.
    pub async fn sql(&self, statement: &'static str) -> anyhow::Result<()> {
        let done = sqlx::query(statement).bind(self.events).execute(&self.rig.db).await?;
        ensure!(done.rows_affected() > 0, "{statement}: no row");
        Ok(())
    }

    /// Waits until so many messages were answered with 204.
    pub async fn taken(&self, messages: u64) -> anyhow::Result<()> {
        let taken = || self.fake().push().counts.answers.get("204").copied().unwrap_or(0);
        for _ in 0..6000 {
            if taken() >= messages {
                return Ok(());
            }
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        bail!("{messages} messages are not taken: {:?}", self.fake().push().counts)
    }

    /// Waits until all live channels of the account have delivered, and so many there are at least.
    pub async fn heard(&self, channels: usize) -> anyhow::Result<()> {
        for _ in 0..2000 {
            let mut live = self.rows().await?;
            live.retain(|row| row.state == State::Live);
            if live.len() >= channels && live.iter().all(|row| row.heard_at.is_some()) {
                return Ok(());
            }
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        bail!("{channels} channels were not heard: {:?}", self.rows().await?)
    }

    /// The wants of the calendar's job that no pass has answered, and its passes so far.
    pub async fn wants(&self) -> anyhow::Result<(i64, i64)> {
        let row = sqlx::query_as(
            "select wanted - done, (select count(*) from runs where job_id = $1 and outcome = 'complete')
             from job_state where job_id = $1",
        );
        Ok(row.bind(self.events).fetch_one(&self.rig.db).await?)
    }

    /// The time to the calendar's next pass.
    pub async fn next(&self) -> anyhow::Result<Duration> {
        let row: (DateTime<Utc>, DateTime<Utc>) =
            sqlx::query_as("select run_at, clock() from job_state where job_id = $1")
                .bind(self.events)
                .fetch_one(&self.rig.db)
                .await?;
        Ok((row.0 - row.1).to_std().unwrap_or_default())
    }

    /// Lets the safety poll look now: the job is due, and nobody has wanted it.
    pub async fn poll(&self) -> anyhow::Result<()> {
        self.sql(
            "update job_state set run_at = clock() where job_id = $1 and phase = 'idle' and wanted = done",
        )
        .await?;
        self.rig.complete(self.events).await.map(drop)
    }

    /// Calls the listener as Google would, and gives the status.
    pub async fn call(&self, headers: &[(&str, &str)], body: &str) -> anyhow::Result<u16> {
        let mut stream = TcpStream::connect(self.address).await?;
        let mut text = format!(
            "POST /webhooks/google/calendar HTTP/1.1\r\nhost: a\r\nconnection: close\r\ncontent-length: {}\r\n",
            body.len()
        );
        for &(name, value) in headers {
            text.push_str(&[name, ": ", value, "\r\n"].concat());
        }
        stream.write_all(format!("{text}\r\n{body}").as_bytes()).await?;
        let mut answer = String::new();
        // A body that is too large may meet a connection that is closed already.
        let _ = stream.read_to_string(&mut answer).await;
        answer.split(' ').nth(1).and_then(|status| status.parse().ok()).with_context(|| format!("{answer:?}"))
    }
}

impl Drop for Pushed {
    fn drop(&mut self) {
        self.tasks.hard().cancel();
    }
}

/// The headers of a message over a channel.
pub fn headers(channel: &PushChannel) -> Vec<(&str, &str)> {
    vec![
        ("x-goog-channel-id", &channel.id),
        ("x-goog-channel-token", channel.token.as_deref().unwrap_or_default()),
        ("x-goog-message-number", "7"),
        ("x-goog-resource-id", &channel.resource_id),
        ("x-goog-resource-state", "exists"),
    ]
}

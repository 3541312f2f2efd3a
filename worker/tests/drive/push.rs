//! Push channels of drives' logs, end to end: the fake Google calls the real listener, and the jobs are stepped.

#[path = "push/channel.rs"]
mod channel;
#[path = "push/deliver.rs"]
mod deliver;

use std::{net::SocketAddr, sync::Arc, time::Duration};

use anyhow::{Context as _, bail, ensure};
use chrono::{DateTime, Utc};
use loadtest::fake_google::{FakeGoogle, FileDraft, PushChannel, PushFaults, World};
use scheduler::listen::public::{self, Ingress};
use shared::{
    bell::Bell,
    job::JobId,
    shutdown::Tasks,
    store::{
        PgPool,
        channels::{self, Channel, State},
    },
};
use tokio::net::TcpListener;

use crate::{drives::Drives, rig::ANNA};

/// Anna, whose My Drive and one shared drive are mirrored and watched, and the listener that Google calls.
struct Pushed {
    drives: Drives,
    /// The jobs of her My Drive, of the shared drive, and of her channels.
    mine: JobId,
    team: JobId,
    channels: JobId,
    tasks: Tasks,
}

fn fill(world: &mut World) -> anyhow::Result<()> {
    world.add_drive(ANNA, Some("team"), "Team")?;
    world.put_file(ANNA, FileDraft::text("of the team", "1").with_id("there").within("team"))?;
    world.put_file(ANNA, FileDraft::text("mine", "1").with_id("here"))?;
    Ok(())
}

impl Pushed {
    /// All in step, both channels heard.
    async fn new(db: PgPool) -> anyhow::Result<Self> {
        Self::with(db, PushFaults::default(), 2).await
    }

    /// All in step, and so many channels heard.
    async fn with(db: PgPool, faults: PushFaults, heard: usize) -> anyhow::Result<Self> {
        let mut drives = Drives::new(db, 1000).await?;
        fill(&mut drives.rig.fake.world())?;
        let listener = TcpListener::bind("127.0.0.1:0").await?;
        let address: SocketAddr = listener.local_addr()?;
        drives.rig.context.public_url = Some(format!("http://{address}/").parse()?);
        let tasks = Tasks::new();
        let ingress = Ingress {
            db: drives.rig.db.clone(),
            bell: Arc::new(Bell::in_memory()),
            google: drives.rig.context.google.clone(),
            public_url: drives.rig.context.public_url.clone(),
            policies: worker::jobs::policies().into(),
            feed_readers: 10,
            trusted_proxies: [].into(),
        };
        public::serve(listener, ingress, &tasks);
        drives.rig.fake.push_faults(faults)?;
        drives.rig.settle().await?;
        let (mine, team) = (drives.job(None).await?, drives.job(Some("team")).await?);
        let channels = drives.rig.job_of("google_channels").await?;
        let pushed = Self { drives, mine, team, channels, tasks };
        pushed.heard(heard).await?;
        // The first passes may have ended before that.
        for job in [pushed.mine, pushed.team] {
            pushed.drives.rig.again(job).await?;
        }
        Ok(pushed)
    }

    fn fake(&self) -> &FakeGoogle {
        &self.drives.rig.fake
    }

    /// A pass over the channels, which must complete.
    async fn watch(&self) -> anyhow::Result<()> {
        self.drives.rig.again(self.channels).await.map(drop)
    }

    async fn rows(&self, job: JobId, state: State) -> anyhow::Result<Vec<Channel>> {
        let mut connection = self.drives.rig.db.acquire().await?;
        let mut rows = channels::of_account(&mut connection, self.drives.account).await?.0;
        rows.retain(|row| row.job == job && row.state == state);
        Ok(rows)
    }

    async fn live(&self, job: JobId) -> anyhow::Result<Channel> {
        let mut live = self.rows(job, State::Live).await?;
        ensure!(live.len() == 1, "{live:?}");
        live.pop().context("no channel")
    }

    /// The channels of a drive, as Google has them.
    fn delivering(&self, drive: &str) -> Vec<PushChannel> {
        let mut all = self.fake().push().channels;
        all.retain(|channel| channel.drive.as_deref() == Some(drive));
        all
    }

    /// Waits until so many live channels have delivered.
    async fn heard(&self, channels: usize) -> anyhow::Result<()> {
        let heard = "select count(*) from channels where state = 'live' and heard_at is not null";
        for _ in 0..6000 {
            let heard: i64 = sqlx::query_scalar(heard).fetch_one(&self.drives.rig.db).await?;
            if usize::try_from(heard)? >= channels {
                return Ok(());
            }
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        bail!("{channels} channels were not heard: {:?}", self.fake().push())
    }

    /// Waits until another channel of the job has delivered.
    async fn heard_another(&self, job: JobId, old: &str) -> anyhow::Result<()> {
        for _ in 0..6000 {
            let live = self.rows(job, State::Live).await?;
            if live.iter().any(|row| row.id != old && row.heard_at.is_some()) {
                return Ok(());
            }
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        bail!("no other channel was heard: {:?}", self.fake().push())
    }

    fn sent(&self) -> u64 {
        self.fake().push().counts.answers.get("204").copied().unwrap_or(0)
    }

    /// Waits until so many messages were answered with 204.
    async fn taken(&self, messages: u64) -> anyhow::Result<()> {
        for _ in 0..6000 {
            if self.sent() >= messages {
                return Ok(());
            }
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        bail!("{messages} messages are not taken: {:?}", self.fake().push().counts)
    }

    /// The wants that no pass has answered.
    async fn wants(&self, job: JobId) -> anyhow::Result<i64> {
        let wants = sqlx::query_scalar("select wanted - done from job_state where job_id = $1");
        Ok(wants.bind(job).fetch_one(&self.drives.rig.db).await?)
    }

    /// The time to a job's next pass.
    async fn next(&self, job: JobId) -> anyhow::Result<Duration> {
        let row: (DateTime<Utc>, DateTime<Utc>) =
            sqlx::query_as("select run_at, clock() from job_state where job_id = $1")
                .bind(job)
                .fetch_one(&self.drives.rig.db)
                .await?;
        Ok((row.0 - row.1).to_std().unwrap_or_default())
    }

    async fn sql(&self, statement: &'static str, job: JobId) -> anyhow::Result<()> {
        let done = sqlx::query(statement).bind(job).execute(&self.drives.rig.db).await?;
        ensure!(done.rows_affected() > 0, "{statement}: no row");
        Ok(())
    }

    /// Lets the safety poll look now: the job is due, and nobody has wanted it.
    async fn poll(&self, job: JobId) -> anyhow::Result<()> {
        let due =
            "update job_state set run_at = clock() where job_id = $1 and phase = 'idle' and wanted = done";
        self.sql(due, job).await?;
        self.drives.rig.complete(job).await.map(drop)
    }
}

impl Drop for Pushed {
    fn drop(&mut self) {
        self.tasks.hard().cancel();
    }
}

//! Push channels of drives' logs, end to end: the fake Google calls the real listener, and the jobs are stepped.

use std::{net::SocketAddr, sync::Arc, time::Duration};

use anyhow::{Context as _, bail, ensure};
use chrono::{DateTime, Utc};
use loadtest::fake_google::{
    Api, Consent, FakeGoogle, FaultBody, FaultKind, FaultRule, FileDraft, Options, PushChannel, PushFaults,
    World,
};
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
use tokio::net::TcpListener;

use crate::{
    drives::{self, Drives},
    rig::{ANNA, Rig},
};

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

#[sqlx::test(migrator = "shared::store::schema::MIGRATOR")]
async fn what_changes_in_a_drive_is_pushed_to_the_job_of_its_log(db: PgPool) -> anyhow::Result<()> {
    let pushed = Pushed::new(db).await?;
    for (id, wanted, other) in [("here", pushed.mine, pushed.team), ("there", pushed.team, pushed.mine)] {
        let before = pushed.sent();
        pushed.fake().world().edit_file(id, Some("another name"), None)?;
        pushed.taken(before + 1).await?;
        assert_eq!((pushed.wants(wanted).await?, pushed.wants(other).await?), (1, 0), "{id}");
        let stepped = pushed.drives.rig.step(wanted).await?;
        assert_eq!((stepped.verdict, stepped.changed), (Verdict::Complete, 1));
        assert!(stepped.told_at.is_some(), "the pass does not know that a notification has caused it");
        assert_eq!(pushed.drives.row(id).await?.name, "another name");
    }
    pushed.drives.assert_mirrors().await
}

#[sqlx::test(migrator = "shared::store::schema::MIGRATOR")]
async fn a_shared_drive_that_comes_is_watched_and_one_that_goes_is_not(db: PgPool) -> anyhow::Result<()> {
    let pushed = Pushed::new(db).await?;
    let before = pushed.sent();
    pushed.fake().world().add_drive(ANNA, Some("new"), "New")?;
    // Her own log tells.
    pushed.taken(before + 1).await?;
    pushed.drives.rig.settle().await?;
    assert_eq!((pushed.delivering("new").len(), pushed.delivering("team").len()), (1, 1));
    let before = pushed.sent();
    pushed.fake().world().remove_member("new", ANNA)?;
    pushed.taken(before + 1).await?;
    pushed.drives.rig.settle().await?;
    assert_eq!((pushed.delivering("new").len(), pushed.delivering("my drive").len()), (0, 1));
    let stats = pushed.fake().stats();
    assert!(stats.requests.contains_key(&Api::StopDriveChannel), "it ends at its own API: {stats:?}");
    assert!(!stats.requests.contains_key(&Api::StopChannel), "{stats:?}");
    pushed.drives.assert_mirrors().await
}

#[sqlx::test(migrator = "shared::store::schema::MIGRATOR")]
async fn case_55_a_lost_message_of_a_drive_is_healed_by_the_poll(db: PgPool) -> anyhow::Result<()> {
    let pushed = Pushed::new(db).await?;
    assert!(pushed.next(pushed.mine).await? > Duration::from_hours(2), "push is alive: it is seldom polled");
    let old = pushed.live(pushed.mine).await?.id;
    pushed.fake().push_faults(PushFaults { lost: 1.0, ..PushFaults::default() })?;
    for missed in 1..=2 {
        pushed.fake().world().edit_file("here", Some(&format!("lost {missed}")), None)?;
        pushed.poll(pushed.mine).await?;
        pushed.drives.assert_mirrors().await?;
        assert_eq!(pushed.live(pushed.mine).await?.missed, missed);
        assert!(pushed.next(pushed.mine).await? < Duration::from_mins(20), "it is looked at more often now");
    }
    pushed.fake().push_faults(PushFaults::default())?;
    pushed
        .sql("update channels set created_at = clock() - interval '2 hours' where job_id = $1", pushed.mine)
        .await?;
    pushed.watch().await?;
    pushed.heard_another(pushed.mine, &old).await?;
    pushed.watch().await?;
    assert_ne!(pushed.live(pushed.mine).await?.id, old);
    assert_eq!(pushed.delivering("my drive").len(), 1);
    Ok(())
}

#[sqlx::test(migrator = "shared::store::schema::MIGRATOR")]
async fn case_54_messages_of_a_drive_twice_overtaken_with_gaps_and_late(db: PgPool) -> anyhow::Result<()> {
    let pushed = Pushed::new(db).await?;
    pushed.fake().push_faults(PushFaults {
        twice: 1.0,
        overtaken: 0.5,
        gaps: true,
        late: 0.3,
        late_ms: 600,
        ..PushFaults::default()
    })?;
    let before = pushed.sent();
    for place in 0..10 {
        let parent = if place % 2 == 0 { None } else { Some("team") };
        let draft = FileDraft::text(&format!("file {place}"), "1");
        let draft = parent.map_or(draft.clone(), |parent| draft.within(parent));
        pushed.fake().world().put_file(ANNA, draft)?;
    }
    pushed.taken(before + 20).await?;
    pushed.drives.rig.settle().await?;
    pushed.drives.assert_mirrors().await
}

#[sqlx::test(migrator = "shared::store::schema::MIGRATOR")]
async fn case_56_a_channel_of_a_drive_that_is_not_known_is_stopped_at_drive(
    db: PgPool,
) -> anyhow::Result<()> {
    let pushed = Pushed::new(db).await?;
    let (before, channel) = (pushed.sent(), pushed.live(pushed.team).await?.id);
    // The database was lost, and an older one is in its place.
    pushed.sql("delete from channels where job_id = $1", pushed.team).await?;
    pushed.fake().notify(&channel, 3)?;
    pushed.taken(before + 3).await?;
    assert_eq!(pushed.wants(pushed.team).await?, 0);
    assert_eq!(pushed.rows(pushed.team, State::Stopping).await?[0].api, "drive");
    pushed.drives.rig.settle().await?;
    let delivering = pushed.delivering("team");
    assert!(delivering.len() == 1 && delivering[0].id != channel, "{delivering:?}");
    Ok(())
}

#[sqlx::test(migrator = "shared::store::schema::MIGRATOR")]
async fn case_60_a_renewal_of_a_drives_channel_overlaps(db: PgPool) -> anyhow::Result<()> {
    let pushed = Pushed::new(db).await?;
    let old = pushed.live(pushed.team).await?;
    let life = (old.expires_at - old.created_at).num_hours();
    assert!((167..=168).contains(&life), "{life} hours: a week is the most that Drive gives");
    pushed.fake().push_faults(PushFaults { lost_sync: true, ..PushFaults::default() })?;
    pushed.sql("update channels set renew_at = clock() where job_id = $1", pushed.team).await?;
    pushed.watch().await?;
    assert_eq!(pushed.delivering("team").len(), 2, "the new one has not delivered yet: both are there");
    assert_eq!(pushed.wants(pushed.team).await?, 0, "there was no gap to catch up");
    let before = pushed.sent();
    pushed.fake().world().edit_file("there", Some("news"), None)?;
    pushed.taken(before + 2).await?;
    pushed.drives.rig.settle().await?;
    pushed.drives.assert_mirrors().await?;
    pushed.watch().await?;
    let delivering = pushed.delivering("team");
    assert!(delivering.len() == 1 && delivering[0].id != old.id, "{delivering:?}");
    assert_eq!(pushed.rows(pushed.team, State::Stopped).await?[0].id, old.id);
    Ok(())
}

#[sqlx::test(migrator = "shared::store::schema::MIGRATOR")]
async fn case_62_a_drive_that_is_not_pushed_is_polled(db: PgPool) -> anyhow::Result<()> {
    let faults = PushFaults { unsupported: vec!["team".to_owned()], ..PushFaults::default() };
    let pushed = Pushed::with(db, faults, 1).await?;
    let watches = || pushed.fake().stats().requests[&Api::WatchChanges].values().sum::<u64>();
    assert_eq!((watches(), pushed.delivering("team").len(), pushed.delivering("my drive").len()), (2, 0, 1));
    for _ in 0..3 {
        pushed.watch().await?;
    }
    assert_eq!(watches(), 2, "it is asked for again and again");
    pushed.drives.rig.again(pushed.team).await?;
    assert!(pushed.next(pushed.team).await? < Duration::from_mins(20));
    Ok(())
}

#[sqlx::test(migrator = "shared::store::schema::MIGRATOR")]
async fn case_65_channels_of_drives_that_ran_out_are_made_again_and_caught_up(
    db: PgPool,
) -> anyhow::Result<()> {
    let pushed = Pushed::new(db).await?;
    pushed.fake().end_channels();
    sqlx::query("update channels set expires_at = clock() - interval '1 hour'")
        .execute(&pushed.drives.rig.db)
        .await?;
    pushed.fake().world().edit_file("here", Some("while nobody looked"), None)?;
    let overdue = "update job_state set run_at = clock() - interval '1 hour' where job_id = $1";
    pushed.sql(overdue, pushed.channels).await?;
    // Nobody has told of it, and no poll is due: only the channels are looked at.
    pushed.drives.rig.settle().await?;
    assert_eq!(pushed.delivering("my drive").len(), 1);
    pushed.drives.assert_mirrors().await
}

#[sqlx::test(migrator = "shared::store::schema::MIGRATOR")]
async fn an_api_that_is_out_of_budget_holds_up_no_channel_of_the_other(db: PgPool) -> anyhow::Result<()> {
    let mut rig = Rig::new(db, Options { http_callbacks: true, ..Options::default() }).await?;
    rig.context.public_url = Some("http://127.0.0.1:9/".parse()?);
    rig.fake.world().add_account(ANNA, "refresh-anna", None)?;
    rig.fake.world().add_calendar(ANNA, None, "Anna")?;
    let both = [drives::SCOPE, "https://www.googleapis.com/auth/calendar.readonly"];
    rig.fake.world().set_consent(ANNA, Consent::to(&both))?;
    let status = FaultKind::Status {
        status: 403,
        reason: Some("dailyLimitExceeded".to_owned()),
        retry_after_s: None,
        body: FaultBody::Json,
    };
    let rule =
        FaultRule { path_prefix: Some("/drive/v3/changes/watch".to_owned()), ..FaultRule::new(status) };
    rig.fake.add_fault(rule)?;
    let account = rig.connect(ANNA, "refresh-anna").await?;
    for list in [rig.list_job(account).await?, drives::list_job(&rig, account).await?] {
        rig.complete(list).await?;
    }
    let channels = rig.job_of("google_channels").await?;
    let (verdict, _) = rig.pass(channels).await?;
    assert!(matches!(verdict, Verdict::Wait { .. }), "{verdict:?}");
    let live: Vec<(String, String)> = sqlx::query_as(
        "select j.kind, c.state::text from channels c join jobs j on j.id = c.job_id order by 1, 2",
    )
    .fetch_all(&rig.db)
    .await?;
    let of = |kind: &str, state: &str| live.contains(&(kind.to_owned(), state.to_owned()));
    assert!(of("calendar_list", "live") && of("calendar_events", "live"), "{live:?}");
    assert!(!of("drive_changes", "live"), "{live:?}");
    let gated: bool =
        sqlx::query_scalar("select exists (select from gates where target = 'google_channels')")
            .fetch_one(&rig.db)
            .await?;
    assert!(!gated, "other accounts have their channels made");
    Ok(())
}

//! The budget of a fleet that runs.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use loadtest::fake_google::{Options, QuotaLimits};
use shared::{
    admin::job::{JobRef, explain::explain},
    bell::Bell,
    config::google::Limits,
    job::{JobId, Lane, Lanes},
    shutdown::Tasks,
    store::{
        PgPool, gates,
        job_state::{self, Wanted},
    },
};
use sqlx::ConnectOptions;
use worker::{
    Settings,
    jobs::{Context, KINDS},
};

use super::process;
use crate::rig::{ANNA, PLENTY, Rig};

const BOB: &str = "bob@example.com";

/// A real worker of the rig's jobs.
struct Fleet {
    bell: Arc<Bell>,
    tasks: Tasks,
    heart: worker::heartbeat::Heart,
}

impl Fleet {
    fn start(rig: &Rig, limits: Limits) -> anyhow::Result<Self> {
        let settings = Settings {
            kinds: KINDS,
            lanes: Lanes { interactive: 2, normal: 8, bulk: 4 },
            name: "test".to_owned(),
            database_url: rig.db.connect_options().to_url_lossy().to_string().into(),
        };
        let context = Context {
            db: rig.db.clone(),
            google: Some(process(rig, limits)?),
            objects: None,
            public_url: None,
            webhooks: None,
            dns: None,
        };
        let (tasks, bell) = (Tasks::new(), Arc::new(Bell::in_memory()));
        let (_, heart) = worker::start(settings, context, Arc::clone(&bell), &tasks)?;
        Ok(Self { bell, tasks, heart })
    }

    async fn want(&self, db: &PgPool, jobs: &[JobId]) -> anyhow::Result<()> {
        self.want_in(db, jobs, None).await
    }

    /// As a push does it: in the lane interactive.
    async fn push(&self, db: &PgPool, jobs: &[JobId]) -> anyhow::Result<()> {
        self.want_in(db, jobs, Some(Lane::Interactive)).await
    }

    async fn want_in(&self, db: &PgPool, jobs: &[JobId], lane: Option<Lane>) -> anyhow::Result<()> {
        let wanted = job_state::want(&mut *db.acquire().await?, jobs, None, lane).await?;
        self.bell.offer(wanted.iter().filter_map(Wanted::ring), Instant::now()).await;
        Ok(())
    }

    async fn end(self) {
        assert!(self.tasks.finish(Duration::from_secs(20)).await);
        self.heart.stop().await;
    }
}

async fn jobs_of(db: &PgPool, email: &str) -> anyhow::Result<Vec<JobId>> {
    let jobs = sqlx::query_scalar(
        "select j.id from jobs j join accounts a on a.id = j.account_id
         where j.kind = 'calendar_events' and a.email = $1",
    );
    Ok(jobs.bind(email).fetch_all(db).await?)
}

async fn dirty(db: &PgPool, jobs: &[JobId]) -> anyhow::Result<i64> {
    let dirty =
        sqlx::query_scalar("select count(*) from job_state where job_id = any ($1) and wanted > done");
    Ok(dirty.bind(jobs).fetch_one(db).await?)
}

#[sqlx::test(migrator = "shared::store::schema::MIGRATOR")]
async fn case_68_one_users_limit_does_not_stall_the_others(db: PgPool) -> anyhow::Result<()> {
    let rig = Rig::new(db, Options::default()).await?;
    for (email, token, calendars) in [(ANNA, "refresh-anna", 60), (BOB, "refresh-bob", 2)] {
        rig.fake.world().add_account(email, token, None)?;
        for n in 0..calendars {
            rig.fake.world().add_calendar(email, None, &format!("calendar {n}"))?;
        }
        let account = rig.connect(email, token).await?;
        let list = rig.list_job(account).await?;
        rig.complete(list).await?;
    }
    let (anna, bob) = (jobs_of(&rig.db, ANNA).await?, jobs_of(&rig.db, BOB).await?);
    assert_eq!((anna.len(), bob.len()), (60, 2));

    rig.fake.limit(QuotaLimits { per_project: None, per_user: Some(60) });
    let fleet = Fleet::start(&rig, Limits { user_per_minute: 60, ..PLENTY })?;
    fleet.want(&rig.db, &anna).await?;
    // Anna has used up her budget.
    until(async || Ok(!gates::closed(&mut *rig.db.acquire().await?, None).await?.is_empty())).await?;
    fleet.want(&rig.db, &bob).await?;
    until(async || Ok(dirty(&rig.db, &bob).await? == 0)).await?;
    assert!(dirty(&rig.db, &anna).await? > 30, "anna's wait");
    let closed: Vec<String> =
        sqlx::query_scalar("select concat_ws(' ', scope, reason) from gates").fetch_all(&rig.db).await?;
    assert_eq!(closed, ["account share"]);
    let explained: JobId = sqlx::query_scalar(
        "select job_id from job_state where job_id = any ($1) and phase = 'idle' and wanted > done limit 1",
    )
    .bind(&anna)
    .fetch_one(&rig.db)
    .await?;
    fleet.end().await;
    let counts = rig.fake.quota();
    assert_eq!(
        (counts.refused_to_user, counts.most_of[BOB]),
        (0, 4),
        "whose he is, his list and his calendars"
    );
    let explained = explain(&rig.db, &JobRef::Id(explained)).await?;
    assert!(explained.text.starts_with("waiting for budget until "), "{}", explained.text);
    Ok(())
}

#[sqlx::test(migrator = "shared::store::schema::MIGRATOR")]
async fn case_68_a_push_goes_through_while_polls_have_used_up_their_share(db: PgPool) -> anyhow::Result<()> {
    let rig = Rig::new(db, Options::default()).await?;
    rig.fake.world().add_account(ANNA, "refresh-anna", None)?;
    for n in 0..100 {
        rig.fake.world().add_calendar(ANNA, None, &format!("calendar {n}"))?;
    }
    let account = rig.connect(ANNA, "refresh-anna").await?;
    let list = rig.list_job(account).await?;
    rig.complete(list).await?;
    let jobs = jobs_of(&rig.db, ANNA).await?;
    assert_eq!(jobs.len(), 100);

    // Five units in a full bucket, three of them kept; 1.4 come in a second.
    let limits = Limits { user_per_minute: 100, kept: 60, ..PLENTY };
    rig.fake.limit(QuotaLimits { per_project: None, per_user: Some(110) });
    let fleet = Fleet::start(&rig, limits)?;
    fleet.want(&rig.db, &jobs).await?;
    let closed = async || -> anyhow::Result<Vec<String>> {
        let closed = gates::closed(&mut *rig.db.acquire().await?, None).await?;
        Ok(closed.into_iter().map(|gate| format!("{} {}", gate.scope, gate.reason)).collect())
    };
    until(async || Ok(closed().await? == ["account share"])).await?;
    let waiting: Vec<JobId> = sqlx::query_scalar(
        "select job_id from job_state where job_id = any ($1) and phase = 'idle' and wanted > done order by 1 limit 2",
    )
    .bind(&jobs)
    .fetch_all(&rig.db)
    .await?;
    fleet.push(&rig.db, &waiting).await?;
    until(async || Ok(dirty(&rig.db, &waiting).await? == 0)).await?;
    let left = dirty(&rig.db, &jobs).await?;
    assert!(left > 20, "the polls were not held back: {left} left");
    fleet.end().await;
    assert_eq!(rig.fake.quota().refused_to_user, 0);
    Ok(())
}

async fn until(holds: impl AsyncFn() -> anyhow::Result<bool>) -> anyhow::Result<()> {
    for _ in 0..4_000 {
        if holds().await? {
            return Ok(());
        }
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    anyhow::bail!("it never came to that")
}

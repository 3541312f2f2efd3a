//! A tenant with accounts at a fake Google, and the smallest engine that can run a step: claim, step, commit.

use std::time::Duration;

use anyhow::{Context as _, bail, ensure};
use chrono::{DateTime, Utc};
use loadtest::fake_google::{EventDraft, FakeGoogle, Options, Stats, When};
use shared::{
    config::google::{GoogleConfig, Limits},
    google::{Google, auth},
    job::{AccountId, JobId, Lane, Run, Step, StepResult, TenantId, Verdict},
    secrets::{KeyRing, Owner, generate_key},
    store::{
        PgPool,
        accounts::{self, NewAccount},
        job_state::{self, Claimer, Completion, Finished, PutBack},
        jobs::{self, NewJob},
        secrets, tenants,
    },
};
use uuid::Uuid;
use worker::jobs::{Context, KINDS, Kind};

/// More than any test needs.
pub const PLENTY: Limits =
    Limits { per_minute: 1_000_000, user_per_minute: 1_000_000, per_day: 1_000_000, kept: 0 };

/// The one account of most tests.
pub const ANNA: &str = "anna@example.com";

pub struct Rig {
    pub db: PgPool,
    pub fake: FakeGoogle,
    pub context: Context,
    pub keys: KeyRing,
    pub tenant: TenantId,
    worker: Uuid,
}

/// What became of a step.
#[derive(Debug)]
pub struct Stepped {
    pub verdict: Verdict,
    pub changed: u32,
    pub wanted: Vec<JobId>,
    pub told_at: Option<DateTime<Utc>>,
}

impl Rig {
    /// An empty world and a tenant.
    pub async fn new(db: PgPool, options: Options) -> anyhow::Result<Self> {
        let fake = FakeGoogle::start(options).await?;
        let keys = KeyRing::parse(&generate_key("test")?)?;
        let google = Some(google(&fake, keys.clone())?);
        let context =
            Context { db: db.clone(), google, objects: None, public_url: None, webhooks: None, dns: None };
        let mut connection = db.acquire().await?;
        let tenant = tenants::ensure(&mut connection, "acme").await?;
        drop(connection);
        Ok(Self { db, fake, context, keys, tenant, worker: Uuid::now_v7() })
    }

    /// Anna with one calendar, its pages cut to `page_size`, her list of calendars mirrored. Answers the calendar's job.
    pub async fn anna(db: PgPool, page_size: usize) -> anyhow::Result<(Self, JobId)> {
        let rig = Self::new(db, Options { page_size_cap: page_size, ..Options::default() }).await?;
        rig.fake.world().add_account(ANNA, "refresh-anna", None)?;
        rig.fake.world().add_calendar(ANNA, None, "Anna")?;
        let account = rig.connect(ANNA, "refresh-anna").await?;
        let list = rig.list_job(account).await?;
        rig.pass(list).await?;
        let events = rig.events_job(ANNA).await?;
        Ok((rig, events))
    }

    /// Adds an account with a sealed refresh token.
    pub async fn connect(&self, email: &str, refresh_token: &str) -> anyhow::Result<AccountId> {
        let mut connection = self.db.acquire().await?;
        let account = NewAccount { tenant: self.tenant, provider: "google", subject: None, email };
        let account = accounts::insert(&mut connection, &account).await?.context("the account exists")?;
        let owner = Owner::account(account, auth::REFRESH_TOKEN);
        secrets::put(&mut connection, &self.keys, owner, &refresh_token.into(), None).await?;
        Ok(account)
    }

    /// The job of an account's list of calendars, wanted.
    pub async fn list_job(&self, account: AccountId) -> anyhow::Result<JobId> {
        let mut connection = self.db.acquire().await?;
        let kind = KINDS.iter().find(|kind| kind.policy.kind == "calendar_list").context("no kind")?;
        let job =
            NewJob { key: account.to_string(), tenant: self.tenant, account: Some(account), first: None };
        let jobs = jobs::ensure(&mut connection, &kind.policy, &[job]).await?;
        job_state::want(&mut connection, &jobs, None, None).await?;
        Ok(jobs[0])
    }

    /// The job of a calendar, by Google's id. There must be one.
    pub async fn events_job(&self, calendar: &str) -> anyhow::Result<JobId> {
        let id = sqlx::query_scalar(
            "select j.id from jobs j join calendars c on j.key = c.id::text
             where j.kind = 'calendar_events' and c.google_id = $1",
        );
        id.bind(calendar).fetch_optional(&self.db).await?.with_context(|| format!("no job for {calendar}"))
    }

    /// The one job of a kind.
    pub async fn job_of(&self, kind: &str) -> anyhow::Result<JobId> {
        let id = sqlx::query_scalar("select id from jobs where kind = $1");
        id.bind(kind).fetch_optional(&self.db).await?.with_context(|| format!("no job of the kind {kind}"))
    }

    /// Takes back all runs, as from a worker that died: the rig's has no row.
    pub async fn reap(&self) -> anyhow::Result<()> {
        let reaped = job_state::reap(&self.db, Duration::from_secs(10), 100).await?;
        ensure!(!reaped.is_empty(), "no run was under way");
        Ok(())
    }

    pub async fn want(&self, job: JobId) -> anyhow::Result<()> {
        let mut connection = self.db.acquire().await?;
        ensure!(job_state::want(&mut connection, &[job], None, None).await?.len() == 1, "no job {job}");
        Ok(())
    }

    pub async fn claim(&self, job: JobId) -> anyhow::Result<Run> {
        let mut connection = self.db.acquire().await?;
        let kinds: Vec<String> =
            worker::jobs::policies().iter().map(|policy| policy.kind.to_owned()).collect();
        let claimer = Claimer { worker: self.worker, kinds: &kinds, suspects: true };
        let runs = job_state::claim(&mut connection, &claimer, &[job], &[Uuid::now_v7()]).await?;
        runs.into_iter().next().with_context(|| format!("job {job} is not due"))
    }

    /// Runs one step of a job that is due, and commits it as the engine does, but for delays: what is to go on later may go on
    /// at once.
    pub async fn step(&self, job: JobId) -> anyhow::Result<Stepped> {
        let run = self.claim(job).await?;
        self.step_of(&self.context, &run).await
    }

    /// Runs a step, and leaves it uncommitted.
    pub async fn uncommitted(&self, run: &Run) -> StepResult {
        let kind = KINDS.iter().find(|kind| kind.policy.kind == run.kind).context("no kind")?;
        (kind.step)(&self.context, run).await
    }

    pub async fn step_of(&self, context: &Context, run: &Run) -> anyhow::Result<Stepped> {
        let kind: &Kind = KINDS.iter().find(|kind| kind.policy.kind == run.kind).context("no kind")?;
        let step = match (kind.step)(context, run).await {
            Ok(step) => step,
            Err(failure) => Step::quiet(Verdict::from(failure)),
        };
        let Step { verdict, tx, changed, wanted, next, floor: _, told_at } = step;
        let mut tx = match tx {
            Some(tx) => tx,
            None => self.db.begin().await?,
        };
        let finished = Finished {
            run: run.id,
            job: run.job,
            worker: self.worker,
            lane: run.lane,
            attempt: i32::try_from(run.attempt)? + 1,
            started_at: run.started_at,
            changed: i32::try_from(changed)?,
        };
        match &verdict {
            Verdict::Complete => {
                let next = next.or(kind.policy.interval);
                let lane = kind.policy.lane;
                let completion = Completion { finished, next, floor: Duration::ZERO, lane };
                ensure!(job_state::complete(&mut tx, &[completion]).await?.len() == 1, "the lease was lost");
            }
            Verdict::Park { parked, why } => job_state::park(&mut tx, &finished, *parked, why).await?,
            Verdict::Continue { lane } => put_back(&mut tx, &finished, "continue", true, *lane).await?,
            Verdict::Wait { .. } => put_back(&mut tx, &finished, "wait", true, None).await?,
            Verdict::Retry { .. } => put_back(&mut tx, &finished, "retry", false, None).await?,
            Verdict::Throttled { .. } => put_back(&mut tx, &finished, "throttled", true, None).await?,
        }
        tx.commit().await?;
        let wanted = wanted.iter().map(|wanted| wanted.job).collect();
        Ok(Stepped { verdict, changed, wanted, told_at })
    }

    /// Steps until the pass does not go on by itself within a minute. Answers the last verdict and how many steps it took.
    pub async fn pass(&self, job: JobId) -> anyhow::Result<(Verdict, usize)> {
        for steps in 1..=1000 {
            match self.step(job).await?.verdict {
                Verdict::Continue { .. } => {}
                Verdict::Wait { after, .. } if after < Duration::from_mins(1) => {}
                verdict => return Ok((verdict, steps)),
            }
        }
        bail!("job {job} goes on for ever")
    }

    /// A pass that must complete.
    pub async fn complete(&self, job: JobId) -> anyhow::Result<usize> {
        match self.pass(job).await? {
            (Verdict::Complete, steps) => Ok(steps),
            (verdict, _) => bail!("job {job} ended with {verdict:?}"),
        }
    }

    /// A want, and a pass that must complete.
    pub async fn again(&self, job: JobId) -> anyhow::Result<usize> {
        self.want(job).await?;
        self.complete(job).await
    }

    /// Steps whatever is due until nothing is. Failures in passing are tried again.
    pub async fn settle(&self) -> anyhow::Result<()> {
        for _ in 0..2000 {
            let due: Option<JobId> =
                sqlx::query_scalar("select job_id from due_jobs order by run_at, job_id limit 1")
                    .fetch_optional(&self.db)
                    .await?;
            let Some(job) = due else { return Ok(()) };
            let stepped = self.step(job).await?;
            ensure!(!matches!(stepped.verdict, Verdict::Park { .. }), "job {job}: {:?}", stepped.verdict);
        }
        bail!("something is always due")
    }

    /// Waits until the fake has been asked so.
    pub async fn until(&self, fits: impl Fn(&Stats) -> bool) -> anyhow::Result<()> {
        for _ in 0..2000 {
            if fits(&self.fake.stats()) {
                return Ok(());
            }
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        bail!("the fake was never asked so: {:?}", self.fake.stats())
    }

    /// The calls that Google refused with a status.
    pub fn refused(&self, status: &str) -> u64 {
        self.fake.stats().requests.values().filter_map(|calls| calls.get(status)).sum()
    }
}

/// A client that knows the fake's addresses and OAuth client.
pub fn google(fake: &FakeGoogle, keys: KeyRing) -> anyhow::Result<Google> {
    Google::new(config(fake)?, keys)
}

pub fn config(fake: &FakeGoogle) -> anyhow::Result<GoogleConfig> {
    Ok(GoogleConfig {
        client_id: fake.options().client_id.clone(),
        client_secret: fake.options().client_secret.clone().into(),
        project_id: None,
        token_url: fake.token_url().parse()?,
        issuer: fake.base_url(),
        sign_in_for: vec!["calendar".to_owned(), "drive".to_owned()],
        calendar_url: fake.calendar_url().parse()?,
        calendar_limits: PLENTY,
        drive_url: fake.drive_url().parse()?,
        drive_limits: Limits::DRIVE,
    })
}

async fn put_back(
    tx: &mut sqlx::PgConnection,
    finished: &Finished,
    outcome: &'static str,
    good: bool,
    lane: Option<Lane>,
) -> anyhow::Result<()> {
    let attempt = if good { 0 } else { finished.attempt };
    let back = PutBack {
        outcome,
        after: Duration::ZERO,
        backoff: false,
        floor: None,
        wanted: None,
        attempt,
        good,
        lane,
        note: None,
    };
    job_state::put_back(tx, finished, &back).await?;
    Ok(())
}

/// A moment of 2026, in UTC.
pub fn moment(text: &str) -> anyhow::Result<When> {
    Ok(When::at(DateTime::parse_from_rfc3339(text)?, None))
}

/// An hour's event.
pub fn draft(summary: &str) -> anyhow::Result<EventDraft> {
    Ok(EventDraft::new(summary, moment("2026-03-01T10:00:00Z")?))
}

/// A daily series.
pub fn series(summary: &str) -> anyhow::Result<EventDraft> {
    Ok(EventDraft::series(summary, moment("2026-03-01T10:00:00Z")?, "RRULE:FREQ=DAILY;COUNT=10"))
}

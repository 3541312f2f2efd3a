//! `enqueue`: wants jobs.

use std::{str::FromStr, time::Duration};

use anyhow::Context;
use chrono::{DateTime, Utc};
use serde::Serialize;
use shared::{
    admin::{
        self, AdminError,
        account::AccountRef,
        enqueue::{self, Awaited, Outcome, Selection},
        words,
    },
    job::{JobId, Policy},
    store::PgPool,
};
use worker::jobs::policies;

use super::{Access, ring, span, wait};
use crate::{
    exit::Exit,
    output::{Output, say},
};

/// Want jobs, so that they run at once
#[derive(Debug, clap::Args)]
#[command(
    after_help = "A job that is wanted while it runs, runs once more afterwards. With --key and --tenant, a job that does not
exist is made. --all, --tenant and --account want every job of the kind that they name.

Examples:
  syncfleet enqueue noop --key example --tenant acme --wait
  syncfleet enqueue noop --key example --at 10m
  syncfleet enqueue calendar-events --account ada@example.com --wait
  syncfleet enqueue noop --all",
    group(clap::ArgGroup::new("which").args(["key", "account", "tenant", "all"]).required(true).multiple(true))
)]
pub struct Args {
    #[command(flatten)]
    access: Access,
    /// The kind; `syncfleet kind ls` shows all. Dashes are as good as underscores
    #[arg(value_parser = super::kind)]
    kind: String,
    /// The job of this key
    #[arg(long, conflicts_with = "account")]
    key: Option<String>,
    /// The jobs of this tenant; with --key: whose job it is to be
    #[arg(long)]
    tenant: Option<String>,
    /// The jobs of this account, by its number or address
    #[arg(long)]
    account: Option<AccountRef>,
    /// All jobs of the kind
    #[arg(long, conflicts_with_all = ["key", "account", "tenant"])]
    all: bool,
    /// When they should run: 2026-11-21T08:00:00Z, or from now, as 10m [default: at once]
    #[arg(long, value_name = "TIME")]
    at: Option<When>,
    /// Wait until they are done
    #[arg(long)]
    wait: bool,
    /// How long to wait at most
    #[arg(long, value_name = "TIME", default_value = "5m", value_parser = span, requires = "wait")]
    timeout: Duration,
}

#[derive(Debug, Clone, Copy)]
enum When {
    At(DateTime<Utc>),
    In(Duration),
}

impl FromStr for When {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        if let Ok(at) = DateTime::parse_from_rfc3339(text.trim()) {
            return Ok(Self::At(at.to_utc()));
        }
        humantime::parse_duration(text.trim())
            .map(Self::In)
            .map_err(|_| "not a time: give it as 2026-11-21T08:00:00Z, or from now, as 10m".to_owned())
    }
}

/// What was wanted, and what came of it.
#[derive(Debug, Serialize)]
struct Enqueued {
    kind: String,
    /// The job, if it was one by its key.
    job: Option<JobId>,
    /// How many were wanted.
    jobs: i64,
    /// Whether the job was made for it.
    made: bool,
    /// With --wait.
    outcome: Option<Outcome>,
}

/// Runs the command.
pub async fn run(args: &Args, out: Output) -> anyhow::Result<Exit> {
    let policies = policies();
    let policy = admin::policy(&policies, &args.kind)?;
    let db = args.access.open().await?;
    let at = match args.at {
        None => None,
        Some(When::At(at)) => Some(at),
        Some(When::In(time)) => {
            let time = chrono::TimeDelta::from_std(time).context("--at is too far away")?;
            let now = admin::now(&mut *db.acquire().await?).await?;
            Some(now.checked_add_signed(time).context("--at is too far away")?)
        }
    };
    let mut awaited = Awaited::default();
    let mut enqueued = match &args.key {
        Some(key) => one(args, &db, policy, key, at, &mut awaited).await?,
        None => many(args, &db, at, &mut awaited).await?,
    };
    let mut exit = Exit::Done;
    if args.wait {
        exit = wait::jobs(&db, &mut awaited, args.timeout).await?;
        enqueued.outcome = Some(awaited.outcome().clone());
    }
    out.result(&enqueued, &sentence(&enqueued))?;
    Ok(exit)
}

async fn one(
    args: &Args,
    db: &PgPool,
    policy: &Policy,
    key: &str,
    at: Option<DateTime<Utc>>,
    awaited: &mut Awaited,
) -> anyhow::Result<Enqueued> {
    let bell = args.access.bell()?;
    let one = enqueue::one(db, &args.access.actor(), policy, key, args.tenant.as_deref(), at).await?;
    let wanted = std::slice::from_ref(&one.wanted);
    ring(bell.as_ref(), wanted).await?;
    awaited.extend(wanted);
    Ok(Enqueued {
        kind: args.kind.clone(),
        job: Some(one.wanted.job),
        jobs: 1,
        made: one.made,
        outcome: None,
    })
}

async fn many(
    args: &Args,
    db: &PgPool,
    at: Option<DateTime<Utc>>,
    awaited: &mut Awaited,
) -> anyhow::Result<Enqueued> {
    let bell = args.access.bell()?;
    let account = match &args.account {
        Some(account) => Some(account.find(&mut *db.acquire().await?).await?),
        None => None,
    };
    let selection = Selection { kind: args.kind.clone(), tenant: args.tenant.clone(), account };
    let there = enqueue::begin(db, &args.access.actor(), &selection, at).await?;
    if there == 0 {
        return Err(AdminError::NotFound {
            what: "job of the kind",
            which: args.kind.clone(),
            hint: "that is to be wanted".to_owned(),
        }
        .into());
    }
    say(&format!("wanting {} of the kind {}", words::count(there, "job"), args.kind))?;
    let (mut after, mut jobs) = (JobId::MIN, 0);
    loop {
        let wanted = enqueue::batch(db, &selection, after, at).await?;
        let Some(last) = wanted.last() else { break };
        after = last.job;
        jobs += i64::try_from(wanted.len()).unwrap_or(i64::MAX);
        ring(bell.as_ref(), &wanted).await?;
        if args.wait {
            awaited.extend(&wanted);
        }
    }
    Ok(Enqueued { kind: args.kind.clone(), job: None, jobs, made: false, outcome: None })
}

fn sentence(enqueued: &Enqueued) -> String {
    let what = match enqueued.job {
        Some(job) if enqueued.made => format!("job {job} is made and wanted"),
        Some(job) => format!("job {job} is wanted"),
        None => format!("{} wanted", words::count(enqueued.jobs, "job")),
    };
    match &enqueued.outcome {
        None => what,
        Some(outcome) => format!(
            "{what}: {} done, {} parked, {} left{}",
            outcome.done,
            outcome.parked.len(),
            outcome.left,
            outcome
                .parked
                .first()
                .map_or_else(String::new, |job| format!(" (`syncfleet job explain {job}`)")),
        ),
    }
}

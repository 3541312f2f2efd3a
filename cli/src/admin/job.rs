//! `job`: what is kept in step.

use chrono::{DateTime, Utc};
use clap::{Subcommand, builder::PossibleValuesParser};
use shared::{
    admin::{
        self,
        job::{self, Filter, Job, JobRef, STATES, State, explain::Explanation},
    },
    job::{AccountId, JobId},
    store::PgPool,
};
use worker::jobs::policies;

use super::{Access, limit, more, ring, run as runs};
use crate::{
    exit::Exit,
    output::{Output, json, line, or_dash, when},
};

/// What is kept in step, and how it stands
#[derive(Debug, clap::Args)]
#[command(after_help = "A job is named by its number, or by KIND/KEY.

Examples:
  syncfleet job ls --state parked
  syncfleet job explain noop/example
  syncfleet job retry 42 43")]
pub struct Args {
    #[command(flatten)]
    access: Access,
    #[command(subcommand)]
    verb: Verb,
}

#[derive(Debug, Subcommand)]
enum Verb {
    /// List jobs in the order of their numbers
    Ls(Ls),
    /// Show a job and its last runs
    Show {
        /// Its number, or KIND/KEY
        job: JobRef,
    },
    /// Say why a job is not running, or what it does
    Explain {
        /// Its number, or KIND/KEY
        job: JobRef,
    },
    /// Lift backoffs and take jobs out of their parking place, so that they run at once
    Retry {
        /// Their numbers, or KIND/KEY
        #[arg(required = true)]
        jobs: Vec<JobRef>,
    },
    /// Begin no run of the jobs until they are resumed
    Pause {
        /// Their numbers, or KIND/KEY
        #[arg(required = true)]
        jobs: Vec<JobRef>,
    },
    /// End a pause
    Resume {
        /// Their numbers, or KIND/KEY
        #[arg(required = true)]
        jobs: Vec<JobRef>,
    },
}

#[derive(Debug, clap::Args)]
struct Ls {
    /// Of this kind only
    #[arg(long, value_parser = super::kind)]
    kind: Option<String>,
    /// Of this tenant only
    #[arg(long)]
    tenant: Option<String>,
    /// Of this account only
    #[arg(long, value_name = "ID")]
    account: Option<AccountId>,
    /// Only those that stand so; due: their time has come; dirty: wanted and not yet done
    #[arg(long, value_parser = PossibleValuesParser::new(STATES))]
    state: Option<String>,
    /// Only those after this number
    #[arg(long, value_name = "ID", default_value_t = 0)]
    after: JobId,
    /// At most so many
    #[arg(long, value_name = "N", default_value = "100", value_parser = limit)]
    limit: i64,
}

/// Runs the noun.
pub async fn run(args: &Args, out: Output) -> anyhow::Result<Exit> {
    let db = args.access.open().await?;
    match &args.verb {
        Verb::Ls(filter) => ls(&db, filter, out).await,
        Verb::Show { job } => show(&db, job, out).await,
        Verb::Explain { job } => {
            let explanation = job::explain::explain(&db, job).await?;
            print_explanation(&explanation, out)?;
            Ok(Exit::Done)
        }
        Verb::Retry { jobs } => retry(&args.access, &db, jobs, out).await,
        Verb::Pause { jobs } => switch(&args.access, &db, jobs, true, out).await,
        Verb::Resume { jobs } => switch(&args.access, &db, jobs, false, out).await,
    }
}

async fn ls(db: &PgPool, ls: &Ls, out: Output) -> anyhow::Result<Exit> {
    let mut conn = db.acquire().await?;
    let filter = Filter {
        kind: ls.kind.clone(),
        tenant: ls.tenant.clone(),
        account: ls.account,
        state: ls.state.clone(),
        after: ls.after,
        limit: ls.limit,
    };
    let jobs = job::ls(&mut conn, &policies(), &filter).await?;
    let now = admin::now(&mut conn).await?;
    let columns = ["ID", "JOB", "TENANT", "LANE", "STATE", "NEXT", "WANTED", "DONE", "NOTE"];
    out.list(&jobs, "no jobs", &columns, |job| {
        vec![
            job.id.to_string(),
            name(job),
            job.tenant.clone(),
            job.lane.to_string(),
            state(job),
            when(job.run_at, now),
            job.wanted.to_string(),
            job.done.to_string(),
            job.note.clone().unwrap_or_default(),
        ]
    })?;
    more(jobs.len(), ls.limit, jobs.last().map(|job| job.id))?;
    Ok(Exit::Done)
}

async fn show(db: &PgPool, job: &JobRef, out: Output) -> anyhow::Result<Exit> {
    let mut conn = db.acquire().await?;
    let shown = job::show(&mut conn, job).await?;
    let now = admin::now(&mut conn).await?;
    out.facts(&shown, &facts(&shown.job, now))?;
    if out.is_table() && !shown.runs.is_empty() {
        line("")?;
        runs::list(&shown.runs, now, out)?;
    }
    Ok(Exit::Done)
}

fn print_explanation(explanation: &Explanation, out: Output) -> anyhow::Result<()> {
    if !out.is_table() {
        return json(explanation);
    }
    let (job, now) = (&explanation.job, explanation.facts.now);
    line(&format!("{}: {}", name(job), explanation.text))?;
    line("")?;
    let mut facts = facts(job, now);
    facts.extend(explanation.push.iter().map(|push| ("push", push.sentence(now))));
    out.facts(&(), &facts)?;
    if !explanation.runs.is_empty() {
        line("")?;
        runs::list(&explanation.runs, now, out)?;
    }
    Ok(())
}

/// The numbers of all the jobs, before anything is done to one of them.
async fn find(db: &PgPool, jobs: &[JobRef]) -> anyhow::Result<Vec<JobRef>> {
    let mut conn = db.acquire().await?;
    let mut found = Vec::with_capacity(jobs.len());
    for job in jobs {
        found.push(JobRef::Id(job.find(&mut conn).await?));
    }
    Ok(found)
}

async fn retry(access: &Access, db: &PgPool, jobs: &[JobRef], out: Output) -> anyhow::Result<Exit> {
    let bell = access.bell()?;
    let actor = access.actor();
    let mut all = Vec::new();
    for job in find(db, jobs).await? {
        let retried = job::retry(db, &actor, &job).await?;
        ring(bell.as_ref(), std::slice::from_ref(&retried.bell)).await?;
        all.push(retried);
    }
    out.results(&all, |retried| {
        let name = name(&retried.job);
        match (retried.changed, retried.job.state) {
            (false, _) => format!("{name} is running; there is nothing to retry"),
            (true, State::Due) => format!("{name} is due"),
            (true, State::Paused) => format!("{name} is paused: `syncfleet job resume {}`", retried.job.id),
            (true, _) => format!("{name} runs when its provider's minimum interval is over"),
        }
    })?;
    Ok(Exit::Done)
}

async fn switch(
    access: &Access,
    db: &PgPool,
    jobs: &[JobRef],
    paused: bool,
    out: Output,
) -> anyhow::Result<Exit> {
    let actor = access.actor();
    let mut all = Vec::new();
    for job in find(db, jobs).await? {
        all.push(if paused {
            job::pause(db, &actor, &job).await?
        } else {
            job::resume(db, &actor, &job).await?
        });
    }
    let word = if paused { "is paused" } else { "goes on" };
    out.results(&all, |job| format!("{} {word}", name(job)))?;
    Ok(Exit::Done)
}

fn name(job: &Job) -> String {
    format!("{}/{}", job.kind, job.key)
}

fn state(job: &Job) -> String {
    let state = match job.state {
        State::Idle => "idle",
        State::Due => "due",
        State::Running => "running",
        State::Parked => "parked",
        State::Paused => "paused",
    };
    job.parked.as_ref().map_or_else(|| state.to_owned(), |why| format!("{state} ({why})"))
}

fn facts(job: &Job, now: DateTime<Utc>) -> Vec<(&'static str, String)> {
    vec![
        ("job", format!("{} ({})", name(job), job.id)),
        ("tenant", job.tenant.clone()),
        ("account", job.account.map(|id| id.to_string()).unwrap_or_default()),
        ("state", state(job)),
        ("lane", job.lane.to_string()),
        ("next", when(job.run_at, now)),
        ("wanted", job.wanted.to_string()),
        ("seen", or_dash(job.seen.as_ref())),
        ("done", job.done.to_string()),
        ("attempts", job.attempt.to_string()),
        ("crashes", job.crashes.to_string()),
        ("note", job.note.clone().unwrap_or_default()),
        ("noted", job.noted_at.map(|at| when(Some(at), now)).unwrap_or_default()),
    ]
}

//! `run`: history.

use std::time::Duration;

use clap::{Subcommand, builder::PossibleValuesParser};
use shared::{
    admin::{
        self,
        job::JobRef,
        run::{self, Filter, OUTCOMES, Run},
    },
    job::RunId,
};
use worker::jobs::policies;

use super::{Access, limit, span};
use crate::{
    exit::Exit,
    output::{Output, or_dash, when},
};

/// History: one entry per execution of a job
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:
  syncfleet run ls --job noop/example
  syncfleet run ls --outcome retry --since 1h
  syncfleet run show 019a9f3c-5d1e-7c31-8f2a-0242ac120002")]
pub struct Args {
    #[command(flatten)]
    access: Access,
    #[command(subcommand)]
    verb: Verb,
}

#[derive(Debug, Subcommand)]
enum Verb {
    /// List runs, newest first
    Ls {
        /// Of this job only: its number, or KIND/KEY
        #[arg(long)]
        job: Option<JobRef>,
        /// Of this kind only
        #[arg(long, value_parser = super::kind)]
        kind: Option<String>,
        /// That ended so only
        #[arg(long, value_parser = PossibleValuesParser::new(OUTCOMES))]
        outcome: Option<String>,
        /// Begun not longer ago than this
        #[arg(long, value_name = "TIME", value_parser = span)]
        since: Option<Duration>,
        /// At most so many
        #[arg(long, value_name = "N", default_value = "100", value_parser = limit)]
        limit: i64,
    },
    /// Show one run
    Show {
        /// Its id
        id: RunId,
    },
}

/// Runs the noun.
pub async fn run(args: &Args, out: Output) -> anyhow::Result<Exit> {
    let db = args.access.open().await?;
    let mut conn = db.acquire().await?;
    match &args.verb {
        Verb::Ls { job, kind, outcome, since, limit } => {
            let job = match job {
                Some(job) => Some(job.find(&mut conn).await?),
                None => None,
            };
            let filter = Filter {
                id: None,
                job,
                kind: kind.clone(),
                outcome: outcome.clone(),
                since: *since,
                limit: *limit,
            };
            let runs = run::ls(&mut conn, &policies(), &filter).await?;
            let now = admin::now(&mut conn).await?;
            list(&runs, now, out)?;
        }
        Verb::Show { id } => {
            let run = run::show(&mut conn, *id).await?;
            let now = admin::now(&mut conn).await?;
            out.facts(&run, &facts(&run, now))?;
        }
    }
    Ok(Exit::Done)
}

/// Prints runs.
pub fn list(runs: &[Run], now: chrono::DateTime<chrono::Utc>, out: Output) -> anyhow::Result<()> {
    let columns = ["RUN", "JOB", "LANE", "ATTEMPT", "OUTCOME", "CHANGED", "STARTED", "TOOK", "NOTE"];
    out.list(runs, "no runs", &columns, |run| {
        vec![
            run.id.to_string(),
            job(run),
            run.lane.to_string(),
            run.attempt.to_string(),
            run.outcome.clone(),
            run.changed.to_string(),
            when(Some(run.started_at), now),
            took(run),
            run.note.clone().unwrap_or_default(),
        ]
    })
}

fn job(run: &Run) -> String {
    run.key.as_ref().map_or_else(|| format!("{} {}", run.kind, run.job), |key| format!("{}/{key}", run.kind))
}

fn took(run: &Run) -> String {
    format!("{} ms", (run.ended_at - run.started_at).num_milliseconds().max(0))
}

fn facts(run: &Run, now: chrono::DateTime<chrono::Utc>) -> Vec<(&'static str, String)> {
    vec![
        ("run", run.id.to_string()),
        ("job", format!("{} ({})", job(run), run.job)),
        ("tenant", or_dash(run.tenant.as_ref())),
        ("lane", run.lane.to_string()),
        ("attempt", run.attempt.to_string()),
        ("outcome", run.outcome.clone()),
        ("changed", run.changed.to_string()),
        ("started", when(Some(run.started_at), now)),
        ("took", took(run)),
        ("worker", run.worker_name.clone().unwrap_or_else(|| run.worker.to_string())),
        ("note", run.note.clone().unwrap_or_default()),
    ]
}

//! `kind`: the sorts of jobs.

use clap::Subcommand;
use shared::admin::{
    self,
    kind::{self, Kind},
    words,
};
use worker::jobs::policies;

use super::{Access, print_switched};
use crate::{exit::Exit, output::Output};

/// The sorts of jobs, and how they are run
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:
  syncfleet kind ls
  syncfleet kind pause noop --note 'too much of it'
  syncfleet kind resume noop")]
pub struct Args {
    #[command(flatten)]
    access: Access,
    #[command(subcommand)]
    verb: Verb,
}

#[derive(Debug, Subcommand)]
enum Verb {
    /// List all kinds
    Ls,
    /// Run no job of a kind until it is resumed
    Pause {
        /// Its name
        #[arg(value_parser = super::kind)]
        kind: String,
        /// Why, for those who look later
        #[arg(long, default_value = "")]
        note: String,
    },
    /// End a pause
    Resume {
        /// Its name
        #[arg(value_parser = super::kind)]
        kind: String,
    },
}

/// Runs the noun.
pub async fn run(args: &Args, out: Output) -> anyhow::Result<Exit> {
    let policies = policies();
    if let Verb::Pause { kind, .. } | Verb::Resume { kind } = &args.verb {
        // Before the database is asked: it cannot know better.
        admin::policy(&policies, kind)?;
    }
    let db = args.access.open().await?;
    let actor = args.access.actor();
    match &args.verb {
        Verb::Ls => {
            let kinds = kind::ls(&mut *db.acquire().await?, &policies).await?;
            let columns = ["KIND", "LANE", "EVERY", "JOBS", "DUE", "RUNNING", "PARKED", "GATE", "ABOUT"];
            out.list(&kinds, "no kinds", &columns, cells)?;
        }
        Verb::Pause { kind, note } => {
            print_switched(&kind::pause(&db, &actor, &policies, kind, note).await?, out)?;
        }
        Verb::Resume { kind } => {
            print_switched(&kind::resume(&db, &actor, &policies, kind).await?, out)?;
        }
    }
    Ok(Exit::Done)
}

fn cells(kind: &Kind) -> Vec<String> {
    let (lane, every, about) = match &kind.policy {
        Some(rules) => (
            rules.lane.to_string(),
            rules.interval_s.map_or_else(
                || "on a want".to_owned(),
                |seconds| words::span(i64::try_from(seconds).unwrap_or(i64::MAX)),
            ),
            rules.about.clone(),
        ),
        None => ("-".to_owned(), "-".to_owned(), "not known to this version".to_owned()),
    };
    let gates: Vec<_> = kind.gates.iter().map(|gate| gate.reason.clone()).collect();
    vec![
        kind.name.clone(),
        lane,
        every,
        kind.jobs.to_string(),
        kind.due.to_string(),
        kind.running.to_string(),
        kind.parked.to_string(),
        if gates.is_empty() { "open".to_owned() } else { gates.join(", ") },
        about,
    ]
}

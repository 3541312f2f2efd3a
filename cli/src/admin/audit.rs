//! `audit`: who changed what.

use std::time::Duration;

use clap::Subcommand;
use shared::admin::{self, audit};

use super::{Access, limit, span};
use crate::{
    exit::Exit,
    output::{Output, when},
};

/// Who changed what
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:
  syncfleet audit ls --since 2days
  syncfleet audit ls --target noop/example -o json")]
pub struct Args {
    #[command(flatten)]
    access: Access,
    #[command(subcommand)]
    verb: Verb,
}

#[derive(Debug, Subcommand)]
enum Verb {
    /// List changes, newest first
    Ls {
        /// Of this target only: a tenant, a kind, a lane, a job as KIND/KEY, an account as TENANT/EMAIL
        #[arg(long)]
        target: Option<String>,
        /// By this actor only
        #[arg(long)]
        by: Option<String>,
        /// Not older than this
        #[arg(long, value_name = "TIME", value_parser = span)]
        since: Option<Duration>,
        /// At most so many
        #[arg(long, value_name = "N", default_value = "100", value_parser = limit)]
        limit: i64,
    },
}

/// Runs the noun.
pub async fn run(args: &Args, out: Output) -> anyhow::Result<Exit> {
    let Verb::Ls { target, by, since, limit } = &args.verb;
    let db = args.access.open().await?;
    let mut conn = db.acquire().await?;
    let filter = audit::Filter { target: target.clone(), actor: by.clone(), since: *since, limit: *limit };
    let entries = audit::ls(&mut conn, &filter).await?;
    let now = admin::now(&mut conn).await?;
    out.list(&entries, "no changes", &["WHEN", "ACTOR", "ACTION", "TARGET", "DETAIL"], |entry| {
        let detail = entry.detail.to_string();
        vec![
            when(Some(entry.at), now),
            entry.actor.clone(),
            entry.action.clone(),
            entry.target.clone(),
            if detail == "{}" { String::new() } else { detail },
        ]
    })?;
    Ok(Exit::Done)
}

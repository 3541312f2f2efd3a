//! `lane`: the fleet's slots, by urgency.

use clap::Subcommand;
use shared::{admin::lane, job::Lane};

use super::{Access, print_switched};
use crate::{
    exit::Exit,
    output::{Output, yes},
};

/// The fleet's slots, by urgency: interactive, normal, bulk
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:
  syncfleet lane ls
  syncfleet lane pause bulk
  syncfleet lane resume bulk")]
pub struct Args {
    #[command(flatten)]
    access: Access,
    #[command(subcommand)]
    verb: Verb,
}

#[derive(Debug, Subcommand)]
enum Verb {
    /// List the lanes
    Ls,
    /// Run no job of a lane until it is resumed
    Pause {
        /// interactive, normal or bulk
        lane: Lane,
        /// Why, for those who look later
        #[arg(long, default_value = "")]
        note: String,
    },
    /// End a pause
    Resume {
        /// interactive, normal or bulk
        lane: Lane,
    },
}

/// Runs the noun.
pub async fn run(args: &Args, out: Output) -> anyhow::Result<Exit> {
    let db = args.access.open().await?;
    let actor = args.access.actor();
    match &args.verb {
        Verb::Ls => {
            let lanes = lane::ls(&mut *db.acquire().await?).await?;
            out.list(&lanes, "no lanes", &["LANE", "SLOTS", "BUSY", "DUE", "RUNNING", "PAUSED"], |lane| {
                vec![
                    lane.lane.to_string(),
                    lane.slots.to_string(),
                    lane.busy.to_string(),
                    lane.due.to_string(),
                    lane.running.to_string(),
                    yes(lane.paused),
                ]
            })?;
        }
        Verb::Pause { lane, note } => print_switched(&lane::pause(&db, &actor, *lane, note).await?, out)?,
        Verb::Resume { lane } => print_switched(&lane::resume(&db, &actor, *lane).await?, out)?,
    }
    Ok(Exit::Done)
}

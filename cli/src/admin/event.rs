//! `event`: what stands in the mirrored calendars.

use chrono::SecondsFormat;
use clap::Subcommand;
use shared::{
    admin::{
        self,
        event::{self, Event, Filter},
    },
    job::AccountId,
};

use super::{Access, limit};
use crate::{
    exit::Exit,
    output::{Output, or_dash, when},
};

/// What stands in the mirrored calendars
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:
  syncfleet event ls --calendar 7
  syncfleet event ls --account 42 --cancelled -o json")]
pub struct Args {
    #[command(flatten)]
    access: Access,
    #[command(subcommand)]
    verb: Verb,
}

#[derive(Debug, Subcommand)]
enum Verb {
    /// List events, the latest start first
    Ls {
        /// Of this account only
        #[arg(long, value_name = "ID", required_unless_present = "calendar")]
        account: Option<AccountId>,
        /// Of this calendar only
        #[arg(long, value_name = "ID")]
        calendar: Option<i64>,
        /// Those that were cancelled, too
        #[arg(long)]
        cancelled: bool,
        /// At most so many
        #[arg(long, value_name = "N", default_value = "100", value_parser = limit)]
        limit: i64,
    },
}

/// Runs the noun.
pub async fn run(args: &Args, out: Output) -> anyhow::Result<Exit> {
    let Verb::Ls { account, calendar, cancelled, limit } = &args.verb;
    let db = args.access.open().await?;
    let mut conn = db.acquire().await?;
    let filter = Filter { account: *account, calendar: *calendar, cancelled: *cancelled, limit: *limit };
    let events = event::ls(&mut conn, &filter).await?;
    let now = admin::now(&mut conn).await?;
    let columns = ["CALENDAR", "START", "TITLE", "STATUS", "SERIES", "CHANGED", "EVENT"];
    out.list(&events, "no events", &columns, |event| {
        vec![
            event.calendar.to_string(),
            start(event),
            event.summary.clone().unwrap_or_default(),
            or_dash(event.status.as_ref()),
            series(event),
            when(event.updated, now),
            event.id.clone(),
        ]
    })?;
    Ok(Exit::Done)
}

/// When it begins, as it stands in a calendar: moments in UTC, days as days.
fn start(event: &Event) -> String {
    let moment = event.start_at.map(|at| at.to_rfc3339_opts(SecondsFormat::Secs, true));
    moment.or_else(|| event.start_date.map(|day| day.to_string())).unwrap_or_else(|| "-".to_owned())
}

fn series(event: &Event) -> String {
    match (event.recurring, &event.recurring_event_id) {
        (true, _) => "master".to_owned(),
        (false, Some(master)) => format!("of {master}"),
        (false, None) => String::new(),
    }
}

//! `event`: what stands in the mirrored calendars.

mod moment;

use chrono::{SecondsFormat, TimeDelta};
use clap::Subcommand;
use shared::{
    admin::{
        self,
        event::{self, Event, Filter},
    },
    calendar::{Time, Window, occurrences},
    job::AccountId,
};
use sqlx::PgConnection;

use self::moment::Moment;
use super::{Access, limit};
use crate::{
    exit::Exit,
    output::{Output, or_dash, say, when},
};

/// How wide a window is whose end is not given.
const WEEK: TimeDelta = TimeDelta::days(7);

/// What stands in the mirrored calendars
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:
  syncfleet event ls --calendar 7
  syncfleet event ls --account 42 --from now --to +7d
  syncfleet event ls --account 42 --from 2026-03-01 --to 2026-04-01T00:00:00+02:00
  syncfleet event ls --account 42 --cancelled -o json")]
pub struct Args {
    #[command(flatten)]
    access: Access,
    #[command(subcommand)]
    verb: Verb,
}

#[derive(Debug, Subcommand)]
enum Verb {
    /// List events as they are mirrored, the latest start first; in a window what happens, series expanded, the earliest first
    Ls(Ls),
}

#[derive(Debug, clap::Args)]
struct Ls {
    /// Of this account only
    #[arg(long, value_name = "ID", required_unless_present = "calendar")]
    account: Option<AccountId>,
    /// Of this calendar only
    #[arg(long, value_name = "ID")]
    calendar: Option<i64>,
    /// The window's begin: RFC 3339, a date (midnight UTC), `now`, or from now: -1d, +12h [default with --to: now]
    #[arg(long, value_name = "WHEN", allow_hyphen_values = true)]
    from: Option<Moment>,
    /// The window's end, exclusive, given likewise [default with --from: 7 days later]
    #[arg(long, value_name = "WHEN", allow_hyphen_values = true)]
    to: Option<Moment>,
    /// Those that were cancelled, too
    #[arg(long, conflicts_with_all = ["from", "to"])]
    cancelled: bool,
    /// At most so many
    #[arg(long, value_name = "N", default_value = "100", value_parser = limit)]
    limit: i64,
}

/// Runs the noun.
pub async fn run(args: &Args, out: Output) -> anyhow::Result<Exit> {
    let Verb::Ls(ls) = &args.verb;
    let db = args.access.open().await?;
    let mut conn = db.acquire().await?;
    if ls.from.is_none() && ls.to.is_none() {
        mirrored(&mut conn, ls, out).await
    } else {
        happening(&mut conn, ls, out).await
    }
}

async fn mirrored(conn: &mut PgConnection, ls: &Ls, out: Output) -> anyhow::Result<Exit> {
    let filter =
        Filter { account: ls.account, calendar: ls.calendar, cancelled: ls.cancelled, limit: ls.limit };
    let events = event::ls(&mut *conn, &filter).await?;
    let now = admin::now(conn).await?;
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

async fn happening(conn: &mut PgConnection, ls: &Ls, out: Output) -> anyhow::Result<Exit> {
    let now = admin::now(&mut *conn).await?;
    let from = ls.from.map_or(now, |from| from.seen_from(now));
    let to = ls.to.map_or_else(|| from + WEEK, |to| to.seen_from(now));
    let filter = occurrences::Filter {
        account: ls.account,
        calendar: ls.calendar,
        window: Window { from, to },
        limit: usize::try_from(ls.limit)?,
    };
    let found = event::between(conn, &filter).await?;
    let columns = ["CALENDAR", "START", "END", "ZONE", "TITLE", "STATUS", "SERIES", "EVENT"];
    out.list(&found.occurrences, "nothing in this window", &columns, |occurrence| {
        vec![
            occurrence.calendar.to_string(),
            time(occurrence.start),
            time(occurrence.end),
            occurrence.zone.clone(),
            occurrence.summary.clone().unwrap_or_default(),
            occurrence.status.clone(),
            occurrence.series.clone().unwrap_or_default(),
            occurrence.event.clone(),
        ]
    })?;
    for note in &found.notes {
        say(&format!("note: {note}"))?;
    }
    if found.more {
        say(&format!("there is more: narrow the window, or raise --limit {}", ls.limit))?;
    }
    Ok(Exit::Done)
}

fn time(time: Time) -> String {
    match time {
        Time::Day(day) => day.to_string(),
        Time::Moment(moment) => moment.to_rfc3339_opts(SecondsFormat::Secs, true),
    }
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

//! `calendar`: what is mirrored of whom.

use clap::Subcommand;
use shared::{
    admin::{
        self,
        calendar::{self, Calendar, Filter},
    },
    job::AccountId,
};

use super::{Access, limit, more};
use crate::{
    exit::Exit,
    output::{Output, or_dash, when},
};

/// What is mirrored of whom
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:
  syncfleet calendar ls --tenant acme
  syncfleet calendar ls --account 42 -o json")]
pub struct Args {
    #[command(flatten)]
    access: Access,
    #[command(subcommand)]
    verb: Verb,
}

#[derive(Debug, Subcommand)]
enum Verb {
    /// List calendars in the order of their numbers
    Ls {
        /// Of this account only
        #[arg(long, value_name = "ID")]
        account: Option<AccountId>,
        /// Of this tenant only
        #[arg(long)]
        tenant: Option<String>,
        /// Only those after this number
        #[arg(long, value_name = "ID", default_value_t = 0)]
        after: i64,
        /// At most so many
        #[arg(long, value_name = "N", default_value = "100", value_parser = limit)]
        limit: i64,
    },
}

/// Runs the noun.
pub async fn run(args: &Args, out: Output) -> anyhow::Result<Exit> {
    let Verb::Ls { account, tenant, after, limit } = &args.verb;
    let db = args.access.open().await?;
    let mut conn = db.acquire().await?;
    let filter = Filter { account: *account, tenant: tenant.clone(), after: *after, limit: *limit };
    let calendars = calendar::ls(&mut conn, &filter).await?;
    let now = admin::now(&mut conn).await?;
    let columns = ["ID", "ACCOUNT", "CALENDAR", "ROLE", "EVENTS", "STATE", "LAST FULL"];
    out.list(&calendars, "no calendars", &columns, |calendar| {
        vec![
            calendar.id.to_string(),
            calendar.email.clone(),
            calendar.summary.clone().unwrap_or_else(|| calendar.google_id.clone()),
            or_dash(calendar.access_role.as_ref()),
            calendar.events.to_string(),
            state(calendar),
            when(calendar.full_at, now),
        ]
    })?;
    more(calendars.len(), filter.limit, calendars.last().map(|calendar| calendar.id))?;
    Ok(Exit::Done)
}

fn state(calendar: &Calendar) -> String {
    match &calendar.pass {
        _ if calendar.deleted => "deleted".to_owned(),
        _ if !calendar.readable => "not readable".to_owned(),
        Some(pass) => format!("{pass} sync"),
        None if calendar.full_at.is_none() => "not synced yet".to_owned(),
        None => "synced".to_owned(),
    }
}

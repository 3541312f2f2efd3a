//! `quota`: the budget of calls to a provider.

use clap::Subcommand;
use shared::admin::{
    self,
    quota::{self, Quota},
    words,
};
use worker::jobs::policies;

use super::{Access, limit};
use crate::{
    exit::Exit,
    output::{Output, or_dash},
};

/// The budget of calls to Google, and who uses it
///
/// The fleet keeps below Google's limits by its own count. They are settings of its workers
/// (`SYNCFLEET_GOOGLE_CALENDAR_PER_MINUTE` and others: `syncfleet worker --help`).
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:
  syncfleet quota show
  syncfleet quota show --limit 10 -o json")]
pub struct Args {
    #[command(flatten)]
    access: Access,
    #[command(subcommand)]
    verb: Verb,
}

#[derive(Debug, Subcommand)]
enum Verb {
    /// Show each project, then the accounts in use, the busiest first
    ///
    /// RATE is how much of the limit for a minute is in use: it is halved when Google refuses calls all the same, and grows back.
    /// KEPT is the part of the limits that only push-driven work may use. THROTTLED tells until when no call is made, and
    /// why; with the reason share only what nobody waits for is held back.
    Show {
        /// How many rows at most
        #[arg(long, value_name = "N", default_value = "100", value_parser = limit)]
        limit: i64,
    },
}

/// Runs the noun.
pub async fn run(args: &Args, out: Output) -> anyhow::Result<Exit> {
    let Verb::Show { limit } = args.verb;
    let db = args.access.open().await?;
    let mut conn = db.acquire().await?;
    let quotas = quota::show(&mut conn, &policies(), limit).await?;
    let now = admin::now(&mut conn).await?;
    let columns = ["API", "PROJECT", "ACCOUNT", "LAST MINUTE", "RATE", "OUT", "TODAY", "KEPT", "THROTTLED"];
    out.list(&quotas, "no budget was drawn from yet: no worker has called Google", &columns, |quota| {
        vec![
            quota.api.clone(),
            quota.project.clone(),
            account(quota),
            format!("{}/{}", quota.last_minute, quota.per_minute),
            format!("{} %", quota.rate_percent),
            quota.out.to_string(),
            quota.per_day.map_or_else(|| quota.today.to_string(), |limit| format!("{}/{limit}", quota.today)),
            format!("{} %", quota.kept_percent),
            match (quota.throttled_until, &quota.throttled_by) {
                (Some(until), Some(by)) => format!("{}, {by}", words::when(until, now)),
                _ => "-".to_owned(),
            },
        ]
    })?;
    Ok(Exit::Done)
}

fn account(quota: &Quota) -> String {
    match (quota.account, &quota.email) {
        (Some(id), Some(email)) => format!("{id} {email}"),
        (id, _) => or_dash(id.as_ref()),
    }
}

//! `channel`: what Google pushes, and what is polled because it does not.

use clap::Subcommand;
use shared::{
    admin::{
        self,
        account::AccountRef,
        channel::{self, Changed, Channel, Filter, Which},
        words,
    },
    config,
    google::channels::Stopped,
};

use super::{Access, limit, ring};
use crate::{
    exit::Exit,
    output::{Output, or_dash, say, when},
};

/// What Google pushes, and what is polled because it does not
#[derive(Debug, clap::Args)]
#[command(
    after_help = "A channel is named by its id. What has no channel is in the list, too, as polled, with the reason; it is named by its
job's number. Channels are made, renewed and ended by the account's job of the kind google_channels.

Examples:
  syncfleet channel ls --account ada@example.com
  syncfleet channel renew --account ada@example.com
  syncfleet channel stop 42"
)]
pub struct Args {
    #[command(flatten)]
    access: Access,
    #[command(subcommand)]
    verb: Verb,
}

#[derive(Debug, Subcommand)]
enum Verb {
    /// List channels, and what is polled for want of one
    Ls {
        /// Of this account only
        #[arg(long)]
        account: Option<AccountRef>,
        /// Of this tenant only
        #[arg(long)]
        tenant: Option<String>,
        /// Stopped ones, too
        #[arg(long)]
        all: bool,
        /// At most so many
        #[arg(long, value_name = "N", default_value = "100", value_parser = limit)]
        limit: i64,
        #[command(flatten)]
        public_url: config::PublicUrl,
    },
    /// Have another channel made in its place, also of what was refused or stopped
    Renew(Chosen),
    /// End a channel, and poll what it watches until it is renewed
    Stop(Chosen),
}

#[derive(Debug, clap::Args)]
#[group(required = true, multiple = false)]
struct Chosen {
    /// A channel's id, or the number of the job that is polled
    id: Option<String>,
    /// All of this account
    #[arg(long)]
    account: Option<AccountRef>,
}

impl Chosen {
    fn which(&self) -> Which {
        match (&self.account, &self.id) {
            (Some(account), _) => Which::Account(account.clone()),
            (None, id) => Which::One(id.clone().unwrap_or_default().trim().to_owned()),
        }
    }
}

/// Runs the noun.
pub async fn run(args: &Args, out: Output) -> anyhow::Result<Exit> {
    let db = args.access.open().await?;
    let actor = args.access.actor();
    let changed = match &args.verb {
        Verb::Ls { account, tenant, all, limit, public_url } => {
            let filter =
                Filter { account: account.clone(), tenant: tenant.clone(), all: *all, limit: *limit };
            if public_url.url()?.is_none() {
                say(
                    "note: SYNCFLEET_PUBLIC_URL is not set here; a worker without it makes no channels and polls",
                )?;
            }
            let mut conn = db.acquire().await?;
            let channels = channel::ls(&mut conn, &filter).await?;
            print(&channels, admin::now(&mut conn).await?, out)?;
            if i64::try_from(channels.len()).is_ok_and(|shown| shown == *limit) {
                say("there may be more: --limit, --account and --tenant choose")?;
            }
            return Ok(Exit::Done);
        }
        Verb::Renew(chosen) => channel::renew(&db, &actor, &chosen.which()).await?,
        Verb::Stop(chosen) => channel::stop(&db, &actor, &chosen.which()).await?,
    };
    ring(args.access.bell()?.as_ref(), &changed.wanted).await?;
    let done = if matches!(args.verb, Verb::Stop(_)) { "stopped" } else { "renewed" };
    out.result(&changed, &sentence(&changed, done))?;
    Ok(Exit::Done)
}

fn print(channels: &[Channel], now: chrono::DateTime<chrono::Utc>, out: Output) -> anyhow::Result<()> {
    let columns = ["CHANNEL", "ACCOUNT", "JOB", "WATCHES", "STATE", "UNTIL", "HEARD", "MISSED", "NOTE"];
    out.list(channels, "no channels: all is polled", &columns, |channel| {
        vec![
            or_dash(channel.id.as_ref()),
            channel.email.clone(),
            channel.job.to_string(),
            or_dash(channel.watches.as_ref()),
            channel.state.clone(),
            when(channel.until, now),
            when(channel.heard_at, now),
            channel.missed.to_string(),
            channel.note.clone().unwrap_or_default(),
        ]
    })
}

fn sentence(changed: &Changed, done: &str) -> String {
    let count = words::count(i64::try_from(changed.jobs.len()).unwrap_or(i64::MAX), "job");
    match changed.by {
        Some(by) => format!("the channels of {count} are {done} by job {by}"),
        None => {
            format!("the channels of {count} are {done} when a worker looks at account {}", changed.account)
        }
    }
}

/// What became of the channels of accounts that go, in words; nothing if there were none.
pub fn stopped(stopped: &Stopped) -> String {
    let count = |n: u64| words::count(i64::try_from(n).unwrap_or(i64::MAX), "push channel");
    match (stopped.stopped, stopped.left) {
        (0, 0) => String::new(),
        (n, 0) => format!("; {} stopped", count(n)),
        (n, left) => format!("; {} stopped, {} left to run out by themselves", count(n), count(left)),
    }
}

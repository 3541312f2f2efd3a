//! The admin nouns, one file each, named as in `shared::admin`, whose functions they call.

pub mod account;
pub mod audit;
pub mod calendar;
pub mod channel;
pub mod completions;
pub mod config;
mod confirm;
pub mod dns;
pub mod drive;
pub mod enqueue;
pub mod event;
pub mod feed;
pub mod file;
pub mod job;
pub mod keys;
pub mod kind;
pub mod lane;
pub mod quota;
pub mod run;
pub mod tenant;
mod token;
mod wait;
pub mod webhook;
pub mod worker;

use std::time::{Duration, Instant};

use anyhow::Context;
use shared::{
    admin::{Actor, Switched},
    bell::Bell,
    config as settings,
    store::{
        PgPool, Session, connect,
        connect::reach,
        job_state::Wanted,
        schema::{self, Version},
    },
};

use crate::output::{Output, say};

/// How long the database may take to answer at first.
pub const PATIENCE: Duration = Duration::from_secs(5);

/// Whom a noun talks to, and in whose name.
#[derive(Debug, clap::Args)]
pub struct Access {
    /// The database.
    #[command(flatten)]
    pub database: settings::Database,

    /// The bell.
    #[command(flatten)]
    pub redis: settings::Redis,

    /// Who the audit log says it was [default: the user of the session]
    #[arg(long, env = "SYNCFLEET_ACTOR", value_name = "NAME", global = true, help_heading = "Settings")]
    actor: Option<String>,
}

impl Access {
    /// The database, reachable and of this program's version.
    pub async fn open(&self) -> anyhow::Result<PgPool> {
        let url = self.database.required()?;
        reach(&url, PATIENCE).await.context("DATABASE_URL")?;
        let connections = self.database.database_connections;
        let db = connect(&url, &Session::new("syncfleet admin", connections))?;
        match schema::version(&db).await? {
            Version::Current => Ok(db),
            Version::Older(0) => anyhow::bail!("the database is empty: run `syncfleet migrate` first"),
            Version::Older(found) => anyhow::bail!(
                "the database is at migration {found}, older than this program: run `syncfleet migrate` first"
            ),
        }
    }

    /// Who does it.
    pub fn actor(&self) -> Actor {
        let given = self.actor.clone().filter(|name| !name.trim().is_empty());
        let name = given.or_else(settings::user).unwrap_or_else(|| "unknown".to_owned());
        Actor::new(&format!("cli:{}", name.trim()))
    }

    /// The bell that the processes of the fleet share, if they do.
    pub fn bell(&self) -> anyhow::Result<Option<Bell>> {
        self.redis.url()?.map(|url| Bell::in_redis(&url)).transpose()
    }
}

/// Rings what was just wanted. If that fails, the dispatcher finds it a little later.
pub async fn ring(bell: Option<&Bell>, wanted: &[Wanted]) -> anyhow::Result<()> {
    let Some(bell) = bell else { return Ok(()) };
    bell.offer(wanted.iter().filter_map(Wanted::ring), Instant::now()).await;
    if bell.is_away() {
        say("note: Redis does not answer (REDIS_URL); the scheduler will find the work by itself")?;
    }
    Ok(())
}

/// The limit of a list: from 1 to 10,000.
fn limit(text: &str) -> Result<i64, String> {
    text.trim()
        .parse()
        .ok()
        .filter(|limit| (1..=10_000).contains(limit))
        .ok_or_else(|| "not a number from 1 to 10000".to_owned())
}

/// A kind's name; dashes are as good as underscores.
#[expect(clippy::unnecessary_wraps, reason = "the shape of a clap parser")]
fn kind(text: &str) -> Result<String, std::convert::Infallible> {
    Ok(shared::admin::kind_name(text))
}

/// A span of time: `90s`, `5m`, `2days`.
fn span(text: &str) -> Result<Duration, String> {
    humantime::parse_duration(text.trim()).map_err(|error| format!("{error}; give it as 90s, 5m or 2days"))
}

/// Says on stderr how the next page of a list is asked for, if this one is full.
fn more(shown: usize, limit: i64, last: Option<i64>) -> anyhow::Result<()> {
    match last {
        Some(last) if i64::try_from(shown).is_ok_and(|shown| shown == limit) => {
            say(&format!("there may be more: --after {last}"))
        }
        _ => Ok(()),
    }
}

/// Prints a pause or its end.
fn print_switched(switched: &Switched, out: Output) -> anyhow::Result<()> {
    let Switched { scope, name, paused, changed } = switched;
    let sentence = match (paused, changed) {
        (true, true) => format!("{scope} {name} is paused; runs under way finish their step"),
        (true, false) => format!("{scope} {name} was paused already"),
        (false, true) => format!("{scope} {name} goes on; its jobs come back spread over time"),
        (false, false) => format!("{scope} {name} was not paused"),
    };
    out.result(switched, &sentence)
}

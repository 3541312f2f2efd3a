//! `account`: whose data is mirrored.

use std::path::PathBuf;

use chrono::{DateTime, Utc};
use clap::{Subcommand, builder::PossibleValuesParser};
use shared::{
    admin::{
        self,
        account::{self, Account, AccountRef, Filter, New},
    },
    config::keys::KeysArgs,
    job::AccountId,
    store::PgPool,
};
use worker::jobs::policies;

use super::{Access, confirm::confirm, limit, ring, tenant::told, token};
use crate::{
    exit::Exit,
    output::{Output, when},
};

/// Whose data is mirrored
#[derive(Debug, clap::Args)]
#[command(
    after_help = "An account is named by its number, or by its address. The refresh token is read from stdin, from a
file, or typed without being shown; never given as an argument. Adding an account that is there already replaces its
token, and jobs that waited for that go on.

Examples:
  syncfleet account add --tenant acme --email ada@example.com < token
  syncfleet account ls --tenant acme
  syncfleet account rm ada@example.com --yes"
)]
pub struct Args {
    #[command(flatten)]
    access: Access,
    #[command(subcommand)]
    verb: Verb,
}

#[derive(Debug, Subcommand)]
enum Verb {
    /// Add an account, or give one a new refresh token
    Add(Add),
    /// List accounts in the order of their numbers
    Ls {
        /// Of this tenant only
        #[arg(long)]
        tenant: Option<String>,
        /// Only those after this number
        #[arg(long, value_name = "ID", default_value_t = 0)]
        after: AccountId,
        /// At most so many
        #[arg(long, value_name = "N", default_value = "100", value_parser = limit)]
        limit: i64,
    },
    /// Show one account
    Show {
        /// Its number or address
        account: AccountRef,
    },
    /// Remove an account, its jobs and its mirror
    Rm {
        /// Its number or address
        account: AccountRef,
        /// Do not ask
        #[arg(long)]
        yes: bool,
    },
}

#[derive(Debug, clap::Args)]
struct Add {
    /// Whose it is
    #[arg(long)]
    tenant: String,
    /// Its address
    #[arg(long)]
    email: String,
    /// Whose data it opens
    #[arg(long, default_value = "google", value_parser = PossibleValuesParser::new(["google"]))]
    provider: String,
    /// The file that holds the refresh token [default: stdin]
    #[arg(long, value_name = "FILE")]
    token_file: Option<PathBuf>,
    #[command(flatten)]
    keys: KeysArgs,
}

/// Runs the noun.
pub async fn run(args: &Args, out: Output) -> anyhow::Result<Exit> {
    let db = args.access.open().await?;
    match &args.verb {
        Verb::Add(new) => add(&args.access, &db, new, out).await?,
        Verb::Ls { tenant, after, limit } => {
            let filter = Filter { tenant: tenant.clone(), after: *after, limit: *limit };
            ls(&db, &filter, out).await?;
        }
        Verb::Show { account } => {
            let mut conn = db.acquire().await?;
            let account = account::show(&mut conn, account).await?;
            let now = admin::now(&mut conn).await?;
            out.facts(&account, &facts(&account, now))?;
        }
        Verb::Rm { account, yes } => {
            let (account, holdings) = {
                let mut conn = db.acquire().await?;
                let account = account::show(&mut conn, account).await?;
                let holdings = account::holdings(&mut conn, account.id).await?;
                (account, holdings)
            };
            confirm("account", &account.email, &told(&holdings), *yes)?;
            let removed = account::rm(&db, &args.access.actor(), account.id).await?;
            out.result(&removed, &format!("account {} is removed, with {}", account.email, told(&removed)))?;
        }
    }
    Ok(Exit::Done)
}

async fn add(access: &Access, db: &PgPool, add: &Add, out: Output) -> anyhow::Result<()> {
    let bell = access.bell()?;
    let keys = add.keys.key_ring()?;
    let refresh_token = token::read(add.token_file.as_deref(), "refresh token")?;
    let new = New {
        tenant: &add.tenant,
        provider: &add.provider,
        email: add.email.trim(),
        refresh_token: &refresh_token,
    };
    let added = account::add(db, &access.actor(), &keys, &policies(), &new).await?;
    ring(bell.as_ref(), &added.bell).await?;
    let Account { id, email, .. } = &added.account;
    let sentence = if added.new {
        format!("account {id} ({email}) is added; its first sync is due")
    } else {
        format!("account {id} ({email}) has a new token; what waited for that goes on")
    };
    out.result(&added, &sentence)
}

async fn ls(db: &PgPool, filter: &Filter, out: Output) -> anyhow::Result<()> {
    let mut conn = db.acquire().await?;
    let accounts = account::ls(&mut conn, filter).await?;
    let now = admin::now(&mut conn).await?;
    let columns = ["ID", "TENANT", "PROVIDER", "EMAIL", "CALENDARS", "JOBS", "PARKED", "GATE", "ADDED"];
    out.list(&accounts, "no accounts; `syncfleet account add` adds one", &columns, |account| {
        vec![
            account.id.to_string(),
            account.tenant.clone(),
            account.provider.clone(),
            account.email.clone(),
            account.calendars.to_string(),
            account.jobs.to_string(),
            account.parked.to_string(),
            gates(account),
            when(Some(account.created_at), now),
        ]
    })?;
    super::more(accounts.len(), filter.limit, accounts.last().map(|account| account.id))
}

fn gates(account: &Account) -> String {
    let gates: Vec<_> = account.gates.iter().map(|gate| gate.reason.replace('_', " ")).collect();
    if gates.is_empty() { "open".to_owned() } else { gates.join(", ") }
}

fn facts(account: &Account, now: DateTime<Utc>) -> Vec<(&'static str, String)> {
    vec![
        ("account", account.id.to_string()),
        ("tenant", account.tenant.clone()),
        ("provider", account.provider.clone()),
        ("email", account.email.clone()),
        ("subject", account.subject.clone().unwrap_or_default()),
        ("calendars", account.calendars.to_string()),
        ("jobs", account.jobs.to_string()),
        ("parked", account.parked.to_string()),
        ("gate", gates(account)),
        ("added", when(Some(account.created_at), now)),
    ]
}

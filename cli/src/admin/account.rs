//! `account`: whose data is mirrored.

use std::{path::PathBuf, time::Duration};

use chrono::{DateTime, Utc};
use clap::{Subcommand, builder::PossibleValuesParser};
use serde::Serialize;
use shared::{
    admin::{
        self, Gate,
        account::{self, Account, AccountRef, Added, Filter, FirstSync, New, Shown},
        words,
    },
    config,
    google::{Google, auth::Checked},
    job::AccountId,
    secrets::KeyRing,
    store::{PgPool, secrets::Info},
};
use worker::jobs::policies;

use super::{Access, confirm::confirm, limit, print_switched, ring, span, tenant::told, token, wait};
use crate::{
    exit::Exit,
    output::{Output, say, when},
};

/// Whose data is mirrored
#[derive(Debug, clap::Args)]
#[command(
    after_help = "An account is named by its number, or by its address. The refresh token is read from stdin, from a
file, or typed without being shown; never given as an argument. Adding an account that is there already replaces its
token, and jobs that waited for that go on. Google is asked once whether the token is good and whose it is: a token of
another account is refused.

Examples:
  syncfleet account add --tenant acme --email ada@example.com < token
  syncfleet account add --tenant acme --email ada@example.com --token-file token --wait
  syncfleet account show ada@example.com
  syncfleet account pause ada@example.com --note 'asked for by her'
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
    /// Serve nothing of an account until it is resumed
    Pause {
        /// Its number or address
        account: AccountRef,
        /// Why, for those who look later
        #[arg(long, default_value = "")]
        note: String,
    },
    /// End a pause
    Resume {
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
    /// Store the token as it is, without asking the provider
    #[arg(long)]
    no_check: bool,
    /// Wait until its calendars are mirrored for the first time
    #[arg(long)]
    wait: bool,
    /// How long to wait at most
    #[arg(long, value_name = "TIME", default_value = "5m", value_parser = span, requires = "wait")]
    timeout: Duration,
    #[command(flatten)]
    keys: config::Keys,
    #[command(flatten)]
    google: config::Google,
}

/// What adding came to.
#[derive(Debug, Serialize)]
struct Report {
    #[serde(flatten)]
    added: Added,
    /// With --wait.
    #[serde(skip_serializing_if = "Option::is_none")]
    first_sync: Option<FirstSync>,
}

/// Runs the noun.
pub async fn run(args: &Args, out: Output) -> anyhow::Result<Exit> {
    let db = args.access.open().await?;
    match &args.verb {
        Verb::Add(new) => return add(&args.access, &db, new, out).await,
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
        Verb::Pause { account, note } => {
            print_switched(&account::pause(&db, &args.access.actor(), account, note).await?, out)?;
        }
        Verb::Resume { account } => {
            print_switched(&account::resume(&db, &args.access.actor(), account).await?, out)?;
        }
        Verb::Rm { account, yes } => {
            let (account, holdings) = {
                let mut conn = db.acquire().await?;
                let account = account::show(&mut conn, account).await?.account;
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

async fn add(access: &Access, db: &PgPool, add: &Add, out: Output) -> anyhow::Result<Exit> {
    let bell = access.bell()?;
    let keys = add.keys.key_ring()?;
    let google = if add.no_check { None } else { Some(client(&add.google, &keys)?) };
    let refresh_token = token::read(add.token_file.as_deref(), "refresh token")?;
    let mut new = New {
        tenant: &add.tenant,
        provider: &add.provider,
        email: add.email.trim(),
        refresh_token: &refresh_token,
        checked: None,
    };
    account::may_add(&mut *db.acquire().await?, &new).await?;
    let checked = match &google {
        Some(google) => Some(google.check(&refresh_token).await?),
        None => None,
    };
    new.checked = checked.as_ref();
    let added = account::add(db, &access.actor(), &keys, &policies(), &new).await?;
    ring(bell.as_ref(), &added.bell).await?;
    warn(&added.account, checked.as_ref())?;
    let (mut exit, mut first_sync) = (Exit::Done, None);
    if add.wait {
        let (waited, far) = wait::first_sync(db, added.account.id, add.timeout).await?;
        (exit, first_sync) = (waited, Some(far));
    }
    let report = Report { added, first_sync };
    out.result(&report, &sentence(&report))?;
    Ok(exit)
}

fn client(google: &config::Google, keys: &KeyRing) -> anyhow::Result<Google> {
    let why = "the token is checked with it; --no-check adds the account without";
    Google::new(google.required(why)?, keys.clone())
}

/// Says what was found strange about a token that was stored all the same.
fn warn(account: &Account, checked: Option<&Checked>) -> anyhow::Result<()> {
    if checked.is_some_and(|checked| checked.email.is_none()) {
        say(&format!(
            "note: the token does not tell whose it is; it is stored as that of {}",
            account.email
        ))?;
    }
    if !account.not_granted.is_empty() {
        let missing = account.not_granted.join(" and ");
        say(&format!("note: the token does not open {missing}: jobs that need it will be parked"))?;
    }
    Ok(())
}

fn sentence(report: &Report) -> String {
    let Account { id, email, .. } = &report.added.account;
    let begun = if report.added.new {
        format!("account {id} ({email}) is added")
    } else {
        format!("account {id} ({email}) has a new token; what waited for that goes on")
    };
    match &report.first_sync {
        Some(first) => format!("{begun}; its first sync: {}{}", wait::far(first), parked(first)),
        None if report.added.new => format!("{begun}; its first sync is due"),
        None => begun,
    }
}

fn parked(first: &FirstSync) -> String {
    first.parked.first().map_or_else(String::new, |job| {
        let jobs = words::count(i64::try_from(first.parked.len()).unwrap_or(i64::MAX), "job");
        format!("; {jobs} parked (`syncfleet job explain {job}`)")
    })
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

fn facts(shown: &Shown, now: DateTime<Utc>) -> Vec<(&'static str, String)> {
    let Shown { account, tokens, first_sync } = shown;
    let mut facts = vec![
        ("account", account.id.to_string()),
        ("tenant", account.tenant.clone()),
        ("provider", account.provider.clone()),
        ("email", account.email.clone()),
        ("subject", account.subject.clone().unwrap_or_default()),
        ("scopes", account.scopes.as_deref().map_or_else(|| "not known yet".to_owned(), |had| had.join(" "))),
        ("not granted", account.not_granted.join(", ")),
    ];
    facts.extend(tokens.iter().map(|token| ("token", told_token(token, now))));
    facts.extend([
        ("calendars", account.calendars.to_string()),
        ("first sync", format!("{}{}", wait::far(first_sync), parked(first_sync))),
        ("jobs", account.jobs.to_string()),
        ("parked", account.parked.to_string()),
    ]);
    if account.gates.is_empty() {
        facts.push(("gate", "open".to_owned()));
    }
    facts.extend(account.gates.iter().map(|gate| ("gate", told_gate(gate, now))));
    facts.push(("added", when(Some(account.created_at), now)));
    facts
}

fn told_token(token: &Info, now: DateTime<Utc>) -> String {
    let Info { name, key_id, updated_at, expires_at } = token;
    let expires = expires_at.map_or_else(String::new, |at| {
        let word = if at > now { "good until" } else { "out of date since" };
        format!(", {word} {}", words::when(at, now))
    });
    format!(
        "{}: sealed under {key_id}, stored {}{expires}",
        name.replace('_', " "),
        words::when(*updated_at, now)
    )
}

fn told_gate(gate: &Gate, now: DateTime<Utc>) -> String {
    let until = gate.until.map_or_else(String::new, |until| format!(", opens {}", words::when(until, now)));
    let note = if gate.note.is_empty() { String::new() } else { format!(": {}", gate.note) };
    format!("{}{until}{note}", gate.reason.replace('_', " "))
}

//! `account`: whose data is mirrored.

mod add;
mod connect;
mod disconnect;
mod show;

use clap::Subcommand;
use shared::{
    admin::{
        self,
        account::{self, Account, AccountRef, Filter},
    },
    config,
    job::AccountId,
    store::PgPool,
};

use self::{add::Add, connect::Connect, disconnect::Disconnect, show::facts};
use super::{Access, channel::stopped, confirm::confirm, limit, print_switched, tenant::told};
use crate::{
    exit::Exit,
    output::{Output, when},
    role,
};

/// Whose data is mirrored
#[derive(Debug, clap::Args)]
#[command(
    after_help = "An account is named by its number, or by its address. Its owner signs in by a link (`connect`), or
you bring a refresh token (`add`). The refresh token is read from stdin, from a
file, or typed without being shown; never given as an argument. Adding an account that is there already replaces its
token, and jobs that waited for that go on. Google is asked once whether the token is good and whose it is: a token of
another account is refused.

Examples:
  syncfleet account connect --tenant acme
  syncfleet account connect --tenant acme --account ada@example.com --valid 2days
  syncfleet account disconnect --account ada@example.com --delete-data
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
    /// Make a link by which somebody signs in with Google on a page
    Connect(Box<Connect>),
    /// Give an account's access back to Google, and forget its tokens
    Disconnect(Box<Disconnect>),
    /// Add an account, or give one a new refresh token
    Add(Box<Add>),
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
        /// With these its push channels are ended.
        #[command(flatten)]
        keys: config::Keys,
        #[command(flatten)]
        google: Box<config::Google>,
    },
}

/// Runs the noun.
pub async fn run(args: &Args, out: Output) -> anyhow::Result<Exit> {
    let db = args.access.open().await?;
    match &args.verb {
        Verb::Connect(wanted) => connect::connect(&args.access, &db, wanted, out).await?,
        Verb::Disconnect(wanted) => disconnect::disconnect(&args.access, &db, wanted, out).await?,
        Verb::Add(new) => return add::add(&args.access, &db, new, out).await,
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
        Verb::Rm { account, yes, keys, google } => {
            let google = role::google(keys, google)?;
            let (account, holdings) = {
                let mut conn = db.acquire().await?;
                let account = account::show(&mut conn, account).await?.account;
                let holdings = account::holdings(&mut conn, account.id).await?;
                (account, holdings)
            };
            confirm("account", &account.email, &told(&holdings), *yes)?;
            let (removed, channels) =
                account::rm(&db, google.as_ref(), &args.access.actor(), account.id).await?;
            let channels = stopped(&channels);
            let sentence = format!("account {} is removed, with {}{channels}", account.email, told(&removed));
            out.result(&removed, &sentence)?;
        }
    }
    Ok(Exit::Done)
}

async fn ls(db: &PgPool, filter: &Filter, out: Output) -> anyhow::Result<()> {
    let mut conn = db.acquire().await?;
    let accounts = account::ls(&mut conn, filter).await?;
    let now = admin::now(&mut conn).await?;
    let columns = ["ID", "TENANT", "PROVIDER", "EMAIL", "CALENDARS", "JOBS", "PARKED", "GATE", "ADDED"];
    out.list(
        &accounts,
        "no accounts; `syncfleet account connect` makes a link to sign in by",
        &columns,
        |account| {
            vec![
                account.id.to_string(),
                account.tenant.clone(),
                if account.workspace {
                    format!("{} workspace", account.provider)
                } else {
                    account.provider.clone()
                },
                account.email.clone(),
                account.calendars.to_string(),
                account.jobs.to_string(),
                account.parked.to_string(),
                gates(account),
                when(Some(account.created_at), now),
            ]
        },
    )?;
    super::more(accounts.len(), filter.limit, accounts.last().map(|account| account.id))
}

fn gates(account: &Account) -> String {
    let gates: Vec<_> = account.gates.iter().map(|gate| gate.reason.replace('_', " ")).collect();
    if gates.is_empty() { "open".to_owned() } else { gates.join(", ") }
}

//! `tenant`: whose work it is.

mod connect_workspace;

use clap::Subcommand;
use shared::{
    admin::{
        self,
        tenant::{self, Holdings, Tenant},
        words,
    },
    config,
};

use self::connect_workspace::ConnectWorkspace;
use super::{Access, channel::stopped, confirm::confirm, print_switched};
use crate::{
    exit::Exit,
    output::{Output, when, yes},
    role,
};

/// Whose work it is
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:
  syncfleet tenant add acme
  syncfleet tenant pause acme --note 'asked for by their admin'
  syncfleet tenant connect-workspace --tenant acme --key-file key.json --users users.txt
  syncfleet tenant rm acme --yes")]
pub struct Args {
    #[command(flatten)]
    access: Access,
    #[command(subcommand)]
    verb: Verb,
}

#[derive(Debug, Subcommand)]
enum Verb {
    /// Add a tenant
    Add {
        /// 1 to 63 of a-z 0-9 . _ - beginning with a letter or digit
        name: String,
    },
    /// List all tenants
    Ls,
    /// Show one tenant
    Show {
        /// Its name
        name: String,
    },
    /// Serve nothing of a tenant until it is resumed
    Pause {
        /// Its name
        name: String,
        /// Why, for those who look later
        #[arg(long, default_value = "")]
        note: String,
    },
    /// End a pause
    Resume {
        /// Its name
        name: String,
    },
    /// Mirror the users of a Google Workspace through a service account, or give it another key
    ConnectWorkspace(Box<ConnectWorkspace>),
    /// Remove a tenant and all that is its
    Rm {
        /// Its name
        name: String,
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
    let actor = args.access.actor();
    match &args.verb {
        Verb::Add { name } => {
            let tenant = tenant::add(&db, &actor, name).await?;
            out.result(&tenant, &format!("tenant {name} is added"))?;
        }
        Verb::Ls => {
            let mut conn = db.acquire().await?;
            let tenants = tenant::ls(&mut conn).await?;
            let now = admin::now(&mut conn).await?;
            let columns = ["NAME", "ACCOUNTS", "JOBS", "RUNNING", "PARKED", "PAUSED", "ADDED"];
            out.list(&tenants, "no tenants; `syncfleet tenant add` adds one", &columns, |tenant| {
                vec![
                    tenant.name.clone(),
                    tenant.accounts.to_string(),
                    tenant.jobs.to_string(),
                    tenant.running.to_string(),
                    tenant.parked.to_string(),
                    yes(tenant.paused),
                    when(Some(tenant.created_at), now),
                ]
            })?;
        }
        Verb::Show { name } => {
            let mut conn = db.acquire().await?;
            let tenant = tenant::show(&mut conn, name).await?;
            let now = admin::now(&mut conn).await?;
            out.facts(&tenant, &facts(&tenant, now))?;
        }
        Verb::Pause { name, note } => {
            print_switched(&tenant::pause(&db, &actor, name, note).await?, out)?;
        }
        Verb::Resume { name } => print_switched(&tenant::resume(&db, &actor, name).await?, out)?,
        Verb::ConnectWorkspace(new) => {
            return connect_workspace::connect(&args.access, &db, new, out).await;
        }
        Verb::Rm { name, yes, keys, google } => {
            let google = role::google(keys, google)?;
            let holdings = tenant::holdings(&mut *db.acquire().await?, name).await?;
            confirm("tenant", name, &told(&holdings), *yes)?;
            let (removed, channels) = tenant::rm(&db, google.as_ref(), &actor, name).await?;
            let channels = stopped(&channels);
            out.result(&removed, &format!("tenant {name} is removed, with {}{channels}", told(&removed)))?;
        }
    }
    Ok(Exit::Done)
}

fn facts(tenant: &Tenant, now: chrono::DateTime<chrono::Utc>) -> Vec<(&'static str, String)> {
    vec![
        ("name", tenant.name.clone()),
        ("id", tenant.id.to_string()),
        ("paused", yes(tenant.paused)),
        ("accounts", tenant.accounts.to_string()),
        ("jobs", tenant.jobs.to_string()),
        ("running", tenant.running.to_string()),
        ("parked", tenant.parked.to_string()),
        ("added", when(Some(tenant.created_at), now)),
    ]
}

/// What a tenant or an account holds, in words.
pub fn told(holdings: &Holdings) -> String {
    let Holdings { accounts, jobs, calendars, events, drives, files, names } = *holdings;
    let mut all = vec![
        (accounts, "account"),
        (jobs, "job"),
        (calendars, "calendar"),
        (events, "event"),
        (drives, "drive"),
        (files, "file"),
    ];
    // An account has none.
    if names > 0 {
        all.push((names, "DNS name"));
    }
    all.into_iter().map(|(n, thing)| words::count(n, thing)).collect::<Vec<_>>().join(", ")
}

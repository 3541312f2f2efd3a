//! `dns login`: who may tell addresses from outside, and by which names.

mod clients;
mod reach;

use std::path::PathBuf;

use clap::Subcommand;
use secrecy::{ExposeSecret, SecretString};
use serde_json::json;
use shared::{
    admin::{
        self,
        dns::login::{self, NewLogin, Opened, Shown},
    },
    dns::Host,
};
use url::Url;

use self::{clients::Setup, reach::Reach};
use crate::{
    admin::{Access, confirm::confirm, token},
    exit::Exit,
    output::{Output, line, or_dash, say, when},
};

#[derive(Debug, Subcommand)]
pub enum Verb {
    /// Let a router tell an address; prints what to put into it. The password is shown once
    #[command(after_help = "Examples:
  syncfleet dns login add fritz --tenant acme --address home --host home.example.org
  syncfleet dns login add fritz --tenant acme --address home --host home.example.org \\
    --url http://192.168.1.5:8080")]
    Add(Add),
    /// List logins
    Ls {
        /// Of this tenant only
        #[arg(long)]
        tenant: Option<String>,
    },
    /// Show a login, its names, and what to put into a router
    Show {
        /// Its user name
        name: String,
        #[command(flatten)]
        reach: Reach,
    },
    /// Give a login a new password; the old one opens nothing from then on
    Passwd {
        /// Its user name
        name: String,
        #[command(flatten)]
        password: Password,
        #[command(flatten)]
        reach: Reach,
    },
    /// Let a login call further names
    Allow {
        /// Its user name
        name: String,
        /// The address that they tell
        #[arg(long)]
        address: String,
        /// A name; may be repeated
        #[arg(long = "host", value_name = "HOST", required = true)]
        hosts: Vec<Host>,
    },
    /// Let a login not call names any more
    Deny {
        /// Its user name
        name: String,
        /// A name; may be repeated
        #[arg(long = "host", value_name = "HOST", required = true)]
        hosts: Vec<Host>,
    },
    /// Answer all its calls with `abuse` until it is unblocked
    Block {
        /// Its user name
        name: String,
        /// For those who look later
        #[arg(long, default_value = "blocked by an operator")]
        why: String,
    },
    /// Serve its calls again
    Unblock {
        /// Its user name
        name: String,
    },
    /// Remove a login with its names
    Rm {
        /// Its user name
        name: String,
        /// Do not ask
        #[arg(long)]
        yes: bool,
    },
}

#[derive(Debug, clap::Args)]
pub struct Add {
    /// Its user name, of lower-case letters, digits, - and _
    name: String,
    /// Whose it is
    #[arg(long)]
    tenant: String,
    /// The address that its calls tell
    #[arg(long)]
    address: String,
    /// A name that it may call; may be repeated
    #[arg(long = "host", value_name = "HOST", required = true)]
    hosts: Vec<Host>,
    #[command(flatten)]
    password: Password,
    #[command(flatten)]
    reach: Reach,
}

#[derive(Debug, clap::Args)]
pub struct Password {
    /// A file with a password of your own; - is stdin [default: one is made]
    #[arg(long, value_name = "FILE")]
    password_file: Option<PathBuf>,
}

impl Password {
    fn read(&self) -> anyhow::Result<Option<SecretString>> {
        self.password_file.as_deref().map(token::file_or_stdin).transpose()
    }
}

pub async fn run(access: &Access, verb: &Verb, out: Output) -> anyhow::Result<Exit> {
    let db = access.open().await?;
    let actor = access.actor();
    match verb {
        Verb::Add(add) => {
            let (url, password) = (add.reach.url()?, add.password.read()?);
            let new = NewLogin {
                username: &add.name,
                tenant: &add.tenant,
                address: &add.address,
                hosts: &add.hosts,
                password: password.as_ref(),
            };
            opened(&login::add(&db, &actor, &new).await?, url.as_ref(), "is added", out)?;
        }
        Verb::Ls { tenant } => {
            let mut conn = db.acquire().await?;
            let logins = login::ls(&mut conn, tenant.as_deref()).await?;
            let now = admin::now(&mut conn).await?;
            let columns = ["NAME", "TENANT", "HOSTS", "BLOCKED", "USED", "FROM", "BY"];
            out.list(&logins, "no logins; `syncfleet dns login add` adds one", &columns, |login| {
                vec![
                    login.username.clone(),
                    login.tenant.clone(),
                    login.hosts.join(" "),
                    or_dash(login.blocked_why.as_ref()),
                    when(login.used_at, now),
                    or_dash(login.used_from.as_ref()),
                    or_dash(login.agent.as_ref()),
                ]
            })?;
        }
        Verb::Show { name, reach } => {
            let url = reach.url()?;
            let mut conn = db.acquire().await?;
            let shown = login::show(&mut conn, name).await?;
            show(&shown, admin::now(&mut conn).await?, out)?;
            if out.is_table() {
                setup(&shown, url.as_ref(), None)?;
            }
        }
        Verb::Passwd { name, password, reach } => {
            let (url, password) = (reach.url()?, password.read()?);
            let changed = login::passwd(&db, &actor, name, password.as_ref()).await?;
            opened(&changed, url.as_ref(), "has a new password", out)?;
        }
        Verb::Allow { name, address, hosts } => {
            let names = login::allow(&db, &actor, name, address, hosts).await?;
            out.result(&names, &format!("{name} may call {}", names.hosts.join(", ")))?;
        }
        Verb::Deny { name, hosts } => {
            let names = login::deny(&db, &actor, name, hosts).await?;
            out.result(&names, &format!("{name} may not call {} any more", names.hosts.join(", ")))?;
        }
        Verb::Block { name, why } => {
            let done = login::block(&db, &actor, name, Some(why)).await?;
            let how =
                if done.changed { "its calls are answered with abuse" } else { "it was blocked already" };
            out.result(&done, &format!("login {name} is blocked: {how}"))?;
        }
        Verb::Unblock { name } => {
            let done = login::block(&db, &actor, name, None).await?;
            let how = if done.changed { "is served again" } else { "was not blocked" };
            out.result(&done, &format!("login {name} {how}"))?;
        }
        Verb::Rm { name, yes } => {
            confirm("login", name, "its names; its router will be told badauth", *yes)?;
            let removed = login::rm(&db, &actor, name).await?;
            out.result(&removed, &format!("login {name} of {} is removed", removed.tenant))?;
        }
    }
    Ok(Exit::Done)
}

/// Prints a login that has a new password.
fn opened(opened: &Opened, url: Option<&Url>, what: &str, out: Output) -> anyhow::Result<()> {
    let Opened { login, password } = opened;
    let name = &login.login.username;
    let made = password.as_ref().map(|password| password.expose_secret().to_owned());
    if !out.is_table() {
        let thing = json!({
            "username": name, "tenant": login.login.tenant, "names": login.names, "password": made,
            "url": url.map(ToString::to_string),
        });
        return out.result(&thing, "");
    }
    match &made {
        Some(made) => {
            say(&format!("login {name} {what}; its password is not shown again:"))?;
            line(made)?;
        }
        None => say(&format!("login {name} {what}, which is yours"))?,
    }
    setup(login, url, made.as_deref())
}

/// Prints what to put into a router.
fn setup(login: &Shown, url: Option<&Url>, password: Option<&str>) -> anyhow::Result<()> {
    reach::note(url)?;
    let example = Url::parse("https://sync.example.com/")?;
    let hosts: Vec<_> = login.names.iter().map(|name| name.host.as_str()).collect();
    let setup = Setup {
        url: url.unwrap_or(&example),
        username: &login.login.username,
        password: password.unwrap_or("PASSWORD"),
        hosts: &hosts,
    };
    line(&setup.lines())
}

fn show(shown: &Shown, now: chrono::DateTime<chrono::Utc>, out: Output) -> anyhow::Result<()> {
    let login = &shown.login;
    let names: Vec<_> = shown
        .names
        .iter()
        .map(|name| {
            let known: Vec<_> = name.ipv4.iter().chain(&name.ipv6).cloned().collect();
            let known = if known.is_empty() { "not told yet".to_owned() } else { known.join(" ") };
            format!("{} tells {}: {known}", name.host, name.address)
        })
        .collect();
    out.facts(
        shown,
        &[
            ("NAME", login.username.clone()),
            ("TENANT", login.tenant.clone()),
            ("HOSTS", names.join("; ")),
            ("BLOCKED", login.blocked_at.map(|at| when(Some(at), now)).unwrap_or_default()),
            ("WHY", login.blocked_why.clone().unwrap_or_default()),
            ("ADDED", when(Some(login.created_at), now)),
            ("USED", when(login.used_at, now)),
            ("FROM", login.used_from.clone().unwrap_or_default()),
            ("BY", login.agent.clone().unwrap_or_default()),
        ],
    )
}

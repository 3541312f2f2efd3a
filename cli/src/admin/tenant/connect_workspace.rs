use std::{
    io::Read,
    path::{Path, PathBuf},
};

use anyhow::Context;
use shared::{
    admin::{
        words::count,
        workspace::{self, New, Users, Workspace},
    },
    config,
    google::{
        Google,
        workspace::{Key, SCOPES},
    },
    store::PgPool,
};
use worker::jobs::policies;

use crate::{
    admin::{Access, ring, token},
    exit::Exit,
    output::{Output, say},
};

/// A list of users is not longer.
const LONGEST: u64 = 4 * 1024 * 1024;

#[derive(Debug, clap::Args)]
pub struct ConnectWorkspace {
    /// Whose it is
    #[arg(long)]
    tenant: String,
    /// The service account's key, as Google Cloud's console gives it (JSON)
    #[arg(long, value_name = "FILE")]
    key_file: PathBuf,
    /// The users whose data is mirrored, one e-mail address a line; `-` is stdin
    #[arg(long, value_name = "FILE")]
    users: PathBuf,
    /// What is asked for in their names. The workspace's administrator must have authorised all of it
    #[arg(long, value_name = "SCOPE,…", value_delimiter = ',', default_values = SCOPES, value_parser = scope)]
    scopes: Vec<String>,
    /// Store the key as it is, without asking Google for a token of the first user
    #[arg(long)]
    no_check: bool,
    #[command(flatten)]
    keys: config::Keys,
    #[command(flatten)]
    google: config::Google,
}

/// Connects the workspace, or replaces its key.
pub async fn connect(
    access: &Access,
    db: &PgPool,
    args: &ConnectWorkspace,
    out: Output,
) -> anyhow::Result<Exit> {
    let bell = access.bell()?;
    let keys = args.keys.key_ring()?;
    let file = token::read(Some(&args.key_file), "key")?;
    let key = Key::parse(&file).with_context(|| format!("the key file {}", args.key_file.display()))?;
    let users = read_users(&args.users)?;
    for (first, line) in &users.repeated {
        say(&format!("note: line {line} of the users names the same as line {first}: it is left out"))?;
    }
    let new = New { tenant: &args.tenant, key: &key, users: &users.addresses, scopes: &args.scopes };
    workspace::may_connect(&mut *db.acquire().await?, &new).await?;
    if let (false, Some(first)) = (args.no_check, users.addresses.first()) {
        let why = "the key is checked with it; --no-check connects the workspace without";
        let google = Google::new(args.google.required(why)?, keys.clone())?;
        google.check_delegation(&key, first, &args.scopes).await.context("nothing was stored")?;
    }
    let connected = workspace::connect(db, &access.actor(), &keys, &policies(), &new).await?;
    ring(bell.as_ref(), &connected.bell).await?;
    out.result(&connected, &sentence(&connected))?;
    Ok(Exit::Done)
}

fn read_users(path: &Path) -> anyhow::Result<Users> {
    let mut text = String::new();
    let (name, from): (_, Box<dyn Read>) = if path == Path::new("-") {
        ("stdin".to_owned(), Box::new(std::io::stdin().lock()))
    } else {
        let name = path.display().to_string();
        let file = std::fs::File::open(path).with_context(|| format!("cannot read {name}"))?;
        (name, Box::new(file))
    };
    from.take(LONGEST).read_to_string(&mut text).with_context(|| format!("cannot read {name}"))?;
    Users::parse(&text).with_context(|| format!("the users in {name}"))
}

/// A scope, as Google names them.
fn scope(text: &str) -> Result<String, String> {
    let text = text.trim();
    let good = text.starts_with("https://www.googleapis.com/auth/") && !text.contains(char::is_whitespace);
    if good {
        Ok(text.to_owned())
    } else {
        Err("not a scope of Google: they begin with https://www.googleapis.com/auth/".to_owned())
    }
}

fn sentence(connected: &Workspace) -> String {
    let Workspace { tenant, service_account, users, .. } = connected;
    let new = users.iter().filter(|user| user.new).count();
    let number = |n: usize| i64::try_from(n).unwrap_or(i64::MAX);
    let key = if connected.key_replaced { "; its key was replaced" } else { "" };
    format!(
        "tenant {tenant}: {service_account} acts for {}, {} of them new{key}",
        count(number(users.len()), "account"),
        new
    )
}

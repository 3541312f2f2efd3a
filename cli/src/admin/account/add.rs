use std::{path::PathBuf, time::Duration};

use clap::builder::PossibleValuesParser;
use serde::Serialize;
use shared::{
    admin::account::{self, Account, Added, FirstSync, New},
    config,
    google::{Google, auth::Checked},
    secrets::KeyRing,
    store::PgPool,
};
use worker::jobs::policies;

use super::show::far;
use crate::{
    admin::{Access, ring, span, token, wait},
    exit::Exit,
    output::{Output, say},
};

#[derive(Debug, clap::Args)]
pub struct Add {
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
    /// Wait until its calendars and drives are mirrored for the first time
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

/// Adds the account, and waits for its first sync if that is asked for.
pub async fn add(access: &Access, db: &PgPool, add: &Add, out: Output) -> anyhow::Result<Exit> {
    let bell = access.bell()?;
    let keys = add.keys.key_ring()?;
    let google = if add.no_check { None } else { Some(client(&add.google, &keys)?) };
    let refresh_token = token::read(add.token_file.as_deref(), "refresh token")?;
    let mut new = New {
        tenant: &add.tenant,
        provider: &add.provider,
        email: add.email.trim(),
        refresh_token: Some(&refresh_token),
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
        Some(first) => format!("{begun}; its first sync: {}", far(first)),
        None if report.added.new => format!("{begun}; its first sync is due"),
        None => begun,
    }
}

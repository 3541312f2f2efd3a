use std::{
    io::{self, IsTerminal},
    process::{Command, Stdio},
    time::Duration,
};

use shared::{
    admin::{
        self,
        account::{self, AccountRef, Link},
        words,
    },
    config,
    store::PgPool,
};

use crate::{
    admin::{Access, span},
    output::{Output, say},
};

#[derive(Debug, clap::Args)]
pub struct Connect {
    /// Whose the account is or will be
    #[arg(long)]
    tenant: String,
    /// Who is to sign in again, by number or address; anybody without it
    #[arg(long)]
    account: Option<AccountRef>,
    /// How long the link is good, from 1m to 30days; for one sign-in
    #[arg(long, value_name = "TIME", default_value = "1h", value_parser = valid)]
    valid: Duration,
    /// Open it in this terminal's browser
    #[arg(long)]
    open: bool,
    #[command(flatten)]
    public_url: config::PublicUrl,
    #[command(flatten)]
    google: config::Google,
}

fn valid(text: &str) -> Result<Duration, String> {
    let valid = span(text)?;
    if (Duration::from_mins(1)..=Duration::from_hours(30 * 24)).contains(&valid) {
        return Ok(valid);
    }
    Err("from 1m to 30days is allowed".to_owned())
}

/// Makes the link, prints it, and opens it if that is asked for.
pub async fn connect(access: &Access, db: &PgPool, wanted: &Connect, out: Output) -> anyhow::Result<()> {
    wanted.google.required("nobody can sign in without an OAuth client, here and at the ingress")?;
    let public_url = wanted.public_url.required("the link leads there: the ingress listens behind it")?;
    let connect =
        account::Connect { tenant: &wanted.tenant, account: wanted.account.as_ref(), valid: wanted.valid };
    let link = account::connect(db, &access.actor(), &public_url, &connect).await?;
    let now = admin::now(&mut *db.acquire().await?).await?;
    out.result(&link, &link.url)?;
    let Link { tenant, account, expires_at, .. } = &link;
    let who = account.as_ref().map_or_else(|| "anybody".to_owned(), |email| format!("{email} only"));
    if out.is_table() {
        let when = words::when(*expires_at, now);
        say(&format!("for tenant {tenant}, {who}; good for one sign-in, and expires {when}"))?;
    }
    if wanted.open { open(&link.url) } else { Ok(()) }
}

/// Has the desktop open an address.
fn open(url: &str) -> anyhow::Result<()> {
    if !io::stdout().is_terminal() {
        return say("note: there is no terminal, and so no browser: open the link yourself");
    }
    let opener = if cfg!(target_os = "macos") { "open" } else { "xdg-open" };
    let quiet = || Stdio::null();
    let opened = Command::new(opener).arg(url).stdin(quiet()).stdout(quiet()).stderr(quiet()).status();
    match opened {
        Ok(status) if status.success() => Ok(()),
        Ok(status) => say(&format!("note: {opener} could not open it ({status}): open the link yourself")),
        Err(error) => say(&format!("note: {opener} cannot be run ({error}): open the link yourself")),
    }
}

//! `webhook`: where a tenant's changes are sent.

use std::path::PathBuf;

use clap::Subcommand;
use secrecy::ExposeSecret;
use serde_json::json;
use shared::{
    admin::{
        self,
        account::AccountRef,
        webhook::{self, Done, New, Webhook},
    },
    config,
    store::{
        PgPool,
        changes::{After, Resource},
        webhooks::WebhookId,
    },
};

use super::{Access, confirm::confirm, ring, token};
use crate::{
    exit::Exit,
    output::{Output, line, or_dash, say, when},
};

/// Where a tenant's changes are sent
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:
  syncfleet webhook add --tenant acme --url https://crm.acme.example/hooks/calendar
  syncfleet webhook add --tenant acme --url https://crm.acme.example/hooks --account 42 --resource event --secret-file secret
  syncfleet webhook test 3
  syncfleet webhook resume 3")]
pub struct Args {
    #[command(flatten)]
    access: Access,
    #[command(subcommand)]
    verb: Verb,
}

#[derive(Debug, Subcommand)]
enum Verb {
    /// Send a tenant's changes to a URL; the signing secret is shown once
    Add(Box<Add>),
    /// List webhooks
    Ls {
        /// Of this tenant only
        #[arg(long)]
        tenant: Option<String>,
    },
    /// Remove a webhook and its secret
    Rm {
        /// Its number
        id: WebhookId,
        /// Do not ask
        #[arg(long)]
        yes: bool,
    },
    /// Send a signed test message now, once
    Test {
        /// Its number
        id: WebhookId,
        #[command(flatten)]
        sending: Sending,
    },
    /// Send nothing until it is resumed
    Pause {
        /// Its number
        id: WebhookId,
    },
    /// Go on with a webhook that is paused, disabled or in a backoff
    Resume {
        /// Its number
        id: WebhookId,
    },
}

#[derive(Debug, clap::Args)]
struct Add {
    /// Whose changes
    #[arg(long)]
    tenant: String,
    /// Where they are sent; https
    #[arg(long)]
    url: String,
    /// Of this account only: its number or address
    #[arg(long, value_name = "ACCOUNT")]
    account: Option<AccountRef>,
    /// Of this resource only: calendar, event, drive or file; may be repeated
    #[arg(long = "resource", value_name = "RESOURCE")]
    resources: Vec<Resource>,
    /// Begin after the change of this id, with the `oldest` kept, or with what comes from `now` on
    #[arg(long, value_name = "ID", default_value = "now")]
    after: After,
    /// A file with your own signing secret, whsec_…; - is stdin
    #[arg(long, value_name = "FILE")]
    secret_file: Option<PathBuf>,
    #[command(flatten)]
    sending: Sending,
}

#[derive(Debug, clap::Args)]
struct Sending {
    #[command(flatten)]
    keys: config::Keys,
    #[command(flatten)]
    webhooks: config::Webhooks,
}

impl Sending {
    fn sender(&self) -> anyhow::Result<shared::webhook::Sender> {
        // Without a key ring this says which setting is missing.
        let keys = self.keys.key_ring()?;
        shared::webhook::Sender::new(keys, self.webhooks.allow(), &shared::webhook::system())
    }
}

/// Runs the noun.
pub async fn run(args: &Args, out: Output) -> anyhow::Result<Exit> {
    let db = args.access.open().await?;
    let actor = args.access.actor();
    match &args.verb {
        Verb::Add(new) => add(&args.access, &db, new, out).await?,
        Verb::Ls { tenant } => {
            let mut conn = db.acquire().await?;
            let webhooks = webhook::ls(&mut conn, tenant.as_deref()).await?;
            let now = admin::now(&mut conn).await?;
            let columns = ["ID", "TENANT", "URL", "OF", "STATE", "DELIVERED", "JOB", "WHY"];
            out.list(&webhooks, "no webhooks; `syncfleet webhook add` adds one", &columns, |webhook| {
                vec![
                    webhook.id.to_string(),
                    webhook.tenant.clone(),
                    webhook.url.clone(),
                    of(webhook),
                    webhook.state.to_owned(),
                    when(webhook.delivered_at, now),
                    or_dash(webhook.job.as_ref()),
                    webhook.why.clone().unwrap_or_default(),
                ]
            })?;
        }
        Verb::Rm { id, yes } => {
            confirm("webhook", &id.to_string(), "its secret and its place in the feed", *yes)?;
            let done = webhook::rm(&db, &actor, *id).await?;
            out.result(&done, &format!("webhook {id} is removed"))?;
        }
        Verb::Test { id, sending } => {
            let tested = webhook::test(&db, &sending.sender()?, *id).await?;
            out.result(&tested, &format!("webhook {id}: {}", tested.answer))?;
            return Ok(if tested.ok { Exit::Done } else { Exit::Failed });
        }
        Verb::Pause { id } => {
            let done = webhook::pause(&db, &actor, *id).await?;
            print(&done, "is paused; what is being sent may still arrive", "was paused already", out)?;
        }
        Verb::Resume { id } => {
            let done = webhook::resume(&db, &actor, &worker::jobs::policies(), *id).await?;
            ring(args.access.bell()?.as_ref(), &done.bell).await?;
            print(&done, "goes on from where it was", "was not held; it is tried now", out)?;
        }
    }
    Ok(Exit::Done)
}

async fn add(access: &Access, db: &PgPool, add: &Add, out: Output) -> anyhow::Result<()> {
    let bell = access.bell()?;
    let sender = add.sending.sender()?;
    let secret = add.secret_file.as_deref().map(token::file_or_stdin).transpose()?;
    let new = New {
        tenant: &add.tenant,
        url: &add.url,
        account: add.account.as_ref(),
        resources: &add.resources,
        after: add.after,
        secret: secret.as_ref(),
    };
    let added = webhook::add(db, &access.actor(), &sender, &worker::jobs::policies(), &new).await?;
    ring(bell.as_ref(), &added.bell).await?;
    let secret = added.secret.as_ref().map(|secret| secret.expose_secret().to_owned());
    if !out.is_table() {
        return out.result(&json!({ "id": added.id, "tenant": add.tenant, "secret": secret }), "");
    }
    match secret {
        Some(secret) => {
            say(&format!("webhook {} is added; its signing secret is not shown again:", added.id))?;
            line(&secret)
        }
        None => line(&format!("webhook {} is added, with your secret", added.id)),
    }
}

fn print(done: &Done, changed: &str, unchanged: &str, out: Output) -> anyhow::Result<()> {
    let how = if done.changed { changed } else { unchanged };
    out.result(done, &format!("webhook {} {how}", done.id))
}

/// What it gets, in words.
fn of(webhook: &Webhook) -> String {
    let resources =
        webhook.resources.iter().flatten().map(|resource| resource.as_str()).collect::<Vec<_>>().join("+");
    match (webhook.account, resources.as_str()) {
        (None, "") => "all".to_owned(),
        (None, _) => resources,
        (Some(account), "") => format!("account {account}"),
        (Some(account), _) => format!("{resources} of account {account}"),
    }
}

//! `webhook`: where a tenant's changes are sent.

use std::path::{Path, PathBuf};

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
        changes::{After, Resource, What},
        webhooks::WebhookId,
    },
    webhook::Form,
};

use super::{Access, confirm::confirm, ring, token};
use crate::{
    exit::{Exit, Usage},
    output::{Output, line, or_dash, say, when},
};

/// Where a tenant's changes are sent
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:
  syncfleet webhook add --tenant acme --url https://crm.acme.example/hooks/calendar
  syncfleet webhook add --tenant acme --url https://crm.acme.example/hooks \\
    --account 42 --resource event --secret-file secret
  syncfleet webhook add --tenant home --url https://ntfy.sh --form ntfy \\
    --topic names-9fa2 --resource dns_record --what failing,recovered
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
    /// Send a tenant's changes to a URL, signed (the secret is shown once), or as notifications through ntfy
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
    /// Send a test message now, once, and say what was answered
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
    /// Where they are sent, https; of ntfy the root of the server
    #[arg(long)]
    url: String,
    /// Of this account only: its number or address
    #[arg(long, value_name = "ACCOUNT")]
    account: Option<AccountRef>,
    /// Signed JSON for programs, or notifications for people through an ntfy server
    #[arg(long, value_enum, default_value_t = FormName::Standard)]
    form: FormName,
    /// Where the ntfy server puts them; whoever knows it may read them, unless the server protects it
    #[arg(long, required_if_eq("form", "ntfy"))]
    topic: Option<String>,
    /// A file with the ntfy server's access token, tk_…; - is stdin
    #[arg(long, value_name = "FILE", conflicts_with = "secret_file")]
    token_file: Option<PathBuf>,
    /// Of this resource only: calendar, event, drive, file, `dns_record` or `dns_address`; may be repeated
    #[arg(long = "resource", value_name = "RESOURCE", value_delimiter = ',')]
    resources: Vec<Resource>,
    /// Only where this became of it: created, updated, deleted, failing or recovered; may be repeated
    #[arg(long = "what", value_name = "WHAT", value_delimiter = ',')]
    whats: Vec<What>,
    /// Begin after the change of this id, with the `oldest` kept, or with what comes from `now` on
    #[arg(long, value_name = "ID", default_value = "now")]
    after: After,
    /// A file with your own signing secret, whsec_…; - is stdin
    #[arg(long, value_name = "FILE")]
    secret_file: Option<PathBuf>,
    #[command(flatten)]
    sending: Sending,
}

/// What messages look like.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
enum FormName {
    Standard,
    Ntfy,
}

impl Add {
    /// The form, and the file with its secret.
    fn form(&self) -> Result<(Form, Option<&Path>), Usage> {
        match (self.form, &self.topic) {
            (FormName::Ntfy, Some(_)) if self.secret_file.is_some() => Err(Usage(
                "--secret-file is of --form standard: what goes to ntfy is not signed; --token-file has its access token"
                    .to_owned(),
            )),
            (FormName::Ntfy, Some(topic)) => {
                Ok((Form::Ntfy { topic: topic.clone() }, self.token_file.as_deref()))
            }
            (FormName::Standard, None) if self.token_file.is_none() => {
                Ok((Form::Standard, self.secret_file.as_deref()))
            }
            _ => Err(Usage("--topic and --token-file go with --form ntfy".to_owned())),
        }
    }
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
            let columns = ["ID", "TENANT", "FORM", "URL", "OF", "STATE", "DELIVERED", "JOB", "WHY"];
            out.list(&webhooks, "no webhooks; `syncfleet webhook add` adds one", &columns, |webhook| {
                vec![
                    webhook.id.to_string(),
                    webhook.tenant.clone(),
                    form(webhook),
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
    let (form, file) = add.form()?;
    let bell = access.bell()?;
    let sender = add.sending.sender()?;
    let secret = file.map(token::file_or_stdin).transpose()?;
    let new = New {
        tenant: &add.tenant,
        url: &add.url,
        form: &form,
        account: add.account.as_ref(),
        resources: &add.resources,
        whats: &add.whats,
        after: add.after,
        secret: secret.as_ref(),
    };
    let added = webhook::add(db, &access.actor(), &sender, &worker::jobs::policies(), &new).await?;
    ring(bell.as_ref(), &added.bell).await?;
    let secret = added.secret.as_ref().map(|secret| secret.expose_secret().to_owned());
    if !out.is_table() {
        let form = form.as_str();
        let added = json!({ "id": added.id, "tenant": add.tenant, "form": form, "secret": secret });
        return out.result(&added, "");
    }
    let id = added.id;
    match (secret, form) {
        (Some(secret), _) => {
            say(&format!("webhook {id} is added; its signing secret is not shown again:"))?;
            line(&secret)
        }
        (None, Form::Standard) => line(&format!("webhook {id} is added, with your secret")),
        (None, Form::Ntfy { topic }) => {
            line(&format!("webhook {id} is added; `syncfleet webhook test {id}` sends a message to {topic}"))
        }
    }
}

fn print(done: &Done, changed: &str, unchanged: &str, out: Output) -> anyhow::Result<()> {
    let how = if done.changed { changed } else { unchanged };
    out.result(done, &format!("webhook {} {how}", done.id))
}

/// How its messages look, in words.
fn form(webhook: &Webhook) -> String {
    webhook
        .topic
        .as_ref()
        .map_or_else(|| webhook.form.to_owned(), |topic| format!("{}:{topic}", webhook.form))
}

/// What it gets, in words.
fn of(webhook: &Webhook) -> String {
    let joined = |words: Vec<&str>| words.join("+");
    let resources = joined(webhook.resources.iter().flatten().map(|resource| resource.as_str()).collect());
    let whats = joined(webhook.whats.iter().flatten().map(|what| what.as_str()).collect());
    let account = webhook.account.map(|account| format!("account {account}")).unwrap_or_default();
    let what = [resources, whats].into_iter().filter(|words| !words.is_empty()).collect::<Vec<_>>().join(" ");
    match (what.is_empty(), account.is_empty()) {
        (true, true) => "all".to_owned(),
        (false, true) => what,
        (true, false) => account,
        (false, false) => format!("{what} of {account}"),
    }
}

//! `webhook`: where a tenant's changes are sent.

mod list;

use secrecy::SecretString;
use serde::Serialize;
use serde_json::json;
use sqlx::PgPool;
use url::Url;

pub use self::list::{Webhook, ls};
use super::{Actor, AdminError, account::AccountRef, feed, policy};
use crate::{
    job::Policy,
    secrets::Owner,
    store::{
        audit,
        changes::{self, After, Resource, What},
        job_state::{self, Wanted},
        jobs::{self, NewJob},
        secrets::{self, SecretError},
        tenants,
        webhooks::{self, NewWebhook, WebhookId},
    },
    webhook::{Credential, CredentialError, Form, Message, Sender, SigningSecret},
};

/// The kind of a webhook's job.
pub const KIND: &str = "webhook";

/// The longest URL.
const URL_LIMIT: usize = 2_000;

/// The most webhooks of a tenant: each is a job of its own, and reads the whole feed.
pub const MOST: i64 = 50;

/// A webhook to be.
#[derive(Debug, Clone)]
pub struct New<'a> {
    /// Whose changes, by name.
    pub tenant: &'a str,
    /// Where they are sent.
    pub url: &'a str,
    /// How they look.
    pub form: &'a Form,
    /// Of this account only.
    pub account: Option<&'a AccountRef>,
    /// Of these resources only; empty: of all.
    pub resources: &'a [Resource],
    /// Only where this became of the row; empty: whatever became of it.
    pub whats: &'a [What],
    /// From where on.
    pub after: After,
    /// The signing secret (none: a new one is made), or the access token for ntfy (none: the topic needs none).
    pub secret: Option<&'a SecretString>,
}

/// What adding came to.
#[derive(Debug, Clone)]
pub struct Added {
    /// Its number.
    pub id: WebhookId,
    /// The signing secret, if it was made here. It is not to be had again.
    pub secret: Option<SecretString>,
    /// For the bell, after the commit.
    pub bell: Vec<Wanted>,
}

fn store_error(error: SecretError) -> AdminError {
    match error {
        SecretError::Database(error) => error.into(),
        SecretError::Open(error) => AdminError::Refused(error.to_string()),
    }
}

/// Adds a webhook with its sealed secret and its job.
pub async fn add(
    db: &PgPool,
    actor: &Actor,
    sender: &Sender,
    policies: &[Policy],
    new: &New<'_>,
) -> Result<Added, AdminError> {
    let refused = |why: String| AdminError::Refused(why);
    let text = new.url.trim();
    let url: Url = text.parse().map_err(|error| refused(format!("{text:?} is not a URL: {error}")))?;
    if url.as_str().len() > URL_LIMIT {
        return Err(refused(format!("the URL is longer than {URL_LIMIT} characters")));
    }
    new.form.check(&url).map_err(|bad| refused(bad.to_string()))?;
    sender.check(&url).map_err(|blocked| refused(blocked.to_string()))?;
    let credential = credential(new.form, new.secret)?;
    let mut tx = db.begin().await?;
    let subject = feed::subject(&mut tx, Some(new.tenant), new.account, new.resources, new.whats).await?;
    // Whoever adds another one at the same time waits here.
    tenants::lock(&mut tx, subject.tenant).await?;
    if webhooks::count(&mut tx, subject.tenant).await? >= MOST {
        return Err(refused(format!(
            "tenant {} has {MOST} webhooks already, as many as are allowed: `syncfleet webhook ls` shows them, \
             `syncfleet webhook rm` removes one",
            new.tenant
        )));
    }
    let after = changes::begin(&mut tx, subject.tenant, new.after).await?;
    let row = NewWebhook { url: url.as_str(), form: new.form, subject: &subject, after };
    let id = webhooks::insert(&mut tx, &row).await?;
    if let Some((name, value)) = credential.sealed() {
        let owner = Owner::webhook(id, name);
        secrets::put(&mut tx, &sender.keys, owner, value, None).await.map_err(store_error)?;
    }
    let job = NewJob { key: id.to_string(), tenant: subject.tenant, account: None, first: None };
    let jobs = jobs::ensure(&mut tx, policy(policies, KIND)?, &[job]).await?;
    let bell = job_state::want(&mut tx, &jobs, None, None).await?;
    let detail = json!({ "tenant": new.tenant, "host": url.host_str(), "form": new.form.as_str() });
    audit::write(&mut tx, actor.as_str(), "webhook.add", &id.to_string(), &detail).await?;
    tx.commit().await?;
    let made = match credential {
        Credential::Secret(secret) if new.secret.is_none() => Some(secret.text().clone()),
        _ => None,
    };
    Ok(Added { id, secret: made, bell })
}

/// What was given, or what is made for the form.
fn credential(form: &Form, given: Option<&SecretString>) -> Result<Credential, AdminError> {
    let refused = |why: &dyn std::fmt::Display| AdminError::Refused(why.to_string());
    match (form, given) {
        (Form::Standard, Some(text)) => {
            SigningSecret::parse(text).map(Credential::Secret).map_err(|bad| refused(&bad))
        }
        (Form::Standard, None) => SigningSecret::generate()
            .map(Credential::Secret)
            .map_err(|_| refused(&"the system gave no random bytes")),
        (Form::Ntfy { .. }, Some(text)) => Credential::token(text).map_err(|bad| refused(&bad)),
        (Form::Ntfy { .. }, None) => Ok(Credential::Token(None)),
    }
}

fn missing(id: WebhookId) -> AdminError {
    AdminError::not_found("webhook", id, "`syncfleet webhook ls` shows all")
}

/// What became of a webhook.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Done {
    /// Its number.
    pub id: WebhookId,
    /// Whether anything changed.
    pub changed: bool,
    /// For the bell, after the commit.
    #[serde(skip)]
    pub bell: Vec<Wanted>,
}

/// Removes a webhook with its secret and its job. What is being sent at the moment may still arrive.
pub async fn rm(db: &PgPool, actor: &Actor, id: WebhookId) -> Result<Done, AdminError> {
    super::remove::retried(async || {
        let mut tx = db.begin().await?;
        // First the job: a step that is about to commit does so before its webhook is removed, or not at all.
        jobs::remove(&mut tx, KIND, &[id.to_string()]).await?;
        webhooks::remove(&mut tx, id).await?.ok_or_else(|| missing(id))?;
        secrets::remove(&mut tx, "webhook", id).await?;
        audit::write(&mut tx, actor.as_str(), "webhook.rm", &id.to_string(), &json!({})).await?;
        tx.commit().await?;
        Ok(Done { id, changed: true, bell: Vec::new() })
    })
    .await
}

/// Sends nothing until [`resume`]. What is being sent at the moment may still arrive.
pub async fn pause(db: &PgPool, actor: &Actor, id: WebhookId) -> Result<Done, AdminError> {
    let mut tx = db.begin().await?;
    let changed = webhooks::pause(&mut tx, id).await?.ok_or_else(|| missing(id))?;
    if changed {
        audit::write(&mut tx, actor.as_str(), "webhook.pause", &id.to_string(), &json!({})).await?;
    }
    tx.commit().await?;
    Ok(Done { id, changed, bell: Vec::new() })
}

/// Goes on with a webhook that is paused, disabled or in a backoff, from where it was.
pub async fn resume(
    db: &PgPool,
    actor: &Actor,
    policies: &[Policy],
    id: WebhookId,
) -> Result<Done, AdminError> {
    super::remove::retried(async || {
        let mut tx = db.begin().await?;
        let tenant = sqlx::query_scalar!(
            "-- admin::webhook::resume\nselect tenant_id from webhooks where id = $1",
            id
        )
        .fetch_optional(&mut *tx)
        .await?
        .ok_or_else(|| missing(id))?;
        let job = NewJob { key: id.to_string(), tenant, account: None, first: None };
        let jobs = jobs::ensure(&mut tx, policy(policies, KIND)?, &[job]).await?;
        let changed = webhooks::resume(&mut tx, id).await?.ok_or_else(|| missing(id))?;
        job_state::release(&mut tx, &jobs).await?;
        let bell = job_state::want(&mut tx, &jobs, None, None).await?;
        if changed {
            audit::write(&mut tx, actor.as_str(), "webhook.resume", &id.to_string(), &json!({})).await?;
        }
        tx.commit().await?;
        Ok(Done { id, changed, bell })
    })
    .await
}

/// The answer to a test message.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Tested {
    /// The webhook.
    pub id: WebhookId,
    /// Whether it was acknowledged.
    pub ok: bool,
    /// What the endpoint answered, or why nothing was sent.
    pub answer: String,
}

/// Sends a test message in the webhook's form, once: a signed `{"type": "test", …}`, or a notification. Neither cursor nor job know
/// of it.
pub async fn test(db: &PgPool, sender: &Sender, id: WebhookId) -> Result<Tested, AdminError> {
    let mut conn = db.acquire().await?;
    let webhook = webhooks::get(&mut conn, id).await?.ok_or_else(|| missing(id))?;
    let credential =
        Credential::load(&mut conn, &sender.keys, &webhook).await.map_err(|error| match error {
            CredentialError::Store(error) => store_error(error),
            error => AdminError::Refused(error.to_string()),
        })?;
    let now = super::now(&mut conn).await?;
    drop(conn);
    let url: Url =
        webhook.url.parse().map_err(|_| AdminError::Refused(format!("webhook {id} has no good URL")))?;
    let body = webhook.form.test(id, now);
    let message_id = format!("test_{id}_{}", now.timestamp_micros());
    let message = Message { id: &message_id, timestamp: now.timestamp(), body: &body };
    Ok(match sender.send(&url, &credential, message).await {
        Ok(status) => Tested { id, ok: true, answer: format!("the endpoint answered {status}") },
        Err(error) => Tested { id, ok: false, answer: error.to_string() },
    })
}

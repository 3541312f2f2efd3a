//! Where a tenant's changes are sent, and how far they were: table `webhooks`. Each row has one job of the kind `webhook`, whose
//! key is its number.

mod behind;

use std::time::Duration;

use sqlx::PgConnection;

pub use self::behind::{behind, lag};
use super::changes::{Position, Resource, Subject, What};
use crate::{
    job::{AccountId, TenantId},
    webhook::Form,
};

/// A webhook's row.
pub type WebhookId = i64;

/// A webhook, and how far its tenant's changes were sent to it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Webhook {
    /// Its row.
    pub id: WebhookId,
    /// Where it is sent.
    pub url: String,
    /// How it looks.
    pub form: Form,
    /// What is sent.
    pub subject: Subject,
    /// What was sent.
    pub cursor: Position,
    /// The end of the batch under way; none: there is none.
    pub batch: Option<Position>,
    /// Changes were dropped before they could be sent, and the receiver was not told yet.
    pub lost: bool,
    /// Counts writes of the cursor.
    pub step: i64,
    /// Whether an operator holds it.
    pub paused: bool,
    /// Why nothing is sent any more; none: it is sent.
    pub disabled: Option<String>,
    /// How long nothing was acknowledged although it was tried; none: the last sending was.
    pub failing_for: Option<Duration>,
}

/// A webhook to be.
#[derive(Debug, Clone)]
pub struct NewWebhook<'a> {
    /// Where it is sent.
    pub url: &'a str,
    /// How it looks.
    pub form: &'a Form,
    /// What is sent.
    pub subject: &'a Subject,
    /// What comes after this position is sent.
    pub after: Position,
}

/// The cursor was written by somebody else since it was read: the step is stale.
#[derive(Debug, thiserror::Error)]
pub enum MoveError {
    /// Another step was faster.
    #[error("webhook {0} was written by another step meanwhile")]
    Moved(WebhookId),
    /// The database did not answer.
    #[error(transparent)]
    Database(#[from] sqlx::Error),
}

impl From<MoveError> for crate::job::Failure {
    fn from(error: MoveError) -> Self {
        Self::retry(error, None)
    }
}

fn moved(id: WebhookId, rows: u64) -> Result<(), MoveError> {
    if rows == 1 { Ok(()) } else { Err(MoveError::Moved(id)) }
}

/// Adds a webhook.
pub async fn insert(conn: &mut PgConnection, new: &NewWebhook<'_>) -> Result<WebhookId, sqlx::Error> {
    let resources = (!new.subject.resources.is_empty()).then_some(&new.subject.resources[..]);
    let whats = (!new.subject.whats.is_empty()).then_some(&new.subject.whats[..]);
    sqlx::query_scalar!(
        "-- webhooks::insert
        insert into webhooks (
            tenant_id, url, account_id, resources, epoch, xid, change_id, whats, ntfy_topic, created_at
        )
        values ($1, $2, $3, $4, $5, $6, $7, $8, $9, clock())
        returning id",
        new.subject.tenant,
        new.url,
        new.subject.account,
        resources as Option<&[Resource]>,
        new.after.epoch,
        new.after.xid,
        new.after.id,
        whats as Option<&[What]>,
        new.form.topic(),
    )
    .fetch_one(conn)
    .await
}

/// How many webhooks a tenant has.
pub async fn count(conn: &mut PgConnection, tenant: TenantId) -> Result<i64, sqlx::Error> {
    sqlx::query_scalar!(
        r#"-- webhooks::count
        select count(*) as "count!" from webhooks where tenant_id = $1"#,
        tenant,
    )
    .fetch_one(conn)
    .await
}

/// A webhook; none: there is none of that number.
pub async fn get(conn: &mut PgConnection, id: WebhookId) -> Result<Option<Webhook>, sqlx::Error> {
    let row = sqlx::query!(
        r#"-- webhooks::get
        select tenant_id, url, account_id as "account: AccountId", resources as "resources: Vec<Resource>",
            whats as "whats: Vec<What>", ntfy_topic, epoch, xid, change_id, batch_epoch, batch_xid, batch_id, lost, step, paused, disabled_why,
            extract(epoch from clock() - failing_since)::float8 as failing_for
        from webhooks
        where id = $1"#,
        id,
    )
    .fetch_optional(conn)
    .await?;
    Ok(row.map(|row| Webhook {
        id,
        url: row.url,
        form: Form::of(row.ntfy_topic),
        subject: Subject {
            tenant: row.tenant_id,
            account: row.account,
            resources: row.resources.unwrap_or_default(),
            whats: row.whats.unwrap_or_default(),
        },
        cursor: Position { epoch: row.epoch, xid: row.xid, id: row.change_id },
        batch: row.batch_epoch.zip(row.batch_xid.zip(row.batch_id)).map(|(epoch, (xid, id))| Position {
            epoch,
            xid,
            id,
        }),
        lost: row.lost,
        step: row.step,
        paused: row.paused,
        disabled: row.disabled_why,
        failing_for: row.failing_for.map(|seconds| Duration::from_secs_f64(seconds.max(0.0))),
    }))
}

/// Writes down the end of a batch that is about to be sent for the first time: whoever sends it again sends the same.
pub async fn pin(conn: &mut PgConnection, webhook: &Webhook, batch: Position) -> Result<(), MoveError> {
    let done = sqlx::query!(
        "-- webhooks::pin
        update webhooks set batch_epoch = $3, batch_xid = $4, batch_id = $5, step = step + 1
        where id = $1 and step = $2",
        webhook.id,
        webhook.step,
        batch.epoch,
        batch.xid,
        batch.id,
    )
    .execute(conn)
    .await?;
    moved(webhook.id, done.rows_affected())
}

/// Goes on after `upto`. `delivered`: something was acknowledged by it.
pub async fn advance(
    conn: &mut PgConnection,
    webhook: &Webhook,
    upto: Position,
    delivered: bool,
) -> Result<(), MoveError> {
    let done = sqlx::query!(
        "-- webhooks::advance
        update webhooks set
            epoch = $3, xid = $4, change_id = $5, batch_epoch = null, batch_xid = null, batch_id = null,
            step = step + 1,
            lost = lost and not $6,
            failing_since = case when $6 then null else failing_since end,
            delivered_at = case when $6 then clock() else delivered_at end
        where id = $1 and step = $2",
        webhook.id,
        webhook.step,
        upto.epoch,
        upto.xid,
        upto.id,
        delivered,
    )
    .execute(conn)
    .await?;
    moved(webhook.id, done.rows_affected())
}

/// Goes on after `oldest`: what lies before it was dropped, and the receiver is to be told.
pub async fn skip(conn: &mut PgConnection, webhook: &Webhook, oldest: Position) -> Result<(), MoveError> {
    let done = sqlx::query!(
        "-- webhooks::skip
        update webhooks set
            epoch = $3, xid = $4, change_id = $5, batch_epoch = null, batch_xid = null, batch_id = null,
            step = step + 1, lost = true
        where id = $1 and step = $2",
        webhook.id,
        webhook.step,
        oldest.epoch,
        oldest.xid,
        oldest.id,
    )
    .execute(conn)
    .await?;
    moved(webhook.id, done.rows_affected())
}

/// Notes that the endpoint did not take it. `disabled`: nothing is sent from now on, and why.
pub async fn failed(
    conn: &mut PgConnection,
    webhook: &Webhook,
    disabled: Option<&str>,
) -> Result<(), MoveError> {
    let done = sqlx::query!(
        "-- webhooks::failed
        update webhooks set
            failing_since = coalesce(failing_since, clock()),
            disabled_at = case when $3::text is not null then clock() end, disabled_why = $3, step = step + 1
        where id = $1 and step = $2",
        webhook.id,
        webhook.step,
        disabled,
    )
    .execute(conn)
    .await?;
    moved(webhook.id, done.rows_affected())
}

/// Holds a webhook. Says whether that changed anything; none: there is no such webhook.
pub async fn pause(conn: &mut PgConnection, id: WebhookId) -> Result<Option<bool>, sqlx::Error> {
    sqlx::query_scalar!(
        r#"-- webhooks::pause
        with before as (select id, paused from webhooks where id = $1 for update)
        update webhooks w set paused = true from before where w.id = before.id
        returning not before.paused as "changed!""#,
        id,
    )
    .fetch_optional(conn)
    .await
}

/// Ends a pause, and forgets what the endpoint answered. Says whether that changed anything; none: there is no such webhook.
pub async fn resume(conn: &mut PgConnection, id: WebhookId) -> Result<Option<bool>, sqlx::Error> {
    sqlx::query_scalar!(
        r#"-- webhooks::resume
        with before as (
            select id, paused or disabled_at is not null as held from webhooks where id = $1 for update
        )
        update webhooks w set paused = false, disabled_at = null, disabled_why = null, failing_since = null
        from before
        where w.id = before.id
        returning before.held as "changed!""#,
        id,
    )
    .fetch_optional(conn)
    .await
}

/// Removes a webhook; its url, if it was there.
pub async fn remove(conn: &mut PgConnection, id: WebhookId) -> Result<Option<String>, sqlx::Error> {
    sqlx::query_scalar!("-- webhooks::remove\ndelete from webhooks where id = $1 returning url", id)
        .fetch_optional(conn)
        .await
}

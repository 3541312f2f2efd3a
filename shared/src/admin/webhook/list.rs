use chrono::{DateTime, Utc};
use serde::Serialize;
use sqlx::PgConnection;

use crate::{
    admin::{AdminError, tenant},
    job::{AccountId, JobId},
    store::{
        changes::{Resource, What},
        webhooks::WebhookId,
    },
    webhook::Form,
};

/// A webhook and how it stands.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Webhook {
    /// Its number.
    pub id: WebhookId,
    /// Whose changes it gets.
    pub tenant: String,
    /// Where they are sent.
    pub url: String,
    /// How they look: standard or ntfy.
    pub form: &'static str,
    /// The topic of ntfy.
    pub topic: Option<String>,
    /// Of this account only.
    pub account: Option<AccountId>,
    /// Of these resources only; none: of all.
    pub resources: Option<Vec<Resource>>,
    /// Only where this became of the row; none: whatever became of it.
    pub whats: Option<Vec<What>>,
    /// Its job; none: it was lost, and `webhook resume` makes it anew.
    pub job: Option<JobId>,
    /// active, paused, disabled or failing.
    pub state: &'static str,
    /// Why it is disabled, or what the last sending came to if that failed.
    pub why: Option<String>,
    /// Since when nothing was acknowledged although it was tried.
    pub failing_since: Option<DateTime<Utc>>,
    /// When a message was acknowledged last.
    pub delivered_at: Option<DateTime<Utc>>,
    /// When it was added.
    pub created_at: DateTime<Utc>,
}

/// All webhooks, or a tenant's, by number.
pub async fn ls(conn: &mut PgConnection, tenant: Option<&str>) -> Result<Vec<Webhook>, AdminError> {
    let tenant = match tenant {
        Some(name) => Some(tenant::find(&mut *conn, name).await?),
        None => None,
    };
    let rows = sqlx::query!(
        r#"-- admin::webhook::ls
        select w.id, t.name as tenant, w.url, w.account_id, w.resources as "resources: Vec<Resource>",
            w.whats as "whats: Vec<What>", w.ntfy_topic, w.paused, w.disabled_why, w.failing_since, w.delivered_at, w.created_at, j.id as "job?", j.note
        from webhooks w
        join tenants t on t.id = w.tenant_id
        left join jobs j on j.kind = 'webhook' and j.key = w.id::text
        where $1::bigint is null or w.tenant_id = $1
        order by w.id"#,
        tenant,
    )
    .fetch_all(conn)
    .await?;
    Ok(rows
        .into_iter()
        .map(|row| Webhook {
            id: row.id,
            tenant: row.tenant,
            url: row.url,
            account: row.account_id,
            resources: row.resources,
            whats: row.whats,
            form: Form::of(row.ntfy_topic.clone()).as_str(),
            topic: row.ntfy_topic,
            job: row.job,
            state: match (&row.disabled_why, row.paused, row.failing_since) {
                (Some(_), _, _) => "disabled",
                (None, true, _) => "paused",
                (None, false, Some(_)) => "failing",
                (None, false, None) => "active",
            },
            why: row.disabled_why.or(row.failing_since.and(row.note)),
            failing_since: row.failing_since,
            delivered_at: row.delivered_at,
            created_at: row.created_at,
        })
        .collect())
}

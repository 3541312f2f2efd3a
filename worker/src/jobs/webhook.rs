//! `webhook`: sends a tenant's changes to one endpoint. Its key is the row in `webhooks`, which has the cursor over the change
//! feed. What a message looks like is told in `shared/src/webhook/form.rs`: the changes themselves, signed, or a notification.
//!
//! # A step
//!
//! It reads the next changes after the cursor, writes down where they end, sends them as one message, and moves the cursor there
//! in the commit of its verdict. There is no want in the transactions that write changes: every page of every calendar of a tenant
//! would write the rows of its webhooks' jobs, which makes those rows hot, and locks them while other jobs' rows are locked. The
//! scheduler's tick `webhooks` wants what is behind instead, woken by the feed's notification.
//!
//! # Races, and their answers
//!
//! - *The worker dies between the sending and the commit.* The cursor has not moved, and the end of the batch stands in the row:
//!   the next step sends the same changes, in the same bytes, under the same id. So the receiver can tell that it has them.
//! - *Two steps run at once* (one was taken for dead): each write of the row counts, and one that read another count writes
//!   nothing. The message may arrive twice, under one id.
//! - *Changes are dropped before they were sent* (nobody answered for a week): the next batch begins with what is kept, and says
//!   `"lost": true`.
//! - *The endpoint is slow*: it has fifteen seconds, and holds one slot for them. A backoff of up to an hour follows.

mod failed;

use std::time::Duration;

use anyhow::Context as _;
use futures_util::{FutureExt, future::BoxFuture};
use metrics::{counter, describe_counter};
use shared::{
    job::{Failure, Lane, Parked, Policy, Retry, Run, Step, StepResult, Verdict},
    store::{
        changes::{self, After, Position},
        webhooks::{self, Webhook},
    },
    webhook::{Batch, Credential, Message, Sender},
};
use url::Url;

use super::{Context, Kind};

pub(super) const KIND: Kind = Kind {
    policy: Policy {
        kind: "webhook",
        about: "sends a tenant's changes to an endpoint",
        lane: Lane::Normal,
        interval: None,
        min_interval: Duration::ZERO,
        limit: Duration::from_secs(40),
        retry: Retry { base: Duration::from_secs(5), cap: Duration::from_hours(1), attempts: None },
        per_account: None,
        api: None,
    },
    step,
};

/// The most changes of one message.
const BATCH: i64 = 100;

/// More than any batch has had.
const ALL: i64 = 10_000;

/// What a sending came to, in metrics.
const RESULTS: [&str; 5] = ["delivered", "gone", "refused", "blocked", "failed"];

pub(crate) fn describe_metrics() {
    describe_counter!(
        "syncfleet_webhook_deliveries_total",
        "Messages sent to webhooks, by what came of them"
    );
    for result in RESULTS {
        counter!("syncfleet_webhook_deliveries_total", "result" => result).absolute(0);
    }
}

fn step<'a>(context: &'a Context, run: &'a Run) -> BoxFuture<'a, StepResult> {
    one_batch(context, run).boxed()
}

async fn one_batch(context: &Context, run: &Run) -> StepResult {
    let sender = context.webhooks()?;
    let id = super::row_of(run)?;
    let mut conn = context.db.acquire().await?;
    let Some(webhook) = webhooks::get(&mut conn, id).await? else {
        let why = "the webhook is gone".to_owned();
        return Ok(Step::quiet(Verdict::Park { parked: Parked::Gone, why }));
    };
    if let Some(why) = webhook.disabled {
        return Ok(Step::quiet(Verdict::Park { parked: Parked::Failed, why }));
    }
    if webhook.paused {
        // Its end wants the job.
        return Ok(Step::quiet(Verdict::Complete));
    }
    let until = webhook.batch;
    let limit = if until.is_some() { ALL } else { BATCH };
    let read = changes::read(&mut conn, &webhook.subject, webhook.cursor, until, limit).await?;
    if read.gone {
        let oldest = changes::begin(&mut conn, webhook.subject.tenant, After::Oldest).await?;
        drop(conn);
        return skipped(context, &webhook, oldest).await;
    }
    drop(conn);
    // Up to the last change, not to the end of what was looked at: a batch that is read again must have the same end.
    let end = match (until, read.entries.last()) {
        (Some(until), _) => until,
        (None, Some(last)) => last.id,
        (None, None) if webhook.lost => read.upto,
        (None, None) => return nothing(context, &webhook, read.upto, read.more).await,
    };
    let webhook = if until.is_none() { pinned(context, webhook, end).await? } else { webhook };
    let batch = Batch { webhook: webhook.id, end, entries: &read.entries, lost: webhook.lost };
    match send(context, sender, run, &webhook, batch).await? {
        Ok(_) => {
            counter!("syncfleet_webhook_deliveries_total", "result" => "delivered").increment(1);
            let mut tx = context.db.begin().await?;
            webhooks::advance(&mut tx, &webhook, end, true).await?;
            let verdict = if read.more || until.is_some() {
                Verdict::Continue { lane: None }
            } else {
                Verdict::Complete
            };
            Ok(Step::wrote(verdict, tx, 0))
        }
        Err(error) => failed::step(context, &webhook, error).await,
    }
}

/// The endpoint is told with the next batch.
async fn skipped(context: &Context, webhook: &Webhook, oldest: Position) -> StepResult {
    tracing::warn!(webhook = webhook.id, "changes were dropped before they could be sent");
    let mut tx = context.db.begin().await?;
    webhooks::skip(&mut tx, webhook, oldest).await?;
    Ok(Step::wrote(Verdict::Continue { lane: None }, tx, 0))
}

/// Nothing of interest: the cursor goes on, so that it does not fall behind what is kept.
async fn nothing(context: &Context, webhook: &Webhook, upto: Position, more: bool) -> StepResult {
    if upto == webhook.cursor {
        return Ok(Step::quiet(Verdict::Complete));
    }
    let mut tx = context.db.begin().await?;
    webhooks::advance(&mut tx, webhook, upto, false).await?;
    let verdict = if more { Verdict::Continue { lane: None } } else { Verdict::Complete };
    Ok(Step::wrote(verdict, tx, 0))
}

/// Writes down, before the first sending, where the batch ends.
async fn pinned(context: &Context, webhook: Webhook, end: Position) -> Result<Webhook, Failure> {
    let mut conn = context.db.acquire().await?;
    webhooks::pin(&mut conn, &webhook, end).await?;
    Ok(Webhook { batch: Some(end), step: webhook.step + 1, ..webhook })
}

async fn send(
    context: &Context,
    sender: &Sender,
    run: &Run,
    webhook: &Webhook,
    batch: Batch<'_>,
) -> Result<Result<u16, shared::webhook::SendError>, Failure> {
    let credential = {
        let mut conn = context.db.acquire().await?;
        Credential::load(&mut conn, &sender.keys, webhook).await.map_err(anyhow::Error::from)?
    };
    let url: Url = webhook.url.parse().with_context(|| format!("webhook {} has no good URL", webhook.id))?;
    let message = Message {
        id: &format!("msg_{}_{}", webhook.id, batch.end),
        timestamp: run.started_at.timestamp(),
        body: &webhook.form.changes(batch),
    };
    Ok(sender.send(&url, &credential, message).await)
}

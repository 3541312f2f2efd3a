//! What follows when a message was not taken.

use std::time::Duration;

use metrics::counter;
use shared::{
    job::{Parked, Step, StepResult, Verdict},
    store::webhooks::{self, Webhook},
    webhook::SendError,
};

use crate::jobs::Context;

/// An endpoint that refuses every message for so long is disabled.
const GIVE_UP: Duration = Duration::from_hours(3 * 24);

/// Retried after a backoff, for ever if it is a failure, some days if it is a refusal. An endpoint that wants no more gets no more.
pub(super) async fn step(context: &Context, webhook: &Webhook, error: SendError) -> StepResult {
    counter!("syncfleet_webhook_deliveries_total", "result" => error.result()).increment(1);
    let why = error.to_string();
    let tired = webhook.failing_for.is_some_and(|time| time >= GIVE_UP);
    let verdict = match error {
        SendError::Gone => Verdict::Park { parked: Parked::Gone, why: why.clone() },
        SendError::Refused { .. } | SendError::Blocked(_) if tired => {
            let why = format!("nothing was taken for {} days: {why}", GIVE_UP.as_secs() / 86_400);
            Verdict::Park { parked: Parked::Failed, why }
        }
        SendError::Failed { after, .. } => Verdict::Retry { after, why: why.clone() },
        SendError::Refused { .. } | SendError::Blocked(_) | SendError::Secret(_) => {
            Verdict::Retry { after: None, why: why.clone() }
        }
    };
    let disabled = match &verdict {
        Verdict::Park { why, .. } => Some(why.as_str()),
        _ => None,
    };
    tracing::info!(webhook = webhook.id, disabled = disabled.is_some(), "a message was not taken: {why}");
    let mut tx = context.db.begin().await?;
    webhooks::failed(&mut tx, webhook, disabled).await?;
    Ok(Step::wrote(verdict, tx, 0))
}

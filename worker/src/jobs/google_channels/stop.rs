//! Google is told to end channels.

use std::time::Instant;

use shared::{
    google::{Google, errors::Class},
    job::{AccountId, Run, Step, StepResult, Verdict},
    store::channels,
};

use super::watch::{CALLS, TIME};
use crate::jobs::{Context, rng};

/// Ends channels, as many as fit into a step. One that Google does not let us end runs out by itself.
pub(super) async fn all(
    context: &Context,
    google: &Google,
    run: &Run,
    account: AccountId,
    stopping: &[(String, String)],
) -> StepResult {
    let began = Instant::now();
    let (mut done, mut verdict) = (Vec::new(), Verdict::Continue { lane: None });
    let first = run.attempt as usize % stopping.len();
    for (id, resource_id) in stopping.iter().cycle().skip(first).take(stopping.len().min(CALLS)) {
        if began.elapsed() > TIME {
            break;
        }
        match google.stop_channel(&context.db, account, id, resource_id).await {
            Ok(()) => done.push((id, None)),
            Err(error) => match error.class() {
                Some(Class::Retry | Class::SlowDown { .. } | Class::Unauthorized) | None => {
                    verdict = error.into_failure(run.attempt, &mut rng(run)).into();
                    break;
                }
                Some(_) => {
                    tracing::warn!(channel = id, "a push channel cannot be stopped, and runs out: {error}");
                    done.push((id, Some(error.to_string())));
                }
            },
        }
    }
    let mut tx = context.db.begin().await?;
    for (id, note) in &done {
        channels::stopped(&mut tx, id, note.as_deref()).await?;
    }
    Ok(Step::wrote(verdict, tx, 0))
}

//! Google is told to end channels.

use std::time::Instant;

use shared::{
    google::{Google, channels::Ending, errors::Class},
    job::{AccountId, Run, Step, StepResult, Verdict},
    store::channels,
};

use super::watch::{CALLS, TIME};
use crate::jobs::Context;

/// Ends channels, as many as fit into a step. One that Google does not let us end runs out by itself.
pub(super) async fn all(
    context: &Context,
    google: &Google,
    run: &Run,
    account: AccountId,
    stopping: &[Ending],
) -> StepResult {
    let began = Instant::now();
    let mut done = Vec::new();
    let first = run.attempt as usize % stopping.len();
    for ending in stopping.iter().cycle().skip(first).take(stopping.len().min(CALLS)) {
        if began.elapsed() > TIME {
            break;
        }
        match google.stop_channel(&context.db, account, ending).await {
            Ok(()) => done.push((&ending.id, None)),
            Err(error) => match error.class() {
                // What was done is written down first. The next step meets the failure again.
                Some(Class::Retry | Class::SlowDown { .. } | Class::Unauthorized) | None
                    if done.is_empty() =>
                {
                    return super::failed(context, run, error).await;
                }
                Some(Class::Retry | Class::SlowDown { .. } | Class::Unauthorized) | None => break,
                Some(_) => {
                    tracing::warn!(
                        channel = ending.id,
                        "a push channel cannot be stopped, and runs out: {error}"
                    );
                    done.push((&ending.id, Some(error.to_string())));
                }
            },
        }
    }
    let mut tx = context.db.begin().await?;
    for (id, note) in &done {
        channels::stopped(&mut tx, id, note.as_deref()).await?;
    }
    Ok(Step::wrote(Verdict::Continue { lane: None }, tx, 0))
}

//! The poll behind the push: how far apart passes are that nobody wants, and what they say of the channels.

use std::time::Duration;

use rand::Rng;
use shared::{
    job::{Policy, Run, Step, Verdict},
    store::{
        PgConnection,
        channels::{self, Standing},
    },
};

use crate::jobs::Context;

/// How often is looked while push proves alive. Without push the kind's own interval counts.
const SELDOM: Duration = Duration::from_hours(4);

/// How long a second connection is waited for.
const AT_ONCE: Duration = Duration::from_millis(100);

/// What the channels of a run's job say of it. Nothing is asked where nothing is pushed.
pub(in crate::jobs) async fn standing(
    context: &Context,
    connection: &mut PgConnection,
    run: &Run,
) -> Result<Standing, sqlx::Error> {
    if context.public_url.is_none() {
        return Ok(Standing::default());
    }
    channels::standing(connection, run.job, run.dirty_since).await
}

/// Adds to the end of a pass when the next one is to be, and when the outside has told of it. `incremental`: the pass
/// listed changes alone, so what it changed was news.
pub(in crate::jobs) async fn follow(
    context: &Context,
    run: &Run,
    policy: &Policy,
    standing: Standing,
    incremental: bool,
    mut step: Step,
    rng: &mut impl Rng,
) -> Result<Step, sqlx::Error> {
    if step.verdict != Verdict::Complete {
        return Ok(step);
    }
    if standing.pushed && step.tx.is_some() {
        step.told_at = run.dirty_since;
    }
    // Nobody has wanted this pass, and it found what a channel should have told. It may be on its way still: then it takes
    // that back.
    let missed = standing.live && incremental && run.dirty_since.is_none() && step.changed > 0;
    if missed {
        // In no transaction with the rows: a notification locks the job first and the channel then. And not at any price: the
        // step holds a connection already, and the next poll sees the same.
        if let Ok(connection) = tokio::time::timeout(AT_ONCE, context.db.acquire()).await {
            channels::missed(&mut *connection?, run.job).await?;
        }
    } else if standing.proven {
        let seldom = policy.interval.map_or(SELDOM, |interval| interval.max(SELDOM));
        step = step.next_in(Policy::spread(seldom, rng));
    }
    Ok(step)
}

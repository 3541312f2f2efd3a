//! Waiting until wanted jobs are done, with a progress bar on a terminal.

use std::time::Duration;

use indicatif::{ProgressBar, ProgressStyle};
use shared::{admin::enqueue::Awaited, store::PgPool};
use tokio::time::{Instant, sleep_until, timeout_at};

use crate::{exit::Exit, output::say};

/// How often the database is asked.
const PACE: Duration = Duration::from_millis(200);

/// Waits until every job is done or cannot go on, at most `timeout`.
pub async fn wait(db: &PgPool, awaited: &mut Awaited, timeout: Duration) -> anyhow::Result<Exit> {
    let begun = Instant::now();
    // What does not fit into the clock is as good as for ever.
    let deadline = begun.checked_add(timeout).unwrap_or(begun + Duration::from_hours(24 * 365));
    let total = u64::try_from(awaited.outcome().left).unwrap_or(0);
    // Draws on stderr, and only if that is a terminal.
    let bar =
        ProgressBar::new(total).with_style(ProgressStyle::with_template("{wide_bar} {pos}/{len} {elapsed}")?);
    let mut next = begun;
    let mut late = false;
    while awaited.outcome().left > 0 {
        let looked = timeout_at(deadline, async {
            awaited.look(&mut *db.acquire().await?).await.map(|outcome| outcome.left)
        })
        .await;
        match looked {
            Ok(left) => bar.set_position(total.saturating_sub(u64::try_from(left?).unwrap_or(0))),
            Err(_) => late = true,
        }
        next = (next + PACE).max(Instant::now());
        if late || awaited.outcome().left == 0 {
            break;
        }
        if next > deadline {
            late = true;
            break;
        }
        sleep_until(next).await;
    }
    bar.finish_and_clear();
    let outcome = awaited.outcome();
    if late {
        say("not done in time; the work goes on, `syncfleet job explain` tells how it stands")?;
        return Ok(Exit::Late);
    }
    if outcome.parked.is_empty() { Ok(Exit::Done) } else { Ok(Exit::Other) }
}

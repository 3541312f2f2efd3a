//! Waiting until wanted jobs are done, or an account's first sync is, with its progress.

use std::time::Duration;

use shared::{
    admin::{
        account::{self, FirstSync},
        enqueue::Awaited,
        words::count,
    },
    job::{AccountId, JobId},
    store::PgPool,
};
use tokio::time::{Instant, sleep_until, timeout_at};

use crate::{exit::Exit, output::say, progress::Progress};

/// How often the database is asked.
const PACE: Duration = Duration::from_millis(200);

/// How often it is asked for first syncs at most: it counts their events.
const COUNTS: Duration = Duration::from_secs(1);

/// Waits until every job is done or cannot go on, at most `timeout`.
pub async fn jobs(db: &PgPool, awaited: &mut Awaited, timeout: Duration) -> anyhow::Result<Exit> {
    let all = awaited.outcome().left;
    let jobs: Vec<JobId> = awaited.jobs().collect();
    let accounts = account::under_way(&mut *db.acquire().await?, &jobs).await?;
    let mut progress = Progress::new()?;
    let (mut first, mut counted) = (String::new(), None::<Instant>);
    let in_time = until(timeout, PACE, async || {
        let mut conn = db.acquire().await?;
        let left = awaited.look(&mut conn).await?.left;
        if !accounts.is_empty() && counted.is_none_or(|at| at.elapsed() >= COUNTS) {
            first = format!("; {}", far(&account::first_sync(&mut conn, &accounts).await?));
            counted = Some(Instant::now());
        }
        progress.show(all - left, all, &format!("{} of {} done{first}", all - left, count(all, "job")))?;
        Ok(left == 0)
    })
    .await?;
    drop(progress);
    let parked = !awaited.outcome().parked.is_empty();
    end(in_time, parked)
}

/// Waits until the first sync of the account is done or cannot go on, at most `timeout`. Says how far it came.
pub async fn first_sync(
    db: &PgPool,
    account: AccountId,
    timeout: Duration,
) -> anyhow::Result<(Exit, FirstSync)> {
    let mut progress = Progress::new()?;
    let mut last = FirstSync::default();
    let in_time = until(timeout, COUNTS, async || {
        last = account::first_sync(&mut *db.acquire().await?, &[account]).await?;
        progress.show(last.done + last.drives_done, last.calendars + last.drives, &far(&last))?;
        Ok(last.is_done() || last.going_on == 0)
    })
    .await?;
    drop(progress);
    Ok((end(in_time, !last.is_done())?, last))
}

/// How far first syncs are, in words.
pub fn far(first: &FirstSync) -> String {
    let FirstSync { listed, calendars, done, events, drives, drives_done, files, .. } = first;
    if !listed && *calendars == 0 && *drives == 0 {
        return "what there is is not read yet".to_owned();
    }
    let so_far = if first.is_done() { "" } else { " so far" };
    let of = |done: i64, all: i64, thing| format!("{done} of {}", count(all, thing));
    let calendars = (*calendars > 0 || *drives == 0)
        .then(|| format!("{}, {}", of(*done, *calendars, "calendar"), count(*events, "event")));
    let drives =
        (*drives > 0).then(|| format!("{}, {}", of(*drives_done, *drives, "drive"), count(*files, "file")));
    format!("{}{so_far}", calendars.into_iter().chain(drives).collect::<Vec<_>>().join("; "))
}

/// Looks again and again until `look` says that it is over. Says whether that was in time.
async fn until(
    timeout: Duration,
    pace: Duration,
    mut look: impl AsyncFnMut() -> anyhow::Result<bool>,
) -> anyhow::Result<bool> {
    let begun = Instant::now();
    // What does not fit into the clock is as good as for ever.
    let deadline = begun.checked_add(timeout).unwrap_or(begun + Duration::from_hours(24 * 365));
    let mut next = begun;
    loop {
        let Ok(over) = timeout_at(deadline, look()).await else { return Ok(false) };
        if over? {
            return Ok(true);
        }
        next = (next + pace).max(Instant::now());
        if next > deadline {
            return Ok(false);
        }
        sleep_until(next).await;
    }
}

fn end(in_time: bool, parked: bool) -> anyhow::Result<Exit> {
    if !in_time {
        say("not done in time; the work goes on, `syncfleet job explain` tells how it stands")?;
        return Ok(Exit::Late);
    }
    Ok(if parked { Exit::Other } else { Exit::Done })
}

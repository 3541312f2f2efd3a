//! What a page of the list does to the calendars, their events and their jobs.

use std::time::Duration;

use rand::{Rng, RngExt};
use shared::{
    google::calendar::{CalendarEntry, Next, Page},
    job::{AccountId, JobId, Run, Step, StepResult, Verdict},
    store::{
        PgConnection, calendar_lists,
        calendars::{self, CalendarId, Change},
        cursor::{Cursor, Pass},
        events,
        job_state::Wanted,
        jobs::{self, NewJob},
    },
};

use crate::jobs::{Context, calendar_events, google_channels, lists_anew, lock, rng, want};

/// So many new calendars are wanted at once. More of them begin one after another, as fast as Google serves one user (600
/// requests a minute): <https://developers.google.com/workspace/calendar/api/guides/quota>.
const AT_ONCE: usize = 10;

/// How far apart further ones begin, on average.
const APART: Duration = Duration::from_millis(100);

/// Writes a page's calendars, makes and removes their jobs, and moves the cursor, in one transaction.
pub(super) async fn page(
    context: &Context,
    run: &Run,
    account: AccountId,
    before: &Cursor,
    pass: Pass,
    page: Page<CalendarEntry>,
) -> StepResult {
    let within = before.clone().within(pass);
    let (cursor, ended) = match page.next {
        Next::Page(token) => (within.next_page(token), None),
        Next::Sync(token) => (within.finished(token), Some(pass)),
    };
    if page.items.is_empty() && cursor == *before {
        return Ok(Step::quiet(Verdict::Complete));
    }
    let mut tx = context.db.begin().await?;
    calendar_lists::save(&mut tx, account, &cursor, ended).await?;
    let mut changes = calendars::upsert(&mut tx, account, cursor.generation, &page.items).await?;
    if ended == Some(Pass::Full) {
        changes.extend(calendars::sweep(&mut tx, account, cursor.generation).await?);
    }
    let came_or_went = changes.iter().any(|change| change.readable != change.was_readable);
    let keeper = google_channels::keep(&mut tx, context, run, account, came_or_went).await?;
    let wanted = follow(&mut tx, run, account, &changes, keeper, &mut rng(run)).await?;
    let verdict = if ended.is_some() { Verdict::Complete } else { Verdict::Continue { lane: None } };
    let rows = u32::try_from(changes.len()).unwrap_or(u32::MAX);
    Ok(Step { wanted, ..Step::wrote(verdict, tx, rows) })
}

/// Forgets the tokens: the next pass is a full one.
pub(super) async fn expired(context: &Context, run: &Run, account: AccountId, cursor: Cursor) -> StepResult {
    let mut rng = rng(run);
    let cursor = cursor.expired(&mut rng);
    let mut tx = context.db.begin().await?;
    calendar_lists::save(&mut tx, account, &cursor, None).await?;
    Ok(Step::wrote(lists_anew(&cursor, &mut rng), tx, 0))
}

/// One job for each readable calendar, none for the others. A calendar that became readable begins anew, and so does its job,
/// which may be parked.
async fn follow(
    conn: &mut PgConnection,
    run: &Run,
    account: AccountId,
    changes: &[Change],
    keeper: Vec<JobId>,
    rng: &mut impl Rng,
) -> Result<Vec<Wanted>, sqlx::Error> {
    let ids = |fits: fn(&Change) -> bool| -> Vec<CalendarId> {
        changes.iter().filter(|change| fits(change)).map(|change| change.id).collect()
    };
    let new = ids(|change| change.readable && !change.was_readable);
    let old = ids(|change| change.readable && change.was_readable);
    let gone = ids(|change| !change.readable);

    let policy = &calendar_events::KIND.policy;
    let anew = [&new[..], &gone[..]].concat();
    let keys: Vec<String> = anew.iter().map(ToString::to_string).collect();
    // First the jobs: a step of theirs that is about to commit does so before its events are removed, or not at all.
    let removed = jobs::of_keys(&mut *conn, policy.kind, &keys).await?;
    lock(&mut *conn, run, &[&keeper[..], &removed].concat()).await?;
    jobs::remove(&mut *conn, policy.kind, &keys).await?;
    calendars::reset(&mut *conn, &anew).await?;
    events::clear(&mut *conn, &gone).await?;

    let spread =
        (new.len() > AT_ONCE).then(|| APART.saturating_mul(u32::try_from(new.len()).unwrap_or(u32::MAX)));
    let job = |id: &CalendarId, first| NewJob {
        key: id.to_string(),
        tenant: run.tenant,
        account: Some(account),
        first,
    };
    let known: Vec<NewJob> = old.iter().map(|id| job(id, Some(Duration::ZERO))).collect();
    jobs::ensure(&mut *conn, policy, &known).await?;
    let made: Vec<NewJob> = new
        .iter()
        .map(|id| job(id, spread.map(|spread| spread.mul_f64(rng.random_range(0.0..=1.0)))))
        .collect();
    let made = jobs::ensure(&mut *conn, policy, &made).await?;
    let made = if spread.is_some() { Vec::new() } else { made };
    want(conn, run, &[keeper, made].concat()).await
}

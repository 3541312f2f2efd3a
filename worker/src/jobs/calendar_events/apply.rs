//! What a page, or its refusal, does to the mirror.

use shared::{
    google::calendar::{EventItem, Next, Page},
    job::{Lane, Parked, Run, Step, StepResult, Verdict},
    store::{
        calendars::{self, Calendar},
        cursor::Pass,
        events::{self, Mirror},
        jobs::{self, NewJob},
    },
};

use crate::jobs::{Context, calendar_list, lists_anew, rng, want};

/// Roles with which an account sees times at most.
const BLIND: [&str; 2] = ["none", "freeBusyReader"];

/// Writes a page's events and moves the cursor, in one transaction.
///
/// The cursor's row is written first: steps of the same calendar, and of the list that it stands in, wait for one another
/// there before they lock anything else.
pub(super) async fn page(
    context: &Context,
    run: &Run,
    calendar: Calendar,
    page: Page<EventItem>,
) -> StepResult {
    if let Some(role) = page.access_role.as_deref().filter(|role| BLIND.contains(role)) {
        let why = format!("the account's role on the calendar is {role} now");
        return lost(context, run, &calendar, Some(role), why).await;
    }
    let pass = calendar.cursor.begin();
    let within = calendar.cursor.clone().within(pass);
    let (cursor, ended) = match page.next {
        Next::Page(token) => (within.next_page(token), None),
        Next::Sync(token) => (within.finished(token), Some(pass)),
    };
    if page.items.is_empty() && cursor == calendar.cursor {
        return Ok(Step::quiet(Verdict::Complete));
    }
    let mirror = Mirror { account: calendar.account, calendar: calendar.id };
    let mut tx = context.db.begin().await?;
    calendars::save(&mut tx, calendar.id, &cursor, ended).await?;
    let mut changed = events::apply(&mut tx, mirror, cursor.generation, &page.items).await?;
    if ended == Some(Pass::Full) {
        changed += events::sweep(&mut tx, mirror, cursor.generation).await?;
    }
    // A quiet pass of one page leaves no orphans.
    if ended.is_some() && (!page.items.is_empty() || calendar.cursor.pass.is_some()) {
        changed += events::remove_orphans(&mut tx, mirror).await?;
    }
    let verdict = match ended {
        Some(_) => Verdict::Complete,
        None => Verdict::Continue { lane: (pass == Pass::Full).then_some(Lane::Bulk) },
    };
    Ok(Step::wrote(verdict, tx, u32::try_from(changed).unwrap_or(u32::MAX)))
}

/// Forgets the tokens: the next pass is a full one.
pub(super) async fn expired(context: &Context, run: &Run, calendar: Calendar) -> StepResult {
    let mut rng = rng(run);
    let cursor = calendar.cursor.expired(&mut rng);
    let mut tx = context.db.begin().await?;
    calendars::save(&mut tx, calendar.id, &cursor, None).await?;
    Ok(Step::wrote(lists_anew(&cursor, &mut rng), tx, 0))
}

/// Takes the events out of the mirror, and has the account's list looked at.
pub(super) async fn lost(
    context: &Context,
    run: &Run,
    calendar: &Calendar,
    role: Option<&str>,
    why: String,
) -> StepResult {
    let mut tx = context.db.begin().await?;
    calendars::lost(&mut tx, calendar.id, calendar.cursor.step, role).await?;
    let changed = events::clear(&mut tx, &[calendar.id]).await?;
    let list = NewJob {
        key: calendar.account.to_string(),
        tenant: run.tenant,
        account: Some(calendar.account),
        first: None,
    };
    let lists = jobs::ensure(&mut tx, &calendar_list::KIND.policy, &[list]).await?;
    let wanted = want(&mut tx, run, &lists).await?;
    let verdict = Verdict::Park { parked: Parked::Gone, why };
    Ok(Step { wanted, ..Step::wrote(verdict, tx, u32::try_from(changed).unwrap_or(u32::MAX)) })
}

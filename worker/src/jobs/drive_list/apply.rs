//! What a page of the list does to the drives, their files and their jobs.

use std::time::Duration;

use shared::{
    google::drive::{DriveEntry, Drives},
    job::{AccountId, JobId, Run, Step, StepResult, Verdict},
    store::{
        PgConnection,
        drive_lists::{self, ListCursor},
        drives::{self, Change, DriveRowId},
        files,
        job_state::Wanted,
        jobs::{self, NewJob},
    },
};

use crate::jobs::{Context, drive_changes, google_channels, lock, want};

/// Writes a page's drives, makes and removes their jobs, and moves the cursor, in one transaction.
pub(super) async fn page(
    context: &Context,
    run: &Run,
    account: AccountId,
    before: &ListCursor,
    mine: Option<DriveEntry>,
    page: Drives,
) -> StepResult {
    // The first page begins a pass.
    let generation = before.generation + i64::from(before.page_token.is_none());
    let is_last = page.next.is_none();
    let cursor = ListCursor { page_token: page.next, generation, ..before.clone() };
    let mut tx = context.db.begin().await?;
    drive_lists::save(&mut tx, account, &cursor).await?;
    let mut changes = Vec::new();
    if let Some(mine) = mine {
        changes.extend(drives::upsert(&mut tx, account, generation, true, &[mine]).await?);
    }
    changes.extend(drives::upsert(&mut tx, account, generation, false, &page.items).await?);
    if is_last {
        changes.extend(drives::sweep(&mut tx, account, generation).await?);
    }
    let came_or_went = changes.iter().any(|change| change.there != change.was_there);
    let keeper = google_channels::keep(&mut tx, context, run, account, came_or_went).await?;
    let wanted = follow(&mut tx, run, account, &changes, keeper).await?;
    let verdict = if is_last { Verdict::Complete } else { Verdict::Continue { lane: None } };
    let news = changes.iter().filter(|change| change.what.is_some()).count();
    Ok(Step { wanted, ..Step::wrote(verdict, tx, u32::try_from(news).unwrap_or(u32::MAX)) })
}

/// Forgets the page: the next step begins a pass.
pub(super) async fn anew(context: &Context, account: AccountId, cursor: &ListCursor) -> StepResult {
    let mut tx = context.db.begin().await?;
    let cursor = ListCursor { page_token: None, ..cursor.clone() };
    drive_lists::save(&mut tx, account, &cursor).await?;
    let why = "the page token was refused: the list is read anew".to_owned();
    Ok(Step::wrote(Verdict::Wait { after: Duration::from_secs(1), why }, tx, 0))
}

/// One job for each drive that is there, none for the others. A drive that came begins anew, and so does its job, which may be
/// parked. What was in a drive that went may still be seen in another way, so My Drive is swept.
async fn follow(
    conn: &mut PgConnection,
    run: &Run,
    account: AccountId,
    changes: &[Change],
    keeper: Vec<JobId>,
) -> Result<Vec<Wanted>, sqlx::Error> {
    let ids = |fits: fn(&Change) -> bool| -> Vec<DriveRowId> {
        changes.iter().filter(|change| fits(change)).map(|change| change.id).collect()
    };
    let new = ids(|change| change.there && !change.was_there);
    let old = ids(|change| change.there && change.was_there);
    let gone = ids(|change| !change.there);

    let policy = &drive_changes::KIND.policy;
    let anew = [&new[..], &gone[..]].concat();
    let keys: Vec<String> = anew.iter().map(ToString::to_string).collect();
    // First the jobs: a step of theirs that is about to commit does so before its files are removed, or not at all.
    let removed = jobs::of_keys(&mut *conn, policy.kind, &keys).await?;
    lock(&mut *conn, run, &[&keeper[..], &removed].concat()).await?;
    jobs::remove(&mut *conn, policy.kind, &keys).await?;
    drives::reset(&mut *conn, &anew).await?;
    files::clear(&mut *conn, &gone).await?;
    let mut wanted = new;
    if !gone.is_empty() {
        wanted.extend(drives::sweep_mine(&mut *conn, account).await?);
    }

    let job = |id: &DriveRowId, first| NewJob {
        key: id.to_string(),
        tenant: run.tenant,
        account: Some(account),
        first,
    };
    let known: Vec<NewJob> = old.iter().map(|id| job(id, Some(Duration::ZERO))).collect();
    jobs::ensure(&mut *conn, policy, &known).await?;
    wanted.sort_unstable();
    wanted.dedup();
    let wanted: Vec<NewJob> = wanted.iter().map(|id| job(id, None)).collect();
    let wanted = jobs::ensure(&mut *conn, policy, &wanted).await?;
    want(conn, run, &[keeper, wanted].concat()).await
}

//! A sweep: all files of a drive, and what is not among them goes.

use std::time::Duration;

use rand::RngExt;
use shared::{
    job::{Lane, Run, Step, StepResult, Verdict},
    store::{
        drives::{self, Drive, Ended},
        files::{self, Mirror},
    },
};

use super::{Homes, refused};
use crate::jobs::{Context, drive_contents, rng, want};

/// A drive that was swept so long ago is swept again.
const AGAIN: Duration = Duration::from_hours(7 * 24);

/// After a sweep for which Google has not looked everywhere, another one comes.
const INCOMPLETE_AGAIN: Duration = Duration::from_hours(1);

/// Takes the log's place before anything is listed: what changes from then on is in the log. Then the first page.
pub(super) async fn begin(context: &Context, run: &Run, drive: Drive) -> StepResult {
    let google = context.google(run)?;
    match google.start_page_token(&context.db, drive.account, drive.call_id()).await {
        Ok(token) => {
            let cursor = drive.cursor.clone().begun(token);
            page(context, run, Drive { cursor, ..drive }).await
        }
        Err(error) => refused(context, run, drive, error).await,
    }
}

/// Writes a page's files and moves the cursor, in one transaction. With the last page, what no page had goes.
pub(super) async fn page(context: &Context, run: &Run, drive: Drive) -> StepResult {
    let google = context.google(run)?;
    let begins = drive.cursor.page_token.is_none();
    let page = match google.files(&context.db, drive.account, drive.call_id(), drive.cursor.pages()).await {
        Ok(page) => page,
        Err(error) => return refused(context, run, drive, error).await,
    };
    let is_last = page.next.is_none();
    let cursor = drive.cursor.clone().swept(page.next, page.incomplete);
    let mirror = Mirror { account: drive.account, drive: drive.id, generation: cursor.generation };
    // A folder of which too little is told while the sweep goes on brings the next one forward.
    let again = match (begins, is_last && cursor.incomplete) {
        (_, true) => Some(INCOMPLETE_AGAIN),
        (true, false) => Some(AGAIN),
        (false, false) => None,
    };
    let ended = Ended {
        sweep: is_last && !cursor.incomplete,
        read: begins,
        next_sweep: again.map(|again| again.mul_f64(rng(run).random_range(0.75..=1.25))),
    };
    let mut tx = context.db.begin().await?;
    // The cursor first: steps of the same drive wait for one another there before they lock anything else.
    drives::save(&mut tx, drive.id, &cursor, ended).await?;
    let homes = Homes::of(&mut tx, &drive).await?;
    let files = page.items.iter().filter(|file| homes.is_at_home(&drive, file.drive.as_deref()));
    let mut changed = files::upsert(&mut tx, mirror, &files.collect::<Vec<_>>()).await?;
    if ended.sweep {
        changed += files::sweep(&mut tx, mirror).await?;
    }
    let contents = if is_last { drive_contents::outdate(&mut tx, drive.account).await? } else { Vec::new() };
    let wanted = want(&mut tx, run, &contents).await?;
    // After the last page the log is read.
    let lane = (!is_last).then_some(Lane::Bulk);
    let changed = u32::try_from(changed).unwrap_or(u32::MAX);
    Ok(Step { wanted, ..Step::wrote(Verdict::Continue { lane }, tx, changed) })
}

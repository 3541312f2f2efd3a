//! The log of a drive: what changed since its place was taken, each with the state of now.

use std::{collections::HashMap, time::Duration};

use anyhow::anyhow;
use chrono::{DateTime, TimeDelta, Utc};
use shared::{
    google::drive::{Change, Changes, FileItem, What},
    job::{Failure, JobId, Lane, Run, Step, StepResult, Verdict},
    store::{
        PgConnection,
        drives::{self, Drive, DriveRowId, Ended},
        files::{self, Folder, Mirror},
        jobs::{self, NewJob},
    },
};

use super::{
    Homes, KIND, list,
    look::{self, Look, Root, Unclear},
    refused,
};
use crate::jobs::{Context, drive_contents, failed, want};

/// A folder that changed last so soon after it was made is most likely empty. It may have been filled elsewhere all the same.
const JUST_MADE: TimeDelta = TimeDelta::minutes(1);

/// A folder that was shared during a sweep may have been listed with its new permissions, and what is in it, before that, with the
/// old ones. Or something in it is shared by itself, which is not seldom: so that is no reason to sweep again at once.
const DOUBTFUL: Duration = Duration::from_hours(1);

/// How far Google's clock and the database's may be apart.
const CLOCKS: TimeDelta = TimeDelta::minutes(5);

/// A step that failed so often in a row looks into no folders: if that is what fails, the log goes on all the same.
const TRIES: u32 = 4;

/// A page of the log, sorted by what is to be done.
#[derive(Debug, Default)]
struct News<'a> {
    /// Files that are in this drive.
    files: Vec<&'a FileItem>,
    /// Of them, the folders that were made just now.
    new_folders: Vec<&'a str>,
    /// Of them, the folders that changed while the drive was swept.
    swept_over: Vec<&'a FileItem>,
    removed: Vec<&'a str>,
    /// Drives of the account to which files went.
    elsewhere: Vec<DriveRowId>,
    /// A shared drive came, went or got another name.
    drives: bool,
}

/// Writes a page's changes and moves the cursor, in one transaction.
pub(super) async fn page(context: &Context, run: &Run, drive: Drive) -> StepResult {
    let google = context.google(run)?;
    let place = drive.cursor.log_pages();
    let page = match google.changes(&context.db, drive.account, drive.call_id(), place).await {
        Ok(page) => page,
        Err(error) => return refused(context, run, drive, error).await,
    };
    let is_sweeping = drive.cursor.start_token.is_some();
    let cursor = drive.cursor.clone().read(page.place.clone());
    if page.items.is_empty() && !page.more && !is_sweeping && cursor == drive.cursor {
        return Ok(Step::quiet(Verdict::Complete));
    }
    let mirror = Mirror { account: drive.account, drive: drive.id, generation: cursor.generation };
    // Before the transaction, which is not to wait for Google.
    let unclear = unclear(context, run, &drive, mirror, &page).await?;
    let look = match look::into(&google, &context.db, &drive, &unclear).await {
        Ok(look) => look,
        Err(error) => return failed(context, run, error).await,
    };
    let mut tx = context.db.begin().await?;
    let homes = Homes::of(&mut tx, &drive).await?;
    let mut news = sort(&drive, &homes, &page);
    let ids: Vec<&str> = page.items.iter().map(|change| change.what.id()).collect();
    let known = files::folders(&mut tx, mirror, &ids).await?;
    let is_here = |root: &Root| known.get(&root.id).is_some_and(|folder| folder.here);
    if !unclear.swept_over.iter().all(is_here) {
        return Err(has_left(&drive));
    }
    let ended = Ended { sweep: false, read: !page.more, next_sweep: None };
    drives::save(&mut tx, drive.id, &cursor, ended).await?;
    let mut changed = files::upsert(&mut tx, mirror, &news.files).await?;
    changed += files::remove(&mut tx, mirror, &news.removed).await?;
    // What was found is newer than the page, also where that calls it removed.
    let found: Vec<&FileItem> =
        look.files().filter(|file| homes.is_at_home(&drive, file.drive.as_deref())).collect();
    changed += files::upsert(&mut tx, mirror, &found).await?;
    changed += files::propagate_trash(&mut tx, mirror, &turned(&news, &known)).await?;
    if !files::all_here(&mut tx, mirror, &look.folders()).await? {
        return Err(has_left(&drive));
    }
    let left = left_behind(&mut tx, mirror, &news, &look).await?;
    // A folder may have become strange since the look: other drives' jobs write, too.
    let is_unsure = strange_folders(&news, &known).any(|folder| !look.tells_of(&folder.id))
        || left.contains(&drive.id)
        || files::any_in(&mut tx, mirror, &unsettled(&news, &known)).await?;
    news.swept_over.retain(|folder| !look.tells_of(&folder.id));
    let swept_over: Vec<&str> = news.swept_over.iter().map(|folder| folder.id.as_str()).collect();
    // What a sweep under way has listed already is listed again: another one comes after it.
    if is_unsure {
        drives::sweep_within(&mut tx, drive.id, Duration::ZERO).await?;
    } else if files::any_otherwise(&mut tx, mirror, &swept_over).await? {
        drives::sweep_within(&mut tx, drive.id, DOUBTFUL).await?;
    }
    news.elsewhere.extend(left.iter().filter(|id| **id != drive.id));
    // One that has gone has no job, and is to get none.
    news.elsewhere = drives::hold(&mut tx, &news.elsewhere).await?;
    for other in news.elsewhere.iter().filter(|id| left.contains(id)) {
        drives::sweep_within(&mut tx, *other, Duration::ZERO).await?;
    }
    let mut followers = followers(&mut tx, run, &drive, &news).await?;
    if changed > 0 {
        followers.extend(drive_contents::outdate(&mut tx, drive.account).await?);
    }
    let wanted = want(&mut tx, run, &followers).await?;
    let verdict = if page.more || is_sweeping {
        Verdict::Continue { lane: None }
    } else if is_unsure || drive.cursor.sweep_is_due {
        Verdict::Continue { lane: Some(Lane::Bulk) }
    } else {
        Verdict::Complete
    };
    Ok(Step { wanted, ..Step::wrote(verdict, tx, u32::try_from(changed).unwrap_or(u32::MAX)) })
}

fn has_left(drive: &Drive) -> Failure {
    Failure::retry(anyhow!("a folder that was looked into has left drive {} meanwhile", drive.id), None)
}

/// One entry per file, the last one: all of them tell the state of now, so an earlier one may only be older.
fn sort<'a>(drive: &Drive, homes: &Homes, page: &'a Changes) -> News<'a> {
    let last: HashMap<&str, &Change> = page.items.iter().map(|change| (change.what.id(), change)).collect();
    let mut news = News::default();
    for change in last.into_values() {
        match &change.what {
            What::File(file) if homes.is_at_home(drive, file.drive.as_deref()) => {
                news.files.push(file);
                let age = change.at.zip(file.created_at).map(|(at, created)| at - created);
                if file.is_folder() && age.is_some_and(|age| age <= JUST_MADE) {
                    news.new_folders.push(&file.id);
                }
                if file.is_folder() && may_be_during_sweep(drive, change.at) {
                    news.swept_over.push(file);
                }
            }
            What::File(file) => news.elsewhere.extend(homes.of_file(file.drive.as_deref())),
            What::Removed(id) => news.removed.push(id),
            What::Drive(_) => news.drives = true,
        }
    }
    news.files.sort_unstable_by(|a, b| a.id.cmp(&b.id));
    news
}

/// Whether that may have happened while the drive was swept.
fn may_be_during_sweep(drive: &Drive, at: Option<DateTime<Utc>>) -> bool {
    drive.cursor.start_token.is_some()
        || at.zip(drive.swept_at).is_none_or(|(at, swept_at)| at <= swept_at + CLOCKS)
}

/// Folders that came: what is in them may have come with them, and then the log has nothing of it.
fn strange_folders<'a>(
    news: &News<'a>,
    known: &HashMap<String, Folder>,
) -> impl Iterator<Item = &'a FileItem> {
    let is_strange = |file: &&FileItem| known.get(&file.id).is_none_or(|folder| !folder.here);
    news.files.iter().copied().filter(|file| file.is_folder()).filter(is_strange)
}

/// The folders of a page that came, and those that changed during a sweep: it may have listed them after they came, and what is in
/// them before.
async fn unclear(
    context: &Context,
    run: &Run,
    drive: &Drive,
    mirror: Mirror,
    page: &Changes,
) -> Result<Unclear, sqlx::Error> {
    let is_folder = |change: &&Change| matches!(&change.what, What::File(file) if file.is_folder());
    let ids: Vec<&str> = page.items.iter().filter(is_folder).map(|change| change.what.id()).collect();
    if ids.is_empty() || run.attempt >= TRIES {
        return Ok(Unclear::default());
    }
    let (homes, known) = {
        let mut connection = context.db.acquire().await?;
        (Homes::of(&mut connection, drive).await?, files::folders(&mut connection, mirror, &ids).await?)
    };
    let news = sort(drive, &homes, page);
    let root = |file: &FileItem| {
        let is_own = file.owned_by_me || !drive.is_mine;
        let is_new = !known.contains_key(&file.id) && news.new_folders.contains(&file.id.as_str());
        is_own.then(|| Root { id: file.id.clone(), is_new })
    };
    let is_here = |file: &&FileItem| known.get(&file.id).is_some_and(|folder| folder.here);
    let strange = strange_folders(&news, &known).filter_map(root).collect();
    let swept_over = news.swept_over.iter().copied().filter(is_here).filter_map(root).collect();
    Ok(Unclear { homes, strange, swept_over })
}

/// The drives that have rows in the folders of which all is told, although nobody has told of these files.
async fn left_behind(
    conn: &mut PgConnection,
    mirror: Mirror,
    news: &News<'_>,
    look: &Look,
) -> Result<Vec<DriveRowId>, sqlx::Error> {
    let told: Vec<&str> =
        look.files().chain(news.files.iter().copied()).map(|file| file.id.as_str()).collect();
    files::beside(conn, mirror, &look.folders(), &told).await
}

/// What may have been in a folder that was seen by others than before, or not at all: of those with other permissions, and of all
/// that went. Whether one that went was a folder cannot be told by its row: a sweep may have listed what is in it, and then come
/// too late for the folder.
fn unsettled<'a>(news: &News<'a>, known: &HashMap<String, Folder>) -> Vec<&'a str> {
    let folder = |id: &str| known.get(id).filter(|folder| folder.here);
    let changed = news.files.iter().filter(|file| folder(&file.id).is_some_and(|f| f.access_differs(file)));
    changed.map(|file| file.id.as_str()).chain(news.removed.iter().copied()).collect()
}

/// The folders that may have gone into the trash, or come out: all that were there. Whether one has cannot be told by its row,
/// which a sweep may have written after the rows of what is in it.
fn turned<'a>(news: &News<'a>, known: &HashMap<String, Folder>) -> Vec<&'a str> {
    let files = news.files.iter().filter(|file| file.is_folder() && known.contains_key(&file.id));
    files.map(|file| file.id.as_str()).collect()
}

/// The jobs of other drives and lists that have news to look at.
async fn followers(
    conn: &mut PgConnection,
    run: &Run,
    drive: &Drive,
    news: &News<'_>,
) -> Result<Vec<JobId>, sqlx::Error> {
    let jobs: Vec<NewJob> = news
        .elsewhere
        .iter()
        .map(|id| NewJob {
            key: id.to_string(),
            tenant: run.tenant,
            account: Some(drive.account),
            first: None,
        })
        .collect();
    let mut jobs = jobs::ensure(&mut *conn, &KIND.policy, &jobs).await?;
    if news.drives {
        jobs.extend(list(conn, run, drive).await?);
    }
    Ok(jobs)
}

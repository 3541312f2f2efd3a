//! `drive_contents`: stores the contents of an account's files, as far as its mirrors want them. Its key is the account's number.
//!
//! # A pass
//!
//! The files are compared with what is wanted (`store::contents::compare`); then what is pending is fetched, small files first,
//! some at once, in steps of some seconds. Each file that is whole is committed by itself, each part of a large one too: a worker
//! that dies costs a part, not a file. The pass is over when nothing is pending.
//!
//! # What makes content right
//!
//! Its length and its checksum are those that Google tells of the revision. Only where Google tells no checksum, the revision is
//! looked at again after the download. Until the new content is whole and right, the old one is served; then one statement
//! puts it in its place.
//!
//! # Races, and their answers
//!
//! - *The file changes between two parts*: before a download goes on, its revision is compared with the one that is wanted.
//!   Revisions do not come back, so what was written before that look is of the wanted one, or the checksum does not fit. Then
//!   the upload is let go of, and the drive's log is looked at.
//! - *Two workers fetch the same file* (one of them was taken for dead): each attempt that begins draws a key, so two exports, which
//!   differ byte for byte, never meet in one place. Who goes on keeps the key; a part counts only if it goes on where the row
//!   stands, and the end only if the row still names that upload. Both then write the same bytes of the same revision to the same
//!   place: see [`shared::objects`].
//! - *The worker dies anywhere*: the key of an upload is in the database before anything is written under it, and what a row lets
//!   go of is named for removal by a trigger. What is left behind all the same: in a bucket, the empty upload of a worker that
//!   dies between its beginning and the note of it; and what a worker writes that was stopped for longer than an hour, when its
//!   upload's removal is over.
//! - *Something changes while a pass goes on*: whoever writes the files outdates the comparison, so the next step makes it again.
//!   So does the time, and the end of the pass.

mod fetch;

use std::time::{Duration, Instant};

use anyhow::anyhow;
use futures_util::{FutureExt, StreamExt, future::BoxFuture, stream};
use metrics::{Unit, counter, describe_counter};
use shared::{
    google::scopes,
    job::{AccountId, Failure, JobId, Lane, Parked, Policy, Retry, Run, Step, StepResult, Verdict},
    store::{PgConnection, contents, drive_mirrors, jobs},
};

use self::fetch::{Broken, Fetch, Fetched};
use super::{Context, Kind, drive_changes};

pub(super) const KIND: Kind = Kind {
    policy: Policy {
        kind: "drive_contents",
        about: "stores the contents of an account's files",
        lane: Lane::Normal,
        interval: Some(INTERVAL),
        min_interval: Duration::ZERO,
        limit: Duration::from_mins(2),
        retry: Retry { base: Duration::from_secs(2), cap: Duration::from_mins(10), attempts: None },
        per_account: None,
        api: Some(scopes::DRIVE),
    },
    step,
};

const INTERVAL: Duration = Duration::from_hours(1);

/// After this time a step begins no further file, and a large one goes on in the next step.
const SOFT: Duration = Duration::from_secs(15);

/// After this time a step ends whatever it has: the line is slow.
const HARD: Duration = Duration::from_secs(80);

/// Files of one step, at most.
const FILES: i64 = 500;

/// Files that are fetched at once. Each holds a part in memory.
const AT_ONCE: usize = 4;

/// So many failures, and nothing else, end a step: it is not the files' fault.
const FAILURES: usize = 5;

/// While a pass goes on, files are compared again so often.
const COMPARE: Duration = Duration::from_mins(5);

/// What becomes of a file in a step, as in metrics.
const OUTCOMES: [&str; 4] = ["stored", "refused", "failed", "changed"];

pub(super) fn describe_metrics() {
    describe_counter!("syncfleet_contents_total", "Files whose content was fetched, by what became of it");
    describe_counter!(
        "syncfleet_contents_bytes_total",
        Unit::Bytes,
        "Bytes of contents that came and are stored"
    );
    counter!("syncfleet_contents_bytes_total").absolute(0);
    for outcome in OUTCOMES {
        counter!("syncfleet_contents_total", "outcome" => outcome).absolute(0);
    }
}

/// The job that looks at an account's contents, if the account has mirrors: to be wanted, since the files have changed.
pub(super) async fn outdate(conn: &mut PgConnection, account: AccountId) -> Result<Vec<JobId>, sqlx::Error> {
    let jobs = jobs::of_account(&mut *conn, KIND.policy.kind, account).await?;
    if jobs.is_empty() {
        return Ok(Vec::new());
    }
    drive_mirrors::outdate(conn, account).await?;
    Ok(jobs)
}

fn step<'a>(context: &'a Context, run: &'a Run) -> BoxFuture<'a, StepResult> {
    some_files(context, run).boxed()
}

async fn some_files(context: &Context, run: &Run) -> StepResult {
    let began = Instant::now();
    let account = super::row_of(run)?;
    let mut conn = context.db.acquire().await?;
    let is_overdue = !run.goes_on || contents::is_overdue(&mut conn, account, COMPARE).await?;
    if is_overdue && contents::compare(&mut conn, account).await?.is_none() {
        let why = "no mirror wants contents of this account".to_owned();
        return Ok(Step::quiet(Verdict::Park { parked: Parked::Gone, why }));
    }
    let wanted = contents::next(&mut conn, account, FILES).await?;
    if wanted.is_empty() {
        if !is_overdue && contents::compare(&mut conn, account).await?.is_some_and(|changed| changed > 0) {
            return Ok(Step::quiet(Verdict::Continue { lane: None }));
        }
        return Ok(Step::quiet(match contents::next_in(&mut conn, account).await? {
            Some(after) if after < INTERVAL => {
                let why = "contents that could not be fetched are tried again".to_owned();
                Verdict::Wait { after: after.max(Duration::from_secs(1)), why }
            }
            _ => Verdict::Complete,
        }));
    }
    drop(conn);
    let google = context.google(run)?;
    let fetch = Fetch {
        db: &context.db,
        google: &google,
        objects: context.objects()?,
        run,
        soft: began + SOFT,
        hard: began + HARD,
    };
    let mut files = stream::iter(wanted).map(|wanted| fetch.file(wanted)).buffer_unordered(AT_ONCE);
    let (mut changed, mut failed, mut is_stale) = (0, 0, false);
    while let Some(fetched) = files.next().await {
        match fetched {
            Err(Broken::Step(failure)) => return Err(failure),
            Err(Broken::Call(error)) => return super::failed(context, run, error).await,
            Ok(Fetched::Later) => {}
            Ok(Fetched::GoesOn | Fetched::Ended) => changed += 1,
            Ok(Fetched::Stale) => is_stale = true,
            Ok(Fetched::Failed(why)) => {
                failed += 1;
                if failed >= FAILURES && changed == 0 {
                    return Err(Failure::retry(anyhow!("contents cannot be fetched: {why}"), None));
                }
            }
        }
    }
    drop(files);
    let verdict = Verdict::Continue { lane: Some(Lane::Bulk) };
    if !is_stale {
        return Ok(Step { changed, ..Step::quiet(verdict) });
    }
    // What was found is not what the mirror says: its log has something to tell.
    let mut tx = context.db.begin().await?;
    let logs = jobs::of_account(&mut tx, drive_changes::KIND.policy.kind, account).await?;
    let wanted = super::want(&mut tx, run, &logs).await?;
    Ok(Step { wanted, ..Step::wrote(verdict, tx, changed) })
}

//! `drive_changes`: mirrors the files of one drive of one account, its My Drive or a shared drive. Its key is the row in
//! `drives`.
//!
//! # A pass
//!
//! First a sweep: the place of the drive's log is taken, then all files are listed, page by page, each page with its cursor in
//! one transaction; what the last page's generation has not seen goes with it. Then the log is read from that place on.
//! From then on passes read the log, and a sweep comes once a week, or when something happened of which the log tells too little.
//! <https://developers.google.com/workspace/drive/api/guides/about-changes>
//!
//! # What the log does not tell
//!
//! - *A folder goes into the trash, or comes out*: nothing is told of what is in it. Its rows follow in the mirror.
//! - *A folder is moved*: paths are computed from the parents, so they are right at once.
//! - *A folder comes*, new or from elsewhere: it may have been filled before. It is looked into, if a few calls are enough for all
//!   that is in it at any depth (see `look`); else the drive is swept.
//! - *A folder's permissions change, a folder goes, or others share one*: who sees what is in it, only Google knows, so the
//!   drive is swept. The log is read meanwhile, so that changes do not wait for the end of it.
//!
//! # Races, and their answers
//!
//! - *A file changes during the sweep*: its entry in the log comes after the place that was taken, so it is read again.
//!   Versions keep an older state from replacing a newer one.
//! - *A folder comes, goes or is shared during the sweep*, after what is in it was listed or passed over: the log tells of the
//!   folder alone. One that is there is looked into. One that went and left something has the drive swept again at once; one that
//!   is too large to look into, and whose content has other permissions than itself, within an hour, as that may be right.
//! - *A step is done twice* (its worker died, or was taken for dead): the cursor's count of writes has moved, so the second one
//!   writes nothing; and the lease guards the commit.
//! - *A file moves between two drives of the account*: two logs tell, in any order. Only the job of the drive that a file is in
//!   writes its row; the other one leaves a file alone that came with its entry, and takes a removed one away only if its row
//!   is still its own.
//! - *A channel is made for a log* (see `google_channels`): it tells of what comes from then on, and the job is wanted once then.
//! - *The drive goes, or the account is no member any more*: `drive_list` is wanted, and takes the files and this job away.

mod log;
mod look;
mod sweep;

use std::time::Duration;

use futures_util::{FutureExt, future::BoxFuture};
use shared::{
    google::{
        errors::{CallError, Class},
        scopes,
    },
    job::{JobId, Lane, Parked, Policy, Retry, Run, Step, StepResult, Verdict},
    store::{
        PgConnection,
        channels::Standing,
        drives::{self, Drive, DriveRowId, Next},
        jobs::{self, NewJob},
    },
};

use super::{Context, Kind, drive_list, google_channels::safety};

pub(super) const KIND: Kind = Kind {
    policy: Policy {
        kind: "drive_changes",
        about: "mirrors the files of a Google drive",
        lane: Lane::Normal,
        interval: Some(Duration::from_mins(15)),
        min_interval: Duration::ZERO,
        limit: Duration::from_mins(1),
        retry: Retry { base: Duration::from_secs(2), cap: Duration::from_mins(10), attempts: None },
        per_account: None,
        api: Some(scopes::DRIVE),
    },
    step,
};

/// A drive that Google does not let the account read, although it is in the list, is tried again so much later.
const LOST: Duration = Duration::from_mins(15);

fn step<'a>(context: &'a Context, run: &'a Run) -> BoxFuture<'a, StepResult> {
    one_page(context, run).boxed()
}

async fn one_page(context: &Context, run: &Run) -> StepResult {
    let id = super::row_of(run)?;
    let (found, standing) = {
        let mut connection = context.db.acquire().await?;
        (drives::get(&mut connection, id).await?, safety::standing(context, &mut connection, run).await?)
    };
    let Some(drive) = found.filter(|drive| !drive.deleted) else {
        let why = "the drive is not in the account's list".to_owned();
        return Ok(Step::quiet(Verdict::Park { parked: Parked::Gone, why }));
    };
    match drive.cursor.next() {
        Next::Begin => sweep::begin(context, run, drive).await,
        Next::Sweep => sweep::page(context, run, drive).await,
        Next::Read => {
            // What a first sweep has left out is not pushed.
            let standing = Standing { proven: standing.proven && drive.cursor.is_full, ..standing };
            let step = log::page(context, run, drive).await?;
            let (policy, rng) = (&KIND.policy, &mut super::rng(run));
            Ok(safety::follow(context, run, policy, standing, true, step, rng).await?)
        }
        Next::Hold(after) => Ok(Step::quiet(super::waits_for_resync(after))),
    }
}

/// The end of a step whose call was refused.
async fn refused(context: &Context, run: &Run, drive: Drive, error: CallError) -> StepResult {
    match error.class() {
        _ if super::is_expired(&error, run) => expired(context, run, drive).await,
        Some(Class::Gone) => lost(context, run, &drive, error.to_string()).await,
        _ => super::failed(context, run, error).await,
    }
}

/// Forgets the tokens: the next pass begins with a sweep.
async fn expired(context: &Context, run: &Run, drive: Drive) -> StepResult {
    let mut rng = super::rng(run);
    let cursor = drive.cursor.expired(&mut rng);
    let held = (!cursor.held.is_zero()).then_some(cursor.held);
    let mut tx = context.db.begin().await?;
    drives::save(&mut tx, drive.id, &cursor, drives::Ended::default()).await?;
    Ok(Step::wrote(super::anew_within(held, &mut rng), tx, 0))
}

/// Has the account's list of drives looked at, which knows whether the drive is there: if not, it takes the files and this job
/// away; else it is tried again.
async fn lost(context: &Context, run: &Run, drive: &Drive, why: String) -> StepResult {
    let mut tx = context.db.begin().await?;
    let list = list(&mut tx, run, drive).await?;
    let wanted = super::want(&mut tx, run, &list).await?;
    Ok(Step { wanted, ..Step::wrote(Verdict::Wait { after: LOST, why }, tx, 0) })
}

/// The job of the account's list of drives.
async fn list(conn: &mut PgConnection, run: &Run, drive: &Drive) -> Result<Vec<JobId>, sqlx::Error> {
    let job = NewJob {
        key: drive.account.to_string(),
        tenant: run.tenant,
        account: Some(drive.account),
        first: None,
    };
    jobs::ensure(conn, &drive_list::KIND.policy, &[job]).await
}

/// The drives of the account that are there, which tell where a file belongs.
#[derive(Debug, Default)]
struct Homes(Vec<(DriveRowId, String)>);

impl Homes {
    async fn of(conn: &mut PgConnection, drive: &Drive) -> Result<Self, sqlx::Error> {
        Ok(Self(drives::there(conn, drive.account).await?))
    }

    /// The drive whose job writes a file that Google says is in `drive`; none: that of My Drive. What is in a shared drive of
    /// which the account is no member was shared with it, and counts to My Drive.
    fn of_file(&self, drive: Option<&str>) -> Option<DriveRowId> {
        let drive = drive?;
        self.0.iter().find(|(_, google_id)| google_id == drive).map(|(id, _)| *id)
    }

    fn is_at_home(&self, drive: &Drive, file: Option<&str>) -> bool {
        match self.of_file(file) {
            Some(home) => home == drive.id,
            None => drive.is_mine,
        }
    }
}

//! `drive_list`: mirrors an account's list of drives, My Drive and the shared drives of which it is a member, and has one
//! `drive_changes` job for each. Its key is the row in `accounts`.
//!
//! There is no incremental list of shared drives, so a pass reads all of it, page by page; drives that it has not seen are
//! gone at its end, with their files. The log of My Drive tells when a drive comes, goes or is renamed, and wants this job.
//!
//! An account that has granted the files of Drive and not the list of shared drives has My Drive only.

mod apply;

use std::time::Duration;

use futures_util::{FutureExt, future::BoxFuture};
use shared::{
    google::{drive::Drives, errors::Class, scopes},
    job::{Lane, Parked, Policy, Retry, Run, Step, StepResult, Verdict},
    store::drive_lists,
};

use super::{Context, Kind};

pub(super) const KIND: Kind = Kind {
    policy: Policy {
        kind: "drive_list",
        about: "mirrors an account's list of Google drives",
        lane: Lane::Normal,
        interval: Some(Duration::from_hours(6)),
        min_interval: Duration::ZERO,
        limit: Duration::from_mins(1),
        retry: Retry { base: Duration::from_secs(2), cap: Duration::from_mins(10), attempts: None },
        per_account: Some("google"),
        api: Some(scopes::DRIVE),
    },
    step,
};

fn step<'a>(context: &'a Context, run: &'a Run) -> BoxFuture<'a, StepResult> {
    one_page(context, run).boxed()
}

async fn one_page(context: &Context, run: &Run) -> StepResult {
    let google = context.google(run)?;
    let account = super::row_of(run)?;
    let found = {
        let mut connection = context.db.acquire().await?;
        drive_lists::cursor(&mut connection, account).await?
    };
    let Some(cursor) = found else {
        let why = "the account is gone".to_owned();
        return Ok(Step::quiet(Verdict::Park { parked: Parked::Gone, why }));
    };
    let mine = match &cursor.page_token {
        None => match google.my_drive(&context.db, account).await {
            Ok(mine) => Some(mine),
            Err(error) => return super::failed(context, run, error).await,
        },
        Some(_) => None,
    };
    let page = match google.drives(&context.db, account, cursor.pages()).await {
        Ok(page) => page,
        Err(error) if error.class() == Some(Class::MissingScope) && mine.is_some() => {
            Drives { items: Vec::new(), next: None }
        }
        Err(error) if super::is_expired(&error, run) => {
            return apply::anew(context, account, &cursor).await;
        }
        Err(error) => return super::failed(context, run, error).await,
    };
    apply::page(context, run, account, &cursor, mine, page).await
}

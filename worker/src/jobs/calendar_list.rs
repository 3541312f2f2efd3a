//! `calendar_list`: mirrors an account's list of calendars, and has one `calendar_events` job for each that the account may
//! read. Its key is the row in `accounts`.
//!
//! Passes are as in `calendar_events`. A change of an access rule alone is not told by an incremental pass, so a full one is
//! made once a week at least: <https://developers.google.com/workspace/calendar/api/v3/reference/calendarList/list>.

mod apply;

use std::time::Duration;

use futures_util::{FutureExt, future::BoxFuture};
use shared::{
    google::{calendar::Place, scopes},
    job::{Lane, Parked, Policy, Retry, Run, Step, StepResult, Verdict},
    store::{
        calendar_lists,
        cursor::{Cursor, Pass},
    },
};

use super::{Context, Kind, google_channels::safety};

pub(super) const KIND: Kind = Kind {
    policy: Policy {
        kind: "calendar_list",
        about: "mirrors an account's list of Google calendars",
        lane: Lane::Normal,
        interval: Some(Duration::from_hours(6)),
        min_interval: Duration::ZERO,
        limit: Duration::from_mins(1),
        retry: Retry { base: Duration::from_secs(2), cap: Duration::from_mins(10), attempts: None },
        per_account: Some("google"),
        api: Some(scopes::CALENDAR),
    },
    step,
};

/// A list that was not read in full for so long is.
const FULL_AGAIN: Duration = Duration::from_hours(7 * 24);

fn step<'a>(context: &'a Context, run: &'a Run) -> BoxFuture<'a, StepResult> {
    one_page(context, run).boxed()
}

async fn one_page(context: &Context, run: &Run) -> StepResult {
    let google = context.google(run)?;
    let account = super::row_of(run)?;
    let (found, standing) = {
        let mut connection = context.db.acquire().await?;
        (
            calendar_lists::cursor(&mut connection, account).await?,
            safety::standing(context, &mut connection, run).await?,
        )
    };
    let Some(cursor) = found else {
        let why = "the account is gone".to_owned();
        return Ok(Step::quiet(Verdict::Park { parked: Parked::Gone, why }));
    };
    if let Some(after) = cursor.held {
        return Ok(Step::quiet(super::waits_for_resync(after)));
    }
    let pass = next_pass(&cursor);
    let place = Place {
        sync_token: cursor.sync_token.as_deref().filter(|_| pass == Pass::Incremental),
        page_token: cursor.page_token.as_deref(),
        page_mark: cursor.page_mark.as_deref(),
    };
    match google.calendar_list(&context.db, account, place).await {
        Ok(page) => {
            let step = apply::page(context, run, account, &cursor, pass, page).await?;
            let (policy, rng) = (&KIND.policy, &mut super::rng(run));
            Ok(safety::follow(context, run, policy, standing, pass == Pass::Incremental, step, rng).await?)
        }
        Err(error) if super::is_expired(&error, run) => apply::expired(context, run, account, cursor).await,
        Err(error) => super::failed(context, run, error).await,
    }
}

fn next_pass(cursor: &Cursor) -> Pass {
    match cursor.begin() {
        Pass::Incremental if cursor.pass.is_none() && cursor.full_age.is_none_or(|age| age >= FULL_AGAIN) => {
            Pass::Full
        }
        pass => pass,
    }
}

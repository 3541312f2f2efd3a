//! `calendar_events`: mirrors the events of one calendar of one account. Its key is the row in `calendars`.
//!
//! # A pass
//!
//! Without a sync token a pass is full: page by page, each with its cursor in one transaction; what the last page's generation
//! has not seen is swept with it. With a sync token it is incremental. The sync token of the last page is stored with that
//! page's rows. <https://developers.google.com/workspace/calendar/api/guides/sync>
//!
//! # Races, and their answers
//!
//! - *A step is done twice* (its worker died, or was taken for dead): the cursor's count of writes has moved, so the second one
//!   writes nothing; and the lease guards the commit.
//! - *A token is refused* (410): a full pass begins, within some seconds, because many tokens are refused at once when an access
//!   rule changes. If it happens again before an incremental pass has ended, it waits, longer each time.
//! - *A page leads back to itself, or to an earlier one*: a broken answer, asked for again with a backoff. If it stays so, a full pass begins.
//! - *The calendar goes, or the account may not read it any more*: the events go, the job is parked, and the account's list is
//!   looked at. If the calendar is there again, `calendar_list` makes the job anew.

mod apply;

use std::time::Duration;

use futures_util::{FutureExt, future::BoxFuture};
use shared::{
    google::{calendar::Place, errors::Class, scopes},
    job::{Lane, Parked, Policy, Retry, Run, Step, StepResult, Verdict},
    store::{calendars, cursor::Pass},
};

use super::{Context, Kind, google_channels::safety};

pub(super) const KIND: Kind = Kind {
    policy: Policy {
        kind: "calendar_events",
        about: "mirrors the events of a Google calendar",
        lane: Lane::Normal,
        interval: Some(Duration::from_mins(15)),
        min_interval: Duration::ZERO,
        limit: Duration::from_mins(1),
        retry: Retry { base: Duration::from_secs(2), cap: Duration::from_mins(10), attempts: None },
        per_account: None,
        api: Some(scopes::CALENDAR),
    },
    step,
};

fn step<'a>(context: &'a Context, run: &'a Run) -> BoxFuture<'a, StepResult> {
    one_page(context, run).boxed()
}

async fn one_page(context: &Context, run: &Run) -> StepResult {
    let google = context.google(run)?;
    let id = super::row_of(run)?;
    let (found, standing) = {
        let mut connection = context.db.acquire().await?;
        (calendars::get(&mut connection, id).await?, safety::standing(context, &mut connection, run).await?)
    };
    let Some(calendar) = found.filter(|calendar| calendar.readable) else {
        let why = "the calendar is not in the account's list, or not readable".to_owned();
        return Ok(Step::quiet(Verdict::Park { parked: Parked::Gone, why }));
    };
    if let Some(after) = calendar.cursor.held {
        return Ok(Step::quiet(super::waits_for_resync(after)));
    }
    let pass = calendar.cursor.begin();
    let place = Place {
        sync_token: calendar.cursor.sync_token.as_deref().filter(|_| pass == Pass::Incremental),
        page_token: calendar.cursor.page_token.as_deref(),
        page_mark: calendar.cursor.page_mark.as_deref(),
    };
    match google.events(&context.db, calendar.account, &calendar.google_id, place).await {
        Ok(page) => {
            let step = apply::page(context, run, calendar, page).await?;
            let (policy, rng) = (&KIND.policy, &mut super::rng(run));
            Ok(safety::follow(context, run, policy, standing, pass == Pass::Incremental, step, rng).await?)
        }
        Err(error) if super::is_expired(&error, run) => apply::expired(context, run, calendar).await,
        Err(error) if error.class() == Some(Class::Gone) => {
            apply::lost(context, run, &calendar, None, error.to_string()).await
        }
        Err(error) => super::failed(context, run, error).await,
    }
}

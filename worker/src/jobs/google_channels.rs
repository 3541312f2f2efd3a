//! `google_channels`: keeps the push channels of one Google account. Its key is the row in `accounts`.
//!
//! Push makes a change due within moments; it is not reliable ("expect a small percentage of messages to get dropped":
//! <https://developers.google.com/workspace/calendar/api/guides/push>), so the jobs go on to poll, seldom while push proves
//! alive ([`safety`]).
//!
//! # Why it is a kind of job, and one job for each account
//!
//! A watch is a call with the account's token, its budget, its gates and its retries: all of that a job has, and a tick of
//! the scheduler would have to do again. An account whose grant is revoked is behind its gate, so nothing renews in
//! circles. The job looks at what should be watched and at what is, and does what follows from it, the same state the
//! same act: so it makes channels, renews them, and ends those that nobody wants, by one path. One job for the account, and
//! not one for each resource, as most of what can be wrong is the account's, and as orphans have no resource any more.
//!
//! What can be watched stands in [`RESOURCES`]: of Calendar the list and each calendar, of Drive the log of each drive. A
//! channel is made and ended at its own API.
//!
//! # Wanted properties, and the races
//!
//! 1. *No notification is refused because its row is not there yet.* The row is committed before Google is asked. While
//!    the answer is awaited its resource is not known, and a notification's own is taken.
//! 2. *No channel is made that nobody knows of.* If the worker dies between the call and its commit, the row waits still,
//!    and the next step asks again with the same id. If Google has made it, it says `channelIdNotUnique`: that channel is
//!    to be stopped as soon as its resource is known (by its first message, or from the one that follows it), and another
//!    id is drawn.
//! 3. *No gap at a renewal.* The new channel is live before the old one is stopped, and the old one is kept until the new
//!    one has delivered, or for [`OVERLAP`]. Both may tell of one change: wants coalesce.
//! 4. *No gap after a pause.* A channel that takes the place of none (a new resource, a fleet that was down while its
//!    channels ran out) has its job wanted once: what changed before is found by that pass.
//! 5. *Nothing is asked for in vain again and again.* What Google does not push, or refuses for good, is remembered with
//!    its reason for about a week or a day; then it is tried again.
//! 6. *A channel that does not deliver is replaced*, but no sooner than [`REPLACE_AFTER`]: what stands in the way may be
//!    the address, not the channel.
//! 7. *Two workers do the same step* (one was taken for dead): the lease guards what they write. A second channel for one
//!    resource may come of it; the older one is stopped.

mod ask;
mod plan;
pub(super) mod safety;
mod stop;
mod watch;

use std::time::Duration;

use futures_util::{FutureExt, future::BoxFuture};
use rand::RngExt;
use shared::{
    google::{channels::webhook, errors::CallError, scopes},
    job::{AccountId, JobId, Lane, Parked, Policy, Retry, Run, Step, StepResult, Verdict},
    store::{
        PgConnection, channels,
        jobs::{self, NewJob},
    },
};

use self::plan::{Act, View};
use super::{Context, Kind, calendar_events, calendar_list, drive_changes};

pub(super) const KIND: Kind = Kind {
    policy: Policy {
        kind: "google_channels",
        about: "keeps the push channels of a Google account",
        lane: Lane::Normal,
        interval: Some(LONGEST_REST),
        min_interval: Duration::ZERO,
        limit: Duration::from_secs(90),
        retry: Retry { base: Duration::from_secs(2), cap: Duration::from_mins(30), attempts: None },
        per_account: Some("google"),
        api: None,
    },
    step,
};

/// The kinds whose jobs have something to watch, with their API. Each is resolved in [`watch`].
const RESOURCES: &[(&str, &str)] = &[
    (calendar_list::KIND.policy.kind, scopes::CALENDAR),
    (calendar_events::KIND.policy.kind, scopes::CALENDAR),
    (drive_changes::KIND.policy.kind, scopes::DRIVE),
];

/// How long a channel is asked for: Calendar's usual time, and the longest that Drive allows for a log.
const LIFE: Duration = Duration::from_hours(7 * 24);

/// How long an old channel is kept beside a new one that has not delivered yet.
const OVERLAP: Duration = Duration::from_mins(5);

/// How old a channel is at least before it is replaced for not delivering.
const REPLACE_AFTER: Duration = Duration::from_hours(1);

/// How many passes in a row have to find what a channel has not told before it is replaced.
const MISSED: i32 = 2;

/// How long the row of a stopped channel is kept for its late messages.
const REMEMBERED: Duration = Duration::from_hours(2 * 24);

/// The account is looked at so often at least.
const LONGEST_REST: Duration = Duration::from_hours(6);

/// The job that keeps an account's channels, for the jobs that mirror its lists: there is one, also for an account of an older
/// fleet, and it is wanted when what can be watched comes or goes.
pub(super) async fn keep(
    conn: &mut PgConnection,
    context: &Context,
    run: &Run,
    account: AccountId,
    came_or_went: bool,
) -> Result<Vec<JobId>, sqlx::Error> {
    if context.public_url.is_none() {
        return Ok(Vec::new());
    }
    let first = Some(Duration::ZERO);
    let job = NewJob { key: account.to_string(), tenant: run.tenant, account: Some(account), first };
    let jobs = jobs::ensure(&mut *conn, &KIND.policy, &[job]).await?;
    Ok(if came_or_went { jobs } else { Vec::new() })
}

fn step<'a>(context: &'a Context, run: &'a Run) -> BoxFuture<'a, StepResult> {
    one_act(context, run).boxed()
}

async fn one_act(context: &Context, run: &Run) -> StepResult {
    let account = super::row_of(run)?;
    if run.account != Some(account) {
        let why = "the job is not of the account that its key names".to_owned();
        return Ok(Step::quiet(Verdict::Park { parked: Parked::Failed, why }));
    }
    let Some(public_url) = &context.public_url else {
        // What is live runs out by itself, and another worker may have an address.
        return Ok(Step::quiet(Verdict::Complete));
    };
    let google = context.google(run)?;
    let kinds: Vec<String> = RESOURCES.iter().map(|(kind, _)| (*kind).to_owned()).collect();
    let (targets, (channels, now)) = {
        let mut connection = context.db.acquire().await?;
        let targets = channels::targets(&mut connection, account, &kinds).await?;
        (targets, channels::of_account(&mut connection, account).await?)
    };
    let act = {
        let address = |kind: &str| {
            let api = api_of(kind)?;
            public_url.join(&webhook(api)).ok().map(|url| (api, url.to_string()))
        };
        View { now, attempt: run.attempt, targets: &targets, channels: &channels, address: &address }.act()
    };
    match act {
        Act::Tidy(tidy) => ask::tidy(context, run, account, tidy).await,
        Act::Watch(asked) => watch::all(context, &google, run, account, &targets, &channels, &asked).await,
        Act::Stop(stopping) => stop::all(context, &google, run, account, &stopping).await,
        Act::Rest(rest) => Ok(Step::quiet(Verdict::Complete).next_in(rest.min(LONGEST_REST))),
    }
}

/// The end of a step that came to nothing. What an API is out of keeps this account's job waiting, and closes no gate of this
/// kind, which calls two of them.
async fn failed(context: &Context, run: &Run, error: CallError) -> StepResult {
    match super::failed(context, run, error).await {
        Err(failure) if failure.is_of_provider() => {
            let verdict = match failure.into() {
                Verdict::Throttled { after, why, .. } => {
                    Verdict::Wait { after: after.mul_f64(super::rng(run).random_range(1.0..=1.25)), why }
                }
                other => other,
            };
            Ok(Step::quiet(verdict))
        }
        ended => ended,
    }
}

fn api_of(kind: &str) -> Option<&'static str> {
    RESOURCES.iter().find(|(known, _)| *known == kind).map(|(_, api)| *api)
}

//! Google is asked for channels.

use std::time::{Duration, Instant};

use chrono::{DateTime, Utc};
use rand::{Rng, RngExt};
use shared::{
    google::{
        Google,
        channels::{Made, NewChannel, Resource},
        errors::{CallError, Class},
    },
    job::{AccountId, Failure, JobId, Run, Step, StepResult, Verdict},
    store::{
        Tx, calendars, channel_refusals,
        channel_refusals::Reason,
        channels::{self, Channel, State, Target},
        drives,
    },
};

use super::LIFE;
use crate::jobs::{Context, calendar_events, calendar_list, drive_changes, rng, want};

/// Calls of one step at the most, and how long it goes on to begin new ones.
pub(super) const CALLS: usize = 20;
pub(super) const TIME: Duration = Duration::from_secs(20);

/// How long what Google does not push is left alone, before jitter.
const UNSUPPORTED: Duration = Duration::from_hours(7 * 24);

/// How long another lasting refusal is.
const REFUSED: Duration = Duration::from_hours(24);

/// How long a channel lasts of which Google has not said it.
const UNSAID: Duration = Duration::from_hours(24);

/// A channel that lasts no longer is no use, and says that one of the clocks is wrong.
const TOO_SHORT: Duration = Duration::from_mins(1);

/// What became of a watch.
enum Outcome {
    Made(Made),
    /// The id was used before: most likely by ourselves, and the answer was lost.
    Taken,
    Refused(Reason, String),
}

/// Asks for the channels, as many as fit into a step, and commits what came of it together.
pub(super) async fn all(
    context: &Context,
    google: &Google,
    run: &Run,
    account: AccountId,
    targets: &[Target],
    all: &[Channel],
    asked: &[Channel],
) -> StepResult {
    let began = Instant::now();
    let mut rng = rng(run);
    let mut outcomes = Vec::new();
    // The API that failed, and how. The other one's channels do not wait for it.
    let mut failed: Option<(&str, CallError)> = None;
    // One that fails again and again does not hold up the others: after a failure another one is the first.
    let first = run.attempt as usize % asked.len();
    for channel in asked.iter().cycle().skip(first).take(asked.len().min(CALLS)) {
        if began.elapsed() > TIME {
            break;
        }
        let kind = targets.iter().find(|target| target.job == channel.job).map(|target| target.kind.as_str());
        let api = kind.and_then(super::api_of).unwrap_or_default();
        if failed.as_ref().is_some_and(|(failed, _)| *failed == api) {
            continue;
        }
        match one(context, google, account, targets, channel).await? {
            Ok(outcome) => outcomes.push((channel, outcome)),
            Err(error) => failed = failed.or(Some((api, error))),
        }
    }
    match failed {
        Some((_, error)) if outcomes.is_empty() => return super::failed(context, run, error).await,
        // What was done is written down first. The next step meets the failure again.
        Some((api, error)) => tracing::debug!(api, "a watch failed: {error}"),
        None => {}
    }
    let mut tx = context.db.begin().await?;
    // Jobs before channels, as a notification locks them. What a new channel takes the place of nothing for was not watched.
    let mut unwatched: Vec<JobId> = outcomes
        .iter()
        .filter(|(channel, outcome)| {
            matches!(outcome, Outcome::Made(_)) && !has_other(all, channel.job, channel.expires_at - LIFE)
        })
        .map(|(channel, _)| channel.job)
        .collect();
    unwatched.sort_unstable();
    let wanted = want(&mut tx, run, &unwatched).await?;
    let mut taken = false;
    for (channel, outcome) in outcomes {
        match outcome {
            Outcome::Made(made) => live(&mut tx, account, channel, made, &mut rng).await?,
            Outcome::Taken => {
                tracing::info!(channel = channel.id, "the channel's id is taken: another one is drawn");
                channels::retire(&mut tx, std::slice::from_ref(&channel.id)).await?;
                taken = true;
            }
            Outcome::Refused(reason, note) => {
                let lasts = if reason == Reason::Unsupported { UNSUPPORTED } else { REFUSED };
                let lasts = lasts.mul_f64(rng.random_range(0.75..=1.25));
                if reason == Reason::Refused {
                    tracing::warn!(job = channel.job, "no push channel, it is polled: {note}");
                }
                channel_refusals::put(&mut tx, account, channel.job, reason, &note, Some(lasts)).await?;
                channels::forget(&mut tx, std::slice::from_ref(&channel.id)).await?;
            }
        }
    }
    let verdict = if taken {
        // Not at once: whoever answers so again and again must not be asked without end.
        Verdict::Retry { after: None, why: "a channel's id was used before".to_owned() }
    } else {
        Verdict::Continue { lane: None }
    };
    Ok(Step { wanted, ..Step::wrote(verdict, tx, 0) })
}

/// Asks for one channel. The outer error is the database's.
async fn one(
    context: &Context,
    google: &Google,
    account: AccountId,
    targets: &[Target],
    channel: &Channel,
) -> Result<Result<Outcome, CallError>, Failure> {
    let gone = |what: &str| Ok(Ok(Outcome::Refused(Reason::Refused, format!("{what} is gone"))));
    let Some(target) = targets.iter().find(|target| target.job == channel.job) else {
        return gone("the job");
    };
    let (mut calendar, mut drive) = (None, None);
    if let Ok(id) = target.key.parse() {
        let mut connection = context.db.acquire().await?;
        if target.kind == calendar_events::KIND.policy.kind {
            calendar = calendars::get(&mut connection, id).await?;
        } else if target.kind == drive_changes::KIND.policy.kind {
            drive = drives::get(&mut connection, id).await?.filter(|drive| !drive.deleted);
        }
    }
    let resource = match (&calendar, &drive) {
        (Some(calendar), _) => Resource::Events(&calendar.google_id),
        (None, Some(drive)) => Resource::Changes(drive.call_id()),
        (None, None) if target.kind == calendar_list::KIND.policy.kind => Resource::CalendarList,
        (None, None) => return gone("what was to be watched"),
    };
    let new = NewChannel {
        id: &channel.id,
        job: channel.job,
        address: &channel.address,
        expires_at: channel.expires_at,
    };
    let error = match google.watch(&context.db, account, resource, &new).await {
        Ok(made) => return Ok(Ok(Outcome::Made(made))),
        Err(error) => error,
    };
    Ok(match error.class() {
        Some(Class::ChannelIdTaken) => Ok(Outcome::Taken),
        Some(Class::PushUnsupported) => Ok(Outcome::Refused(Reason::Unsupported, error.to_string())),
        Some(Class::Permanent | Class::Gone | Class::MissingScope | Class::Resync) => {
            Ok(Outcome::Refused(Reason::Refused, error.to_string()))
        }
        Some(Class::Retry | Class::Circle | Class::SlowDown { .. } | Class::Unauthorized) | None => {
            Err(error)
        }
    })
}

/// Notes a channel that was made.
async fn live(
    tx: &mut Tx,
    account: AccountId,
    channel: &Channel,
    made: Made,
    rng: &mut impl Rng,
) -> Result<(), sqlx::Error> {
    // What the row was made with: its life began then, a moment ago.
    let now = channel.expires_at - LIFE;
    let expires_at = made.expires_at.unwrap_or(now + UNSAID);
    let life = (expires_at - now).to_std().unwrap_or_default();
    if life < TOO_SHORT {
        let note = format!(
            "Google's channel ends at {expires_at}, which is now or past by the database's clock: is that right?"
        );
        channel_refusals::put(tx, account, channel.job, Reason::Refused, &note, Some(REFUSED)).await?;
        return channels::retire(tx, std::slice::from_ref(&channel.id)).await.map(drop);
    }
    let renew_at: DateTime<Utc> = now + life.mul_f64(rng.random_range(0.5..=0.75));
    channels::answered(tx, &channel.id, &made.resource_id, expires_at, renew_at).await.map(drop)
}

/// Whether another channel tells of the job already.
fn has_other(all: &[Channel], job: JobId, now: DateTime<Utc>) -> bool {
    all.iter().any(|other| {
        other.job == job
            && matches!(other.state, State::Live | State::Stopping)
            && other.expires_at > now
            && other.heard_at.is_some()
            && other.missed == 0
    })
}

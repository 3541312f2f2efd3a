//! What is left when nothing is to be sent now: to see what was sent, to wait, or nothing.

use std::time::{Duration, Instant};

use rand::RngExt;
use shared::{
    job::{Run, Step, StepResult, Verdict},
    store::dns_records::{Record, RecordFamily},
};

use super::{
    Change, look,
    standing::{self, LATE, LOOK_AGAIN},
};
use crate::jobs::{Context, rng};

/// What is sent again because it is time to is sent within this time.
const SPREAD: Duration = Duration::from_hours(1);

/// `change` is what has become of the record that was read, and is yet to be written.
pub(super) async fn step(context: &Context, run: &Run, read: &Record, change: Change<'_>) -> StepResult {
    let began = Instant::now();
    let record = &change.applied(read);
    // What has just been accepted is to be recorded soon.
    let limit = if change.families.is_empty() { look::LOOK } else { look::FIRST };
    let mut looked = look::for_what_was_sent(context, record, limit).await;
    let held = standing::held(record).map(|left| left.saturating_sub(began.elapsed()));
    let to_send = standing::to_send(record);
    let sends = held.filter(|_| !to_send.is_empty());
    let (verdict, floor) = match (looked.again, sends) {
        (Some((after, says)), sends) if sends.is_none_or(|sends| after < sends) => {
            (Verdict::Wait { after, why: format!("not seen yet: {says}") }, None)
        }
        (_, Some(after)) => {
            let addresses: Vec<_> = to_send.iter().map(ToString::to_string).collect();
            let why = record.not_before_why.as_deref().unwrap_or_default();
            (Verdict::Wait { after, why: format!("to send {}: {why}", addresses.join(" and ")) }, Some(after))
        }
        // An address that moves meanwhile and is to wait for long is told: a step must see it.
        _ => (Verdict::Complete, held.filter(|left| *left < LATE)),
    };
    turns(record, sends, &mut looked.change);
    let mut change = change.then(looked.change);
    if let Some((hold, _)) = &mut change.hold {
        // It counts from the answer.
        *hold = hold.saturating_sub(began.elapsed());
    }
    let step = if change.families.is_empty() {
        Step::quiet(verdict)
    } else {
        super::commit(context, read, change, verdict).await?
    };
    let step = step.not_before(floor);
    Ok(match next(record, looked.given_up, run) {
        Some(next) => step.next_in(next),
        None => step,
    })
}

/// Families that have their address again, and those that will be without it for long: `sends` is when it is sent.
fn turns(record: &Record, sends: Option<Duration>, change: &mut Change<'_>) {
    for family in &record.families {
        if change.families.iter().any(|changed| changed.family == family.family) {
            continue;
        }
        let has_failed = |why: String| RecordFamily {
            failing_since: Some(record.now),
            failing_why: Some(why),
            ..family.clone()
        };
        let is_well = family.parked.is_none() && family.failing_since.is_none();
        if is_well && let Some(why) = standing::cannot_follow(family) {
            change.families.push(has_failed(why));
        } else if standing::follows_again(record, family) {
            change.families.push(RecordFamily { failing_since: None, failing_why: None, ..family.clone() });
        } else if let Some(after) = sends
            && is_well
            && standing::is_behind(family)
            && (after >= LATE || standing::is_late(record, family))
        {
            let why = record.not_before_why.clone().unwrap_or_default();
            change.families.push(has_failed(why));
        }
    }
}

/// The time to the next pass that nobody wants: what was sent is sent again, or looked for again.
fn next(record: &Record, given_up: bool, run: &Run) -> Option<Duration> {
    let mut rng = rng(run);
    let forced = record.families.iter().filter_map(|family| standing::forced_in(record, family)).min();
    let forced = forced.map(|left| left + SPREAD.mul_f64(rng.random_range(0.0..=1.0)));
    forced.into_iter().chain(given_up.then_some(LOOK_AGAIN)).min()
}

//! What is left when nothing is to be sent now: to see what was sent, to wait, or nothing.

use std::time::Duration;

use rand::RngExt;
use shared::{
    job::{Run, Step, StepResult, Verdict},
    store::dns_records::Record,
};

use super::{
    look,
    standing::{self, LOOK_AGAIN},
};
use crate::jobs::{Context, rng};

/// What is sent again because it is time to is sent within this time.
const SPREAD: Duration = Duration::from_hours(1);

pub(super) async fn step(context: &Context, run: &Run, record: &Record) -> StepResult {
    let looked = look::for_what_was_sent(context, record).await;
    let held = standing::held(record);
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
        _ => (Verdict::Complete, held),
    };
    let step = if looked.change.families.is_empty() {
        Step::quiet(verdict)
    } else {
        super::commit(context, record, looked.change, verdict).await?
    };
    let step = step.not_before(floor);
    Ok(match next(record, looked.given_up, run) {
        Some(next) => step.next_in(next),
        None => step,
    })
}

/// The time to the next pass that nobody wants: what was sent is sent again, or looked for again.
fn next(record: &Record, given_up: bool, run: &Run) -> Option<Duration> {
    let mut rng = rng(run);
    let forced = record.families.iter().filter_map(|family| standing::forced_in(record, family)).min();
    let forced = forced.map(|left| left + SPREAD.mul_f64(rng.random_range(0.0..=1.0)));
    forced.into_iter().chain(given_up.then_some(LOOK_AGAIN)).min()
}

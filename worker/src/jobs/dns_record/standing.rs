//! What a record's row says of itself: what is to be sent, what holds it, what is still to be seen.

use std::{net::IpAddr, time::Duration};

use chrono::{DateTime, Utc};
use shared::{
    dns::address::NoAddress,
    store::dns_records::{Record, RecordFamily},
};

/// An address that is not seen at the zone's servers by then is reported.
pub(super) const LOOKED_FOR: Duration = Duration::from_mins(10);

/// What was reported is looked for so often.
pub(super) const LOOK_AGAIN: Duration = Duration::from_hours(1);

/// When it is looked for after it was sent, in seconds; then every [`EVERY`].
const LOOKS: [u64; 5] = [1, 3, 8, 18, 48];
const EVERY: u64 = 30;

/// A name that does not follow although its provider did nothing but ask for time, or did not answer, is failing after this time.
pub(super) const LATE: Duration = Duration::from_hours(1);

/// Whether nothing is left to be served.
pub(super) fn all_parked(families: &[RecordFamily]) -> bool {
    !families.is_empty() && families.iter().all(|family| family.parked.is_some())
}

/// The addresses that are to be sent.
pub(super) fn to_send(record: &Record) -> Vec<IpAddr> {
    record.families.iter().filter_map(|family| to_send_of(record, family)).collect()
}

fn to_send_of(record: &Record, family: &RecordFamily) -> Option<IpAddr> {
    let wanted = family.wanted().filter(|_| family.parked.is_none())?;
    let is_forced = forced_in(record, family).is_some_and(|left| left.is_zero());
    (family.sending.is_some() || family.resend || family.sent != Some(wanted) || is_forced).then_some(wanted)
}

/// How long until what was sent is sent again; none: it is not, or nothing was sent.
pub(super) fn forced_in(record: &Record, family: &RecordFamily) -> Option<Duration> {
    let (sent_at, interval) = family.sent_at.zip(record.forced_interval)?;
    family.parked.is_none().then(|| interval.saturating_sub(since(sent_at, record.now)))
}

/// How long nothing may be sent yet; none: it may.
pub(super) fn held(record: &Record) -> Option<Duration> {
    let left = (record.not_before? - record.now).to_std().ok()?;
    (!left.is_zero()).then_some(left)
}

/// What is to be seen at the zone's servers, and was not yet.
pub(super) fn unseen(record: &Record, family: &RecordFamily) -> Option<IpAddr> {
    family.sent.filter(|_| record.verify && family.verified_at.is_none() && family.sending.is_none())
}

/// How long after a look the next one is, by how long ago the address was sent. None: the clock has been set back since.
pub(super) fn next_look(elapsed: Option<Duration>) -> Duration {
    let Some(elapsed) = elapsed else { return Duration::from_secs(EVERY) };
    let seconds = elapsed.as_secs();
    let next = LOOKS.into_iter().find(|look| *look > seconds);
    let last = LOOKS[LOOKS.len() - 1];
    let next = next.unwrap_or_else(|| last + ((seconds - last) / EVERY + 1) * EVERY);
    Duration::from_secs(next).saturating_sub(elapsed).max(Duration::from_secs(1))
}

/// Whether the name has another address than it is to have. What is sent again only because it is time to has not.
pub(super) fn is_behind(family: &RecordFamily) -> bool {
    family.wanted().is_some_and(|wanted| family.sent != Some(wanted))
}

/// Whether it has been so for long: since the address moved, or since the name was to follow it.
pub(super) fn is_late(record: &Record, family: &RecordFamily) -> bool {
    let behind_since = |at: DateTime<Utc>| at.max(record.kept_since);
    is_behind(family) && family.since.is_some_and(|at| since(behind_since(at), record.now) >= LATE)
}

/// Why a name that had an address does not get the one that was told.
pub(super) fn cannot_follow(family: &RecordFamily) -> Option<String> {
    let why = family.to_have().err().filter(|why| *why == NoAddress::NetworkAlone)?;
    family.sent.map(|sent| format!("it stays at {sent}: {why}"))
}

/// Whether nothing keeps a name from having its address any more that was failing.
pub(super) fn follows_again(record: &Record, family: &RecordFamily) -> bool {
    family.failing_since.is_some() && family.follows(record.verify)
}

/// The time between two moments; none if they are the other way round.
pub(super) fn since(at: DateTime<Utc>, now: DateTime<Utc>) -> Duration {
    (now - at).to_std().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn looks_come_ever_later() {
        let mut at = Duration::from_millis(300);
        let mut looks = Vec::new();
        while at < Duration::from_mins(3) {
            at += next_look(Some(at));
            looks.push(at.as_millis());
        }
        assert_eq!(next_look(None), Duration::from_secs(30), "the clock has been set back");
        assert_eq!(looks, [1_300, 3_000, 8_000, 18_000, 48_000, 78_000, 108_000, 138_000, 168_000, 198_000]);
    }
}

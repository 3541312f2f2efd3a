//! One call to the provider: the intent before it, the outcome after it.

use std::{
    net::IpAddr,
    time::{Duration, Instant, SystemTime},
};

use anyhow::anyhow;
use chrono::{DateTime, Utc};
use shared::{
    dns::{Answer, Answers, Outcome, Park, REFUSED, address::Family},
    job::{Failure, Parked, Run, Step, StepResult, Verdict},
    store::{
        dns_history::{New, What},
        dns_records::{self, ACCEPTED, Record, RecordFamily},
        job_state,
    },
};

use super::{
    Change, KIND, rest,
    standing::{self, LATE},
};
use crate::jobs::{Context, rng};

/// How long a call may take with all that belongs to it: some providers are asked for a minute and a half whether they are done.
const CALL: Duration = Duration::from_mins(2);

/// A checkpoint that is older than this when the call begins counts for nothing: the process was stopped in between, and another may
/// have the job. Less than a lease stands without a beat.
const FRESH: Duration = Duration::from_secs(5);

/// The refusal after which a person is needed.
const REFUSALS: i32 = 5;

/// Why nothing is sent, most of the time.
pub(super) const MIN_INTERVAL: &str = "the provider's minimum interval";

pub(super) async fn step(context: &Context, run: &Run, record: &Record) -> StepResult {
    let dns = context.dns()?;
    let sending = standing::to_send(record);
    let wanted = record.given(&sending);
    let secret = match super::secret(context, record).await? {
        Ok(secret) => secret,
        Err(why) => return unusable(context, record, &sending, &why).await,
    };
    if let Err(error) = record.provider.check(&wanted, &secret) {
        // Looked at when it was added; a program of another version may see it otherwise.
        return unusable(context, record, &sending, &error.to_string()).await;
    }
    let before = record;
    let (record, began, woke) = begin(context, run, before, &sending).await?;
    // The one does not count while the machine sleeps, the other may be set back.
    if began.elapsed().max(woke.elapsed().unwrap_or_default()) > FRESH {
        return Err(anyhow!("the worker was stopped before the call; nothing was sent").into());
    }
    let call = record.provider.update(&dns.http, &secret, &wanted, wall_clock());
    let answers = match tokio::time::timeout(CALL.saturating_sub(began.elapsed()), call).await {
        Ok(answers) => answers,
        Err(_) => unanswered(&sending, &format!("no end within {} s", CALL.as_secs())),
    };
    conclude(context, run, (before, &record), &sending, &answers, began.elapsed()).await
}

/// The time of signatures: other machines compare it with theirs.
pub(super) fn wall_clock() -> DateTime<Utc> {
    SystemTime::now().into()
}

/// Nothing can be sent of any family until a person acts: it cannot be told how. An outcome that is open stays so.
async fn unusable(context: &Context, record: &Record, sending: &[IpAddr], why: &str) -> StepResult {
    let mut change = Change::default();
    for family in record.families.iter().filter(|family| family.parked.is_none()) {
        let mut next = family.clone();
        park(&mut next, record.now, Park::BadSetting.word(), why);
        change.families.push(next);
        let Some(address) = sending.iter().find(|address| family.family.has(**address)) else { continue };
        super::count(record, What::Parked);
        change.history.push(New {
            family: family.family,
            address: Some(*address),
            what: What::Parked,
            said: why.to_owned(),
            took: None,
        });
    }
    let why = format!("not sent: {why}");
    super::commit(context, record, change, Verdict::Park { parked: Parked::Failed, why }).await
}

/// Writes the intent. The record as it stands with it, and when it was last known that the lease stands, by both clocks.
async fn begin(
    context: &Context,
    run: &Run,
    record: &Record,
    sending: &[IpAddr],
) -> Result<(Record, Instant, SystemTime), Failure> {
    let mut tx = context.db.begin().await?;
    let since = dns_records::begin_sending(&mut tx, record, sending, CALL, MIN_INTERVAL).await?;
    let (began, woke) = (Instant::now(), SystemTime::now());
    job_state::checkpoint(&mut tx, run).await?;
    tx.commit().await?;
    let mut record = record.clone();
    (record.step, record.now) = (record.step + 1, since);
    for family in &mut record.families {
        if let Some(address) = sending.iter().find(|address| family.family.has(**address)) {
            family.sending = Some(*address);
            family.sending_since = Some(since);
        }
    }
    Ok((record, began, woke))
}

fn unanswered(sending: &[IpAddr], why: &str) -> Answers {
    let mut answers = Answers::default();
    for address in sending {
        let answer = Answer { outcome: Outcome::Retry, said: why.to_owned() };
        match address {
            IpAddr::V4(_) => answers.a = Some(answer),
            IpAddr::V6(_) => answers.aaaa = Some(answer),
        }
    }
    answers
}

/// Records what came of a call. If all was accepted, it is looked at at once whether it is there. `before` is the record as it stood
/// without the intent.
async fn conclude(
    context: &Context,
    run: &Run,
    (before, record): (&Record, &Record),
    sending: &[IpAddr],
    answers: &Answers,
    took: Duration,
) -> StepResult {
    let mut change = Change::default();
    let mut hold = (record.min_interval, MIN_INTERVAL);
    let mut whys = Vec::new();
    let (mut served, mut fails) = (0, false);
    let silent = Answer { outcome: Outcome::Retry, said: "the answer does not tell of it".to_owned() };
    for family in &record.families {
        let Some(address) = sending.iter().find(|address| family.family.has(**address)) else { continue };
        let answer = match family.family {
            Family::Ipv4 => answers.a.as_ref(),
            Family::Ipv6 => answers.aaaa.as_ref(),
        };
        let answer = answer.unwrap_or(&silent);
        let open = before.families.iter().find(|before| before.family == family.family);
        let open = open.and_then(|before| before.sending.zip(before.sending_since));
        let (family, what) = after(record, family, open, *address, answer);
        super::count(record, what);
        match (answer.outcome, &family.parked) {
            (Outcome::Good | Outcome::NoChange, _) => served += 1,
            (Outcome::Wait(time) | Outcome::Unknown(time), _) => {
                whys.push(answer.said.clone());
                if time > hold.0 {
                    hold = (time, &answer.said);
                }
            }
            (_, Some(word)) => whys.push(format!("{}: {word} ({})", family.family, answer.said)),
            (_, None) => {
                fails = true;
                whys.push(answer.said.clone());
            }
        }
        let said = answer.said.clone();
        let took = Some(took);
        change.history.push(New { family: family.family, address: Some(*address), what, said, took });
        change.families.push(family);
    }
    change.hold = Some(hold);
    let others = record.families.iter().filter(|family| !sending.iter().any(|a| family.family.has(*a)));
    let now_parked = change.families.iter().chain(others).all(|family| family.parked.is_some());
    whys.dedup();
    let why = whys.join("; ");
    if served == sending.len() {
        let record = &Record { now: record.now + took, ..record.clone() };
        return rest::step(context, run, record, change).await;
    }
    if served == 0 {
        tracing::info!(host = %record.host, provider = record.provider.name(), "not updated: {why}");
    }
    let verdict = if now_parked {
        Verdict::Park { parked: Parked::Failed, why }
    } else if served > 0 {
        Verdict::Continue { lane: None }
    } else if fails {
        let backoff = KIND.policy.retry.delay(run.attempt + 1, &mut rng(run));
        Verdict::Retry { after: Some(hold.0 + backoff), why }
    } else {
        Verdict::Wait { after: hold.0, why }
    };
    let floor = matches!(verdict, Verdict::Wait { .. }).then_some(hold.0);
    let step: Step = super::commit(context, record, change, verdict).await?;
    Ok(step.not_before(floor))
}

/// How a family stands after an answer. `open` is what was open before the call: a call that changed nothing does not settle it.
fn after(
    record: &Record,
    family: &RecordFamily,
    open: Option<(IpAddr, DateTime<Utc>)>,
    sent: IpAddr,
    answer: &Answer,
) -> (RecordFamily, What) {
    let mut next = RecordFamily { sending: None, sending_since: None, ..family.clone() };
    let nothing_changed = |next: &mut RecordFamily| (next.sending, next.sending_since) = open.unzip();
    // What fails already does so for this reason from now on.
    let is_failing = family.failing_since.is_some();
    let lasts =
        |time| is_failing || standing::is_behind(family) && time >= LATE || standing::is_late(record, family);
    let what = match answer.outcome {
        Outcome::Good | Outcome::NoChange => {
            next.sent = Some(sent);
            next.resend = false;
            next.sent_at = family.sending_since;
            (next.verified_at, next.verify_ms, next.unverified_at) = (None, None, None);
            next.refusals = 0;
            if !record.verify {
                (next.failing_since, next.failing_why) = (None, None);
            } else if next.failing_since.is_some() {
                // What it failed for before is over.
                next.failing_why = Some(ACCEPTED.to_owned());
            }
            if answer.outcome == Outcome::Good {
                next.no_changes = 0;
                What::Good
            } else {
                next.no_changes += 1;
                What::NoChange
            }
        }
        Outcome::Wait(time) => {
            nothing_changed(&mut next);
            if lasts(time) {
                fail(&mut next, record.now, answer.said.clone());
            }
            What::Wait
        }
        Outcome::Park(reason) => {
            nothing_changed(&mut next);
            park(&mut next, record.now, reason.word(), &answer.said);
            What::Parked
        }
        Outcome::Retry | Outcome::Unknown(_) => {
            // Whether it has arrived is not known.
            (next.sending, next.sending_since) = (family.sending, family.sending_since);
            let time = if let Outcome::Unknown(time) = answer.outcome { time } else { Duration::ZERO };
            if lasts(time) {
                fail(&mut next, record.now, answer.said.clone());
            }
            if answer.outcome == Outcome::Retry { What::Retry } else { What::Wait }
        }
        Outcome::Refused => {
            // It may have done something else than it was asked to.
            (next.sending, next.sending_since) = (family.sending, family.sending_since);
            next.refusals += 1;
            if next.refusals >= REFUSALS {
                park(&mut next, record.now, REFUSED, &answer.said);
                return (next, What::Parked);
            }
            if is_failing || next.refusals > 1 {
                fail(&mut next, record.now, answer.said.clone());
            }
            What::Refused
        }
    };
    (next, what)
}

fn fail(family: &mut RecordFamily, now: DateTime<Utc>, why: String) {
    family.failing_since = family.failing_since.or(Some(now));
    family.failing_why = Some(why);
}

/// Nothing is sent until a person acts.
fn park(family: &mut RecordFamily, now: DateTime<Utc>, word: &str, why: &str) {
    family.parked = Some(word.to_owned());
    family.parked_why = Some(why.to_owned());
    fail(family, now, format!("{word}: {why}"));
}

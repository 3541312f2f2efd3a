//! `dns_record`: keeps a name at a provider pointing at an address. Its key is the row in `dns_records`.
//!
//! Providers ban who sends what they have already, who sends too often, and who goes on after a refusal; so what is not sent matters
//! as much as what is.
//!
//! # Wanted properties
//!
//! 1. Nothing is sent that the provider is known to have, unless it is time for the forced interval or a person demands it.
//! 2. Between two calls lies the provider's minimum interval, or the time that it asked for, whoever dies or wants meanwhile.
//! 3. After a refusal that lasts nothing is sent until a person acts.
//! 4. Whatever was called is recorded, or found again: a call whose outcome was not recorded is looked for, never blindly repeated.
//! 5. The name gets the last address that was told.
//!
//! # A pass
//!
//! A step reads the row and does the first of these that there is to do; nothing is kept in memory from one step to the next.
//!
//! | state of the row | the step |
//! |---|---|
//! | every family is parked, and yet the job runs | a person has released it: the families are served again |
//! | `sending` is set: an outcome is open | looks whether it has arrived ([`look`]); if so it is recorded as `observed` |
//! | an address is to be sent, `not_before` is over | writes the intent, calls, asks the zone's servers once, records the outcome ([`send`]) |
//! | `sent` is not verified | asks the zone's servers ([`look`]), soon and then ever later, for ten minutes |
//! | an address is to be sent, `not_before` is not over | waits; `not_before` is the job's floor |
//! | nothing | the pass is complete; the next one is that of the forced interval |
//!
//! An address is to be sent if it is another than `sent`, if an outcome is open (whatever the address is now, the provider may have
//! another), or if the forced interval is over. It waits without an attempt and without a slot.
//!
//! # Races, and their answers
//!
//! - *The worker dies before the call.* The intent is there, with `not_before` behind it. The next step looks, does not find the
//!   address, waits for the minimum interval, looks again, and sends.
//! - *It dies after the call, before the outcome is recorded.* The same; the look finds the address, and nothing is sent. Where nobody can
//!   be asked, it is sent a second time after the minimum interval, as a person would.
//! - *It dies after the outcome is recorded.* Outcome and verdict are one commit.
//! - *The call is not answered, or after our time.* It may have arrived, or arrive yet: the intent stays open, and it goes on as above. From
//!   when it is found to have arrived the minimum interval counts anew.
//! - *A later call is refused, or told to wait.* It changed nothing, and settles nothing: what was open before it stays so.
//! - *Two steps run at once* (one was taken for dead): the intent is written in a transaction that checks that the lease still stands
//!   ([`job_state::checkpoint`]), that nobody has written the row since it was read (`step`), and that `not_before` is over; it
//!   sets `not_before`. Of two steps one writes it.
//! - *The lease is lost between checkpoint and call.* A worker that cannot beat ends its runs; one that was stopped finds on waking
//!   that the checkpoint is old, and does not call ([`send`]). What slips through has its intent written: nobody else calls before
//!   the minimum interval.
//! - *The address moves during a pass.* It was wanted in the transaction that moved it: the job is due again, under its floor.
//! - *A person changes or releases the record during a step.* That counts as a write: the step's commit is refused, and what it has
//!   called is an open outcome.

mod look;
mod rest;
mod send;
mod standing;
mod tell_state;

use std::time::Duration;

use chrono::TimeDelta;
use futures_util::{FutureExt, future::BoxFuture};
use metrics::{Unit, counter, describe_counter, describe_histogram};
use secrecy::SecretString;
use shared::{
    dns::provider::NAMES,
    job::{Failure, Lane, Parked, Policy, Retry, Run, Step, StepResult, Verdict},
    secrets::Owner,
    store::{
        dns_history::{self, What},
        dns_records::{self, Record, RecordFamily},
        secrets,
    },
};

use super::{Context, Kind};

pub(super) const KIND: Kind = Kind {
    policy: Policy {
        kind: dns_records::KIND,
        about: "keeps a name at a provider pointing at an address",
        lane: Lane::Normal,
        interval: None,
        // Each record has its own.
        min_interval: Duration::ZERO,
        limit: Duration::from_mins(4),
        retry: Retry { base: Duration::from_secs(30), cap: Duration::from_mins(30), attempts: None },
        per_account: None,
        api: None,
    },
    step,
};

/// What may become of a call, or of one whose outcome was open, in metrics.
const OUTCOMES: [What; 7] =
    [What::Good, What::NoChange, What::Wait, What::Parked, What::Retry, What::Refused, What::Observed];

pub(crate) fn describe_metrics() {
    describe_counter!(
        "syncfleet_dns_updates_total",
        "Addresses sent to providers of names, by what came of it; observed: it was found to have arrived"
    );
    describe_histogram!(
        "syncfleet_dns_verify_seconds",
        Unit::Seconds,
        "From sending an address until the zone's servers answer with it"
    );
    for provider in NAMES {
        for outcome in OUTCOMES {
            counter!("syncfleet_dns_updates_total", "provider" => provider, "outcome" => outcome.as_str())
                .absolute(0);
        }
    }
}

fn count(record: &Record, outcome: What) {
    let provider = record.provider.name();
    counter!("syncfleet_dns_updates_total", "provider" => provider, "outcome" => outcome.as_str())
        .increment(1);
}

fn step<'a>(context: &'a Context, run: &'a Run) -> BoxFuture<'a, StepResult> {
    keep(context, run).boxed()
}

async fn keep(context: &Context, run: &Run) -> StepResult {
    let id = super::row_of(run)?;
    let record = dns_records::get(&mut *context.db.acquire().await?, id).await?;
    let Some(record) = record else {
        let why = "the record is gone".to_owned();
        return Ok(Step::quiet(Verdict::Park { parked: Parked::Gone, why }));
    };
    if standing::all_parked(&record.families) {
        return released(context, &record).await;
    }
    if let Some(step) = look::for_open_outcomes(context, &record).await? {
        return Ok(step);
    }
    if !standing::to_send(&record).is_empty() && standing::held(&record).is_none() {
        return send::step(context, run, &record).await;
    }
    rest::step(context, run, &record, Change::default()).await
}

/// A person has made the job due, and nobody else does that to a parked one: it is tried again.
async fn released(context: &Context, record: &Record) -> StepResult {
    let families: Vec<_> = record.families.iter().map(RecordFamily::released).collect();
    commit(context, record, Change { families, ..Change::default() }, Verdict::Continue { lane: None }).await
}

/// The secret for the provider; else why there is none, which only a person can change.
async fn secret(context: &Context, record: &Record) -> Result<Result<SecretString, String>, Failure> {
    let owner = Owner::dns_record(record.id, dns_records::SECRET);
    let mut conn = context.db.acquire().await?;
    match secrets::get(&mut conn, &context.dns()?.keys, owner).await {
        Ok(Some(stored)) => Ok(Ok(stored.value)),
        Ok(None) => Ok(Err(format!("DNS record {} has no secret: give it one with dns set", record.id))),
        // Another worker's key ring may have what this one lacks.
        Err(error) => Err(anyhow::Error::from(error).into()),
    }
}

/// What a step writes of its record.
#[derive(Debug, Default)]
struct Change<'a> {
    /// How families stand now; those that are not named stand as before.
    families: Vec<RecordFamily>,
    /// What was done.
    history: Vec<dns_history::New>,
    /// Nothing is sent before this time is over, and why.
    hold: Option<(Duration, &'a str)>,
}

impl Change<'_> {
    /// With what came of it afterwards.
    fn then(mut self, later: Change<'_>) -> Self {
        let is_last = |family: &RecordFamily| later.families.iter().all(|f| f.family != family.family);
        self.families.retain(is_last);
        self.families.extend(later.families);
        self.history.extend(later.history);
        self
    }

    /// The record as it will stand.
    fn applied(&self, record: &Record) -> Record {
        let families = record.families.iter().map(|family| {
            self.families.iter().find(|changed| changed.family == family.family).unwrap_or(family).clone()
        });
        let mut record = Record { families: families.collect(), ..record.clone() };
        if let Some((hold, why)) = self.hold {
            let hold = TimeDelta::from_std(hold).unwrap_or(TimeDelta::MAX);
            record.not_before = Some(record.now + hold);
            record.not_before_why = Some(why.to_owned());
        }
        record
    }
}

/// Writes a change, to be committed with the verdict.
async fn commit(context: &Context, record: &Record, change: Change<'_>, verdict: Verdict) -> StepResult {
    let mut tx = context.db.begin().await?;
    dns_records::write(&mut tx, record, &change.families, change.hold).await?;
    dns_history::write(&mut tx, record.id, &change.history).await?;
    let told = tell_state::tell_state(&mut tx, record, &change.families).await?;
    Ok(Step::wrote(verdict, tx, told))
}

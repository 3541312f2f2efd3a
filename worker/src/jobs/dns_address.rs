//! `dns_address`: asks where an address comes from, and wants the records that point at it when it has moved. Its key is the row in
//! `dns_addresses`; only addresses with a source have such a job.
//!
//! # Races, and their answers
//!
//! - *The worker dies after the address is found.* Nothing is written yet; the next step asks again.
//! - *The address moves while its records are being sent.* The want is in the transaction that writes the address: a record's
//!   step that has read the old one finds on completing that it was wanted, and is due again.
//! - *A router tells the same family meanwhile.* Both lock the row; the later word stands. Whether the family fails is the source's to say.
//! - *A router makes the other family fail, or ends that.* It holds the address as this does: the address's turn is told once.
//! - *A source fails.* The address stays as it is, and so do the records: an address that nobody knows is not another address. It is
//!   asked again a few times, ever later, then at the next interval.
//! - *The source is taken away while it is asked.* What it said is not taken. Whoever takes it away ends what it was failing with: both hold
//!   the address, so each turn is told once.

use std::time::Duration;

use futures_util::{
    FutureExt,
    future::{BoxFuture, join_all},
};
use shared::{
    dns::address::{AddressError, Family, Rules},
    job::{Lane, Parked, Policy, Retry, Run, Step, StepResult, Verdict},
    store::dns_addresses::{self, Address},
};

use super::{Context, Kind};

pub(super) const KIND: Kind = Kind {
    policy: Policy {
        kind: dns_addresses::KIND,
        about: "asks where an address comes from, and wants its names when it moves",
        lane: Lane::Normal,
        // Each address has its own.
        interval: None,
        min_interval: Duration::ZERO,
        limit: Duration::from_mins(1),
        retry: Retry { base: Duration::from_secs(10), cap: Duration::from_mins(1), attempts: None },
        per_account: None,
        api: None,
    },
    step,
};

/// How long a source may take, whatever it does.
const ASK: Duration = Duration::from_secs(40);

/// After so many failures in a row it is asked again at its next interval only.
const ATTEMPTS: u32 = 3;

fn step<'a>(context: &'a Context, run: &'a Run) -> BoxFuture<'a, StepResult> {
    ask_all(context, run).boxed()
}

async fn ask_all(context: &Context, run: &Run) -> StepResult {
    let dns = context.dns()?;
    let id = super::row_of(run)?;
    let address = dns_addresses::get(&mut *context.db.acquire().await?, id).await?;
    let Some(address) = address else {
        let why = "the address is gone".to_owned();
        return Ok(Step::quiet(Verdict::Park { parked: Parked::Gone, why }));
    };
    let rules = &Rules::new(address.allowed.clone());
    let asked = address.families.iter().filter_map(|family| Some((family.family, family.source.as_ref()?)));
    let found = join_all(asked.map(|(family, source)| async move {
        let found = tokio::time::timeout(ASK, dns.finder.find(source, family, rules)).await;
        let late = |_| Err(AddressError::None(format!("no answer within {} s", ASK.as_secs())));
        (family, found.unwrap_or_else(late))
    }))
    .await;
    if found.is_empty() {
        return Ok(Step::quiet(Verdict::Complete));
    }
    record(context, run, &address, found).await
}

type Found = (Family, Result<std::net::IpAddr, AddressError>);

async fn record(context: &Context, run: &Run, address: &Address, found: Vec<Found>) -> StepResult {
    let is_last = run.attempt >= ATTEMPTS;
    let mut tx = context.db.begin().await?;
    // As it stands now: what failed when it was read may have been taken away since.
    let Some(held) = dns_addresses::hold(&mut tx, address.id).await? else {
        let why = "the address is gone".to_owned();
        return Ok(Step::quiet(Verdict::Park { parked: Parked::Gone, why }));
    };
    let mut may_turn = held.families.iter().any(|family| family.failing_since.is_some());
    let mut moved = false;
    let mut failed = Vec::new();
    for (family, found) in found {
        match found {
            Ok(found) => {
                if dns_addresses::found(&mut tx, address.id, found).await? {
                    tracing::info!(address = address.name, "moved to {found}");
                    moved = true;
                }
            }
            Err(error) => {
                let why = format!("{family}: {error}");
                // What is forbidden does not become allowed by asking again.
                let lasts = is_last || matches!(error, AddressError::Forbidden(_));
                if lasts && dns_addresses::failed(&mut tx, address.id, family, &error.to_string()).await? {
                    tracing::warn!(address = address.name, "its source tells nothing: {why}");
                    may_turn = true;
                }
                if !lasts {
                    failed.push(why);
                }
            }
        }
    }
    let wanted = if moved {
        let records = dns_addresses::records_of(&mut tx, &[address.id]).await?;
        super::want(&mut tx, run, &records).await?
    } else {
        Vec::new()
    };
    let told = if may_turn { dns_addresses::tell_turn(&mut tx, &held, None).await? } else { 0 };
    let verdict = if failed.is_empty() {
        Verdict::Complete
    } else {
        Verdict::Retry { after: None, why: failed.join("; ") }
    };
    let next = Policy::spread(address.interval, &mut super::rng(run));
    let step = Step { wanted, ..Step::wrote(verdict, tx, u32::from(moved) + told) };
    Ok(step.next_in(next))
}

use chrono::{DateTime, Utc};

use super::{Answer, facts::Under};
use crate::{
    admin::{
        Gate,
        job::Job,
        words::{count, span, when},
    },
    job::Parked,
    store::gates::Reason,
};

/// The reasons of gates that our own budget of calls has closed.
const BUDGET: [&str; 2] = [Reason::Budget.as_str(), Reason::Share.as_str()];

/// The answer in one sentence.
pub(super) fn sentence(answer: &Answer, job: &Job, now: DateTime<Utc>) -> String {
    match answer {
        Answer::Running { under, lane, step } => {
            format!(
                "running on {} for {} (lane {lane}, step {step} of its pass, run {}){}",
                worker(under),
                since(under.started_at, now),
                under.run,
                if under.alive { String::new() } else { silent(under, now) }
            )
        }
        Answer::Parked { reason, note } => {
            format!("parked: {}{}; {}", cause(*reason), noted(note.as_deref()), remedy(*reason, job.id))
        }
        Answer::Paused => format!("paused by an operator; `syncfleet job resume {}` ends it", job.id),
        Answer::Gated { gates, .. } if gates.is_empty() => {
            "parked behind a gate that has opened; the scheduler brings it back in a moment".to_owned()
        }
        Answer::Gated { gates, .. } => {
            let only_budget = gates.iter().all(|gate| BUDGET.contains(&gate.reason.as_str()));
            let gates: Vec<_> = gates.iter().map(|closed| gate(closed, job, now)).collect();
            format!("{}{}", if only_budget { "" } else { "behind a gate: " }, gates.join("; "))
        }
        Answer::Unwanted { last: None } => format!("nobody has wanted it yet; {}", want(job)),
        Answer::Unwanted { last: Some(at) } => {
            format!("nothing to do since its last run ended {}; {}", when(*at, now), want(job))
        }
        Answer::Backoff { until, attempts, note } => format!(
            "tried again {} after {}{}; `syncfleet job retry {}` does not wait",
            when(*until, now),
            count(i64::from(*attempts), "failed attempt"),
            noted(note.as_deref()),
            job.id,
        ),
        Answer::Floor { until, note } => format!(
            "waits for the provider's minimum interval until {} UTC, {}{}",
            until.format("%H:%M:%S"),
            when(*until, now),
            noted(note.as_deref())
        ),
        Answer::Waiting { until, note } => {
            format!("waits for an answer and looks again {}{}", when(*until, now), noted(note.as_deref()))
        }
        Answer::NotYet { at } => format!("its time comes {}", when(*at, now)),
        Answer::UnknownKind { kind, workers } => format!(
            "due, but none of the {} alive knows the kind {kind}; start one of a version that does",
            count(*workers, "worker")
        ),
        Answer::NoWorker { lane, workers: 0 } => {
            format!("due, but no worker is alive; start one: `syncfleet worker` (lane {lane})")
        }
        Answer::NoWorker { lane, workers } => format!(
            "due, but no living worker has slots in the lane {lane} ({} alive); start one with --lanes {lane}=N",
            count(*workers, "worker")
        ),
        Answer::Due { since: at, before_of_tenant, before_in_lane } => format!(
            "due for {}; before it in the lane {} come {}, {before_of_tenant} of them of its tenant",
            since(*at, now),
            job.lane,
            count(*before_in_lane, "due job"),
        ),
    }
}

fn since(at: DateTime<Utc>, now: DateTime<Utc>) -> String {
    span((now - at).num_seconds())
}

fn worker(under: &Under) -> String {
    let name = under.worker_name.as_ref().map_or_else(|| under.worker.to_string(), String::clone);
    format!("worker {name}")
}

fn silent(under: &Under, now: DateTime<Utc>) -> String {
    let beat = under.beat_at.map_or_else(
        || "has no row any more".to_owned(),
        |at| format!("has not been heard of for {}", since(at, now)),
    );
    format!("; that worker {beat}, so the scheduler takes the job back")
}

fn cause(reason: Option<Parked>) -> &'static str {
    match reason {
        Some(Parked::SignIn) => "the account must sign in again",
        Some(Parked::Scope) => "the account has not granted what it needs",
        Some(Parked::Failed) => "a permanent error",
        Some(Parked::Gone) => "what it kept in step is gone",
        Some(Parked::Crashed) => "its workers died with it too often",
        Some(Parked::Gate) | None => "for a reason that this version does not know",
    }
}

fn remedy(reason: Option<Parked>, job: i64) -> String {
    match reason {
        Some(Parked::SignIn) => {
            "`syncfleet account connect` makes a link to do that by; `syncfleet account add` takes a new refresh token; `syncfleet \
             tenant connect-workspace` is for accounts of a workspace"
                .to_owned()
        }
        Some(Parked::Scope) => {
            "a sign-in that grants it takes it up again (`syncfleet account connect`)".to_owned()
        }
        Some(Parked::Gone) => format!("if it is back, `syncfleet job retry {job}`"),
        Some(Parked::Crashed) => {
            format!("look into the workers' logs, then `syncfleet job retry {job}`")
        }
        _ => format!("mend the cause, then `syncfleet job retry {job}`"),
    }
}

fn noted(note: Option<&str>) -> String {
    note.map_or_else(String::new, |note| format!(" ({note})"))
}

fn gate(gate: &Gate, job: &Job, now: DateTime<Utc>) -> String {
    if let Some(until) = gate.until.filter(|_| BUDGET.contains(&gate.reason.as_str())) {
        let clock = until.format("%H:%M:%S");
        return format!("waiting for budget until {clock} UTC, {} ({})", when(until, now), gate.note);
    }
    let name = if gate.scope == "tenant" { &job.tenant } else { &gate.target };
    let until = gate.until.map_or_else(String::new, |until| format!(", opens {}", when(until, now)));
    let note = if gate.note.is_empty() { String::new() } else { format!(" ({})", gate.note) };
    let remedy = match (gate.reason.as_str(), gate.scope.as_str()) {
        ("paused", scope) => format!("; `syncfleet {scope} resume {name}` opens it"),
        ("sign_in", _) => "; a new sign-in opens it (`syncfleet account connect`), or `syncfleet tenant connect-workspace` if the \
                           account is of a workspace"
            .to_owned(),
        _ => String::new(),
    };
    format!("{} {name} is {}{note}{until}{remedy}", gate.scope, gate.reason.replace('_', " "))
}

fn want(job: &Job) -> String {
    format!("`syncfleet enqueue {} --key {}` wants it", job.kind, job.key)
}

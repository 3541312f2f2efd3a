use chrono::{DateTime, Utc};
use shared::{
    admin::{
        Gate,
        account::{FirstSync, Shown},
        words,
    },
    store::{channels::Count, secrets::Info},
};

use crate::{admin::wait, output::when};

/// All that is known of an account, a fact a line.
pub fn facts(shown: &Shown, now: DateTime<Utc>) -> Vec<(&'static str, String)> {
    let Shown { account, tokens, first_sync, channels } = shown;
    let mut facts = vec![
        ("account", account.id.to_string()),
        ("tenant", account.tenant.clone()),
        ("provider", account.provider.clone()),
        ("email", account.email.clone()),
        (
            "access",
            if account.workspace { "through the tenant's service account" } else { "by its own sign-in" }
                .to_owned(),
        ),
        ("subject", account.subject.clone().unwrap_or_default()),
        ("scopes", account.scopes.as_deref().map_or_else(|| "not known yet".to_owned(), |had| had.join(" "))),
        ("not granted", account.not_granted.join(", ")),
    ];
    facts.extend(tokens.iter().map(|token| ("token", told_token(token, now))));
    facts.extend([
        ("calendars", account.calendars.to_string()),
        ("drives", account.drives.to_string()),
        ("first sync", far(first_sync)),
        ("push channels", told_channels(channels, now)),
        ("jobs", account.jobs.to_string()),
        ("parked", account.parked.to_string()),
    ]);
    if account.gates.is_empty() {
        facts.push(("gate", "open".to_owned()));
    }
    facts.extend(account.gates.iter().map(|gate| ("gate", told_gate(gate, now))));
    facts.push(("added", when(Some(account.created_at), now)));
    facts
}

fn told_channels(channels: &Count, now: DateTime<Utc>) -> String {
    let Count { live, left, left_until } = channels;
    let live = if *live == 0 { "none".to_owned() } else { live.to_string() };
    match left_until {
        Some(until) => {
            format!("{live}; {left} could not be ended, the last runs out {}", words::when(*until, now))
        }
        None => live,
    }
}

fn told_token(token: &Info, now: DateTime<Utc>) -> String {
    let Info { name, key_id, updated_at, expires_at } = token;
    let expires = expires_at.map_or_else(String::new, |at| {
        let word = if at > now { "good until" } else { "out of date since" };
        format!(", {word} {}", words::when(at, now))
    });
    format!(
        "{}: sealed under {key_id}, stored {}{expires}",
        name.replace('_', " "),
        words::when(*updated_at, now)
    )
}

fn told_gate(gate: &Gate, now: DateTime<Utc>) -> String {
    let until = gate.until.map_or_else(String::new, |until| format!(", opens {}", words::when(until, now)));
    let note = if gate.note.is_empty() { String::new() } else { format!(": {}", gate.note) };
    format!("{}{until}{note}", gate.reason.replace('_', " "))
}

/// How far a first sync is, and what is stuck.
pub fn far(first: &FirstSync) -> String {
    let stuck = first.parked.first().map_or_else(String::new, |job| {
        let jobs = words::count(i64::try_from(first.parked.len()).unwrap_or(i64::MAX), "job");
        format!("; {jobs} parked (`syncfleet job explain {job}`)")
    });
    format!("{}{stuck}", wait::far(first))
}

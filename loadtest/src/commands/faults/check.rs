//! What must hold at the end.

mod contents;
mod drive;

use std::{collections::BTreeMap, fs};

use chrono::{DateTime, TimeDelta, Utc};
use loadtest::fake_google::{FakeGoogle, TruthRow};
use sqlx::PgPool;

pub use self::{contents::contents, drive::drives};
use super::{
    super::mirror::rows as mirrored_rows,
    fault::{Fault, Line, Role},
    fleet::Fleet,
    observe::{self, Rerun},
    report::{percentile, seconds},
    strike::{Record, Struck},
};

/// From a worker's crash to the moment at which what it held is due again, in seconds, while the database and a scheduler are well.
/// The fleet promises 15; the rest is for a machine that is busy with other things.
const BACK: f64 = 25.0;

/// The same while they are not: the calm that a reaper needs comes on top, and the outage.
const DISTURBED_BACK: f64 = 60.0;

/// How long before and after a crash the database and one scheduler must be well for [`BACK`] to hold.
const UNDISTURBED: TimeDelta = TimeDelta::seconds(16);

/// How many of many are told.
const SHOWN: usize = 8;

/// What was found.
#[derive(Debug, Default)]
pub struct Findings {
    /// Each one fails the test.
    pub wrong: Vec<String>,
    /// For the summary.
    pub told: Vec<String>,
}

impl Findings {
    /// Adds what was found of one sort, if anything was.
    pub fn wrong_many(&mut self, what: &str, found: &[String]) {
        if !found.is_empty() {
            let shown: Vec<_> = found.iter().take(SHOWN).map(String::as_str).collect();
            self.wrong.push(format!("{what}: {}\n    {}", found.len(), shown.join("\n    ")));
        }
    }
}

/// Compares the mirror of calendars with the truth, row by row.
pub async fn mirror(db: &PgPool, google: &FakeGoogle, findings: &mut Findings) -> anyhow::Result<()> {
    let mirrored = mirrored_rows(db).await?;
    let truth = google.world().truth_rows();
    findings.told.push(format!(
        "events compared: {} of the truth, {} of the mirror",
        truth.len(),
        mirrored.len()
    ));
    findings.wrong_many("events of the mirror differ from the truth", &differences(&truth, &mirrored));
    Ok(())
}

fn differences(truth: &[TruthRow], mirrored: &[TruthRow]) -> Vec<String> {
    let by_key = |rows: &[TruthRow]| -> BTreeMap<_, _> {
        let key = |row: &TruthRow| (row.account.clone(), row.calendar.clone(), row.event.clone());
        rows.iter().map(|row| (key(row), row.etag.clone())).collect()
    };
    let (truth, mut mirrored) = (by_key(truth), by_key(mirrored));
    let mut differ = Vec::new();
    for (key, etag) in &truth {
        match mirrored.remove(key) {
            None => differ.push(format!("missing: {key:?}")),
            Some(other) if other != *etag => {
                differ.push(format!("etag {other:?} in place of {etag:?}: {key:?}"));
            }
            Some(_) => {}
        }
    }
    differ.extend(mirrored.keys().map(|key| format!("too many: {key:?}")));
    differ
}

/// How many rows of events and files are not as in truth.
pub async fn behind(db: &PgPool, google: &FakeGoogle) -> anyhow::Result<(usize, usize)> {
    let mirrored = mirrored_rows(db).await?;
    let events = differences(&google.world().truth_rows(), &mirrored).len();
    Ok((events, drive::behind(db, google).await?))
}

/// Tells of the pushes: what was sent and taken, and how channels were renewed.
pub async fn pushes(db: &PgPool, google: &FakeGoogle, findings: &mut Findings) -> anyhow::Result<()> {
    let counts = google.push().counts;
    let (made, replaced, refused) = observe::channels(db).await?;
    let answers: Vec<_> = counts.answers.iter().map(|(status, tries)| format!("{status} {tries}")).collect();
    findings.told.push(format!(
        "pushes: {} sent, {} lost on purpose, {} given up; answers: {}",
        counts.sent,
        counts.lost,
        counts.given_up,
        answers.join(", ")
    ));
    findings
        .told
        .push(format!("channels: {made} made, {replaced} of them in place of others, {refused} refused"));
    if !counts.answers.keys().any(|status| status.starts_with('2')) {
        findings.wrong.push("no push was ever taken".to_owned());
    }
    Ok(())
}

/// Looks at the jobs and their history.
pub async fn jobs(db: &PgPool, google: &FakeGoogle, findings: &mut Findings) -> anyhow::Result<()> {
    let standing = observe::standing(db).await?;
    findings.told.push(format!("jobs: {}, {} of them parked", standing.jobs, standing.parked));
    let readable: Vec<_> = google
        .world()
        .truth(None)
        .into_iter()
        .flat_map(|account| {
            let email = account.email;
            account.calendars.into_iter().map(move |calendar| (email.clone(), calendar.id))
        })
        .collect();
    findings.wrong_many("good jobs were parked", &observe::parked(db, &readable).await?);
    findings.wrong_many("runs of a job overlapped", &observe::overlaps(db).await?);
    let outcomes = observe::outcomes(db).await?;
    let outcomes: Vec<_> = outcomes.iter().map(|(outcome, runs)| format!("{outcome} {runs}")).collect();
    findings.told.push(format!("runs: {}", outcomes.join(", ")));
    let most = google.stats().max_concurrent.into_values().max().unwrap_or(0);
    findings.told.push(format!("most calls at once for one calendar: {most}"));
    Ok(())
}

/// Measures how soon the jobs of crashed workers were taken back, and how soon they ran again: as they are suspect then, a
/// process runs one of them after the other, and some have long steps.
pub async fn reruns(db: &PgPool, record: &Record, findings: &mut Findings) -> anyhow::Result<()> {
    let (mut calm, mut disturbed, mut again, mut never) = (Vec::new(), Vec::new(), Vec::new(), Vec::new());
    for crash in &record.crashes {
        let is_disturbed = disturbs(&record.struck, crash.at);
        for held in &crash.held {
            match observe::rerun(db, *held, crash.at).await? {
                Rerun::NotNeeded => {}
                Rerun::Never => never.push(format!("job {} of {} ({})", held.job, crash.member, crash.at)),
                Rerun::After { back, again: after } => {
                    let (into, limit) =
                        if is_disturbed { (&mut disturbed, DISTURBED_BACK) } else { (&mut calm, BACK) };
                    into.push(back);
                    again.push(after);
                    if back > limit {
                        let member = crash.member;
                        findings.told.push(format!(
                            "late: job {} of {member}, {back:.1} s after {} (run {})",
                            held.job, crash.at, held.lease
                        ));
                    }
                }
            }
        }
    }
    for (name, values) in [
        ("taken back", &calm),
        ("taken back while the database or all schedulers were struck", &disturbed),
        ("run again", &again),
    ] {
        findings.told.push(format!(
            "from a crash to being {name}: {} jobs, p50 {}, p99 {}",
            values.len(),
            seconds(percentile(values, 0.5)),
            seconds(percentile(values, 0.99)),
        ));
    }
    findings.wrong_many("jobs of a crashed worker never ran again", &never);
    for (values, limit) in [(&calm, BACK), (&disturbed, DISTURBED_BACK)] {
        if let Some(p99) = percentile(values, 0.99).filter(|p99| *p99 > limit) {
            findings.wrong.push(format!(
                "from a crash to being taken back: p99 {p99:.1} s, at most {limit} s are allowed"
            ));
        }
    }
    Ok(())
}

/// Whether the database or all schedulers were struck about that time.
fn disturbs(struck: &[Struck], at: DateTime<Utc>) -> bool {
    let near = |one: &&Struck| one.from <= at + UNDISTURBED && one.to >= at - UNDISTURBED;
    let mut schedulers = Vec::new();
    for one in struck.iter().filter(near) {
        match one.fault {
            Fault::PostgresCrash { .. } => return true,
            Fault::Cut { line: Line::Redis, .. }
            | Fault::Strand { line: Line::Redis, .. }
            | Fault::Delay { line: Line::Redis, .. }
            | Fault::Swallow { line: Line::Redis, .. } => {}
            fault => schedulers.extend(fault.member().filter(|member| member.role == Role::Scheduler)),
        }
    }
    schedulers.sort_unstable();
    schedulers.dedup();
    schedulers.len() > 1
}

/// Whether the fleet said that the bell went, and that it came back.
pub async fn bell(fleet: &Fleet, record: &Record, findings: &mut Findings) {
    // An ingress hears of the bell when it rings it, and of nothing else.
    for unit in fleet.units().filter(|unit| unit.member.role != Role::Ingress) {
        if fleet.bell_is_up(unit).await != Some(true) {
            findings.wrong.push(format!("{}: syncfleet_bell_up is not 1 at the end", unit.member));
        }
    }
    if !record.struck.iter().any(|struck| matches!(struck.fault, Fault::RedisAway { .. })) {
        return;
    }
    for role in [Role::Scheduler, Role::Worker] {
        if !record.without_bell.iter().any(|member| member.role == role) {
            findings.wrong.push(format!("no {role:?} showed syncfleet_bell_up 0 while Redis was away"));
        }
        let logs: String = fleet
            .units()
            .filter(|unit| unit.member.role == role)
            .filter_map(|unit| fs::read_to_string(unit.log()).ok())
            .collect();
        for words in ["the bell is away", "the bell is back"] {
            if !logs.contains(words) {
                findings.wrong.push(format!("no {role:?} logged {words:?}"));
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn row(event: &str, etag: &str) -> TruthRow {
        TruthRow {
            account: "a@example.com".to_owned(),
            calendar: "c".to_owned(),
            event: event.to_owned(),
            etag: Some(etag.to_owned()),
        }
    }

    #[test]
    fn every_difference_is_told() {
        let truth = [row("1", "x"), row("2", "x"), row("3", "x")];
        assert!(differences(&truth, &truth).is_empty());
        let told = differences(&truth, &[row("1", "x"), row("2", "y"), row("4", "x")]);
        assert_eq!(told.len(), 3, "{told:?}");
        assert!(
            told[0].starts_with("etag") && told[1].starts_with("missing") && told[2].starts_with("too many")
        );
    }
}

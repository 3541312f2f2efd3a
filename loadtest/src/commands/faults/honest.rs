//! Whether `job explain` tells the truth while everything goes wrong, and whether cursors only go forward.

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use anyhow::Context;
use chrono::{DateTime, Utc};
use shared::{
    admin::job::{
        JobRef,
        explain::{self, Answer},
    },
    job::Parked,
};
use sqlx::{PgConnection, PgPool, Row};
use uuid::Uuid;

use super::check::Findings;

/// The time between two questions.
const PAUSE: Duration = Duration::from_millis(50);

/// Cursors are looked at after so many questions.
const QUESTIONS: u64 = 8;

/// What was seen so far.
#[derive(Debug, Clone, Default)]
pub struct Watch(Arc<Mutex<Seen>>);

#[derive(Debug, Default)]
struct Seen {
    /// Answers that were checked, by their word.
    answers: BTreeMap<String, u64>,
    lies: Vec<String>,
    /// The generation and the count of writes of each cursor, as they were last.
    cursors: BTreeMap<String, (i64, i64)>,
    moves: u64,
    went_back: Vec<String>,
}

/// Asks about one job after the other, and looks at all cursors now and then, until it is dropped.
pub async fn watch(watch: Watch, db: PgPool) {
    for round in 0_u64.. {
        // While the database is away nobody can be asked.
        if let Ok((answer, lie)) = ask(&db, round % 2 == 0).await {
            let mut seen = watch.0.lock().unwrap_or_else(PoisonError::into_inner);
            *seen.answers.entry(answer).or_default() += 1;
            seen.lies.extend(lie);
        }
        if round % QUESTIONS == 0
            && let Ok(cursors) = cursors(&db).await
        {
            watch.0.lock().unwrap_or_else(PoisonError::into_inner).follow(cursors);
        }
        tokio::time::sleep(PAUSE).await;
    }
}

impl Watch {
    /// Adds what was seen to the findings.
    pub fn tell(&self, findings: &mut Findings) {
        let seen = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let answers: Vec<_> =
            seen.answers.iter().map(|(answer, count)| format!("{answer} {count}")).collect();
        let count: u64 = seen.answers.values().sum();
        findings.told.push(format!("answers of explain that were checked: {count} ({})", answers.join(", ")));
        findings.told.push(format!("cursors: {}, seen to move {} times", seen.cursors.len(), seen.moves));
        if count == 0 || seen.moves == 0 {
            findings.wrong.push("explain and the cursors were never seen".to_owned());
        }
        findings.wrong_many("explain said what was not so", &seen.lies);
        findings.wrong_many("cursors went back", &seen.went_back);
    }
}

impl Seen {
    fn follow(&mut self, cursors: Vec<(String, (i64, i64))>) {
        for (name, now) in cursors {
            let before = self.cursors.insert(name.clone(), now).unwrap_or(now);
            if now.0 < before.0 || now.1 < before.1 {
                self.went_back.push(format!("{name}: generation and step {before:?}, then {now:?}"));
            }
            self.moves += u64::from(now != before);
        }
    }
}

async fn cursors(db: &PgPool) -> Result<Vec<(String, (i64, i64))>, sqlx::Error> {
    let rows = sqlx::query(
        "select 'calendar ' || id, generation, step from calendars
        union all
        select 'list ' || account_id, generation, step from calendar_lists
        union all
        select 'drive ' || id, generation, step from drives
        union all
        select 'list of drives ' || account_id, generation, step from drive_lists
        union all
        select 'upload ' || upload, 0, received from file_contents where upload is not null",
    );
    rows.fetch_all(db)
        .await?
        .iter()
        .map(|row| Ok((row.try_get(0)?, (row.try_get(1)?, row.try_get(2)?))))
        .collect()
}

/// Asks about a job, one that has something to do if `busy` and there is one. Gives the answer's word, and what was wrong.
async fn ask(db: &PgPool, busy: bool) -> anyhow::Result<(String, Option<String>)> {
    let mut tx = db.begin_with("begin isolation level repeatable read read only").await?;
    let job: i64 = sqlx::query_scalar(
        "select job_id from job_state
        order by $1 and (phase <> 'idle' or run_at <= clock() or attempt > 0 or seen is not null) desc, random()
        limit 1",
    )
    .bind(busy)
    .fetch_one(&mut *tx)
    .await?;
    let explained = explain::within(&mut tx, &JobRef::Id(job)).await?;
    let stands = stands(&mut tx, job).await?;
    tx.commit().await?;
    let told = serde_json::to_value(&explained.answer)?;
    let word = told.get("is").and_then(|word| word.as_str()).context("the answer has no word")?.to_owned();
    let lie = (!stands.agrees_with(&explained.answer))
        .then(|| format!("job {job}: \"{}\" ({told}), but {stands:?}", explained.text));
    Ok((word, lie))
}

/// How a job stands, read without the code under test.
#[derive(Debug)]
#[expect(clippy::struct_excessive_bools, reason = "each is a column's own answer")]
struct Stands {
    phase: String,
    parked: Option<String>,
    paused: bool,
    lease: Option<Uuid>,
    claimed_by: Option<Uuid>,
    is_dirty: bool,
    /// None: never.
    run_at: Option<DateTime<Utc>>,
    is_due: bool,
    backs_off: bool,
    is_floored: bool,
    may_be_claimed: bool,
    gates: i64,
    workers: i64,
    before: i64,
}

async fn stands(conn: &mut PgConnection, job: i64) -> Result<Stands, sqlx::Error> {
    let row = sqlx::query(
        "select s.phase::text, s.parked, s.paused, s.lease, s.claimed_by, s.wanted > s.done,
            case when s.run_at < 'infinity' then s.run_at end, s.run_at <= clock(),
            s.backoff_until >= s.run_at and s.backoff_until > clock(), s.floor_at >= s.run_at and s.floor_at > clock(),
            exists (select from due_jobs d where d.job_id = s.job_id),
            (select count(*) from gates g where (g.until is null or g.until > clock())
                and (g.reason <> 'share' or s.lane <> 'interactive') and (
                (g.scope = 'kind' and g.target = s.kind) or (g.scope = 'lane' and g.target = s.lane::text)
                or (g.scope = 'tenant' and g.target = s.tenant_id::text)
                or (g.scope = 'account' and g.target = s.account_id::text)
            )),
            (select count(*) from workers w
                where w.beat_at > clock() - interval '10 s' and (w.slots ->> s.lane::text)::bigint > 0
                    and s.kind = any(w.kinds)),
            (select count(*) from due_jobs d
                where d.lane = s.lane and (d.run_at < s.run_at or (d.run_at = s.run_at and d.job_id < s.job_id)))
        from job_state s
        where s.job_id = $1",
    )
    .bind(job)
    .fetch_one(conn)
    .await?;
    Ok(Stands {
        phase: row.try_get(0)?,
        parked: row.try_get(1)?,
        paused: row.try_get(2)?,
        lease: row.try_get(3)?,
        claimed_by: row.try_get(4)?,
        is_dirty: row.try_get(5)?,
        run_at: row.try_get(6)?,
        is_due: row.try_get(7)?,
        backs_off: row.try_get(8)?,
        is_floored: row.try_get(9)?,
        may_be_claimed: row.try_get(10)?,
        gates: row.try_get(11)?,
        workers: row.try_get(12)?,
        before: row.try_get(13)?,
    })
}

impl Stands {
    /// Whether an answer says how the job stands, and nothing that is not so.
    fn agrees_with(&self, answer: &Answer) -> bool {
        let at = |time: &DateTime<Utc>| self.run_at == Some(*time);
        let waits = self.phase == "idle" && !self.paused && self.run_at.is_some() && !self.is_due;
        let is_due = self.phase == "idle" && !self.paused && self.is_due;
        match answer {
            Answer::Running { under, .. } => {
                self.phase == "running"
                    && self.lease == Some(under.run)
                    && self.claimed_by == Some(under.worker)
            }
            Answer::Parked { reason, .. } => {
                self.phase == "parked" && self.parked.as_deref() == reason.map(Parked::as_str)
            }
            Answer::Gated { gates, parked: true } => {
                self.parked.as_deref() == Some("gate") && usize::try_from(self.gates) == Ok(gates.len())
            }
            Answer::Gated { gates, parked: false } => {
                (waits || is_due)
                    && self.gates > 0
                    && !self.may_be_claimed
                    && usize::try_from(self.gates) == Ok(gates.len())
            }
            Answer::Paused => self.phase == "idle" && self.paused,
            Answer::Unwanted { .. } => self.phase == "idle" && self.run_at.is_none() && !self.is_dirty,
            Answer::Backoff { until, .. } => waits && self.backs_off && at(until),
            Answer::Floor { until, .. } => waits && self.is_floored && at(until),
            Answer::Waiting { until, .. } | Answer::NotYet { at: until } => {
                waits && !self.backs_off && !self.is_floored && at(until)
            }
            // All workers of this fleet know all kinds.
            Answer::UnknownKind { .. } => false,
            Answer::NoWorker { .. } => is_due && self.may_be_claimed && self.workers == 0,
            Answer::Due { since, before_in_lane, .. } => {
                is_due
                    && self.may_be_claimed
                    && self.workers > 0
                    && at(since)
                    && self.before == *before_in_lane
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn due() -> Stands {
        Stands {
            phase: "idle".to_owned(),
            parked: None,
            paused: false,
            lease: None,
            claimed_by: None,
            is_dirty: true,
            run_at: Some(DateTime::UNIX_EPOCH),
            is_due: true,
            backs_off: false,
            is_floored: false,
            may_be_claimed: true,
            gates: 0,
            workers: 1,
            before: 3,
        }
    }

    #[test]
    fn a_lie_is_seen() {
        let answer =
            |before_in_lane| Answer::Due { since: DateTime::UNIX_EPOCH, before_of_tenant: 0, before_in_lane };
        assert!(due().agrees_with(&answer(3)));
        assert!(!due().agrees_with(&answer(2)));
        assert!(!Stands { phase: "running".to_owned(), ..due() }.agrees_with(&answer(3)));
        assert!(!Stands { gates: 1, may_be_claimed: false, ..due() }.agrees_with(&answer(3)));
        assert!(!due().agrees_with(&Answer::NotYet { at: DateTime::UNIX_EPOCH }));
        assert!(!due().agrees_with(&Answer::Unwanted { last: None }));
        assert!(!due().agrees_with(&Answer::Gated { gates: Vec::new(), parked: true }));
    }

    #[test]
    fn a_cursor_that_goes_back_is_seen() {
        let mut seen = Seen::default();
        for (generation, step) in [(1, 1), (1, 2), (2, 3), (2, 2), (1, 4)] {
            seen.follow(vec![("calendar 1".to_owned(), (generation, step))]);
        }
        assert_eq!((seen.moves, seen.went_back.len()), (4, 2), "{:?}", seen.went_back);
    }
}

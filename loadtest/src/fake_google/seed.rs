//! Worlds drawn from a seed, and the made-up content that churn uses too.

use chrono::{DateTime, Days, FixedOffset, TimeDelta};
use rand::{Rng, RngExt};
use serde::{Deserialize, Serialize};

use super::{
    event::{EventDraft, When},
    world::World,
};

/// An account of a seeded world.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SeededAccount {
    /// `user<n>@example.com`, counted from 1.
    pub email: String,
    /// `fake-refresh-<n>`.
    pub refresh_token: String,
    /// The calendars it owns; the first is its primary one.
    pub calendars: Vec<String>,
}

/// The most events of one seeding: more would not fit into the memory of a small machine.
const MOST: usize = 2_000_000;

const WHAT: [&str; 16] = [
    "Team meeting",
    "Lunch",
    "Dentist",
    "Design review",
    "Interview",
    "Call",
    "Gym",
    "Planning",
    "Retrospective",
    "Parents' evening",
    "Train to Hamburg",
    "Coffee",
    "Release",
    "Budget talk",
    "Choir practice",
    "Birthday of",
];
const WITH: [&str; 12] = [
    "Amira", "Björn", "Chen", "Dilek", "Eva", "Farid", "Grace", "Hannes", "Ines", "João", "Kateryna", "Lars",
];
const RULES: [&str; 4] = [
    "RRULE:FREQ=WEEKLY;BYDAY=MO",
    "RRULE:FREQ=DAILY;COUNT=30",
    "RRULE:FREQ=WEEKLY;INTERVAL=2",
    "RRULE:FREQ=MONTHLY",
];
const CALENDARS: [&str; 6] = ["Work", "Family", "Sports", "On-call", "Travel", "School"];

/// A title such as people write.
pub(super) fn title(rng: &mut impl Rng) -> String {
    format!("{} {}", pick(rng, &WHAT), pick(rng, &WITH))
}

pub(super) fn pick<'a>(rng: &mut impl Rng, from: &[&'a str]) -> &'a str {
    from[rng.random_range(0..from.len())]
}

/// An event within half a year of `now`: timed, all-day, a series, private, with guests, or without a zone.
pub(super) fn draft(rng: &mut impl Rng, now: DateTime<FixedOffset>, series: bool) -> EventDraft {
    let moment = now + TimeDelta::minutes(15 * rng.random_range(-17_000..17_000));
    let start = match rng.random_range(0..10) {
        0 => When::day(moment.date_naive()),
        1 => When::at(moment, None),
        2 => When::at(odd_offset(moment), Some("Asia/Kolkata")),
        _ => When::at(moment, Some("Europe/Berlin")),
    };
    let mut draft = EventDraft::new(&title(rng), start);
    if series {
        draft.recurrence = vec![pick(rng, &RULES).to_owned()];
    }
    if rng.random_bool(0.3) {
        let guest =
            |_| format!("{}@example.org", pick(rng, &["amira", "chen", "dilek", "grace", "hannes", "ines"]));
        draft.attendees = (0..2).map(guest).collect();
    }
    if rng.random_bool(0.05) {
        draft.visibility = Some("private".to_owned());
    }
    if rng.random_bool(0.1) {
        draft.status = Some("tentative".to_owned());
    }
    draft
}

fn odd_offset(moment: DateTime<FixedOffset>) -> DateTime<FixedOffset> {
    FixedOffset::east_opt(5 * 3600 + 1800).map_or(moment, |offset| moment.with_timezone(&offset))
}

/// The n-th occurrence of a series, as if it came daily: the fake expands no rules.
pub(super) fn occurrence(start: &When, n: u32) -> When {
    When {
        date: start.date.and_then(|day| day.checked_add_days(Days::new(u64::from(n)))),
        date_time: start.date_time.map(|moment| moment + TimeDelta::days(i64::from(n))),
        time_zone: start.time_zone.clone(),
    }
}

impl World {
    /// Adds accounts, each with its own calendars, and to each calendar exactly so many events: single ones,
    /// series, changed and cancelled occurrences. Numbers go on where an earlier call ended.
    pub fn seed(
        &mut self,
        accounts: usize,
        calendars_per_account: usize,
        events_per_calendar: usize,
    ) -> anyhow::Result<Vec<SeededAccount>> {
        let count =
            accounts.saturating_mul(calendars_per_account.max(1)).saturating_mul(events_per_calendar.max(1));
        anyhow::ensure!(count <= MOST, "seed: {count} events in all: up to {MOST} are allowed");
        let mut seeded = Vec::with_capacity(accounts);
        for _ in 0..accounts {
            let number = self.accounts.len() + 1;
            let email = format!("user{number}@example.com");
            let refresh_token = format!("fake-refresh-{number}");
            self.add_account(&email, &refresh_token, None)?;
            let mut calendars = Vec::with_capacity(calendars_per_account);
            for index in 0..calendars_per_account {
                let summary = if index == 0 { email.as_str() } else { CALENDARS[index % CALENDARS.len()] };
                let calendar = self.add_calendar(&email, None, summary)?;
                self.seed_events(&calendar, events_per_calendar)?;
                calendars.push(calendar);
            }
            seeded.push(SeededAccount { email, refresh_token, calendars });
        }
        Ok(seeded)
    }

    fn seed_events(&mut self, calendar: &str, count: usize) -> anyhow::Result<()> {
        let now = self.now().fixed_offset();
        let mut left = count;
        while left > 0 {
            let series = left >= 3 && self.rng.random_bool(0.05);
            let master = draft(&mut self.rng, now, series);
            let start = master.start.clone();
            let id = self.put_event(calendar, master)?;
            left -= 1;
            if series {
                let changed = EventDraft::new(&title(&mut self.rng), occurrence(&start, 1));
                self.put_exception(calendar, &id, &occurrence(&start, 1), changed)?;
                self.cancel_occurrence(calendar, &id, &occurrence(&start, 2))?;
                left -= 2;
            }
        }
        Ok(())
    }
}

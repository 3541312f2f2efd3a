//! A Google whose calendars change all the time, and which has troubles of its own.

use std::{
    collections::HashMap,
    sync::Arc,
    time::{Duration, Instant},
};

use loadtest::fake_google::{Api, FakeGoogle, FaultBody, FaultKind, FaultRule, Options, Role};
use rand::{RngExt, SeedableRng, rngs::StdRng};

const ACCOUNTS: usize = 8;
const CALENDARS: usize = 6;
const EVENTS: usize = 60;

/// Changes of events a second, over all calendars.
const CHURN: f64 = 25.0;

/// How long a calendar is then left in peace: whose sync tokens are refused again and again is made to wait for minutes.
const PEACE: Duration = Duration::from_mins(2);

/// Starts it, with all its accounts. Pages are short, so that passes have several steps.
pub async fn start(seed: u64) -> anyhow::Result<FakeGoogle> {
    let google = FakeGoogle::start(Options {
        seed,
        page_size_cap: 25,
        latency: Duration::from_millis(200),
        ..Options::default()
    })
    .await?;
    google.seed_world(ACCOUNTS, CALENDARS, EVENTS)?;
    Ok(google)
}

/// Begins the changes of events and the troubles.
pub fn begin_trouble(google: &FakeGoogle, seed: u64) -> anyhow::Result<()> {
    google.start_churn(CHURN, seed)?;
    let status = |status, retry_after_s| {
        FaultRule::new(FaultKind::Status { status, reason: None, retry_after_s, body: FaultBody::Json })
    };
    for rule in [
        status(429, Some(1)).on(Api::Events).probability(0.004),
        status(403, None).on(Api::Events).probability(0.002),
        status(503, None).probability(0.01),
        status(500, None).on(Api::Events).probability(0.01),
        FaultRule::new(FaultKind::Truncated).probability(0.01),
        FaultRule::new(FaultKind::Cut).probability(0.01),
        FaultRule::new(FaultKind::Delay { ms: 1500 }).probability(0.03),
    ] {
        google.add_fault(rule)?;
    }
    Ok(())
}

/// Changes calendar lists and makes sync tokens void, every few seconds, until it is dropped.
pub async fn change_lists(google: Arc<FakeGoogle>, seed: u64) {
    let mut rng = StdRng::seed_from_u64(seed);
    let accounts: Vec<(String, Vec<String>)> = google
        .world()
        .truth(None)
        .into_iter()
        .map(|account| {
            let others = account.calendars.into_iter().map(|calendar| calendar.id);
            let others = others.filter(|id| *id != account.email).collect();
            (account.email, others)
        })
        .collect();
    let mut changed_at: HashMap<&str, Instant> = HashMap::new();
    loop {
        tokio::time::sleep(Duration::from_secs_f64(rng.random_range(1.5..5.0))).await;
        let (email, calendars) = &accounts[rng.random_range(0..accounts.len())];
        let calendar = &calendars[rng.random_range(0..calendars.len())];
        let is_list = rng.random_bool(0.1);
        let place = if is_list { email } else { calendar };
        if changed_at.get(place.as_str()).is_some_and(|at| at.elapsed() < PEACE) {
            continue;
        }
        changed_at.insert(place, Instant::now());
        let (other, _) = &accounts[rng.random_range(0..accounts.len())];
        let mut world = google.world();
        let changed = match rng.random_range(0..9) {
            _ if is_list => world.invalidate_list_tokens(Some(email)),
            0 | 1 => world.remove_calendar(email, calendar),
            2 | 3 => world.list_calendar(email, calendar, Role::Owner),
            4 => {
                world.list_calendar(other, calendar, if other == email { Role::Owner } else { Role::Reader })
            }
            5 => world.hide_calendar(email, calendar, rng.random_bool(0.5)),
            6 => world.set_role(email, calendar, Role::Writer, true),
            _ => world.invalidate_event_tokens(Some(calendar)),
        };
        // A calendar that is not in the list now cannot be changed there: another one comes soon.
        drop(changed);
    }
}

/// Ends all changes and troubles.
pub fn end_trouble(google: &FakeGoogle) {
    google.stop_churn();
    google.clear_faults();
}

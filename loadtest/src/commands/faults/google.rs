//! A Google whose calendars and drives change all the time, and which has troubles of its own.

use std::{
    collections::HashMap,
    sync::Arc,
    time::{Duration, Instant},
};

use loadtest::fake_google::{
    Api, Consent, FakeGoogle, FaultBody, FaultKind, FaultRule, Options, PermissionRole, PushFaults, Role,
};
use rand::{RngExt, SeedableRng, rngs::StdRng};

const ACCOUNTS: usize = 8;
const CALENDARS: usize = 6;
const EVENTS: usize = 60;

/// In each My Drive.
const FILES: usize = 120;

/// Shared drives, and what is in each at first.
const DRIVES: usize = 3;
const SHARED_FILES: usize = 60;

/// Changes of events a second, over all calendars.
const CHURN: f64 = 25.0;

/// Changes of files and shared drives a second.
const FILE_CHURN: f64 = 6.0;

/// How long a calendar is then left in peace: whose sync tokens are refused again and again is made to wait for minutes.
const PEACE: Duration = Duration::from_mins(2);

/// Starts it, with all its accounts. Pages are short, so that passes have several steps.
pub async fn start(seed: u64) -> anyhow::Result<FakeGoogle> {
    let google = FakeGoogle::start(Options {
        seed,
        page_size_cap: 25,
        latency: Duration::from_millis(200),
        http_callbacks: true,
        ..Options::default()
    })
    .await?;
    let accounts = google.seed_world(ACCOUNTS, CALENDARS, EVENTS)?;
    // One calendar is never pushed.
    google.push_faults(PushFaults { unsupported: accounts[0].calendars[1..2].to_vec(), ..push_faults() })?;
    let mut world = google.world();
    let read =
        ["calendar.readonly", "drive.readonly"].map(|api| format!("https://www.googleapis.com/auth/{api}"));
    for account in &accounts {
        world.set_consent(&account.email, Consent::to(&read.each_ref().map(String::as_str)))?;
        world.seed_files(&account.email, None, FILES)?;
    }
    for (place, account) in accounts.iter().enumerate().take(DRIVES) {
        let drive = world.add_drive(&account.email, None, "Everybody's")?;
        for member in accounts.iter().cycle().skip(place + 1).take(2) {
            world.add_member(&drive, &member.email, PermissionRole::Writer)?;
        }
        world.seed_files(&account.email, Some(&drive), SHARED_FILES)?;
    }
    drop(world);
    Ok(google)
}

/// One push in eight is lost, others come late, twice, or after later ones; channels are to be renewed after a minute.
fn push_faults() -> PushFaults {
    PushFaults {
        lost: 0.125,
        twice: 0.1,
        late: 0.1,
        late_ms: 4_000,
        overtaken: 0.2,
        burst: 2,
        gaps: true,
        lifetime_s: Some(100),
        taken: 3,
        ..PushFaults::default()
    }
}

/// Begins the changes and the troubles.
pub fn begin_trouble(google: &FakeGoogle, seed: u64) -> anyhow::Result<()> {
    google.start_churn(CHURN, seed)?;
    google.start_churn_of_files(FILE_CHURN, seed)?;
    let status = |status, retry_after_s| {
        FaultRule::new(FaultKind::Status { status, reason: None, retry_after_s, body: FaultBody::Json })
    };
    for rule in [
        status(429, Some(1)).on(Api::Events).probability(0.004),
        status(403, None).on(Api::Events).probability(0.002),
        status(503, None).probability(0.01),
        status(500, None).on(Api::Events).probability(0.01),
        status(403, None).on(Api::Changes).probability(0.002),
        status(500, None).on(Api::Changes).probability(0.01),
        status(500, None).on(Api::Files).probability(0.01),
        FaultRule::new(FaultKind::Corrupt).on(Api::Media).probability(0.02),
        FaultRule::new(FaultKind::IgnoredRange).on(Api::Media).probability(0.05),
        FaultRule::new(FaultKind::WrongRange).on(Api::Media).probability(0.02),
        FaultRule::new(FaultKind::Truncated).on(Api::Media).probability(0.03),
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
pub fn end_trouble(google: &FakeGoogle) -> anyhow::Result<()> {
    google.stop_churn();
    google.clear_faults();
    google.push_faults(PushFaults::default())
}

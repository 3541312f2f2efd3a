//! Any sequence of what may happen to jobs, against the real store, beside a model.
//!
//! Two schedulers and three workers share one database, whose clock the test shifts. After each event the rows are compared
//! with the model; at the end all obstacles are taken away, and everything wanted must get done.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

mod fleet;
mod model;

use fleet::Fleet;
use proptest::{prelude::*, test_runner::TestRunner};

/// What may happen. Numbers choose among what is there at the moment.
#[derive(Debug, Clone)]
pub(crate) enum Event {
    /// Somebody wants a job, now or later.
    Want { job: usize, later: bool, raise: bool },
    /// A scheduler dispatches.
    Dispatch { scheduler: usize },
    /// A worker takes ids from the bell and claims them; its answer may be lost on the way.
    Claim { worker: usize, answered: bool },
    /// The bell is away: a worker asks for due jobs and claims them.
    ClaimDue { worker: usize },
    /// The bell forgets everything.
    FlushBell,
    /// A worker ends one of its runs.
    End { worker: usize, run: usize, how: How, fate: Fate },
    /// A worker's heartbeat.
    Beat { worker: usize },
    /// A worker dies and is started again under a new id.
    Crash { worker: usize },
    /// A worker is stopped past its lease, and meanwhile the others go on.
    Stall { worker: usize },
    /// A worker hands back what it does not know of.
    HandBack { worker: usize },
    /// A reaper's round.
    Reap,
    /// The tick of the gates.
    Gates,
    /// Time passes.
    Pass { seconds: u32 },
    /// An operator pauses a job or lets it go on.
    Pause { job: usize, paused: bool },
    /// A tenant's gate is closed, for a short time or until it is opened.
    Close { tenant: usize, lasting: bool },
    /// A tenant's gate is opened.
    Open { tenant: usize },
    /// An operator's retry.
    Release { job: usize },
}

/// A verdict.
#[derive(Debug, Clone, Copy)]
pub(crate) enum How {
    Complete,
    Continue,
    Wait,
    Retry,
    Throttled,
    Park,
}

/// What becomes of a commit.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Fate {
    Answered,
    /// It stands, and the worker does not hear of it.
    AnswerLost,
    /// The worker dies before it is sent.
    RolledBack,
}

fn events() -> impl Strategy<Value = Vec<Event>> {
    let how = prop_oneof![
        4 => Just(How::Complete),
        2 => Just(How::Continue),
        1 => Just(How::Wait),
        2 => Just(How::Retry),
        1 => Just(How::Throttled),
        1 => Just(How::Park),
    ];
    let fate = prop_oneof![
        6 => Just(Fate::Answered),
        1 => Just(Fate::AnswerLost),
        1 => Just(Fate::RolledBack),
    ];
    let job = 0..fleet::JOBS;
    let worker = 0..fleet::WORKERS;
    let event = prop_oneof![
        6 => (job.clone(), any::<bool>(), any::<bool>())
            .prop_map(|(job, later, raise)| Event::Want { job, later, raise }),
        5 => (0..fleet::SCHEDULERS).prop_map(|scheduler| Event::Dispatch { scheduler }),
        6 => (worker.clone(), prop::bool::weighted(0.85)).prop_map(|(worker, answered)| Event::Claim { worker, answered }),
        2 => worker.clone().prop_map(|worker| Event::ClaimDue { worker }),
        1 => Just(Event::FlushBell),
        8 => (worker.clone(), 0..4_usize, how, fate)
            .prop_map(|(worker, run, how, fate)| Event::End { worker, run, how, fate }),
        5 => worker.clone().prop_map(|worker| Event::Beat { worker }),
        1 => worker.clone().prop_map(|worker| Event::Crash { worker }),
        3 => worker.clone().prop_map(|worker| Event::Stall { worker }),
        1 => worker.prop_map(|worker| Event::HandBack { worker }),
        2 => Just(Event::Reap),
        2 => Just(Event::Gates),
        4 => (1..12_u32).prop_map(|seconds| Event::Pass { seconds }),
        1 => (job.clone(), any::<bool>()).prop_map(|(job, paused)| Event::Pause { job, paused }),
        1 => (0..fleet::TENANTS, any::<bool>()).prop_map(|(tenant, lasting)| Event::Close { tenant, lasting }),
        1 => (0..fleet::TENANTS).prop_map(|tenant| Event::Open { tenant }),
        1 => job.prop_map(|job| Event::Release { job }),
    ];
    prop::collection::vec(event, 1..120)
}

#[sqlx::test(migrator = "shared::store::schema::MIGRATOR")]
async fn whatever_happens_nothing_is_lost_and_nothing_runs_twice(
    _: sqlx::postgres::PgPoolOptions,
    database: sqlx::postgres::PgConnectOptions,
) {
    // PROPTEST_CASES makes it longer. A failure prints its events, made as few as possible.
    let run = tokio::task::spawn_blocking(move || {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        // proptest's own default of 256 is too long for every day.
        let cases = match ProptestConfig::default().cases {
            256 => 48,
            asked => asked,
        };
        let config = ProptestConfig {
            cases,
            failure_persistence: None,
            max_shrink_iters: 400,
            ..ProptestConfig::default()
        };
        let mut fleet = runtime.block_on(Fleet::connect(database));
        let fleet = std::cell::RefCell::new(&mut fleet);
        TestRunner::new(config).run(&events(), |events| {
            let mut fleet = fleet.borrow_mut();
            runtime
                .block_on(fleet.live_through(&events))
                .map_err(|error| TestCaseError::fail(format!("{error:#}")))
        })
    });
    if let Err(failure) = run.await.unwrap() {
        panic!("{failure}");
    }
}

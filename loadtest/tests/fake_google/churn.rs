use std::{
    collections::{BTreeMap, BTreeSet},
    time::{Duration, Instant},
};

use loadtest::fake_google::{FakeGoogle, Options, TruthFile};
use rand::{RngExt, SeedableRng, rngs::StdRng};
use serde_json::Value;

use crate::{
    client::{ME, Setup, setup, small_pages},
    mirror::Mirror,
};

fn truth(setup: &Setup, calendar: &str) -> BTreeMap<String, Option<String>> {
    let rows = setup.google.world().truth_rows();
    rows.into_iter().filter(|row| row.calendar == calendar).map(|row| (row.event, row.etag)).collect()
}

/// However a mirror gets there, by full lists, by incremental ones or by both, it ends at the same truth.
#[tokio::test]
async fn full_and_incremental_mirrors_converge_to_the_truth() {
    for seed in 0..6 {
        let setup = small_pages(7).await;
        let calendars = [ME.to_owned(), setup.google.world().add_calendar(ME, None, "Other").unwrap()];
        let mut rng = StdRng::seed_from_u64(seed);
        let mut mirrors = [Mirror::default(), Mirror::default()];
        for round in 0..40 {
            for _ in 0..rng.random_range(0..40) {
                setup.google.world().churn(&mut rng).unwrap();
            }
            if rng.random_bool(0.1) {
                setup.google.world().invalidate_event_tokens(None).unwrap();
            }
            for (calendar, mirror) in calendars.iter().zip(&mut mirrors) {
                mirror.pass(&setup, calendar).await;
                assert_eq!(mirror.etags(), truth(&setup, calendar), "seed {seed}, round {round}, by changes");
            }
        }
        for (calendar, mirror) in calendars.iter().zip(&mut mirrors) {
            let mut full = Mirror::default();
            full.pass(&setup, calendar).await;
            assert_eq!(full.rows, mirror.rows, "seed {seed}, full against incremental");
        }
    }
}

/// The same while the calendars change between and during the pages.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn mirrors_converge_while_calendars_change() {
    let setup = small_pages(5).await;
    setup.google.start_churn(2000.0, 7).unwrap();
    let mut mirror = Mirror::default();
    let until = Instant::now() + Duration::from_secs(2);
    while Instant::now() < until {
        mirror.pass(&setup, ME).await;
        if mirror.rows.len() % 5 == 0 {
            setup.google.world().invalidate_event_tokens(Some(ME)).unwrap();
        }
    }
    setup.google.stop_churn();
    mirror.pass(&setup, ME).await;
    mirror.pass(&setup, ME).await;
    assert_eq!(mirror.etags(), truth(&setup, ME));
    assert!(mirror.rows.len() > 20 && mirror.full_lists > 1, "{} rows", mirror.rows.len());
}

#[tokio::test]
async fn a_stopped_churn_changes_nothing_more() {
    let setup = setup(Options::default()).await;
    setup.google.start_churn(1000.0, 1).unwrap();
    let deadline = Instant::now() + Duration::from_secs(10);
    while setup.google.world().truth_rows().len() < 20 {
        assert!(Instant::now() < deadline, "churn does not change anything");
        tokio::task::yield_now().await;
    }
    setup.google.stop_churn();
    let before = setup.google.world().truth(None);
    for _ in 0..50 {
        setup.events_ok("").await;
    }
    assert_eq!(setup.google.world().truth(None), before);
    assert!(setup.google.start_churn(0.0, 1).is_err());
}

#[tokio::test]
async fn the_same_seed_gives_the_same_world_and_the_same_churn() {
    let options = || Options { seed: 9, now: "2026-03-01T00:00:00Z".parse().unwrap(), ..Options::default() };
    let mut worlds = Vec::new();
    for _ in 0..2 {
        let google = FakeGoogle::start(options()).await.unwrap();
        let seeded = google.seed_world(2, 2, 30).unwrap();
        let mut rng = StdRng::seed_from_u64(3);
        for _ in 0..200 {
            google.world().churn(&mut rng).unwrap();
        }
        assert_eq!(seeded[1].email, "user2@example.com");
        assert_eq!(seeded[1].refresh_token, "fake-refresh-2");
        assert_eq!(seeded[1].calendars[0], seeded[1].email);
        let rows = google.world().truth_rows();
        worlds.push((seeded, rows));
    }
    assert_eq!(worlds[0], worlds[1]);
}

#[tokio::test]
async fn a_seeded_calendar_holds_exactly_the_events_asked_for() {
    let google = FakeGoogle::start(Options::default()).await.unwrap();
    google.seed_world(3, 4, 25).unwrap();
    let truth = google.world().truth(None);
    assert_eq!(truth.len(), 3);
    for account in &truth {
        assert_eq!(account.calendars.len(), 4);
        assert!(account.calendars.iter().all(|calendar| calendar.events.len() == 25));
    }
    let events = truth.iter().flat_map(|account| &account.calendars).flat_map(|calendar| &calendar.events);
    let statuses: BTreeSet<&str> = events.map(|event| event.status.as_str()).collect();
    assert_eq!(statuses, BTreeSet::from(["cancelled", "confirmed", "tentative"]));
}

/// Whatever people do with files, every change succeeds, all sorts come, and the same seed does the same.
#[tokio::test]
async fn drives_change_in_all_ways() {
    let options = || Options { seed: 9, now: "2026-03-01T00:00:00Z".parse().unwrap(), ..Options::default() };
    let mut worlds = Vec::new();
    for _ in 0..2 {
        let google = FakeGoogle::start(options()).await.unwrap();
        let seeded = google.seed_world(3, 1, 1).unwrap();
        for account in &seeded {
            google.world().seed_files(&account.email, None, 30).unwrap();
        }
        let drives = |google: &FakeGoogle| -> BTreeSet<String> {
            google.world().truth_files(None).into_iter().filter_map(|file| file.drive).collect()
        };
        let (mut rng, mut seen) = (StdRng::seed_from_u64(3), BTreeSet::new());
        for round in 0..2000 {
            google.world().churn_files(&mut rng).unwrap();
            if round % 100 == 0 {
                seen.extend(drives(&google));
            }
        }
        let truth = google.world().truth_files(None);
        assert!(truth.iter().any(|file| file.trashed) && truth.iter().any(|file| !file.trashed));
        let of_others = |file: &TruthFile| file.drive.is_none() && file.json["ownedByMe"] == false;
        assert!(truth.iter().any(of_others), "nothing is shared");
        assert!(seen.len() > drives(&google).len(), "no drive went: {seen:?}");
        // Times are those of the clock.
        let rows = truth.into_iter().map(|file| TruthFile { json: Value::Null, ..file });
        worlds.push(rows.collect::<Vec<_>>());
    }
    assert!(worlds[0] == worlds[1]);
}

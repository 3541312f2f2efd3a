use loadtest::fake_google::EventDraft;
use serde_json::{Value, json};

use crate::client::{ME, Setup, at, ids, monday, next_monday, small_pages};

fn truth_ids(setup: &Setup) -> Vec<String> {
    setup.google.world().truth_rows().into_iter().map(|row| row.event).collect()
}

#[tokio::test]
async fn case_23_a_cancelled_occurrence_has_four_fields_and_shows_in_a_full_list() {
    let setup = small_pages(10).await;
    let series = setup.put_series();
    let token = setup.sync_token().await;
    let id = setup.google.world().cancel_occurrence(ME, &series, &next_monday()).unwrap();
    assert_eq!(id, format!("{series}_20260309T090000Z"));
    let bare = json!({
        "id": id,
        "status": "cancelled",
        "recurringEventId": series,
        "originalStartTime": {"dateTime": "2026-03-09T10:00:00+01:00", "timeZone": "Europe/Berlin"},
    });
    assert_eq!(setup.changes(&token).await, std::slice::from_ref(&bare));
    let full = setup.events_ok("").await;
    assert_eq!(ids(&full), [series.as_str(), id.as_str()]);
    assert_eq!(full["items"][1], bare);
    let rows = setup.google.world().truth_rows();
    assert_eq!((rows[1].event.as_str(), &rows[1].etag), (id.as_str(), &None));
}

#[tokio::test]
async fn a_changed_occurrence_names_its_series_and_original_start() {
    let setup = small_pages(10).await;
    let series = setup.put_series();
    let later = at("2026-03-09T15:00:00+01:00");
    let id = setup
        .google
        .world()
        .put_exception(ME, &series, &next_monday(), EventDraft::new("Standup, late", later))
        .unwrap();
    let full = setup.events_ok("").await;
    let exception = &full["items"][1];
    assert_eq!((&exception["id"], &exception["recurringEventId"]), (&json!(id), &json!(series)));
    assert_eq!(exception["originalStartTime"]["dateTime"], "2026-03-09T10:00:00+01:00");
    assert_eq!(exception["start"]["dateTime"], "2026-03-09T15:00:00+01:00");
    assert_eq!(exception["iCalUID"], full["items"][0]["iCalUID"]);
}

#[tokio::test]
async fn case_24_a_deleted_series_takes_its_exceptions_along() {
    let setup = small_pages(10).await;
    let series = setup.put_series();
    let exception = EventDraft::new("Changed", next_monday());
    setup.google.world().put_exception(ME, &series, &next_monday(), exception).unwrap();
    setup.google.world().cancel_occurrence(ME, &series, &at("2026-03-16T10:00:00+01:00")).unwrap();
    let token = setup.sync_token().await;
    setup.google.world().delete_event(ME, &series).unwrap();

    assert_eq!(ids(&setup.events_ok("").await).len(), 0, "a full list has neither series nor exceptions");
    assert_eq!(truth_ids(&setup), Vec::<String>::new());
    let changes = setup.changes(&token).await;
    assert!(changes.contains(&json!({"id": series, "status": "cancelled"})), "{changes:?}");
    assert!(changes.iter().all(|item| item["status"] == "cancelled"), "{changes:?}");

    setup.google.world().restore_event(ME, &series).unwrap();
    let mut back: Vec<Value> =
        setup.changes(&token).await.into_iter().map(|item| item["id"].clone()).collect();
    back.sort_by_key(ToString::to_string);
    assert_eq!(json!(back), json!(truth_ids(&setup)));
    assert_eq!(back.len(), 3);
}

/// Over many series: each way in which a list may tell of a deleted or changed series occurs.
#[tokio::test]
async fn case_24_lists_promise_no_order_within_a_series() {
    let setup = small_pages(100).await;
    let (mut only_the_series, mut before, mut after, mut exception_first) = (0, 0, 0, 0);
    for _ in 0..24 {
        let series = setup.put_series();
        let exception = setup.google.world().cancel_occurrence(ME, &series, &next_monday()).unwrap();
        let token = setup.sync_token().await;
        let renamed = EventDraft {
            id: Some(series.clone()),
            ..EventDraft::series("New", monday(), "RRULE:FREQ=DAILY")
        };
        setup.google.world().put_event(ME, renamed).unwrap();
        let changes = setup.changes(&token).await;
        assert_eq!(changes.len(), 2, "cancelled occurrences come along with their series");
        exception_first += u32::from(changes[0]["id"] == *exception);

        let token = setup.sync_token().await;
        setup.google.world().delete_event(ME, &series).unwrap();
        let changes = setup.changes(&token).await;
        match changes.iter().position(|item| item["id"] == *series).unwrap() {
            _ if changes.len() == 1 => only_the_series += 1,
            0 => before += 1,
            _ => after += 1,
        }
    }
    let seen = [only_the_series, before, after, exception_first];
    assert!(seen.iter().all(|count| *count > 0), "{seen:?}");
}

#[tokio::test]
async fn moving_a_series_cancels_its_exceptions() {
    let setup = small_pages(10).await;
    let series = setup.put_series();
    let exception = EventDraft::new("Changed", next_monday());
    let exception = setup.google.world().put_exception(ME, &series, &next_monday(), exception).unwrap();
    let token = setup.sync_token().await;
    let start = at("2026-03-02T14:00:00+01:00");
    let moved =
        EventDraft { id: Some(series.clone()), ..EventDraft::series("Standup", start, "RRULE:FREQ=WEEKLY") };
    setup.google.world().put_event(ME, moved).unwrap();
    let changes = setup.changes(&token).await;
    let status = |id: &str| changes.iter().find(|item| item["id"] == id).unwrap()["status"].clone();
    assert_eq!((status(&series), status(&exception)), (json!("confirmed"), json!("cancelled")));
    assert_eq!(truth_ids(&setup), [series, exception]);
}

#[tokio::test]
async fn one_can_be_invited_to_a_single_occurrence() {
    let setup = small_pages(10).await;
    let draft = EventDraft::new("Guest", next_monday());
    let id = setup.google.world().put_exception(ME, "elsewhere0", &next_monday(), draft).unwrap();
    let token = setup.sync_token().await;
    assert_eq!(truth_ids(&setup), std::slice::from_ref(&id));
    setup.google.world().delete_event(ME, &id).unwrap();
    assert_eq!(setup.changes(&token).await[0]["status"], "cancelled");
    assert_eq!(ids(&setup.events_ok("").await).len(), 0, "its series is not live here");
    assert_eq!(truth_ids(&setup), Vec::<String>::new());
}

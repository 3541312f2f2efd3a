use loadtest::fake_google::{EventDraft, Role, When};
use serde_json::json;

use crate::client::{ME, Setup, ids, monday, next_monday, reason, small_pages};

#[tokio::test]
async fn case_13_a_sync_token_comes_on_the_last_page_only() {
    let setup = small_pages(2).await;
    for n in 0..5 {
        setup.put(&format!("Event {n}"));
    }
    let mut query = String::new();
    let mut sizes = Vec::new();
    loop {
        let page = setup.events_ok(&query).await;
        sizes.push(ids(&page).len());
        let next = page["nextPageToken"].as_str();
        assert_ne!(next.is_some(), page["nextSyncToken"].is_string(), "exactly one of the two: {page}");
        let Some(token) = next else { break };
        query = format!("pageToken={token}");
    }
    assert_eq!(sizes, [2, 2, 1]);
    assert_eq!(ids(&setup.events_ok("maxResults=1").await).len(), 1);
}

#[tokio::test]
async fn case_14_a_page_may_be_empty_and_have_a_next_one() {
    let setup = small_pages(2).await;
    let mut all: Vec<String> = (0..5).map(|n| setup.put(&format!("Event {n}"))).collect();
    all.sort();
    for id in &all[..4] {
        setup.google.world().delete_event(ME, id).unwrap();
    }
    let first = setup.events_ok("").await;
    assert_eq!(ids(&first).len(), 0);
    assert!(first["nextPageToken"].is_string());
}

#[tokio::test]
async fn case_16_what_changes_during_a_walk_comes_with_the_next_incremental() {
    let setup = small_pages(2).await;
    let mut all: Vec<String> = (0..5).map(|n| setup.put(&format!("Event {n}"))).collect();
    all.sort();
    let first = setup.events_ok("").await;
    let draft = EventDraft { id: Some(all[0].clone()), ..EventDraft::new("Changed", monday()) };
    setup.google.world().put_event(ME, draft).unwrap();
    setup.google.world().delete_event(ME, &all[1]).unwrap();
    let mut page = first;
    while let Some(token) = page["nextPageToken"].as_str() {
        page = setup.events_ok(&format!("pageToken={token}")).await;
    }
    let changes = setup.changes(page["nextSyncToken"].as_str().unwrap()).await;
    assert_eq!(changes.len(), 2);
    assert_eq!((&changes[0]["id"], &changes[0]["summary"]), (&json!(all[0]), &json!("Changed")));
    assert_eq!(changes[1], json!({"id": all[1], "status": "cancelled"}));
}

#[tokio::test]
async fn case_17_an_incremental_has_pages_too_and_holds_what_changes_meanwhile_for_the_next() {
    let setup = small_pages(2).await;
    let token = setup.sync_token().await;
    let all: Vec<String> = (0..4).map(|n| setup.put(&format!("Event {n}"))).collect();
    let first = setup.events_ok(&format!("syncToken={token}")).await;
    assert_eq!(ids(&first), all[..2]);
    let page = first["nextPageToken"].as_str().unwrap();
    let (status, answer) = setup.events(&format!("pageToken={page}")).await;
    assert_eq!((status, reason(&answer)), (400, "badRequest"), "the same syncToken must be repeated");

    for id in [&all[0], &all[3]] {
        let draft = EventDraft { id: Some(id.clone()), ..EventDraft::new("Changed", monday()) };
        setup.google.world().put_event(ME, draft).unwrap();
    }
    let second = setup.events_ok(&format!("syncToken={token}&pageToken={page}")).await;
    assert_eq!(ids(&second), [all[2].as_str()]);
    let changes = setup.changes(second["nextSyncToken"].as_str().unwrap()).await;
    assert_eq!(
        changes.iter().map(|item| item["id"].as_str().unwrap()).collect::<Vec<_>>(),
        [&all[0], &all[3]]
    );
}

#[tokio::test]
async fn a_quiet_calendar_has_an_empty_incremental_with_a_new_token() {
    let setup = small_pages(2).await;
    setup.put("Event");
    let token = setup.sync_token().await;
    let page = setup.events_ok(&format!("syncToken={token}")).await;
    assert_eq!(ids(&page).len(), 0);
    assert!(page["nextSyncToken"].is_string());
}

#[tokio::test]
async fn case_28_parameters_that_do_not_go_with_a_sync_token() {
    let setup = small_pages(10).await;
    setup.put("Event");
    let token = setup.sync_token().await;
    for bad in [
        "iCalUID=x",
        "orderBy=updated",
        "privateExtendedProperty=a%3Db",
        "q=lunch",
        "sharedExtendedProperty=a%3Db",
        "timeMin=2026-01-01T00:00:00Z",
        "timeMax=2026-01-01T00:00:00Z",
        "updatedMin=2026-01-01T00:00:00Z",
        "showDeleted=false",
        "maxAttendees=5",
        "eventTypes=default",
        "timeZone=UTC",
    ] {
        let (status, answer) = setup.events(&format!("syncToken={token}&{bad}")).await;
        assert_eq!((status, reason(&answer)), (400, "badRequest"), "{bad}");
    }
    setup
        .events_ok(&format!("syncToken={token}&showDeleted=true&singleEvents=false&maxResults=3&alt=json"))
        .await;

    let zoned = setup.events_ok("timeZone=UTC").await;
    let zoned = zoned["nextSyncToken"].as_str().unwrap();
    assert_eq!(setup.events(&format!("syncToken={zoned}")).await.0, 400, "the parameter is missing now");
    setup.events_ok(&format!("syncToken={zoned}&timeZone=UTC")).await;
}

#[tokio::test]
async fn case_29_a_sync_token_counts_for_the_single_events_of_its_first_request() {
    let setup = small_pages(10).await;
    setup.put_series();
    let token = setup.sync_token().await;
    let (status, answer) = setup.events(&format!("syncToken={token}&singleEvents=true")).await;
    assert_eq!((status, reason(&answer)), (400, "badRequest"));
    setup.events_ok(&format!("syncToken={token}&singleEvents=false")).await;
}

#[tokio::test]
async fn case_28_values_out_of_range_and_unknown_parameters() {
    let setup = small_pages(10).await;
    for (bad, word) in [
        ("maxResults=0", "maxResults: 1 to 2500"),
        ("maxResults=2501", "maxResults: 1 to 2500"),
        ("maxResults=many", "maxResults"),
        ("maxAttendees=0", "maxAttendees"),
        ("showDeleted=yes", "showDeleted=yes"),
        ("showHiddenInvitations=1", "showHiddenInvitations=1"),
        ("eventTypes=party", "'party'"),
        ("maxResults=1&maxResults=2", "maxResults is given twice"),
        ("color=red", "Unknown parameter: color"),
        ("pageToken=x", "page token"),
    ] {
        let (status, answer) = setup.events(bad).await;
        assert_eq!(status, 400, "{bad}: {answer}");
        assert!(answer["error"]["message"].as_str().unwrap().contains(word), "{bad}: {answer}");
    }
    setup.events_ok("maxResults=2500&eventTypes=default&eventTypes=birthday").await;
}

#[tokio::test]
async fn case_32_primary_is_another_name_of_the_accounts_own_calendar() {
    let setup = small_pages(10).await;
    let id = setup.put("Lunch");
    let (_, by_alias) = setup.get("calendars/primary/events").await;
    let (_, by_id) = setup.get(&format!("calendars/{ME}/events")).await;
    assert_eq!(
        (ids(&by_alias), by_alias["nextSyncToken"].clone()),
        (vec![id.as_str()], by_id["nextSyncToken"].clone())
    );
    let (_, list) = setup.get("users/me/calendarList").await;
    assert_eq!(ids(&list), [ME], "the list knows the real id alone");
}

#[tokio::test]
async fn case_20_a_deleted_event_is_told_as_id_and_status_alone() {
    let setup = small_pages(10).await;
    let id = setup.put("Lunch");
    let token = setup.sync_token().await;
    setup.google.world().delete_event(ME, &id).unwrap();
    assert_eq!(setup.changes(&token).await, [json!({"id": id, "status": "cancelled"})]);
}

#[tokio::test]
async fn spoilt_tokens_are_bad_requests() {
    let setup = small_pages(1).await;
    setup.put("One");
    setup.put("Two");
    let token = setup.sync_token().await;
    let page = setup.events_ok("").await["nextPageToken"].as_str().unwrap().to_owned();
    for bad in ["syncToken=x", "pageToken=x", &format!("syncToken={token}0"), &format!("syncToken={page}")] {
        let (status, answer) = setup.events(bad).await;
        assert_eq!((status, reason(&answer)), (400, "invalid"), "{bad}");
    }
    let other = setup.google.world().add_calendar(ME, None, "Other").unwrap();
    assert_eq!(setup.get(&format!("calendars/{other}/events?syncToken={token}")).await.0, 400);
}

async fn assert_gone(setup: &Setup, query: &str) {
    let (status, answer) = setup.events(query).await;
    assert_eq!((status, reason(&answer)), (410, "fullSyncRequired"), "{query}");
}

#[tokio::test]
async fn case_18_invalidated_sync_tokens_are_gone() {
    let setup = small_pages(1).await;
    let token = setup.sync_token().await;
    setup.put("One");
    setup.put("Two");
    let first = setup.events_ok(&format!("syncToken={token}")).await;
    setup.google.world().invalidate_event_tokens(Some(ME)).unwrap();
    assert_gone(&setup, &format!("syncToken={token}")).await;
    let page = first["nextPageToken"].as_str().unwrap();
    assert_gone(&setup, &format!("syncToken={token}&pageToken={page}")).await;

    let fresh = setup.sync_token().await;
    setup.events_ok(&format!("syncToken={fresh}")).await;
    setup.google.world().set_role(ME, ME, Role::Writer, false).unwrap();
    assert_gone(&setup, &format!("syncToken={fresh}")).await;
}

#[tokio::test]
async fn calendars_of_others_are_not_found() {
    let setup = small_pages(10).await;
    setup.google.world().add_account("bob@example.com", "refresh-bob", None).unwrap();
    setup.google.world().add_calendar("bob@example.com", None, "Bob").unwrap();
    for calendar in ["bob@example.com", "nowhere"] {
        let (status, answer) = setup.get(&format!("calendars/{calendar}/events")).await;
        assert_eq!((status, reason(&answer)), (404, "notFound"));
    }
    assert_eq!(setup.get("colors").await.0, 404);
}

#[tokio::test]
async fn an_event_looks_like_googles() {
    let setup = small_pages(10).await;
    let mut draft = EventDraft::series("Standup", monday(), "RRULE:FREQ=WEEKLY");
    draft.attendees = vec!["a@example.org".to_owned(), "b@example.org".to_owned()];
    draft.extra = Some(Box::new([("futureField".to_owned(), json!({"x": 1}))].into_iter().collect()));
    let id = setup.google.world().put_event(ME, draft).unwrap();
    let day = EventDraft::new("Holiday", When::day("2026-03-05".parse().unwrap()));
    let day = setup.google.world().put_event(ME, day).unwrap();

    let page = setup.events_ok("").await;
    assert_eq!((&page["kind"], &page["accessRole"]), (&json!("calendar#events"), &json!("owner")));
    let item = |id: &str| page["items"].as_array().unwrap().iter().find(|item| item["id"] == id).unwrap();
    let event = item(&id);
    assert_eq!(event["start"], json!({"dateTime": "2026-03-02T10:00:00+01:00", "timeZone": "Europe/Berlin"}));
    assert_eq!(event["end"]["dateTime"], "2026-03-02T11:00:00+01:00");
    assert_eq!(event["recurrence"], json!(["RRULE:FREQ=WEEKLY"]));
    assert_eq!(event["iCalUID"], format!("{id}@google.com"));
    assert_eq!((&event["status"], &event["eventType"]), (&json!("confirmed"), &json!("default")));
    assert!(event["etag"].as_str().unwrap().starts_with('"'));
    assert_eq!(event["futureField"]["x"], 1);
    for field in ["kind", "htmlLink", "created", "updated", "creator", "organizer", "reminders", "sequence"] {
        assert!(!event[field].is_null(), "{field}");
    }
    assert_eq!(
        (&item(&day)["start"], &item(&day)["end"]["date"]),
        (&json!({"date": "2026-03-05"}), &json!("2026-03-06"))
    );
    let few = setup.events_ok("maxAttendees=1").await;
    let few = few["items"].as_array().unwrap().iter().find(|item| item["id"] == *id).unwrap();
    assert_eq!((few["attendees"].as_array().unwrap().len(), &few["attendeesOmitted"]), (1, &json!(true)));
}

#[tokio::test]
async fn every_change_gives_another_etag_and_a_move_raises_the_sequence() {
    let setup = small_pages(10).await;
    let id = setup.put("Lunch");
    let first = setup.events_ok("").await["items"][0].clone();
    let draft = EventDraft { id: Some(id), ..EventDraft::new("Lunch", next_monday()) };
    setup.google.world().put_event(ME, draft).unwrap();
    let second = setup.events_ok("").await["items"][0].clone();
    assert_ne!(first["etag"], second["etag"]);
    assert_eq!((&first["sequence"], &second["sequence"]), (&json!(0), &json!(1)));
    assert_eq!(first["created"], second["created"]);
}

#[tokio::test]
async fn readers_do_not_see_the_details_of_private_events() {
    let setup = small_pages(10).await;
    setup.google.world().add_account("bob@example.com", "refresh-bob", None).unwrap();
    let shared = setup.google.world().add_calendar("bob@example.com", None, "Bob").unwrap();
    let mut draft = EventDraft::new("Secret", monday());
    draft.visibility = Some("private".to_owned());
    setup.google.world().put_event(&shared, draft).unwrap();
    let mut etags = Vec::new();
    for (role, seen) in [(Role::Writer, true), (Role::Reader, false)] {
        setup.google.world().list_calendar(ME, &shared, role).unwrap();
        let (_, page) = setup.get(&format!("calendars/{shared}/events")).await;
        assert_eq!(page["items"][0]["summary"].is_string(), seen, "{role:?}");
        assert_eq!(page["items"][0]["start"]["dateTime"], "2026-03-02T10:00:00+01:00");
        etags.push(page["items"][0]["etag"].clone());
    }
    assert_ne!(etags[0], etags[1], "another view has another etag");
}

#[tokio::test]
async fn case_33_a_moved_event_is_cancelled_here_and_new_there() {
    let setup = small_pages(10).await;
    let other = setup.google.world().add_calendar(ME, None, "Other").unwrap();
    let id = setup.put("Lunch");
    let token = setup.sync_token().await;
    setup.google.world().move_event(ME, &other, &id).unwrap();
    assert_eq!(setup.changes(&token).await, [json!({"id": id, "status": "cancelled"})]);
    let (_, there) = setup.get(&format!("calendars/{other}/events")).await;
    assert_eq!(ids(&there), [id.as_str()]);
}

#[tokio::test]
async fn case_22_deleted_events_are_shown_on_request_and_can_come_back() {
    let setup = small_pages(10).await;
    let id = setup.put("Lunch");
    let token = setup.sync_token().await;
    setup.google.world().delete_event(ME, &id).unwrap();
    assert_eq!(ids(&setup.events_ok("").await).len(), 0);
    assert_eq!(
        setup.events_ok("showDeleted=true").await["items"],
        json!([{"id": id, "status": "cancelled"}])
    );
    setup.google.world().restore_event(ME, &id).unwrap();
    assert_eq!(setup.changes(&token).await[0]["status"], "confirmed");
}

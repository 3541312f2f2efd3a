use loadtest::fake_google::Role;
use serde_json::{Value, json};

use crate::client::{ME, Setup, ids, reason, small_pages};

const LIST: &str = "users/me/calendarList";

async fn walk(setup: &Setup, first: &str) -> (Vec<Value>, String) {
    let mut items = Vec::new();
    let mut query = first.to_owned();
    loop {
        let (status, page) = setup.get(&format!("{LIST}?{query}")).await;
        assert_eq!(status, 200, "{page}");
        items.extend(page["items"].as_array().unwrap().clone());
        match page["nextPageToken"].as_str() {
            Some(token) => {
                assert!(page.get("nextSyncToken").is_none());
                query = format!("{first}&pageToken={token}");
            }
            None => return (items, page["nextSyncToken"].as_str().unwrap().to_owned()),
        }
    }
}

#[tokio::test]
async fn pages_then_a_sync_token() {
    let setup = small_pages(2).await;
    for name in ["Work", "Family", "Sports"] {
        setup.google.world().add_calendar(ME, None, name).unwrap();
    }
    let (items, token) = walk(&setup, "").await;
    assert_eq!(items.len(), 4);
    let primary: Vec<_> = items.iter().filter(|item| item["primary"] == true).collect();
    assert_eq!(primary.len(), 1);
    assert_eq!((&primary[0]["id"], &primary[0]["accessRole"]), (&json!(ME), &json!("owner")));
    assert_eq!(walk(&setup, &format!("syncToken={token}")).await.0, Vec::<Value>::new());
}

#[tokio::test]
async fn case_30_deleted_and_hidden_entries_come_back_in_an_incremental_only() {
    let setup = small_pages(1).await;
    let (gone, hidden) = {
        let mut world = setup.google.world();
        let gone = world.add_calendar(ME, None, "Gone").unwrap();
        (gone, world.add_calendar(ME, None, "Hidden").unwrap())
    };
    let (_, token) = walk(&setup, "").await;
    setup.google.world().remove_calendar(ME, &gone).unwrap();
    setup.google.world().hide_calendar(ME, &hidden, true).unwrap();

    let (changed, _) = walk(&setup, &format!("syncToken={token}")).await;
    assert_eq!(changed.len(), 2);
    assert_eq!((&changed[0]["id"], &changed[0]["deleted"]), (&json!(gone), &json!(true)));
    assert_eq!((&changed[1]["id"], &changed[1]["hidden"]), (&json!(hidden), &json!(true)));
    let (full, _) = walk(&setup, "").await;
    assert_eq!(full.len(), 1);
    let (all, _) = walk(&setup, "showDeleted=true&showHidden=true").await;
    assert_eq!(all.len(), 3);
    assert_eq!(setup.get(&format!("calendars/{gone}/events")).await.0, 404);
}

#[tokio::test]
async fn case_30_a_changed_role_is_not_told_unless_announced() {
    let setup = small_pages(10).await;
    let (_, token) = walk(&setup, "").await;
    let changes = format!("syncToken={token}");
    setup.google.world().set_role(ME, ME, Role::FreeBusyReader, false).unwrap();
    assert_eq!(walk(&setup, &changes).await.0.len(), 0);
    setup.google.world().set_role(ME, ME, Role::Reader, true).unwrap();
    assert_eq!(walk(&setup, &changes).await.0[0]["accessRole"], "reader");
}

#[tokio::test]
async fn case_31_bad_requests_and_invalidated_tokens() {
    let setup = small_pages(10).await;
    let (_, token) = walk(&setup, "").await;
    for query in ["minAccessRole=reader", "showDeleted=false", "showHidden=false"] {
        let (status, answer) = setup.get(&format!("{LIST}?syncToken={token}&{query}")).await;
        assert_eq!((status, reason(&answer)), (400, "badRequest"), "{query}");
    }
    assert_eq!(setup.get(&format!("{LIST}?maxResults=0")).await.0, 400);
    assert_eq!(setup.get(&format!("{LIST}?maxResults=251")).await.0, 400);
    assert_eq!(setup.get(&format!("{LIST}?syncToken=nonsense")).await.0, 400);
    assert_eq!(setup.get(&format!("{LIST}?color=red")).await.0, 400);
    let events = setup.sync_token().await;
    assert_eq!(
        setup.get(&format!("{LIST}?syncToken={events}")).await.0,
        400,
        "a token of another collection"
    );
    setup.google.world().invalidate_list_tokens(Some(ME)).unwrap();
    let (status, answer) = setup.get(&format!("{LIST}?syncToken={token}")).await;
    assert_eq!((status, reason(&answer)), (410, "fullSyncRequired"));
}

#[tokio::test]
async fn min_access_role_filters_a_full_list() {
    let setup = small_pages(10).await;
    setup.google.world().add_account("bob@example.com", "refresh-bob", None).unwrap();
    let shared = setup.google.world().add_calendar("bob@example.com", None, "Bob").unwrap();
    setup.google.world().list_calendar(ME, &shared, Role::FreeBusyReader).unwrap();
    let (_, all) = setup.get(LIST).await;
    assert_eq!(ids(&all), [ME, shared.as_str()]);
    let (_, some) = setup.get(&format!("{LIST}?minAccessRole=reader")).await;
    assert_eq!(ids(&some), [ME]);
}

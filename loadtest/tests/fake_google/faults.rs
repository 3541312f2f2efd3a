use std::time::{Duration, Instant};

use loadtest::fake_google::{Api, FaultBody, FaultKind, FaultRule, Options};

use crate::client::{ME, Setup, ids, reason, refresh, setup};

fn status(status: u16) -> FaultKind {
    FaultKind::Status { status, reason: None, retry_after_s: None, body: FaultBody::Json }
}

async fn events_response(setup: &Setup) -> reqwest::Result<reqwest::Response> {
    let url = format!("{}calendars/primary/events", setup.google.calendar_url());
    setup.http.get(url).bearer_auth(&setup.token).send().await
}

#[tokio::test]
async fn statuses_with_reason_header_and_body() {
    let setup = setup(Options::default()).await;
    let cases = [
        (status(429), "rateLimitExceeded"),
        (status(401), "authError"),
        (status(503), "backendError"),
        (
            FaultKind::Status {
                status: 403,
                reason: Some("userRateLimitExceeded".to_owned()),
                retry_after_s: Some(7),
                body: FaultBody::Json,
            },
            "userRateLimitExceeded",
        ),
    ];
    for (fault, expected) in cases {
        setup.google.add_fault(FaultRule::new(fault.clone()).times(1)).unwrap();
        let response = events_response(&setup).await.unwrap();
        let retry_after =
            response.headers().get("retry-after").map(|value| value.to_str().unwrap().to_owned());
        let FaultKind::Status { status, retry_after_s, .. } = fault else { panic!() };
        assert_eq!(response.status().as_u16(), status);
        assert_eq!(retry_after, retry_after_s.map(|seconds| seconds.to_string()));
        assert_eq!(reason(&response.json().await.unwrap()), expected);
        assert_eq!(events_response(&setup).await.unwrap().status(), 200, "the fault struck once");
    }
}

#[tokio::test]
async fn case_70_bodies_that_are_not_calendars() {
    let setup = setup(Options::default()).await;
    for (body, status) in [(FaultBody::Html, 502), (FaultBody::Empty, 500), (FaultBody::Rpc, 429)] {
        let fault = FaultKind::Status { status, reason: None, retry_after_s: None, body };
        setup.google.add_fault(FaultRule::new(fault).times(1)).unwrap();
        let response = events_response(&setup).await.unwrap();
        assert_eq!(response.status().as_u16(), status);
        let text = response.text().await.unwrap();
        let fits = match body {
            FaultBody::Html => text.contains("<html>"),
            FaultBody::Empty => text.is_empty(),
            _ => text.contains("RATE_LIMIT_EXCEEDED") && text.contains("quota_limit"),
        };
        assert!(fits, "{body:?}: {text}");
    }
}

#[tokio::test]
async fn case_70_a_reset_connection_and_an_answer_that_drips() {
    let setup = setup(Options::default()).await;
    setup.google.add_fault(FaultRule::new(FaultKind::Reset).times(1)).unwrap();
    let error = events_response(&setup).await.unwrap_err();
    assert!(format!("{error:?}").contains("ConnectionReset"), "{error:?}");

    setup.google.add_fault(FaultRule::new(FaultKind::Drip { ms: 2 }).times(1)).unwrap();
    let begin = Instant::now();
    let response = events_response(&setup).await.unwrap();
    assert_eq!(response.headers()["connection"], "close");
    let length = response.text().await.unwrap().len();
    assert!(length > 200 && begin.elapsed() > Duration::from_millis(2 * 200), "{:?}", begin.elapsed());
    let begin = Instant::now();
    assert_eq!(setup.events("").await.0, 200);
    assert!(begin.elapsed() < Duration::from_millis(400), "the next call does not drip");
}

#[tokio::test]
async fn case_70_a_good_status_with_another_body() {
    let setup = setup(Options::default()).await;
    for body in [FaultBody::Html, FaultBody::Empty] {
        let fault = FaultKind::Status { status: 200, reason: None, retry_after_s: None, body };
        setup.google.add_fault(FaultRule::new(fault).times(1)).unwrap();
        let response = events_response(&setup).await.unwrap();
        assert_eq!(response.status(), 200);
        assert!(!response.text().await.unwrap().contains("calendar#events"));
    }
}

#[tokio::test]
async fn case_70_a_truncated_body_and_a_cut_connection() {
    let setup = setup(Options::default()).await;
    for _ in 0..20 {
        setup.put("An event to make the answer long enough");
    }
    setup.google.add_fault(FaultRule::new(FaultKind::Truncated).times(1)).unwrap();
    let response = events_response(&setup).await.unwrap();
    assert_eq!(response.status(), 200);
    assert!(response.text().await.is_err(), "the body ends too early");
    setup.google.add_fault(FaultRule::new(FaultKind::Cut).times(1)).unwrap();
    assert!(events_response(&setup).await.is_err());
    assert_eq!(events_response(&setup).await.unwrap().status(), 200);
    assert_eq!(setup.google.stats().requests[&Api::Events]["cut"], 2);
}

#[tokio::test]
async fn a_malformed_item_stands_among_good_ones() {
    let setup = setup(Options::default()).await;
    setup.google.add_fault(FaultRule::new(FaultKind::Malformed).times(1)).unwrap();
    assert_eq!(ids(&setup.events_ok("").await).len(), 0, "an empty list stays as it is");
    setup.put("Event");
    setup.put("Event");
    let page = setup.events_ok("").await;
    let items = page["items"].as_array().unwrap();
    assert_eq!(items.iter().filter(|item| item["id"].is_string()).count(), 2);
    assert_eq!(items.iter().filter(|item| item["start"]["date"] == "0000-13-40").count(), 1);
    assert_eq!(setup.events_ok("").await["items"].as_array().unwrap().len(), 2);
}

#[tokio::test]
async fn a_delay_adds_to_other_faults() {
    let setup = setup(Options::default()).await;
    setup.google.add_fault(FaultRule::new(FaultKind::Delay { ms: 60 }).times(1)).unwrap();
    setup.google.add_fault(FaultRule::new(status(500)).times(1)).unwrap();
    let begin = Instant::now();
    assert_eq!(setup.events("").await.0, 500);
    assert!(begin.elapsed() >= Duration::from_millis(60));
}

#[tokio::test]
async fn rules_strike_only_what_they_name() {
    let setup = setup(Options::default()).await;
    let google = &setup.google;
    google.add_fault(FaultRule::new(FaultKind::InvalidGrant).on(Api::Token).times(1)).unwrap();
    google.add_fault(FaultRule::new(status(500)).on(Api::CalendarList)).unwrap();
    google.add_fault(FaultRule::new(status(502)).account("other@example.com")).unwrap();
    let elsewhere = Some("/calendar/v3/calendars/other".to_owned());
    google.add_fault(FaultRule { path_prefix: elsewhere, ..FaultRule::new(status(504)) }).unwrap();
    assert_eq!(setup.events("").await.0, 200);
    assert_eq!(setup.get("users/me/calendarList").await.0, 500);
    assert_eq!(setup.get("calendars/other/events").await.0, 504);
    let (code, answer) = refresh(google, &setup.http, &[]).await;
    assert_eq!((code, answer["error"].as_str()), (400, Some("invalid_grant")));
    assert_eq!(refresh(google, &setup.http, &[]).await.0, 200, "the grant itself is good");
    google.add_fault(FaultRule::new(status(500)).account(ME)).unwrap();
    assert_eq!(refresh(google, &setup.http, &[]).await.0, 500, "the account is known by its refresh token");
    assert_eq!(setup.events("").await.0, 500);
    google.clear_faults();
    assert_eq!(setup.get("users/me/calendarList").await.0, 200);
}

#[tokio::test]
async fn a_probability_is_drawn_from_the_seed() {
    let mut runs = Vec::new();
    for _ in 0..2 {
        let setup = setup(Options { seed: 4, ..Options::default() }).await;
        setup.google.add_fault(FaultRule::new(status(503)).probability(0.5)).unwrap();
        let mut statuses = Vec::new();
        for _ in 0..40 {
            statuses.push(setup.events("").await.0);
        }
        runs.push(statuses);
    }
    assert_eq!(runs[0], runs[1]);
    let struck = runs[0].iter().filter(|status| **status == 503).count();
    assert!((8..32).contains(&struck), "{struck} of 40");
}

#[tokio::test]
async fn impossible_rules_are_refused() {
    let setup = setup(Options::default()).await;
    assert!(setup.google.add_fault(FaultRule::new(status(200))).is_err());
    assert!(setup.google.add_fault(FaultRule::new(status(500)).probability(1.5)).is_err());
}

#[tokio::test]
async fn case_14_an_empty_page_on_demand_leads_to_the_page_that_was_asked_for() {
    let setup = setup(Options { page_size_cap: 2, ..Options::default() }).await;
    let mut all: Vec<String> = (0..3).map(|n| setup.put(&format!("Event {n}"))).collect();
    let empty = |times| FaultRule::new(FaultKind::EmptyPage).times(times);
    setup.google.add_fault(empty(2)).unwrap();
    let mut query = String::new();
    let mut sizes = Vec::new();
    let mut found = Vec::new();
    let token = loop {
        let page = setup.events_ok(&query).await;
        sizes.push(ids(&page).len());
        found.extend(ids(&page).into_iter().map(str::to_owned));
        match page["nextPageToken"].as_str() {
            Some(token) => query = format!("pageToken={token}"),
            None => break page["nextSyncToken"].as_str().unwrap().to_owned(),
        }
    };
    all.sort();
    assert_eq!((sizes, found), (vec![0, 0, 2, 1], all));

    setup.google.add_fault(empty(1)).unwrap();
    let new = setup.put("New");
    let changes = setup.changes(&token).await;
    assert_eq!((changes.len(), &changes[0]["id"]), (1, &serde_json::json!(new)));

    setup.google.add_fault(empty(1).on(Api::CalendarList)).unwrap();
    let (_, first) = setup.get("users/me/calendarList").await;
    let token = first["nextPageToken"].as_str().unwrap();
    let (_, second) = setup.get(&format!("users/me/calendarList?pageToken={token}")).await;
    assert_eq!((ids(&first).len(), ids(&second)), (0, vec![ME]));
}

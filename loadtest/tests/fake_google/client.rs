//! A plain HTTP client of the fake, and a small world to ask about.

use loadtest::fake_google::{EventDraft, FakeGoogle, Options, When};
use serde_json::Value;

pub const ME: &str = "ada@example.com";
pub const REFRESH: &str = "refresh-ada";

/// A fake with one account, its primary calendar, and a signed-in client.
pub struct Setup {
    pub google: FakeGoogle,
    pub http: reqwest::Client,
    pub token: String,
}

pub fn http() -> reqwest::Client {
    // Another test may have installed it already.
    let _ = rustls::crypto::ring::default_provider().install_default();
    reqwest::Client::new()
}

pub async fn setup(options: Options) -> Setup {
    let google = FakeGoogle::start(options).await.unwrap();
    google.world().add_account(ME, REFRESH, None).unwrap();
    google.world().add_calendar(ME, None, "Ada").unwrap();
    let http = http();
    let (status, answer) = refresh(&google, &http, &[]).await;
    assert_eq!(status, 200, "{answer}");
    let token = answer["access_token"].as_str().unwrap().to_owned();
    Setup { google, http, token }
}

pub async fn small_pages(page_size_cap: usize) -> Setup {
    setup(Options { page_size_cap, ..Options::default() }).await
}

/// Asks the token endpoint, with some form fields in place of the good ones.
pub async fn refresh(google: &FakeGoogle, http: &reqwest::Client, other: &[(&str, &str)]) -> (u16, Value) {
    let options = google.options();
    let mut form = vec![
        ("grant_type", "refresh_token"),
        ("refresh_token", REFRESH),
        ("client_id", &options.client_id),
        ("client_secret", &options.client_secret),
    ];
    form.retain(|(key, _)| other.iter().all(|(name, _)| name != key));
    form.extend_from_slice(other);
    let response = http.post(google.token_url()).form(&form).send().await.unwrap();
    (response.status().as_u16(), response.json().await.unwrap())
}

impl Setup {
    /// GET below the API's root.
    pub async fn get(&self, path: &str) -> (u16, Value) {
        let url = format!("{}{path}", self.google.calendar_url());
        let response = self.http.get(url).bearer_auth(&self.token).send().await.unwrap();
        (response.status().as_u16(), response.json().await.unwrap())
    }

    pub async fn events(&self, query: &str) -> (u16, Value) {
        self.get(&format!("calendars/primary/events?{query}")).await
    }

    pub async fn events_ok(&self, query: &str) -> Value {
        let (status, page) = self.events(query).await;
        assert_eq!(status, 200, "{query}: {page}");
        page
    }

    /// The sync token of a full list.
    pub async fn sync_token(&self) -> String {
        let mut query = String::new();
        loop {
            let page = self.events_ok(&query).await;
            match page["nextPageToken"].as_str() {
                Some(token) => query = format!("pageToken={token}"),
                None => return page["nextSyncToken"].as_str().unwrap().to_owned(),
            }
        }
    }

    /// All items of the changes since a sync token.
    pub async fn changes(&self, sync_token: &str) -> Vec<Value> {
        let mut items = Vec::new();
        let mut query = format!("syncToken={sync_token}");
        loop {
            let page = self.events_ok(&query).await;
            items.extend(page["items"].as_array().unwrap().clone());
            match page["nextPageToken"].as_str() {
                Some(token) => query = format!("syncToken={sync_token}&pageToken={token}"),
                None => return items,
            }
        }
    }

    pub fn put(&self, summary: &str) -> String {
        self.google.world().put_event(ME, EventDraft::new(summary, monday())).unwrap()
    }

    pub fn put_series(&self) -> String {
        self.google
            .world()
            .put_event(ME, EventDraft::series("Standup", monday(), "RRULE:FREQ=WEEKLY"))
            .unwrap()
    }
}

pub fn at(text: &str) -> When {
    When::at(text.parse().unwrap(), Some("Europe/Berlin"))
}

pub fn monday() -> When {
    at("2026-03-02T10:00:00+01:00")
}

pub fn next_monday() -> When {
    at("2026-03-09T10:00:00+01:00")
}

/// The reason in an error of Calendar's shape, which is checked on the way.
pub fn reason(answer: &Value) -> &str {
    let error = &answer["error"];
    assert!(error["code"].is_u64() && error["message"].is_string(), "{answer}");
    assert!(error["errors"][0]["domain"].is_string(), "{answer}");
    error["errors"][0]["reason"].as_str().unwrap()
}

pub fn ids(page: &Value) -> Vec<&str> {
    page["items"].as_array().unwrap().iter().map(|item| item["id"].as_str().unwrap()).collect()
}

//! The smallest mirror that is right: it says what the fake expects of a client.

use std::collections::BTreeMap;

use serde_json::Value;

use crate::client::Setup;

/// A mirror of one calendar.
#[derive(Default)]
pub struct Mirror {
    pub rows: BTreeMap<String, Value>,
    sync_token: Option<String>,
    pub full_lists: u32,
}

impl Mirror {
    /// One whole pass: all pages of an incremental list, or of a full one when there is no usable token.
    pub async fn pass(&mut self, setup: &Setup, calendar: &str) {
        let mut sync = self.sync_token.as_ref().map(|token| format!("syncToken={token}")).unwrap_or_default();
        let mut fresh = BTreeMap::new();
        let mut page_token = String::new();
        loop {
            let (status, page) = setup.get(&format!("calendars/{calendar}/events?{sync}{page_token}")).await;
            if status == 410 {
                (sync, page_token) = (String::new(), String::new());
                fresh.clear();
                continue;
            }
            assert_eq!(status, 200, "{page}");
            let rows = if sync.is_empty() { &mut fresh } else { &mut self.rows };
            for item in page["items"].as_array().unwrap() {
                take(rows, item);
            }
            if let Some(token) = page["nextSyncToken"].as_str() {
                self.sync_token = Some(token.to_owned());
                break;
            }
            page_token = format!("&pageToken={}", page["nextPageToken"].as_str().unwrap());
        }
        if sync.is_empty() {
            self.full_lists += 1;
            self.rows = fresh;
        }
        self.sweep();
    }

    /// Drops cancelled occurrences whose series is not there.
    fn sweep(&mut self) {
        let series: Vec<String> = self.rows.keys().cloned().collect();
        let has = |id: &Value| series.binary_search_by(|own| own.as_str().cmp(id.as_str().unwrap())).is_ok();
        self.rows.retain(|_, item| item["status"] != "cancelled" || has(&item["recurringEventId"]));
    }

    /// Id and etag of each row.
    pub fn etags(&self) -> BTreeMap<String, Option<String>> {
        let etag = |item: &Value| item["etag"].as_str().map(str::to_owned);
        self.rows.iter().map(|(id, item)| (id.clone(), etag(item))).collect()
    }
}

fn take(rows: &mut BTreeMap<String, Value>, item: &Value) {
    let id = item["id"].as_str().unwrap();
    if item["status"] == "cancelled" && item["recurringEventId"].is_null() {
        rows.remove(id);
        rows.retain(|_, row| row["recurringEventId"] != id);
    } else {
        rows.insert(id.to_owned(), item.clone());
    }
}

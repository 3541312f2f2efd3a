//! The mirror beside the truth.

use anyhow::{Context as _, ensure};
use chrono::{DateTime, Utc};
use loadtest::fake_google::TruthRow;
use serde_json::Value;

use crate::rig::Rig;

impl Rig {
    /// The mirror as rows, in the order of the truth.
    pub async fn mirrored(&self) -> anyhow::Result<Vec<TruthRow>> {
        let rows: Vec<(String, String, String, Option<String>)> = sqlx::query_as(
            "select a.email, c.google_id, e.event_id, e.etag
             from events e join calendars c on c.id = e.calendar_id join accounts a on a.id = e.account_id",
        )
        .fetch_all(&self.db)
        .await?;
        let mut rows: Vec<_> = rows
            .into_iter()
            .map(|(account, calendar, event, etag)| TruthRow { account, calendar, event, etag })
            .collect();
        rows.sort();
        Ok(rows)
    }

    /// The mirror equals the truth: the same rows, each with the same JSON, and columns that say the same.
    pub async fn assert_mirrors(&self) -> anyhow::Result<()> {
        let truth = self.fake.world().truth_rows();
        let mirrored = self.mirrored().await?;
        let missing: Vec<_> = truth.iter().filter(|row| !mirrored.contains(row)).take(5).collect();
        let surplus: Vec<_> = mirrored.iter().filter(|row| !truth.contains(row)).take(5).collect();
        ensure!(missing.is_empty() && surplus.is_empty(), "missing: {missing:?}; surplus: {surplus:?}");
        let accounts = self.fake.world().truth(None);
        for account in accounts {
            for calendar in account.calendars {
                for event in calendar.events {
                    let row = self.event(&account.email, &calendar.id, &event.id).await?;
                    ensure!(row.raw == event.json, "{} in the mirror, {} in truth", row.raw, event.json);
                    let columns = (row.status, row.summary, row.recurring_event_id);
                    let truth = (Some(event.status), event.summary, event.recurring_event_id);
                    ensure!(columns == truth, "{columns:?} in the mirror, {truth:?} in truth");
                }
            }
        }
        Ok(())
    }

    pub async fn event(&self, email: &str, calendar: &str, event: &str) -> anyhow::Result<Row> {
        sqlx::query_as(
            "select e.* from events e join calendars c on c.id = e.calendar_id join accounts a on a.id = e.account_id
             where a.email = $1 and c.google_id = $2 and e.event_id = $3",
        )
        .bind(email)
        .bind(calendar)
        .bind(event)
        .fetch_one(&self.db)
        .await
        .with_context(|| format!("{event} in {calendar} of {email}"))
    }
}

/// What the tests look at in a row of `events`.
#[derive(Debug, sqlx::FromRow)]
pub struct Row {
    pub status: Option<String>,
    pub summary: Option<String>,
    pub start_at: Option<DateTime<Utc>>,
    pub end_at: Option<DateTime<Utc>>,
    pub start_date: Option<chrono::NaiveDate>,
    pub start_zone: Option<String>,
    pub organizer: Option<String>,
    pub attendees: Option<Value>,
    pub recurrence: Option<Vec<String>>,
    pub recurring_event_id: Option<String>,
    pub original_start_at: Option<DateTime<Utc>>,
    pub raw: Value,
}

//! What the fleet has mirrored, to be compared with the truth.

use loadtest::fake_google::TruthRow;
use sqlx::{PgPool, Row};

/// The mirror, as rows like the truth's, sorted.
pub async fn rows(db: &PgPool) -> Result<Vec<TruthRow>, sqlx::Error> {
    let rows = sqlx::query(
        "select a.email, c.google_id, e.event_id, e.etag
        from events e join calendars c on c.id = e.calendar_id join accounts a on a.id = c.account_id",
    )
    .fetch_all(db)
    .await?;
    let read = |row: &sqlx::postgres::PgRow| {
        Ok(TruthRow {
            account: row.try_get(0)?,
            calendar: row.try_get(1)?,
            event: row.try_get(2)?,
            etag: row.try_get(3)?,
        })
    };
    let mut mirrored = rows.iter().map(read).collect::<Result<Vec<_>, sqlx::Error>>()?;
    mirrored.sort();
    Ok(mirrored)
}

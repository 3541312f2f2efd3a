//! Whether the fleet did its work: the mirror, row by row, is what Google holds.

use anyhow::ensure;
use loadtest::fake_google::TruthRow;
use shared::store::PgPool;
use sqlx::Row;

use crate::stage::google::Google;

/// Fails unless the mirror has exactly the rows of the truth, with their etags.
pub async fn mirror(db: &PgPool, google: &Google) -> anyhow::Result<()> {
    let truth = google.truth().await?;
    let rows = sqlx::query(
        "select a.email, c.google_id, e.event_id, e.etag
        from events e join calendars c on c.id = e.calendar_id join accounts a on a.id = c.account_id",
    )
    .fetch_all(db)
    .await?;
    let mut mirrored = Vec::with_capacity(rows.len());
    for row in rows {
        mirrored.push(TruthRow {
            account: row.try_get(0)?,
            calendar: row.try_get(1)?,
            event: row.try_get(2)?,
            etag: row.try_get(3)?,
        });
    }
    mirrored.sort();
    let first = truth.iter().zip(&mirrored).find(|(truth, mirrored)| truth != mirrored);
    ensure!(
        truth == mirrored,
        "the mirror is not the truth: {} rows, and Google has {}; the first that differ are {first:?}",
        mirrored.len(),
        truth.len()
    );
    Ok(())
}

//! Whether the fleet did its work: the mirror, row by row, is what Google holds.

use anyhow::ensure;
use shared::store::PgPool;

use crate::stage::google::Google;

/// Fails unless the mirror has exactly the rows of the truth, with their etags.
pub async fn mirror(db: &PgPool, google: &Google) -> anyhow::Result<()> {
    let truth = google.truth().await?;
    let mirrored = super::super::mirror::rows(db).await?;
    let first = truth.iter().zip(&mirrored).find(|(truth, mirrored)| truth != mirrored);
    ensure!(
        truth == mirrored,
        "the mirror is not the truth: {} rows, and Google has {}; the first that differ are {first:?}",
        mirrored.len(),
        truth.len()
    );
    Ok(())
}

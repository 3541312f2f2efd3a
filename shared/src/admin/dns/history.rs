//! `dns history`: what was done for a record, and what came of it.

use sqlx::PgConnection;

use super::RecordRef;
use crate::{
    admin::AdminError,
    store::dns_history::{self, Entry},
};

/// The last entries of a record, newest first.
pub async fn history(
    conn: &mut PgConnection,
    record: &RecordRef,
    of: Option<&str>,
    limit: i64,
) -> Result<Vec<Entry>, AdminError> {
    let id = record.find(conn, of).await?;
    Ok(dns_history::last(conn, id, limit).await?)
}

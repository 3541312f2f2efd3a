//! How a download ends.

use std::time::Duration;

use sqlx::{PgConnection, types::Uuid};

use super::{Wanted, bytes};
use crate::store::seconds;

/// What became of a download.
#[derive(Debug, Clone)]
pub enum Outcome {
    /// It stands in the object store under the upload's key.
    Stored {
        /// Its SHA-256.
        sha256: Vec<u8>,
        /// Bytes.
        size: u64,
    },
    /// Google does not give it; it may later, or only if something changes.
    Refused {
        /// Google's word for why.
        why: String,
        /// When it is worth another try.
        again: Option<Duration>,
    },
    /// It failed in passing. What was received is good, or is thrown away.
    Failed {
        /// What went wrong.
        why: String,
        /// When it is worth another try.
        again: Duration,
        /// Whether the upload begins anew.
        anew: bool,
    },
}

/// Writes what became of a download under the key of its upload. Stored content takes the place of what was stored before. False: it is not this row's
/// download any more.
pub async fn end(
    conn: &mut PgConnection,
    wanted: &Wanted,
    upload: Uuid,
    outcome: &Outcome,
) -> Result<bool, sqlx::Error> {
    match outcome {
        Outcome::Stored { sha256, size } => stored(conn, wanted, upload, sha256, *size).await,
        Outcome::Refused { why, again } => refused(conn, wanted, upload, why, *again).await,
        Outcome::Failed { why, again, anew } => failed(conn, wanted, upload, why, *again, *anew).await,
    }
}

/// One statement: the object's row, which waits for a removal under way of the same content, and the switch. If equal content is
/// stored already, the upload is let go of.
async fn stored(
    conn: &mut PgConnection,
    wanted: &Wanted,
    upload: Uuid,
    sha256: &[u8],
    size: u64,
) -> Result<bool, sqlx::Error> {
    let mut tx = sqlx::Connection::begin(conn).await?;
    let object = sqlx::query_scalar!(
        r#"-- contents::stored (object)
        insert into objects as o (sha256, size, key) values ($1, $2, $3)
        on conflict (sha256) do update set put_at = clock()
        returning o.id"#,
        sha256,
        bytes(size),
        upload,
    )
    .fetch_one(&mut *tx)
    .await?;
    let done = sqlx::query!(
        r#"-- contents::stored
        update file_contents set
            state = 'stored', why = null, tries = 0, retry_at = 'infinity', object_id = $4, revision = wanted_revision,
            format = wanted_format, stored_at = clock(), upload = null, upload_id = null, parts = '{}', received = 0,
            sums = null
        where account_id = $1 and file_id = $2 and upload = $3"#,
        wanted.account,
        wanted.file,
        upload,
        object,
    )
    .execute(&mut *tx)
    .await?;
    if done.rows_affected() == 1 {
        tx.commit().await?;
        return Ok(true);
    }
    // Whoever took the row over has named the upload for removal; an object of that key must not come of it.
    tx.rollback().await?;
    Ok(false)
}

async fn refused(
    conn: &mut PgConnection,
    wanted: &Wanted,
    upload: Uuid,
    why: &str,
    again: Option<Duration>,
) -> Result<bool, sqlx::Error> {
    let done = sqlx::query!(
        r#"-- contents::refused
        update file_contents set
            state = 'refused', why = $4, tries = 0,
            retry_at = coalesce(clock() + make_interval(secs => $5::float8), 'infinity'),
            upload = null, upload_id = null, parts = '{}', received = 0, sums = null
        where account_id = $1 and file_id = $2 and upload = $3"#,
        wanted.account,
        wanted.file,
        upload,
        why,
        again.map(seconds),
    )
    .execute(conn)
    .await?;
    Ok(done.rows_affected() == 1)
}

async fn failed(
    conn: &mut PgConnection,
    wanted: &Wanted,
    upload: Uuid,
    why: &str,
    again: Duration,
    anew: bool,
) -> Result<bool, sqlx::Error> {
    let done = sqlx::query!(
        r#"-- contents::failed
        update file_contents set
            why = $4, tries = tries + 1, retry_at = clock() + make_interval(secs => $5),
            upload = case when not $6 then upload end, upload_id = case when not $6 then upload_id end,
            parts = case when $6 then '{}' else parts end, received = case when $6 then 0 else received end,
            sums = case when not $6 then sums end
        where account_id = $1 and file_id = $2 and upload = $3"#,
        wanted.account,
        wanted.file,
        upload,
        why,
        seconds(again),
        anew,
    )
    .execute(conn)
    .await?;
    Ok(done.rows_affected() == 1)
}

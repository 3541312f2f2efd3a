//! How far an upload is.

use sqlx::{PgConnection, types::Uuid};

use super::{Wanted, bytes};
use crate::objects::Upload;

/// Draws the key of an upload, for one attempt alone: two that were taken for each other write to different places. It is in the
/// database before anything is written under it. None: somebody else has begun meanwhile, or another revision is wanted.
///
/// An upload of which parts were noted has its key already, and goes on.
pub async fn begin(conn: &mut PgConnection, wanted: &Wanted) -> Result<Option<Upload>, sqlx::Error> {
    let key: Option<Uuid> = sqlx::query_scalar!(
        r#"-- contents::begin
        update file_contents set upload = gen_random_uuid(), upload_id = null, parts = '{}', sums = null
        where account_id = $1 and file_id = $2 and upload is not distinct from $3 and received = 0
            and state in ('pending', 'refused') and wanted_revision = $4
        returning upload as "upload!""#,
        wanted.account,
        wanted.file,
        wanted.upload.as_ref().map(|upload| upload.key),
        wanted.revision,
    )
    .fetch_optional(conn)
    .await?;
    Ok(key.map(|key| Upload { key, id: None, parts: Vec::new(), received: 0 }))
}

/// Notes the service's own name of an upload. False: it is not this row's any more.
pub async fn begun(
    conn: &mut PgConnection,
    wanted: &Wanted,
    upload: &Upload,
    id: &str,
) -> Result<bool, sqlx::Error> {
    let done = sqlx::query!(
        r#"-- contents::begun
        update file_contents set upload_id = $4
        where account_id = $1 and file_id = $2 and upload = $3 and upload_id is null"#,
        wanted.account,
        wanted.file,
        upload.key,
        id,
    )
    .execute(conn)
    .await?;
    Ok(done.rows_affected() == 1)
}

/// Notes a part that is durable: its tag, its length, and the state of the checksums after it. False: somebody else has gone on.
pub async fn progress(
    conn: &mut PgConnection,
    wanted: &Wanted,
    upload: &Upload,
    tag: &str,
    length: u64,
    sums: &[u8],
) -> Result<bool, sqlx::Error> {
    let done = sqlx::query!(
        r#"-- contents::progress
        update file_contents set parts = parts || $5::text, received = received + $6, sums = $7, tries = 0
        where account_id = $1 and file_id = $2 and upload = $3 and received = $4"#,
        wanted.account,
        wanted.file,
        upload.key,
        bytes(upload.received),
        tag,
        bytes(length),
        sums,
    )
    .execute(conn)
    .await?;
    Ok(done.rows_affected() == 1)
}

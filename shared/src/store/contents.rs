//! Which files' contents are wanted, and how far each is fetched: table `file_contents`.
//!
//! A row is guarded by itself: progress and the end of a download count only for the upload, and the number of bytes, from which
//! they came. So whoever was taken for dead, and goes on, changes nothing.

mod compare;
mod show;

use std::time::Duration;

use sqlx::{PgConnection, types::Uuid};

pub use self::{
    compare::{compare, is_overdue},
    show::{Count, Stored, counts, ls, stored_in},
};
use super::seconds;
use crate::{job::AccountId, objects::Upload};

/// A file whose content is to be fetched.
#[derive(Debug, Clone)]
pub struct Wanted {
    /// Whose.
    pub account: AccountId,
    /// Google's id.
    pub file: String,
    /// The revision.
    pub revision: String,
    /// What it is exported as; none: it is as it is.
    pub format: Option<String>,
    /// Bytes, as Google says.
    pub size: Option<u64>,
    /// The checksum, as Google says.
    pub md5: Option<String>,
    /// The other one.
    pub sha256: Option<String>,
    /// What its link needs.
    pub resource_key: Option<String>,
    /// Failures in a row.
    pub tries: u32,
    /// How far it is.
    pub upload: Upload,
    /// The state of the checksums of what was received.
    pub sums: Option<Vec<u8>>,
}

/// What is to be fetched next, at most so many, small ones first. Each has an upload, whose key is in the database before anything
/// is written under it.
pub async fn next(
    conn: &mut PgConnection,
    account: AccountId,
    limit: i64,
) -> Result<Vec<Wanted>, sqlx::Error> {
    let rows = sqlx::query!(
        r#"-- contents::next
        with due as (
            select file_id
            from file_contents
            where account_id = $1 and retry_at < 'infinity' and state in ('pending', 'refused') and retry_at <= clock()
            order by wanted_size nulls first, file_id
            limit $2
            for update
        )
        update file_contents c set upload = coalesce(c.upload, gen_random_uuid())
        from due join files f on f.account_id = $1 and f.file_id = due.file_id
        where c.account_id = $1 and c.file_id = due.file_id
        returning c.file_id, c.wanted_revision, c.wanted_format, c.wanted_size, c.wanted_md5, c.wanted_sha256,
            f.resource_key, c.tries, c.upload as "upload!", c.upload_id, c.parts, c.received, c.sums"#,
        account,
        limit,
    )
    .fetch_all(conn)
    .await?;
    let mut wanted: Vec<Wanted> = rows
        .into_iter()
        .map(|row| Wanted {
            account,
            file: row.file_id,
            revision: row.wanted_revision,
            format: row.wanted_format,
            size: row.wanted_size.and_then(|size| u64::try_from(size).ok()),
            md5: row.wanted_md5,
            sha256: row.wanted_sha256,
            resource_key: row.resource_key,
            tries: u32::try_from(row.tries).unwrap_or_default(),
            upload: Upload {
                key: row.upload,
                id: row.upload_id,
                parts: row.parts,
                received: u64::try_from(row.received).unwrap_or_default(),
            },
            sums: row.sums,
        })
        .collect();
    wanted.sort_by_key(|wanted| wanted.size);
    Ok(wanted)
}

/// Whether anything is to be fetched: now, or in how long.
pub async fn next_in(conn: &mut PgConnection, account: AccountId) -> Result<Option<Duration>, sqlx::Error> {
    let soonest = sqlx::query_scalar!(
        r#"-- contents::next_in
        select extract(epoch from min(retry_at) - clock())::float8
        from (
            select case when retry_at <= clock() then clock() else retry_at end as retry_at
            from file_contents
            where account_id = $1 and retry_at < 'infinity' and state in ('pending', 'refused')
        ) due"#,
        account,
    )
    .fetch_one(conn)
    .await?;
    Ok(soonest.map(|seconds| Duration::from_secs_f64(seconds.max(0.0))))
}

/// Notes the service's own name of an upload. False: it is not this row's any more.
pub async fn begun(conn: &mut PgConnection, wanted: &Wanted, id: &str) -> Result<bool, sqlx::Error> {
    let done = sqlx::query!(
        r#"-- contents::begun
        update file_contents set upload_id = $4
        where account_id = $1 and file_id = $2 and upload = $3 and upload_id is null"#,
        wanted.account,
        wanted.file,
        wanted.upload.key,
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
        wanted.upload.key,
        bytes(wanted.upload.received),
        tag,
        bytes(length),
        sums,
    )
    .execute(conn)
    .await?;
    Ok(done.rows_affected() == 1)
}

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

/// Writes what became of a download. Stored content takes the place of what was stored before. False: it is not this row's
/// download any more.
pub async fn end(conn: &mut PgConnection, wanted: &Wanted, outcome: &Outcome) -> Result<bool, sqlx::Error> {
    match outcome {
        Outcome::Stored { sha256, size } => stored(conn, wanted, sha256, *size).await,
        Outcome::Refused { why, again } => refused(conn, wanted, why, *again).await,
        Outcome::Failed { why, again, anew } => failed(conn, wanted, why, *again, *anew).await,
    }
}

/// One statement: the object's row, which waits for a removal under way of the same content, and the switch. If equal content is
/// stored already, the upload is let go of.
async fn stored(
    conn: &mut PgConnection,
    wanted: &Wanted,
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
        wanted.upload.key,
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
        wanted.upload.key,
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
        wanted.upload.key,
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
        wanted.upload.key,
        why,
        seconds(again),
        anew,
    )
    .execute(conn)
    .await?;
    Ok(done.rows_affected() == 1)
}

/// Where the stored content of a file stands; none: nothing is stored.
pub async fn key_of(
    conn: &mut PgConnection,
    account: AccountId,
    file: &str,
) -> Result<Option<Uuid>, sqlx::Error> {
    sqlx::query_scalar!(
        r#"-- contents::key_of
        select o.key from file_contents c join objects o on o.id = c.object_id
        where c.account_id = $1 and c.file_id = $2"#,
        account,
        file,
    )
    .fetch_optional(conn)
    .await
}

fn bytes(size: u64) -> i64 {
    i64::try_from(size).unwrap_or(i64::MAX)
}

//! Which files' contents are wanted, and how far each is fetched: table `file_contents`.
//!
//! A row is guarded by itself: progress and the end of a download count only for the upload, and the number of bytes, from which
//! they came. So whoever was taken for dead, and goes on, changes nothing.

mod compare;
mod end;
mod progress;
mod show;

use std::time::Duration;

use chrono::{DateTime, Utc};
use sqlx::{PgConnection, types::Uuid};

pub use self::{
    compare::{compare, is_overdue},
    end::{Outcome, end},
    progress::{begin, begun, progress},
    show::{Count, Stored, counts, ls, stored_in},
};
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
    /// How far it is; none: nobody has begun.
    pub upload: Option<Upload>,
    /// The state of the checksums of what was received.
    pub sums: Option<Vec<u8>>,
}

/// What is to be fetched next, at most so many, small ones first.
pub async fn next(
    conn: &mut PgConnection,
    account: AccountId,
    limit: i64,
) -> Result<Vec<Wanted>, sqlx::Error> {
    let rows = sqlx::query!(
        r#"-- contents::next
        select c.file_id, c.wanted_revision, c.wanted_format, c.wanted_size, c.wanted_md5, c.wanted_sha256,
            f.resource_key, c.tries, c.upload, c.upload_id, c.parts, c.received, c.sums
        from file_contents c
        join files f on f.account_id = c.account_id and f.file_id = c.file_id
        where c.account_id = $1 and c.retry_at < 'infinity' and c.state in ('pending', 'refused') and c.retry_at <= clock()
        order by c.wanted_size nulls first, c.file_id
        limit $2"#,
        account,
        limit,
    )
    .fetch_all(conn)
    .await?;
    let wanted = rows.into_iter().map(|row| Wanted {
        account,
        file: row.file_id,
        revision: row.wanted_revision,
        format: row.wanted_format,
        size: row.wanted_size.and_then(|size| u64::try_from(size).ok()),
        md5: row.wanted_md5,
        sha256: row.wanted_sha256,
        resource_key: row.resource_key,
        tries: u32::try_from(row.tries).unwrap_or_default(),
        upload: row.upload.map(|key| Upload {
            key,
            id: row.upload_id,
            parts: row.parts,
            received: u64::try_from(row.received).unwrap_or_default(),
        }),
        sums: row.sums,
    });
    Ok(wanted.collect())
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

/// Stored content, as it stands now.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Object {
    /// Where it stands in the object store.
    pub key: Uuid,
    /// Its SHA-256, in hexadecimal.
    pub sha256: String,
    /// Bytes.
    pub size: i64,
    /// What it was exported as; none: it is as it is.
    pub format: Option<String>,
    /// When the file's name or content changed.
    pub modified_at: Option<DateTime<Utc>>,
}

/// The stored content of a file; none: nothing is stored. Its key is good for an hour, even if other content takes its place now.
pub async fn object_of(
    conn: &mut PgConnection,
    account: AccountId,
    file: &str,
) -> Result<Option<Object>, sqlx::Error> {
    sqlx::query_as!(
        Object,
        r#"-- contents::object_of
        select o.key, encode(o.sha256, 'hex') as "sha256!", o.size, c.format, f.modified_at as "modified_at?"
        from file_contents c
        join objects o on o.id = c.object_id
        left join files f on f.account_id = c.account_id and f.file_id = c.file_id
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

//! Drives as accounts see them, and how far their files are mirrored: table `drives`.

mod cursor;
mod listed;

use std::time::Duration;

use chrono::{DateTime, Utc};
use sqlx::PgConnection;

pub use self::{
    cursor::{DriveCursor, Next},
    listed::{Change, sweep, upsert},
};
use super::{cursor::SaveError, seconds};
use crate::job::AccountId;

/// A drive's row.
pub type DriveRowId = i64;

/// A drive whose files are to be mirrored.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Drive {
    /// Its row.
    pub id: DriveRowId,
    /// Whose account sees it.
    pub account: AccountId,
    /// Google's id, which is that of the folder at its top, too.
    pub google_id: String,
    /// Whether it is the account's My Drive.
    pub is_mine: bool,
    /// The account is no member any more.
    pub deleted: bool,
    /// When the last whole sweep ended.
    pub swept_at: Option<DateTime<Utc>>,
    /// How far.
    pub cursor: DriveCursor,
}

impl Drive {
    /// Which drive that is in calls.
    #[must_use]
    pub fn call_id(&self) -> Option<&str> {
        (!self.is_mine).then_some(self.google_id.as_str())
    }
}

/// A drive, for people.
#[derive(Debug, Clone, serde::Serialize)]
pub struct DriveRow {
    /// Its row.
    pub id: DriveRowId,
    /// Whose account sees it.
    pub account: AccountId,
    /// Google's id, which is that of the folder at its top, too.
    pub google_id: String,
    /// Its name.
    pub name: Option<String>,
    /// Whether it is the account's My Drive.
    pub is_mine: bool,
    /// Whether the user hid it.
    pub hidden: bool,
    /// Whether a sweep over its files has ended.
    pub synced: bool,
}

/// A drive with its cursor.
pub async fn get(conn: &mut PgConnection, id: DriveRowId) -> Result<Option<Drive>, sqlx::Error> {
    let row = sqlx::query!(
        r#"-- drives::get
        select id, account_id, google_id, is_mine, deleted, log_token, start_token, page_token, page_mark, log_mark, incomplete,
            generation, step, resyncs, sweep_at <= clock() as "sweep_is_due!", full_at > '-infinity' as "is_full!",
            nullif(full_at, '-infinity') as swept_at,
            case when resync_at > clock() then extract(epoch from resync_at - clock())::float8 else 0 end as "held!",
            case when read_at > '-infinity' then extract(epoch from clock() - read_at)::float8 else 'infinity' end
                as "unread!"
        from drives
        where id = $1"#,
        id,
    )
    .fetch_optional(conn)
    .await?;
    Ok(row.map(|row| Drive {
        id: row.id,
        account: row.account_id,
        google_id: row.google_id,
        is_mine: row.is_mine,
        deleted: row.deleted,
        swept_at: row.swept_at,
        cursor: DriveCursor {
            log_token: row.log_token,
            start_token: row.start_token,
            page_token: row.page_token,
            page_mark: row.page_mark,
            log_mark: row.log_mark,
            incomplete: row.incomplete,
            generation: row.generation,
            step: row.step,
            resyncs: row.resyncs,
            sweep_is_due: row.sweep_is_due,
            is_full: row.is_full,
            held: cursor::span(row.held),
            unread: cursor::span(row.unread),
        },
    }))
}

/// The drives of an account, its own first, then by name.
pub async fn list(conn: &mut PgConnection, account: AccountId) -> Result<Vec<DriveRow>, sqlx::Error> {
    sqlx::query_as!(
        DriveRow,
        r#"-- drives::list
        select id, account_id as account, google_id, name, is_mine, hidden, full_at > '-infinity' as "synced!"
        from drives
        where account_id = $1 and not deleted
        order by is_mine desc, name, id"#,
        account,
    )
    .fetch_all(conn)
    .await
}

/// The drives of an account that are there now: row and Google's id.
pub async fn there(
    conn: &mut PgConnection,
    account: AccountId,
) -> Result<Vec<(DriveRowId, String)>, sqlx::Error> {
    let rows = sqlx::query!(
        "-- drives::there
        select id, google_id from drives where account_id = $1 and not deleted order by id",
        account,
    )
    .fetch_all(conn)
    .await?;
    Ok(rows.into_iter().map(|row| (row.id, row.google_id)).collect())
}

/// Those of these drives that are there, in order. They stay until the transaction ends, while their cursors may be written.
pub async fn hold(conn: &mut PgConnection, ids: &[DriveRowId]) -> Result<Vec<DriveRowId>, sqlx::Error> {
    if ids.is_empty() {
        return Ok(Vec::new());
    }
    sqlx::query_scalar!(
        "-- drives::hold
        select id from drives where id = any($1) and not deleted order by id for key share",
        ids,
    )
    .fetch_all(conn)
    .await
}

/// Forgets how far the files of these drives were mirrored. Their generations go on.
pub async fn reset(conn: &mut PgConnection, drives: &[DriveRowId]) -> Result<(), sqlx::Error> {
    sqlx::query!(
        r#"-- drives::reset
        update drives set
            log_token = null, start_token = null, page_token = null, incomplete = false, step = step + 1, resyncs = 0,
            sweep_at = '-infinity', resync_at = '-infinity', read_at = '-infinity', full_at = '-infinity'
        where id = any($1)"#,
        drives,
    )
    .execute(conn)
    .await
    .map(drop)
}

/// Has the account's My Drive swept soon: a file that was in a shared drive may be seen in another way. Its row, if any.
pub async fn sweep_mine(
    conn: &mut PgConnection,
    account: AccountId,
) -> Result<Option<DriveRowId>, sqlx::Error> {
    sqlx::query_scalar!(
        "-- drives::sweep_mine
        update drives set sweep_at = clock() where account_id = $1 and is_mine and not deleted returning id",
        account,
    )
    .fetch_optional(conn)
    .await
}

/// Has a drive swept once more, at the first step from then on that has nothing else to do.
pub async fn sweep_within(
    conn: &mut PgConnection,
    id: DriveRowId,
    time: Duration,
) -> Result<(), sqlx::Error> {
    sqlx::query!(
        "-- drives::sweep_within
        update drives set sweep_at = least(sweep_at, clock() + make_interval(secs => $2)) where id = $1",
        id,
        seconds(time),
    )
    .execute(conn)
    .await
    .map(drop)
}

/// What a step came to, beside the cursor.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Ended {
    /// A whole sweep ended with it: nothing was left out.
    pub sweep: bool,
    /// The log was read, or its place was taken.
    pub read: bool,
    /// When the next sweep is due, from now; none: as it was.
    pub next_sweep: Option<Duration>,
}

/// Writes the cursor, if nobody did since it was read.
pub async fn save(
    conn: &mut PgConnection,
    id: DriveRowId,
    cursor: &DriveCursor,
    ended: Ended,
) -> Result<(), SaveError> {
    let done = sqlx::query!(
        r#"-- drives::save
        update drives set
            log_token = $3, start_token = $4, page_token = $5, incomplete = $6, generation = $7, step = step + 1,
            resyncs = $8, resync_at = clock() + make_interval(secs => $9),
            full_at = case when $10 then clock() else full_at end,
            read_at = case when $11 then clock() else read_at end,
            sweep_at = coalesce(clock() + make_interval(secs => $12), sweep_at)
        where id = $1 and step = $2"#,
        id,
        cursor.step,
        cursor.log_token,
        cursor.start_token,
        cursor.page_token,
        cursor.incomplete,
        cursor.generation,
        cursor.resyncs,
        seconds(cursor.held),
        ended.sweep,
        ended.read,
        ended.next_sweep.map(seconds),
    )
    .execute(conn)
    .await?;
    if done.rows_affected() == 1 { Ok(()) } else { Err(SaveError::Moved(format!("drive {id}"))) }
}

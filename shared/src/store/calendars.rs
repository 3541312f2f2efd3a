//! Calendars as accounts see them, and how far their events are mirrored: table `calendars`.

mod listed;

use sqlx::PgConnection;

pub use self::listed::{Change, sweep, upsert};
use super::{
    changes::What,
    cursor::{Columns, Cursor, Pass, SaveError},
    seconds,
};
use crate::job::AccountId;

/// A calendar's row.
pub type CalendarId = i64;

/// A calendar whose events are to be mirrored.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Calendar {
    /// Its row.
    pub id: CalendarId,
    /// Whose account sees it.
    pub account: AccountId,
    /// Google's id.
    pub google_id: String,
    /// Whether its events are mirrored.
    pub readable: bool,
    /// How far.
    pub cursor: Cursor,
}

/// A calendar, for people.
#[derive(Debug, Clone, serde::Serialize)]
#[expect(clippy::struct_excessive_bools, reason = "they are independent, and Google's own")]
pub struct CalendarRow {
    /// Its row.
    pub id: CalendarId,
    /// Whose account sees it.
    pub account: AccountId,
    /// Google's id.
    pub google_id: String,
    /// Its title.
    pub summary: Option<String>,
    /// What the account may do, in Google's words.
    pub access_role: Option<String>,
    /// Whether it is the account's own.
    pub is_primary: bool,
    /// Its IANA zone.
    pub time_zone: Option<String>,
    /// Whether the user hid it.
    pub hidden: bool,
    /// Whether its events are mirrored.
    pub readable: bool,
    /// Whether a full pass over its events has ended.
    pub synced: bool,
}

/// A calendar with the cursor of its events.
pub async fn get(conn: &mut PgConnection, id: CalendarId) -> Result<Option<Calendar>, sqlx::Error> {
    let row = sqlx::query!(
        r#"-- calendars::get
        select
            id, account_id, google_id, readable, sync_token, page_token, page_mark, pass, generation, step, resyncs,
            case when resync_at > clock() then extract(epoch from resync_at - clock())::float8 else 0 end as "held!",
            case when full_at > '-infinity' then extract(epoch from clock() - full_at)::float8 else 'infinity' end
                as "full_age!"
        from calendars
        where id = $1"#,
        id,
    )
    .fetch_optional(conn)
    .await?;
    Ok(row.map(|row| Calendar {
        id: row.id,
        account: row.account_id,
        google_id: row.google_id,
        readable: row.readable,
        cursor: Columns {
            sync_token: row.sync_token,
            page_token: row.page_token,
            page_mark: row.page_mark,
            pass: row.pass,
            generation: row.generation,
            step: row.step,
            resyncs: row.resyncs,
            held: row.held,
            full_age: row.full_age,
        }
        .into(),
    }))
}

/// The calendars of an account that stand in its list, primary first, then by title.
pub async fn list(conn: &mut PgConnection, account: AccountId) -> Result<Vec<CalendarRow>, sqlx::Error> {
    sqlx::query_as!(
        CalendarRow,
        r#"-- calendars::list
        select
            id, account_id as account, google_id, summary, access_role, is_primary, time_zone, hidden,
            readable as "readable!", full_at > '-infinity' as "synced!"
        from calendars
        where account_id = $1 and not deleted
        order by is_primary desc, summary, id"#,
        account,
    )
    .fetch_all(conn)
    .await
}

/// A calendar's row, whose it is, and its IANA zone.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CalendarZone {
    /// Its row.
    pub id: CalendarId,
    /// Whose account sees it.
    pub account: AccountId,
    /// Its zone, as given.
    pub time_zone: Option<String>,
}

/// The calendars of an account, or one calendar, or both: that calendar if it is the account's.
pub async fn zones(
    conn: &mut PgConnection,
    account: Option<AccountId>,
    calendar: Option<CalendarId>,
) -> Result<Vec<CalendarZone>, sqlx::Error> {
    sqlx::query_as!(
        CalendarZone,
        r#"-- calendars::zones
        select id, account_id as account, time_zone
        from calendars
        where account_id = coalesce($1, (select account_id from calendars where id = $2))
            and ($2::bigint is null or id = $2)
        order by id"#,
        account,
        calendar,
    )
    .fetch_all(conn)
    .await
}

/// Forgets how far the events of these calendars were mirrored. Their generations go on.
pub async fn reset(conn: &mut PgConnection, calendars: &[CalendarId]) -> Result<(), sqlx::Error> {
    sqlx::query!(
        r#"-- calendars::reset
        update calendars set
            sync_token = null, page_token = null, pass = null, step = step + 1, resyncs = 0,
            resync_at = '-infinity', full_at = '-infinity'
        where id = any($1)"#,
        calendars,
    )
    .execute(conn)
    .await
    .map(drop)
}

/// The account cannot read the calendar any more, whatever its list says; `role` is what the provider said last.
pub async fn lost(
    conn: &mut PgConnection,
    id: CalendarId,
    step: i64,
    role: Option<&str>,
) -> Result<(), SaveError> {
    let account = sqlx::query_scalar!(
        r#"-- calendars::lost
        update calendars set
            lost_at = clock(), access_role = coalesce($3, access_role),
            sync_token = null, page_token = null, pass = null, step = step + 1
        where id = $1 and step = $2
        returning account_id"#,
        id,
        step,
        role,
    )
    .fetch_optional(&mut *conn)
    .await?;
    let Some(account) = account else { return saved(id, 0) };
    let change = Change { id, was_readable: true, readable: false, what: Some(What::Updated) };
    Ok(listed::tell(conn, account, &[change]).await?)
}

/// Writes the cursor of a calendar's events; see [`super::calendar_lists::save`].
pub async fn save(
    conn: &mut PgConnection,
    id: CalendarId,
    cursor: &Cursor,
    ended: Option<Pass>,
) -> Result<(), SaveError> {
    let done = sqlx::query!(
        r#"-- calendars::save
        update calendars set
            sync_token = $3, page_token = $4, pass = $5, generation = $6, step = step + 1, resyncs = $7,
            resync_at = clock() + make_interval(secs => $8),
            full_at = case when $9 then clock() else full_at end
        where id = $1 and step = $2"#,
        id,
        cursor.step,
        cursor.sync_token,
        cursor.page_token,
        cursor.pass.map(Pass::as_str),
        cursor.generation,
        cursor.resyncs,
        seconds(cursor.held.unwrap_or_default()),
        ended == Some(Pass::Full),
    )
    .execute(conn)
    .await?;
    saved(id, done.rows_affected())
}

fn saved(id: CalendarId, rows: u64) -> Result<(), SaveError> {
    if rows == 1 { Ok(()) } else { Err(SaveError::Moved(format!("calendar {id}"))) }
}

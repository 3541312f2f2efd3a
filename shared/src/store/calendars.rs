//! Calendars as accounts see them, and how far their events are mirrored: table `calendars`.

use sqlx::PgConnection;

use super::{
    changes::{self, Resource, What},
    cursor::{Columns, Cursor, Pass, SaveError},
    seconds,
};
use crate::{google::calendar::CalendarEntry, job::AccountId};

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

/// What a page of the list did to a calendar.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Change {
    /// The calendar.
    pub id: CalendarId,
    /// Whether its events were mirrored before.
    pub was_readable: bool,
    /// Whether its events are mirrored from now on.
    pub readable: bool,
    /// What became of the calendar for those who follow the change feed; none: it is as it was.
    pub what: Option<What>,
}

/// Tells the change feed what became of calendars of an account.
async fn tell(conn: &mut PgConnection, account: AccountId, changed: &[Change]) -> Result<(), sqlx::Error> {
    let change = |id: CalendarId, what| changes::Change {
        account,
        resource: Resource::Calendar,
        parent: None,
        key: id.to_string(),
        what,
    };
    let told: Vec<_> =
        changed.iter().filter_map(|calendar| Some(change(calendar.id, calendar.what?))).collect();
    changes::write(conn, &told).await
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

/// Writes a page of the account's list. A row of a newer generation is left as it is. An entry that counted as lost is tried
/// again if it changed, or after a day.
pub async fn upsert(
    conn: &mut PgConnection,
    account: AccountId,
    generation: i64,
    entries: &[CalendarEntry],
) -> Result<Vec<Change>, sqlx::Error> {
    let entries = super::last_of_each(entries, |entry| entry.id.as_str());
    let column = |of: fn(&CalendarEntry) -> Option<&str>| -> Vec<Option<String>> {
        entries.iter().map(|entry| of(entry).map(str::to_owned)).collect()
    };
    let flag =
        |of: fn(&CalendarEntry) -> bool| -> Vec<bool> { entries.iter().map(|entry| of(entry)).collect() };
    let ids: Vec<String> = entries.iter().map(|entry| entry.id.clone()).collect();
    let raws: Vec<String> = entries.iter().map(|entry| entry.raw.clone()).collect();
    let written = sqlx::query_as!(
        Change,
        r#"-- calendars::upsert
        with page as (
            select * from unnest(
                $3::text[], $4::text[], $5::text[], $6::text[], $7::text[], $8::bool[], $9::bool[], $10::bool[],
                $11::bool[], $12::text[]
            ) as p (google_id, summary, access_role, time_zone, etag, is_primary, hidden, selected, deleted, raw)
        ), before as (
            select c.google_id, c.readable, c.deleted, c.lost_at is not null as lost, c.etag
            from calendars c join page using (google_id)
            where c.account_id = $1
        ), after as (
            insert into calendars as c (
                account_id, google_id, summary, access_role, time_zone, etag, is_primary, hidden, selected, deleted,
                raw, list_generation
            )
            select
                $1, google_id, summary, access_role, time_zone, etag, is_primary, hidden, selected, deleted,
                raw::jsonb, $2
            from page
            order by google_id
            on conflict (account_id, google_id) do update set
                summary = excluded.summary, access_role = excluded.access_role, time_zone = excluded.time_zone,
                etag = excluded.etag, is_primary = excluded.is_primary, hidden = excluded.hidden,
                selected = excluded.selected, deleted = excluded.deleted, raw = excluded.raw,
                list_generation = excluded.list_generation,
                lost_at = case
                    when c.etag is not distinct from excluded.etag and c.lost_at > clock() - interval '1 day'
                    then c.lost_at
                end
            where c.list_generation <= excluded.list_generation
            returning c.id, c.google_id, c.readable, c.deleted, c.lost_at is not null as lost, c.etag
        )
        select
            after.id, coalesce(before.readable, false) as "was_readable!", after.readable as "readable!",
            case
                when after.deleted then case when not before.deleted then 'deleted' end
                when coalesce(before.deleted, true) then 'created'
                when before.etag is null or (before.etag, before.lost) is distinct from (after.etag, after.lost) then 'updated'
            end::change_what as "what: What"
        from after left join before using (google_id)
        order by after.id"#,
        account,
        generation,
        &ids,
        &column(|entry| entry.summary.as_deref()) as &[Option<String>],
        &column(|entry| entry.access_role.as_deref()) as &[Option<String>],
        &column(|entry| entry.time_zone.as_deref()) as &[Option<String>],
        &column(|entry| entry.etag.as_deref()) as &[Option<String>],
        &flag(|entry| entry.is_primary),
        &flag(|entry| entry.hidden),
        &flag(|entry| entry.selected),
        &flag(|entry| entry.deleted),
        &raws,
    )
    .fetch_all(&mut *conn)
    .await?;
    tell(conn, account, &written).await?;
    Ok(written)
}

/// Marks as deleted what a full pass over the list has not seen.
pub async fn sweep(
    conn: &mut PgConnection,
    account: AccountId,
    generation: i64,
) -> Result<Vec<Change>, sqlx::Error> {
    let swept = sqlx::query_as!(
        Change,
        r#"-- calendars::sweep
        with gone as (
            select id, readable
            from calendars
            where account_id = $1 and list_generation < $2 and not deleted
            order by id
            for update
        )
        update calendars c set deleted = true
        from gone
        where c.id = gone.id
        returning c.id, gone.readable as "was_readable!", c.readable as "readable!",
            'deleted'::change_what as "what: What""#,
        account,
        generation,
    )
    .fetch_all(&mut *conn)
    .await?;
    tell(conn, account, &swept).await?;
    Ok(swept)
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
    Ok(tell(conn, account, &[change]).await?)
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

//! What is asked for by time. Each statement has its index in the migration.

use chrono::{DateTime, NaiveDate, Utc};
use sqlx::PgConnection;

use crate::{calendar::Window, job::AccountId, store::calendars::CalendarId};

/// An event that is asked for by time, as its row says.
#[derive(Debug, Clone)]
pub struct EventRow {
    /// The calendar's row.
    pub calendar: CalendarId,
    /// Google's id.
    pub id: String,
    /// confirmed, tentative or cancelled.
    pub status: String,
    /// The title.
    pub summary: Option<String>,
    /// Where it is.
    pub location: Option<String>,
    /// Who organizes it.
    pub organizer: Option<String>,
    /// When a timed event starts.
    pub start_at: Option<DateTime<Utc>>,
    /// When a timed event ends.
    pub end_at: Option<DateTime<Utc>>,
    /// The first day of an all-day event.
    pub start_date: Option<NaiveDate>,
    /// The day after the last day of an all-day event.
    pub end_date: Option<NaiveDate>,
    /// The zone of the start, if the event has its own.
    pub zone: Option<String>,
    /// The start's moment as given, with its offset.
    pub given_start: Option<String>,
    /// The lines of a series.
    pub recurrence: Option<Vec<String>>,
    /// The series of an exception.
    pub recurring_event_id: Option<String>,
}

/// An exception, and which occurrence it stands for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Exception {
    /// The calendar's row.
    pub calendar: CalendarId,
    /// The master.
    pub master: String,
    /// The occurrence of a timed series.
    pub original_start_at: Option<DateTime<Utc>>,
    /// The occurrence of an all-day series.
    pub original_date: Option<NaiveDate>,
}

/// A window in a calendar: its moments, and the days that they are there.
#[derive(Debug, Clone, Copy)]
pub struct Days {
    /// The calendar's row.
    pub calendar: CalendarId,
    /// The first day.
    pub first: NaiveDate,
    /// The day after the last one.
    pub after: NaiveDate,
}

/// The timed events of these calendars that lie, wholly or in part, in a window, by their start: single ones and exceptions, no
/// masters.
pub async fn timed(
    conn: &mut PgConnection,
    account: AccountId,
    calendars: &[CalendarId],
    window: Window,
    limit: i64,
) -> Result<Vec<EventRow>, sqlx::Error> {
    sqlx::query_as!(
        EventRow,
        r#"-- events::timed
        select
            calendar_id as "calendar!", event_id as "id!", status as "status!", summary, location, organizer, start_at, end_at, start_date,
            end_date, start_zone as zone, raw #>> '{start,dateTime}' as given_start, recurrence, recurring_event_id
        from (
            select * from events
            where account_id = $1 and calendar_id = any($2)
                and end_at is not null and recurrence is null and status <> 'cancelled'
                and end_at >= $3 and start_at < $4 and (end_at > $3 or start_at >= $3)
            order by start_at, calendar_id, event_id
            limit $5
        ) as found"#,
        account,
        calendars,
        window.from,
        window.to,
        limit,
    )
    .fetch_all(conn)
    .await
}

/// As [`timed`], the all-day events. Which days a window has depends on the calendar's zone.
pub async fn all_day(
    conn: &mut PgConnection,
    account: AccountId,
    days: &[Days],
    limit: i64,
) -> Result<Vec<EventRow>, sqlx::Error> {
    let calendars: Vec<CalendarId> = days.iter().map(|days| days.calendar).collect();
    let first: Vec<NaiveDate> = days.iter().map(|days| days.first).collect();
    let after: Vec<NaiveDate> = days.iter().map(|days| days.after).collect();
    sqlx::query_as!(
        EventRow,
        r#"-- events::all_day
        select
            e.calendar_id as calendar, e.event_id as id, e.status, e.summary, e.location, e.organizer, e.start_at,
            e.end_at, e.start_date, e.end_date, e.start_zone as zone, null::text as given_start, e.recurrence,
            e.recurring_event_id
        from events e
        join unnest($2::bigint[], $3::date[], $4::date[]) as d (calendar_id, first, after) using (calendar_id)
        where e.account_id = $1
            and e.end_date is not null and e.recurrence is null and e.status <> 'cancelled'
            and e.end_date > $5 and e.start_date < $6
            and e.end_date > d.first and e.start_date < d.after
        order by e.start_date, e.calendar_id, e.event_id
        limit $7"#,
        account,
        &calendars,
        &first,
        &after,
        first.iter().min(),
        after.iter().max(),
        limit,
    )
    .fetch_all(conn)
    .await
}

/// The masters of these calendars whose series may have occurrences in a window, by their key.
pub async fn masters(
    conn: &mut PgConnection,
    account: AccountId,
    calendars: &[CalendarId],
    window: Window,
) -> Result<Vec<EventRow>, sqlx::Error> {
    sqlx::query_as!(
        EventRow,
        r#"-- events::masters
        select
            calendar_id as calendar, event_id as id, status, summary, location, organizer, start_at, end_at, start_date,
            end_date, start_zone as zone, raw #>> '{start,dateTime}' as given_start, recurrence, recurring_event_id
        from events
        where account_id = $1 and calendar_id = any($2)
            and recurrence is not null and status <> 'cancelled'
            and series_end >= $3
            and coalesce(start_at, start_date::timestamp at time zone 'utc') < $4::timestamptz + interval '1 day'
        order by calendar_id, event_id"#,
        account,
        calendars,
        window.from,
        window.to,
    )
    .fetch_all(conn)
    .await
}

/// The exceptions of these masters. One that says nothing of itself replaces nothing.
pub async fn exceptions(
    conn: &mut PgConnection,
    account: AccountId,
    masters: &[EventRow],
) -> Result<Vec<Exception>, sqlx::Error> {
    let calendars: Vec<CalendarId> = masters.iter().map(|master| master.calendar).collect();
    let ids: Vec<String> = masters.iter().map(|master| master.id.clone()).collect();
    sqlx::query_as!(
        Exception,
        r#"-- events::exceptions
        select
            e.calendar_id as calendar, e.recurring_event_id as "master!", e.original_start_at, e.original_date
        from unnest($2::bigint[], $3::text[]) as m (calendar_id, event_id)
        join events e on e.calendar_id = m.calendar_id and e.recurring_event_id = m.event_id
        where e.account_id = $1 and (e.status = 'cancelled' or e.start_at is not null or e.start_date is not null)"#,
        account,
        &calendars,
        &ids,
    )
    .fetch_all(conn)
    .await
}

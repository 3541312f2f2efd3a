//! The events of mirrored calendars: table `events`.

use chrono::{DateTime, NaiveDate, Utc};
use sqlx::PgConnection;

use super::calendars::CalendarId;
use crate::{calendar::Window, google::calendar::EventItem, job::AccountId};

/// Whose events: the first two parts of the key.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Mirror {
    /// The account.
    pub account: AccountId,
    /// The calendar, as the account sees it.
    pub calendar: CalendarId,
}

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

/// Writes a page: what is live or a cancelled exception is put in place, what is deleted goes, a series with its exceptions.
/// A row of a newer generation is left as it is. Says how many rows changed.
pub async fn apply(
    conn: &mut PgConnection,
    mirror: Mirror,
    generation: i64,
    events: &[EventItem],
) -> Result<u64, sqlx::Error> {
    let events = super::last_of_each(events, |event| event.id.as_str());
    let (gone, kept): (Vec<_>, Vec<_>) = events.into_iter().partition(|event| event.is_tombstone());
    let written = upsert(&mut *conn, mirror, generation, &kept).await?;
    let gone: Vec<String> = gone.into_iter().map(|event| event.id.clone()).collect();
    Ok(written + remove(conn, mirror, generation, &gone).await?)
}

async fn upsert(
    conn: &mut PgConnection,
    mirror: Mirror,
    generation: i64,
    events: &[&EventItem],
) -> Result<u64, sqlx::Error> {
    if events.is_empty() {
        return Ok(0);
    }
    let text = |of: fn(&EventItem) -> Option<&str>| -> Vec<Option<String>> {
        events.iter().map(|event| of(event).map(str::to_owned)).collect()
    };
    let moments = |of: fn(&EventItem) -> Option<DateTime<Utc>>| -> Vec<Option<DateTime<Utc>>> {
        events.iter().map(|event| of(event)).collect()
    };
    let days = |of: fn(&EventItem) -> Option<NaiveDate>| -> Vec<Option<NaiveDate>> {
        events.iter().map(|event| of(event)).collect()
    };
    let ids: Vec<String> = events.iter().map(|event| event.id.clone()).collect();
    let statuses: Vec<String> = events.iter().map(|event| event.status.clone()).collect();
    let raws: Vec<String> = events.iter().map(|event| event.raw.clone()).collect();
    let sequences: Vec<Option<i32>> = events.iter().map(|event| event.sequence).collect();
    let unspecified: Vec<bool> = events.iter().map(|event| event.end_unspecified).collect();
    let lines: Vec<Option<String>> = events.iter().map(|event| json(event.recurrence.as_ref())).collect();
    sqlx::query!(
        r#"-- events::upsert
        insert into events as e (
            account_id, calendar_id, generation, event_id, status, event_type, transparency, visibility, summary,
            location, start_at, end_at, start_date, end_date, end_unspecified, start_zone, end_zone, organizer, creator,
            attendees, conference_url, recurrence, series_end, recurring_event_id, original_start_at, original_date,
            ical_uid, updated, etag, sequence, html_link, raw
        )
        select
            $1, $2, $3, event_id, status, event_type, transparency, visibility, summary,
            location, start_at, end_at, start_date, end_date, end_unspecified, start_zone, end_zone, organizer, creator,
            attendees::jsonb, conference_url,
            case when recurrence is not null then array(select jsonb_array_elements_text(recurrence::jsonb)) end,
            case when recurrence is not null then coalesce(series_end, 'infinity') end,
            recurring_event_id, original_start_at, original_date, ical_uid, updated, etag, sequence, html_link, raw::jsonb
        from unnest(
            $4::text[], $5::text[], $6::text[], $7::text[], $8::text[], $9::text[], $10::text[], $11::timestamptz[],
            $12::timestamptz[], $13::date[], $14::date[], $15::bool[], $16::text[], $17::text[], $18::text[],
            $19::text[], $20::text[], $21::text[], $22::text[], $23::timestamptz[], $24::text[], $25::timestamptz[],
            $26::date[], $27::text[], $28::timestamptz[], $29::text[], $30::int[], $31::text[], $32::text[]
        ) as p (
            event_id, status, event_type, transparency, visibility, summary, location, start_at, end_at, start_date,
            end_date, end_unspecified, start_zone, end_zone, organizer, creator, attendees, conference_url, recurrence,
            series_end, recurring_event_id, original_start_at, original_date, ical_uid, updated, etag, sequence,
            html_link, raw
        )
        order by event_id
        on conflict (account_id, calendar_id, event_id) do update set
            generation = excluded.generation, status = excluded.status, event_type = excluded.event_type,
            transparency = excluded.transparency, visibility = excluded.visibility, summary = excluded.summary,
            location = excluded.location, start_at = excluded.start_at, end_at = excluded.end_at,
            start_date = excluded.start_date, end_date = excluded.end_date,
            end_unspecified = excluded.end_unspecified, start_zone = excluded.start_zone, end_zone = excluded.end_zone,
            organizer = excluded.organizer, creator = excluded.creator, attendees = excluded.attendees,
            conference_url = excluded.conference_url, recurrence = excluded.recurrence,
            series_end = excluded.series_end, recurring_event_id = excluded.recurring_event_id,
            original_start_at = excluded.original_start_at, original_date = excluded.original_date,
            ical_uid = excluded.ical_uid, updated = excluded.updated, etag = excluded.etag,
            sequence = excluded.sequence, html_link = excluded.html_link, raw = excluded.raw
        where e.generation <= excluded.generation"#,
        mirror.account,
        mirror.calendar,
        generation,
        &ids,
        &statuses,
        &text(|event| Some(&event.event_type)) as &[Option<String>],
        &text(|event| Some(&event.transparency)) as &[Option<String>],
        &text(|event| Some(&event.visibility)) as &[Option<String>],
        &text(|event| event.summary.as_deref()) as &[Option<String>],
        &text(|event| event.location.as_deref()) as &[Option<String>],
        &moments(|event| event.start.moment()) as &[Option<DateTime<Utc>>],
        &moments(EventItem::ends_at) as &[Option<DateTime<Utc>>],
        &days(|event| event.start.day()) as &[Option<NaiveDate>],
        &days(EventItem::ends_on) as &[Option<NaiveDate>],
        &unspecified,
        &text(|event| event.start.zone()) as &[Option<String>],
        &text(|event| event.end.zone()) as &[Option<String>],
        &text(|event| event.organizer.as_deref()) as &[Option<String>],
        &text(|event| event.creator.as_deref()) as &[Option<String>],
        &text(|event| event.attendees.as_deref()) as &[Option<String>],
        &text(|event| event.conference_url.as_deref()) as &[Option<String>],
        &lines as &[Option<String>],
        &moments(EventItem::series_end) as &[Option<DateTime<Utc>>],
        &text(|event| event.recurring_event_id.as_deref()) as &[Option<String>],
        &moments(|event| event.original_start.moment()) as &[Option<DateTime<Utc>>],
        &days(|event| event.original_start.day()) as &[Option<NaiveDate>],
        &text(|event| event.ical_uid.as_deref()) as &[Option<String>],
        &moments(|event| event.updated) as &[Option<DateTime<Utc>>],
        &text(|event| event.etag.as_deref()) as &[Option<String>],
        &sequences as &[Option<i32>],
        &text(|event| event.html_link.as_deref()) as &[Option<String>],
        &raws,
    )
    .execute(conn)
    .await
    .map(|done| done.rows_affected())
}

/// Arrays of arrays are none in SQL: the inner ones go as text.
fn json(lines: Option<&Vec<String>>) -> Option<String> {
    lines.and_then(|lines| serde_json::to_string(lines).ok())
}

async fn remove(
    conn: &mut PgConnection,
    mirror: Mirror,
    generation: i64,
    ids: &[String],
) -> Result<u64, sqlx::Error> {
    if ids.is_empty() {
        return Ok(0);
    }
    sqlx::query!(
        r#"-- events::remove
        delete from events
        where account_id = $1 and calendar_id = $2 and generation <= $3
            and (event_id = any($4) or recurring_event_id = any($4))"#,
        mirror.account,
        mirror.calendar,
        generation,
        ids,
    )
    .execute(conn)
    .await
    .map(|done| done.rows_affected())
}

/// Removes what a full pass has not seen.
pub async fn sweep(conn: &mut PgConnection, mirror: Mirror, generation: i64) -> Result<u64, sqlx::Error> {
    sqlx::query!(
        "-- events::sweep
        delete from events where account_id = $1 and calendar_id = $2 and generation < $3",
        mirror.account,
        mirror.calendar,
        generation,
    )
    .execute(conn)
    .await
    .map(|done| done.rows_affected())
}

/// Removes cancelled exceptions whose master is not there. For the end of a pass: until then an exception may well stand
/// before its master.
pub async fn remove_orphans(conn: &mut PgConnection, mirror: Mirror) -> Result<u64, sqlx::Error> {
    sqlx::query!(
        r#"-- events::remove_orphans
        delete from events e
        where e.account_id = $1 and e.calendar_id = $2 and e.recurring_event_id is not null
            and e.status = 'cancelled'
            and not exists (
                select from events m
                where m.account_id = $1 and m.calendar_id = $2 and m.event_id = e.recurring_event_id
            )"#,
        mirror.account,
        mirror.calendar,
    )
    .execute(conn)
    .await
    .map(|done| done.rows_affected())
}

/// Removes all events of these calendars.
pub async fn clear(conn: &mut PgConnection, calendars: &[CalendarId]) -> Result<u64, sqlx::Error> {
    sqlx::query!(
        r#"-- events::clear
        delete from events e using calendars c
        where c.id = any($1) and e.account_id = c.account_id and e.calendar_id = c.id"#,
        calendars,
    )
    .execute(conn)
    .await
    .map(|done| done.rows_affected())
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

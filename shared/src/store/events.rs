//! The events of mirrored calendars: table `events`.

use chrono::{DateTime, NaiveDate, Utc};
use sqlx::PgConnection;

use super::calendars::CalendarId;
use crate::{google::calendar::EventItem, job::AccountId};

/// Whose events: the first two parts of the key.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Mirror {
    /// The account.
    pub account: AccountId,
    /// The calendar, as the account sees it.
    pub calendar: CalendarId,
}

/// An event, for people. Times are as in the table.
#[derive(Debug, Clone, serde::Serialize)]
pub struct EventRow {
    /// The calendar's row.
    pub calendar: CalendarId,
    /// Google's id.
    pub id: String,
    /// confirmed, tentative or cancelled.
    pub status: String,
    /// The title.
    pub summary: Option<String>,
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
    /// Who organizes it.
    pub organizer: Option<String>,
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
    sqlx::query!(
        r#"-- events::upsert
        insert into events as e (
            account_id, calendar_id, generation, event_id, status, summary, start_at, end_at, start_date, end_date,
            start_zone, end_zone, organizer, attendees, recurrence, recurring_event_id, original_start_at,
            original_date, updated, etag, sequence, html_link, raw
        )
        select
            $1, $2, $3, event_id, status, summary, start_at, end_at, start_date, end_date,
            start_zone, end_zone, organizer, attendees::jsonb,
            case when recurrence is not null then array(select jsonb_array_elements_text(recurrence::jsonb)) end,
            recurring_event_id, original_start_at, original_date, updated, etag, sequence, html_link, raw::jsonb
        from unnest(
            $4::text[], $5::text[], $6::text[], $7::timestamptz[], $8::timestamptz[], $9::date[], $10::date[],
            $11::text[], $12::text[], $13::text[], $14::text[], $15::text[], $16::text[], $17::timestamptz[],
            $18::date[], $19::timestamptz[], $20::text[], $21::int[], $22::text[], $23::text[]
        ) as p (
            event_id, status, summary, start_at, end_at, start_date, end_date, start_zone, end_zone, organizer,
            attendees, recurrence, recurring_event_id, original_start_at, original_date, updated, etag, sequence,
            html_link, raw
        )
        order by event_id
        on conflict (account_id, calendar_id, event_id) do update set
            generation = excluded.generation, status = excluded.status, summary = excluded.summary,
            start_at = excluded.start_at, end_at = excluded.end_at, start_date = excluded.start_date,
            end_date = excluded.end_date, start_zone = excluded.start_zone, end_zone = excluded.end_zone,
            organizer = excluded.organizer, attendees = excluded.attendees, recurrence = excluded.recurrence,
            recurring_event_id = excluded.recurring_event_id, original_start_at = excluded.original_start_at,
            original_date = excluded.original_date, updated = excluded.updated, etag = excluded.etag,
            sequence = excluded.sequence, html_link = excluded.html_link, raw = excluded.raw
        where e.generation <= excluded.generation"#,
        mirror.account,
        mirror.calendar,
        generation,
        &ids,
        &statuses,
        &text(|event| event.summary.as_deref()) as &[Option<String>],
        &moments(|event| event.start.moment()) as &[Option<DateTime<Utc>>],
        &moments(|event| event.end.moment()) as &[Option<DateTime<Utc>>],
        &days(|event| event.start.day()) as &[Option<NaiveDate>],
        &days(|event| event.end.day()) as &[Option<NaiveDate>],
        &text(|event| event.start.zone()) as &[Option<String>],
        &text(|event| event.end.zone()) as &[Option<String>],
        &text(|event| event.organizer.as_deref()) as &[Option<String>],
        &text(|event| event.attendees.as_deref()) as &[Option<String>],
        &text(|event| event.recurrence.as_deref()) as &[Option<String>],
        &text(|event| event.recurring_event_id.as_deref()) as &[Option<String>],
        &moments(|event| event.original_start.moment()) as &[Option<DateTime<Utc>>],
        &days(|event| event.original_start.day()) as &[Option<NaiveDate>],
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

/// Events of an account that lie, wholly or in part, between two moments, by their start; series are not expanded, only their
/// exceptions are told. All-day events count by their days in UTC.
pub async fn between(
    conn: &mut PgConnection,
    account: AccountId,
    from: DateTime<Utc>,
    to: DateTime<Utc>,
    limit: i64,
) -> Result<Vec<EventRow>, sqlx::Error> {
    sqlx::query_as!(
        EventRow,
        r#"-- events::between
        select
            calendar_id as "calendar!", event_id as "id!", status as "status!", summary, start_at, end_at, start_date, end_date,
            start_zone as zone, organizer
        from (
            select * from events
            where account_id = $1 and end_at is not null and recurrence is null and status <> 'cancelled'
                and end_at > $2 and start_at < $3
            union all
            select * from events
            where account_id = $1 and end_date is not null and recurrence is null and status <> 'cancelled'
                and end_date > ($2 at time zone 'utc')::date and start_date <= ($3 at time zone 'utc')::date
        ) as found
        order by coalesce(start_at, start_date::timestamp at time zone 'utc'), event_id
        limit $4"#,
        account,
        from,
        to,
        limit,
    )
    .fetch_all(conn)
    .await
}

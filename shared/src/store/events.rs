//! The events of mirrored calendars: table `events`.

mod window;

use chrono::{DateTime, NaiveDate, Utc};
use sqlx::PgConnection;

pub use self::window::{Days, EventRow, Exception, all_day, exceptions, masters, timed};
use super::{
    calendars::CalendarId,
    changes::{self, Change, Resource, What},
};
use crate::{google::calendar::EventItem, job::AccountId};

/// Whose events: the first two parts of the key.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Mirror {
    /// The account.
    pub account: AccountId,
    /// The calendar, as the account sees it.
    pub calendar: CalendarId,
}

impl Mirror {
    fn change(self, event_id: String, what: What) -> Change {
        Change {
            account: self.account,
            resource: Resource::Event,
            parent: Some(self.calendar),
            key: event_id,
            what,
        }
    }

    /// Tells that the events are gone. Says how many.
    async fn deleted(self, conn: &mut PgConnection, event_ids: Vec<String>) -> Result<u64, sqlx::Error> {
        let gone: Vec<Change> = event_ids.into_iter().map(|id| self.change(id, What::Deleted)).collect();
        changes::write(conn, &gone).await?;
        Ok(gone.len() as u64)
    }
}

/// Writes a page: what is live or a cancelled exception is put in place, what is deleted goes, a series with its exceptions.
/// A row of a newer generation is left as it is. Says how many rows were written; those that came with another etag than before
/// are told to the change feed, here and below.
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

#[expect(clippy::too_many_lines, reason = "one statement, and its 32 parameters")]
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
    let written = sqlx::query!(
        r#"-- events::upsert
        with before as (
            select p.event_id, e.etag, e.raw
            from unnest($4::text[]) as p (event_id)
            cross join lateral (
                -- What has an etag is told by it.
                select etag, case when etag is null then raw end as raw
                from events
                where account_id = $1 and calendar_id = $2 and event_id = p.event_id
                offset 0
            ) e
        ), written as (
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
            where e.generation <= excluded.generation
            returning e.event_id, e.etag, case when e.etag is null then e.raw end as raw
        )
        select
            w.event_id,
            case
                when b.event_id is null then 'created'
                when (b.etag, b.raw) is distinct from (w.etag, w.raw) then 'updated'
            end::change_what as "what: What"
        from written w left join before b using (event_id)
        order by w.event_id"#,
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
    .fetch_all(&mut *conn)
    .await?;
    let differ = written
        .iter()
        .filter_map(|row| Some(mirror.change(row.event_id.clone(), row.what?)))
        .collect::<Vec<_>>();
    changes::write(conn, &differ).await?;
    Ok(written.len() as u64)
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
    let gone = sqlx::query_scalar!(
        r#"-- events::remove
        delete from events
        where account_id = $1 and calendar_id = $2 and generation <= $3
            and (event_id = any($4) or recurring_event_id = any($4))
        returning event_id"#,
        mirror.account,
        mirror.calendar,
        generation,
        ids,
    )
    .fetch_all(&mut *conn)
    .await?;
    mirror.deleted(conn, gone).await
}

/// Removes what a full pass has not seen.
pub async fn sweep(conn: &mut PgConnection, mirror: Mirror, generation: i64) -> Result<u64, sqlx::Error> {
    let gone = sqlx::query_scalar!(
        "-- events::sweep
        delete from events where account_id = $1 and calendar_id = $2 and generation < $3
        returning event_id",
        mirror.account,
        mirror.calendar,
        generation,
    )
    .fetch_all(&mut *conn)
    .await?;
    mirror.deleted(conn, gone).await
}

/// Removes cancelled exceptions whose master is not there. For the end of a pass: until then an exception may well stand
/// before its master.
pub async fn remove_orphans(conn: &mut PgConnection, mirror: Mirror) -> Result<u64, sqlx::Error> {
    let gone = sqlx::query_scalar!(
        r#"-- events::remove_orphans
        delete from events e
        where e.account_id = $1 and e.calendar_id = $2 and e.recurring_event_id is not null
            and e.status = 'cancelled'
            and not exists (
                select from events m
                where m.account_id = $1 and m.calendar_id = $2 and m.event_id = e.recurring_event_id
            )
        returning e.event_id"#,
        mirror.account,
        mirror.calendar,
    )
    .fetch_all(&mut *conn)
    .await?;
    mirror.deleted(conn, gone).await
}

/// Removes all events of these calendars.
pub async fn clear(conn: &mut PgConnection, calendars: &[CalendarId]) -> Result<u64, sqlx::Error> {
    let gone = sqlx::query!(
        r#"-- events::clear
        delete from events e using calendars c
        where c.id = any($1) and e.account_id = c.account_id and e.calendar_id = c.id
        returning e.account_id, e.calendar_id, e.event_id"#,
        calendars,
    )
    .fetch_all(&mut *conn)
    .await?;
    let gone: Vec<Change> = gone
        .into_iter()
        .map(|row| {
            Mirror { account: row.account_id, calendar: row.calendar_id }.change(row.event_id, What::Deleted)
        })
        .collect();
    changes::write(conn, &gone).await?;
    Ok(gone.len() as u64)
}

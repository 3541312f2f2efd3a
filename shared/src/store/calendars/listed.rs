//! What an account's list says of its calendars.

use sqlx::PgConnection;

use super::CalendarId;
use crate::{
    google::calendar::CalendarEntry,
    job::AccountId,
    store::{
        changes::{self, Resource, What},
        last_of_each,
    },
};

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
pub(super) async fn tell(
    conn: &mut PgConnection,
    account: AccountId,
    changed: &[Change],
) -> Result<(), sqlx::Error> {
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

/// Writes a page of the account's list. A row of a newer generation is left as it is. An entry that counted as lost is tried
/// again if it changed, or after a day.
pub async fn upsert(
    conn: &mut PgConnection,
    account: AccountId,
    generation: i64,
    entries: &[CalendarEntry],
) -> Result<Vec<Change>, sqlx::Error> {
    let entries = last_of_each(entries, |entry| entry.id.as_str());
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

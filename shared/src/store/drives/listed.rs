//! What an account's list says of its drives.

use sqlx::PgConnection;

use super::DriveRowId;
use crate::{
    google::drive::DriveEntry,
    job::AccountId,
    store::{
        changes::{self, Resource, What},
        last_of_each,
    },
};

/// What a page of the list did to a drive.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Change {
    /// The drive.
    pub id: DriveRowId,
    /// Whether its files were mirrored before.
    pub was_there: bool,
    /// Whether its files are mirrored from now on.
    pub there: bool,
    /// What became of the drive for those who follow the change feed; none: it is as it was.
    pub what: Option<What>,
}

/// Tells the change feed what became of drives of an account.
async fn tell(conn: &mut PgConnection, account: AccountId, changed: &[Change]) -> Result<(), sqlx::Error> {
    let change = |id: DriveRowId, what| changes::Change {
        account,
        resource: Resource::Drive,
        parent: None,
        key: id.to_string(),
        what,
    };
    let told: Vec<_> = changed.iter().filter_map(|drive| Some(change(drive.id, drive.what?))).collect();
    changes::write(conn, &told).await
}

/// Writes a page of the account's list, and tells the change feed what differs. A row of a newer generation is left as it is.
pub async fn upsert(
    conn: &mut PgConnection,
    account: AccountId,
    generation: i64,
    mine: bool,
    entries: &[DriveEntry],
) -> Result<Vec<Change>, sqlx::Error> {
    let entries = last_of_each(entries, |entry| entry.id.as_str());
    let ids: Vec<String> = entries.iter().map(|entry| entry.id.clone()).collect();
    let names: Vec<Option<String>> = entries.iter().map(|entry| entry.name.clone()).collect();
    let hidden: Vec<bool> = entries.iter().map(|entry| entry.hidden).collect();
    let raws: Vec<String> = entries.iter().map(|entry| entry.raw.clone()).collect();
    let written = sqlx::query_as!(
        Change,
        r#"-- drives::upsert
        with page as (
            select * from unnest($4::text[], $5::text[], $6::bool[], $7::text[]) as p (google_id, name, hidden, raw)
        ), before as (
            select d.google_id, not d.deleted as there, d.is_mine, d.name, d.hidden, d.raw
            from drives d join page using (google_id)
            where d.account_id = $1
        ), after as (
            insert into drives as d (account_id, google_id, is_mine, name, hidden, raw, list_generation)
            select $1, google_id, $3, name, hidden, raw::jsonb, $2
            from page
            order by google_id
            on conflict (account_id, google_id) do update set
                is_mine = excluded.is_mine, name = excluded.name, hidden = excluded.hidden, raw = excluded.raw,
                deleted = false, list_generation = excluded.list_generation
            where d.list_generation <= excluded.list_generation
            returning d.id, d.google_id, d.is_mine, d.name, d.hidden, d.raw
        )
        select after.id, coalesce(before.there, false) as "was_there!", true as "there!",
            case
                when not coalesce(before.there, false) then 'created'
                when (before.is_mine, before.name, before.hidden, before.raw)
                    is distinct from (after.is_mine, after.name, after.hidden, after.raw) then 'updated'
            end::change_what as "what: What"
        from after left join before using (google_id)
        order by after.id"#,
        account,
        generation,
        mine,
        &ids,
        &names as &[Option<String>],
        &hidden,
        &raws,
    )
    .fetch_all(&mut *conn)
    .await?;
    tell(conn, account, &written).await?;
    Ok(written)
}

/// Marks as gone what a pass over the list has not seen, and tells the change feed.
pub async fn sweep(
    conn: &mut PgConnection,
    account: AccountId,
    generation: i64,
) -> Result<Vec<Change>, sqlx::Error> {
    let swept = sqlx::query_as!(
        Change,
        r#"-- drives::sweep
        with gone as (
            select id from drives
            where account_id = $1 and list_generation < $2 and not deleted
            order by id
            for update
        )
        update drives d set deleted = true
        from gone
        where d.id = gone.id
        returning d.id, true as "was_there!", false as "there!", 'deleted'::change_what as "what: What""#,
        account,
        generation,
    )
    .fetch_all(&mut *conn)
    .await?;
    tell(conn, account, &swept).await?;
    Ok(swept)
}

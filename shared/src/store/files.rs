//! The files of mirrored drives: table `files`.
//!
//! A file belongs to one drive of the account, and only the job of that drive writes it, so a log and a sweep never disagree
//! about it. A file that moves to another drive of the account is taken over by that drive's job; the job of the drive that it
//! left lets it be.
//!
//! What becomes of a row is told to the change feed by the statements here, in the transaction that writes it.

mod find;
mod folders;

use chrono::{DateTime, Utc};
use sqlx::PgConnection;

pub use self::{
    find::{FileRow, Found, TreeRow, by_path, named, tree},
    folders::{Folder, all_here, any_in, any_otherwise, beside, folders, propagate_trash},
};
use super::{
    changes::{self, Change, Resource, What},
    drives::DriveRowId,
};
use crate::{google::drive::FileItem, job::AccountId};

/// Whose files.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Mirror {
    /// The account.
    pub account: AccountId,
    /// The drive, as the account sees it.
    pub drive: DriveRowId,
    /// The generation of its sweep.
    pub generation: i64,
}

impl Mirror {
    fn change(self, file_id: String, what: What) -> Change {
        let parent = Some(self.drive);
        Change { account: self.account, resource: Resource::File, parent, key: file_id, what }
    }

    /// Tells that the files are gone. Says how many.
    async fn deleted(self, conn: &mut PgConnection, file_ids: Vec<String>) -> Result<u64, sqlx::Error> {
        let gone: Vec<Change> = file_ids.into_iter().map(|id| self.change(id, What::Deleted)).collect();
        changes::write(conn, &gone).await?;
        Ok(gone.len() as u64)
    }
}

/// Puts files into the mirror. A row of a newer version is left as it is, but has been seen. Says how many rows were written;
/// those that differ by more than their version are told to the change feed.
#[expect(clippy::too_many_lines, reason = "one statement, and its 28 parameters")]
pub async fn upsert(
    conn: &mut PgConnection,
    mirror: Mirror,
    files: &[&FileItem],
) -> Result<u64, sqlx::Error> {
    if files.is_empty() {
        return Ok(0);
    }
    let files = super::last_of_each(files, |file| file.id.as_str());
    let text = |of: fn(&FileItem) -> Option<&str>| -> Vec<Option<String>> {
        files.iter().map(|file| of(file).map(str::to_owned)).collect()
    };
    let number = |of: fn(&FileItem) -> Option<i64>| -> Vec<Option<i64>> {
        files.iter().map(|file| of(file)).collect()
    };
    let moment = |of: fn(&FileItem) -> Option<DateTime<Utc>>| -> Vec<Option<DateTime<Utc>>> {
        files.iter().map(|file| of(file)).collect()
    };
    let flag = |of: fn(&FileItem) -> bool| -> Vec<bool> { files.iter().map(|file| of(file)).collect() };
    let list = |of: fn(&FileItem) -> Option<&Vec<String>>| -> Vec<Option<String>> {
        files.iter().map(|file| of(file).and_then(|list| serde_json::to_string(list).ok())).collect()
    };
    let ids: Vec<String> = files.iter().map(|file| file.id.clone()).collect();
    let names: Vec<String> = files.iter().map(|file| file.name.clone()).collect();
    let raws: Vec<String> = files.iter().map(|file| file.raw.clone()).collect();
    let can_download: Vec<Option<bool>> = files.iter().map(|file| file.can_download).collect();
    let written = sqlx::query!(
        r#"-- files::upsert
        with before as (
            select f.*
            from unnest($4::text[]) as p (file_id)
            cross join lateral (
                select file_id, drive_id, trashed, raw - 'version' as raw
                from files
                where account_id = $1 and file_id = p.file_id
                offset 0
            ) f
        ), written as (
            insert into files as f (
                account_id, drive_id, generation, file_id, name, mime_type, parent_id, size, md5, sha256, head_revision,
                version, created_at, modified_at, trashed, explicitly_trashed, owned_by_me, owner, shared, starred,
                can_download, shortcut_target, shortcut_mime_type, resource_key, web_link, permissions, permission_ids, raw
            )
            select
                $1, $2, $3, file_id, name, mime_type, parent_id, size, md5, sha256, head_revision,
                version, created_at, modified_at, trashed, explicitly_trashed, owned_by_me, owner, shared, starred,
                can_download, shortcut_target, shortcut_mime_type, resource_key, web_link,
                case when permissions is not null then array(select jsonb_array_elements_text(permissions::jsonb)) end,
                case when permission_ids is not null then array(select jsonb_array_elements_text(permission_ids::jsonb)) end,
                raw::jsonb
            from unnest(
                $4::text[], $5::text[], $6::text[], $7::text[], $8::bigint[], $9::text[], $10::text[], $11::text[],
                $12::bigint[], $13::timestamptz[], $14::timestamptz[], $15::bool[], $16::bool[], $17::bool[], $18::text[],
                $19::bool[], $20::bool[], $21::bool[], $22::text[], $23::text[], $24::text[], $25::text[], $26::text[],
                $27::text[], $28::text[]
            ) as p (
                file_id, name, mime_type, parent_id, size, md5, sha256, head_revision,
                version, created_at, modified_at, trashed, explicitly_trashed, owned_by_me, owner,
                shared, starred, can_download, shortcut_target, shortcut_mime_type, resource_key, web_link, permissions,
                permission_ids, raw
            )
            order by file_id
            on conflict (account_id, file_id) do update set
                drive_id = excluded.drive_id, generation = excluded.generation, name = excluded.name,
                mime_type = excluded.mime_type, parent_id = excluded.parent_id, size = excluded.size, md5 = excluded.md5,
                sha256 = excluded.sha256, head_revision = excluded.head_revision, version = excluded.version,
                created_at = excluded.created_at, modified_at = excluded.modified_at, trashed = excluded.trashed,
                explicitly_trashed = excluded.explicitly_trashed, owned_by_me = excluded.owned_by_me,
                owner = excluded.owner, shared = excluded.shared, starred = excluded.starred,
                can_download = excluded.can_download, shortcut_target = excluded.shortcut_target,
                shortcut_mime_type = excluded.shortcut_mime_type, resource_key = excluded.resource_key,
                web_link = excluded.web_link, permissions = excluded.permissions,
                permission_ids = excluded.permission_ids, raw = excluded.raw
            where coalesce(excluded.version >= f.version, true)
            -- In a row that was inserted xmax is zero.
            returning f.file_id, f.drive_id, f.trashed, f.xmax = 0 as is_new,
                case when f.xmax <> 0 then f.raw - 'version' end as raw
        )
        select
            w.file_id,
            case
                when w.is_new then 'created'
                when (b.drive_id, b.trashed, b.raw) is distinct from (w.drive_id, w.trashed, w.raw) then 'updated'
            end::change_what as "what: What"
        from written w left join before b using (file_id)
        order by w.file_id"#,
        mirror.account,
        mirror.drive,
        mirror.generation,
        &ids,
        &names,
        &text(|file| file.mime_type.as_deref()) as &[Option<String>],
        &text(|file| file.parent.as_deref()) as &[Option<String>],
        &number(|file| file.size) as &[Option<i64>],
        &text(|file| file.md5.as_deref()) as &[Option<String>],
        &text(|file| file.sha256.as_deref()) as &[Option<String>],
        &text(|file| file.head_revision.as_deref()) as &[Option<String>],
        &number(|file| file.version) as &[Option<i64>],
        &moment(|file| file.created_at) as &[Option<DateTime<Utc>>],
        &moment(|file| file.modified_at) as &[Option<DateTime<Utc>>],
        &flag(|file| file.trashed),
        &flag(|file| file.explicitly_trashed),
        &flag(|file| file.owned_by_me),
        &text(|file| file.owner.as_deref()) as &[Option<String>],
        &flag(|file| file.shared),
        &flag(|file| file.starred),
        &can_download as &[Option<bool>],
        &text(|file| file.shortcut_target.as_deref()) as &[Option<String>],
        &text(|file| file.shortcut_mime_type.as_deref()) as &[Option<String>],
        &text(|file| file.resource_key.as_deref()) as &[Option<String>],
        &text(|file| file.web_link.as_deref()) as &[Option<String>],
        &list(|file| file.permissions.as_ref()) as &[Option<String>],
        &list(|file| file.permission_ids.as_ref()) as &[Option<String>],
        &raws,
    )
    .fetch_all(&mut *conn)
    .await?;
    if written.len() < files.len() {
        seen(&mut *conn, mirror, &ids).await?;
    }
    let count = written.len() as u64;
    let differ: Vec<Change> =
        written.into_iter().filter_map(|row| Some(mirror.change(row.file_id, row.what?))).collect();
    changes::write(conn, &differ).await?;
    Ok(count)
}

/// Marks files as seen that stand in the mirror with a newer version than the one that came.
async fn seen(conn: &mut PgConnection, mirror: Mirror, ids: &[String]) -> Result<(), sqlx::Error> {
    sqlx::query!(
        r#"-- files::seen
        with locked as (
            select file_id from files
            where account_id = $1 and file_id = any($4) and drive_id = $2 and generation < $3
            order by file_id
            for update
        )
        update files f set generation = $3
        from locked
        where f.account_id = $1 and f.file_id = locked.file_id"#,
        mirror.account,
        mirror.drive,
        mirror.generation,
        ids,
    )
    .execute(conn)
    .await
    .map(drop)
}

/// Takes files out of the mirror that the drive's log calls removed. One that another drive has taken over stays.
pub async fn remove(conn: &mut PgConnection, mirror: Mirror, ids: &[&str]) -> Result<u64, sqlx::Error> {
    if ids.is_empty() {
        return Ok(0);
    }
    let gone = sqlx::query_scalar!(
        "-- files::remove
        delete from files where account_id = $1 and drive_id = $2 and file_id = any($3) returning file_id",
        mirror.account,
        mirror.drive,
        ids as &[&str],
    )
    .fetch_all(&mut *conn)
    .await?;
    mirror.deleted(conn, gone).await
}

/// Removes what a whole sweep has not seen. That may be all of a large drive, so no id of it comes here.
pub async fn sweep(conn: &mut PgConnection, mirror: Mirror) -> Result<u64, sqlx::Error> {
    let gone = sqlx::query!(
        r#"-- files::sweep
        with here as materialized (
            select feed_epoch_to_write() as epoch, pg_current_xact_id()::text::bigint as xid, clock() as at
        ), gone as (
            delete from files where account_id = $1 and drive_id = $2 and generation < $3
            returning account_id, drive_id, file_id
        )
        insert into changes (epoch, xid, at, tenant_id, account_id, resource, parent, key, what)
        select here.epoch, here.xid, here.at, a.tenant_id, g.account_id, 'file', g.drive_id, g.file_id, 'deleted'
        from here, gone g join accounts a on a.id = g.account_id"#,
        mirror.account,
        mirror.drive,
        mirror.generation,
    )
    .execute(conn)
    .await?;
    Ok(gone.rows_affected())
}

/// Removes all files of these drives, however many, as [`sweep`] does.
pub async fn clear(conn: &mut PgConnection, drives: &[DriveRowId]) -> Result<u64, sqlx::Error> {
    if drives.is_empty() {
        return Ok(0);
    }
    let gone = sqlx::query!(
        r#"-- files::clear
        with here as materialized (
            select feed_epoch_to_write() as epoch, pg_current_xact_id()::text::bigint as xid, clock() as at
        ), gone as (
            delete from files where drive_id = any($1) returning account_id, drive_id, file_id
        )
        insert into changes (epoch, xid, at, tenant_id, account_id, resource, parent, key, what)
        select here.epoch, here.xid, here.at, a.tenant_id, g.account_id, 'file', g.drive_id, g.file_id, 'deleted'
        from here, gone g join accounts a on a.id = g.account_id"#,
        drives,
    )
    .execute(conn)
    .await?;
    Ok(gone.rows_affected())
}

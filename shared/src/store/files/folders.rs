use std::collections::HashMap;

use sqlx::PgConnection;

use super::Mirror;
use crate::{google::drive::FileItem, store::drives::DriveRowId};

/// A folder as it stands in the mirror.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Folder {
    /// Whether it belongs to the drive that is looked at.
    pub here: bool,
    /// Whether it is in the trash.
    pub trashed: bool,
    /// Who may do what.
    pub permissions: Option<Vec<String>>,
    /// The same, by ids.
    pub permission_ids: Option<Vec<String>>,
}

impl Folder {
    /// Whether what is in it may be accessible to others than before.
    #[must_use]
    pub fn access_differs(&self, item: &FileItem) -> bool {
        self.permissions != item.permissions || self.permission_ids != item.permission_ids
    }
}

/// Those of these files that are folders in the mirror, by id.
pub async fn folders(
    conn: &mut PgConnection,
    mirror: Mirror,
    ids: &[&str],
) -> Result<HashMap<String, Folder>, sqlx::Error> {
    if ids.is_empty() {
        return Ok(HashMap::new());
    }
    let rows = sqlx::query!(
        r#"-- files::folders
        select file_id, drive_id = $2 as "here!", trashed, permissions, permission_ids
        from files
        where account_id = $1 and file_id = any($3) and is_folder"#,
        mirror.account,
        mirror.drive,
        ids as &[&str],
    )
    .fetch_all(conn)
    .await?;
    Ok(rows
        .into_iter()
        .map(|row| {
            let folder = Folder {
                here: row.here,
                trashed: row.trashed,
                permissions: row.permissions,
                permission_ids: row.permission_ids,
            };
            (row.file_id, folder)
        })
        .collect())
}

/// Has all that is in these folders, at any depth, follow them into the trash or out of it, in `raw` too: so Google would tell
/// it now. Says how many rows changed.
pub async fn propagate_trash(
    conn: &mut PgConnection,
    mirror: Mirror,
    folders: &[&str],
) -> Result<u64, sqlx::Error> {
    if folders.is_empty() {
        return Ok(0);
    }
    let turned = sqlx::query!(
        r#"-- files::propagate_trash
        with recursive here as materialized (
            select feed_epoch_to_write() as epoch, pg_current_xact_id()::text::bigint as xid, clock() as at
        ), below as (
            select f.file_id, f.is_folder, f.trashed as trash, array[f.file_id] as seen
            from files f
            where f.account_id = $1 and f.file_id = any($2)
            union all
            select f.file_id, f.is_folder, b.trash or f.explicitly_trashed, b.seen || f.file_id
            from below b
            join files f on f.account_id = $1 and f.parent_id = b.file_id
            where b.is_folder and f.file_id <> all (b.seen)
        ), changed as (
            select f.file_id, b.trash
            from (select file_id, bool_or(trash) as trash from below group by file_id) b
            join files f using (file_id)
            where f.account_id = $1 and f.trashed <> b.trash
            order by f.file_id
            for update of f
        ), turned as (
            update files f set trashed = changed.trash, raw = jsonb_set(f.raw, '{trashed}', to_jsonb(changed.trash))
            from changed
            where f.account_id = $1 and f.file_id = changed.file_id
            returning f.account_id, f.drive_id, f.file_id
        )
        insert into changes (epoch, xid, at, tenant_id, account_id, resource, parent, key, what)
        select here.epoch, here.xid, here.at, a.tenant_id, t.account_id, 'file', t.drive_id, t.file_id, 'updated'
        from here, turned t join accounts a on a.id = t.account_id"#,
        mirror.account,
        folders as &[&str],
    )
    .execute(conn)
    .await?;
    Ok(turned.rows_affected())
}

/// Whether the mirror has anything right in one of these folders.
pub async fn any_in(conn: &mut PgConnection, mirror: Mirror, folders: &[&str]) -> Result<bool, sqlx::Error> {
    if folders.is_empty() {
        return Ok(false);
    }
    sqlx::query_scalar!(
        r#"-- files::any_in
        select exists (select from files where account_id = $1 and parent_id = any($2)) as "any!""#,
        mirror.account,
        folders as &[&str],
    )
    .fetch_one(conn)
    .await
}

/// Whether anything in these folders, at any depth, may be accessible to others than its folder is.
pub async fn any_otherwise(
    conn: &mut PgConnection,
    mirror: Mirror,
    folders: &[&str],
) -> Result<bool, sqlx::Error> {
    if folders.is_empty() {
        return Ok(false);
    }
    sqlx::query_scalar!(
        r#"-- files::any_otherwise
        with recursive below as (
            select file_id, is_folder, permissions as top, permissions
            from files
            where account_id = $1 and file_id = any($2)
            union
            select f.file_id, f.is_folder, b.top, f.permissions
            from below b
            join files f on f.account_id = $1 and f.parent_id = b.file_id
            where b.is_folder
        )
        select exists (
            select from below
            where (permissions is null) <> (top is null) or not (permissions @> top and permissions <@ top)
        ) as "any!""#,
        mirror.account,
        folders as &[&str],
    )
    .fetch_one(conn)
    .await
}

/// Whether all of these files belong to the drive in the mirror.
pub async fn all_here(conn: &mut PgConnection, mirror: Mirror, files: &[&str]) -> Result<bool, sqlx::Error> {
    if files.is_empty() {
        return Ok(true);
    }
    sqlx::query_scalar!(
        r#"-- files::all_here
        select not exists (
            select from unnest($3::text[]) as p (file_id)
            where not exists (
                select from files f where f.account_id = $1 and f.file_id = p.file_id and f.drive_id = $2
            )
        ) as "all!""#,
        mirror.account,
        mirror.drive,
        files as &[&str],
    )
    .fetch_one(conn)
    .await
}

/// The drives of the account that have something in these folders beside these files, according to the mirror.
pub async fn beside(
    conn: &mut PgConnection,
    mirror: Mirror,
    folders: &[&str],
    files: &[&str],
) -> Result<Vec<DriveRowId>, sqlx::Error> {
    if folders.is_empty() {
        return Ok(Vec::new());
    }
    sqlx::query_scalar!(
        "-- files::beside
        select distinct f.drive_id
        from files f
        where f.account_id = $1 and f.parent_id = any($2)
            and not exists (select from unnest($3::text[]) as p (file_id) where p.file_id = f.file_id)
        order by f.drive_id",
        mirror.account,
        folders as &[&str],
        files as &[&str],
    )
    .fetch_all(conn)
    .await
}

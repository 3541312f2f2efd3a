use chrono::{DateTime, Utc};
use serde::Serialize;
use sqlx::PgConnection;

use crate::{job::AccountId, store::drives::DriveRowId};

/// A file, for people.
#[derive(Debug, Clone, Serialize)]
pub struct FileRow {
    /// Google's id.
    pub file_id: String,
    /// Whose account sees it.
    pub account: AccountId,
    /// The drive that it is in.
    pub drive: DriveRowId,
    /// Its name.
    pub name: String,
    /// Its type.
    pub mime_type: Option<String>,
    /// Whether it is a folder.
    pub is_folder: bool,
    /// The folder that it is in.
    pub parent_id: Option<String>,
    /// Bytes.
    pub size: Option<i64>,
    /// The checksum of its content.
    pub md5: Option<String>,
    /// The revision of its content.
    pub head_revision: Option<String>,
    /// When its name or content changed.
    pub modified_at: Option<DateTime<Utc>>,
    /// In the trash, itself or by a folder.
    pub trashed: bool,
    /// Its owner's address.
    pub owner: Option<String>,
    /// Where it is seen in a browser.
    pub web_link: Option<String>,
    /// The names from the top of its drive down to its own.
    pub names: Vec<String>,
    /// Whether the first of them is at the top of a drive.
    pub rooted: bool,
    /// How its content stands: pending, stored, refused, none; none at all: no mirror wants it.
    pub content: Option<String>,
    /// Why its content was refused, or what went wrong last.
    pub content_why: Option<String>,
    /// Bytes of its content that are stored, of the revision that is wanted or of the one before.
    pub stored_size: Option<i64>,
}

/// Which files of an account.
#[derive(Debug, Clone, Default)]
pub struct Found {
    /// Of this drive only.
    pub drive: Option<DriveRowId>,
    /// Only what is right in one of these folders.
    pub parents: Option<Vec<String>>,
    /// Only those whose name, in small letters, is like this pattern of SQL.
    pub like: Option<String>,
    /// Only those in the trash, or only those that are not; none: both.
    pub trashed: Option<bool>,
    /// At most so many.
    pub limit: i64,
}

/// How a name begins that is like the pattern, as far as the index `files_name` knows it: a pattern again.
fn beginning(like: &str) -> String {
    let mut beginning = String::new();
    let mut chars = like.chars();
    for _ in 0..64 {
        match chars.next() {
            Some('\\') => beginning.extend(['\\'].into_iter().chain(chars.next())),
            None | Some('%' | '_') => break,
            Some(c) => beginning.push(c),
        }
    }
    beginning + "%"
}

/// The files of an account that fit, folders first, then by name.
pub async fn named(
    conn: &mut PgConnection,
    account: AccountId,
    found: &Found,
) -> Result<Vec<FileRow>, sqlx::Error> {
    sqlx::query_as!(
        FileRow,
        r#"-- files::named
        with fitting as materialized (
            select *
            from files
            where account_id = $1
                and ($2::bigint is null or drive_id = $2)
                and ($3::text[] is null or parent_id = any($3))
                and ($4::text is null or lower(name) like $4)
                and ($7::text is null or left(lower(name), 64) like $7)
                and ($5::bool is null or trashed = $5)
            order by is_folder desc, lower(name), file_id
            limit $6
        )
        select f.file_id as "file_id!", f.account_id as "account!", f.drive_id as "drive!", f.name as "name!", f.mime_type,
            f.is_folder as "is_folder!", f.parent_id, f.size, f.md5, f.head_revision, f.modified_at,
            f.trashed as "trashed!", f.owner, f.web_link, p.names as "names!", p.rooted as "rooted!",
            c.state as "content?", c.why as content_why, o.size as "stored_size?"
        from fitting f
        cross join lateral file_path(f.account_id, f.file_id) p
        left join file_contents c on c.account_id = f.account_id and c.file_id = f.file_id
        left join objects o on o.id = c.object_id
        order by f.is_folder desc, lower(f.name), f.file_id"#,
        account,
        found.drive,
        found.parents.as_deref(),
        found.like,
        found.trashed,
        found.limit,
        found.like.as_deref().map(beginning),
    )
    .fetch_all(conn)
    .await
}

/// What is in these folders under one of these names: more than one, as names are not unique.
async fn in_folder(
    conn: &mut PgConnection,
    account: AccountId,
    parents: &[String],
    name: &str,
) -> Result<Vec<String>, sqlx::Error> {
    sqlx::query_scalar!(
        "-- files::in_folder
        select file_id from files where account_id = $1 and parent_id = any($2) and name = $3 order by file_id",
        account,
        parents,
        name,
    )
    .fetch_all(conn)
    .await
}

/// The files or folders to which these names lead from the top of a drive.
pub async fn by_path(
    conn: &mut PgConnection,
    account: AccountId,
    top: &str,
    names: &[&str],
) -> Result<Vec<String>, sqlx::Error> {
    let mut reached = vec![top.to_owned()];
    for name in names {
        reached = in_folder(&mut *conn, account, &reached, name).await?;
    }
    Ok(reached)
}

/// A file in a folder's tree.
#[derive(Debug, Clone, Serialize)]
pub struct TreeRow {
    /// Google's id.
    pub file_id: String,
    /// The names below the folder, its own last.
    pub names: Vec<String>,
    /// Whether it is a folder.
    pub is_folder: bool,
    /// Its type.
    pub mime_type: Option<String>,
    /// Bytes.
    pub size: Option<i64>,
}

/// What is in a folder down to a depth, in the order of a tree; not what is in the trash, unless it is wanted.
pub async fn tree(
    conn: &mut PgConnection,
    account: AccountId,
    folder: &str,
    depth: i32,
    trashed: bool,
    limit: i64,
) -> Result<Vec<TreeRow>, sqlx::Error> {
    sqlx::query_as!(
        TreeRow,
        r#"-- files::tree
        select f.file_id, t.names as "names!", f.is_folder as "is_folder!", f.mime_type, f.size
        from file_tree($1, $2) t
        join files f on f.account_id = $1 and f.file_id = t.file_id
        where t.depth <= $3 and (not f.trashed or $4)
        order by t.names, f.file_id
        limit $5"#,
        account,
        folder,
        depth,
        trashed,
        limit,
    )
    .fetch_all(conn)
    .await
}

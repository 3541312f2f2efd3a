use chrono::{DateTime, Utc};
use serde::Serialize;
use sqlx::{PgConnection, types::Uuid};

use crate::job::AccountId;

/// How the content of a file stands, for people.
#[derive(Debug, Clone, Serialize)]
#[expect(clippy::struct_field_names, reason = "it is the column's name")]
pub struct Stored {
    /// Google's id.
    pub file_id: String,
    /// Its name.
    pub name: String,
    /// The names below the folder that was asked for, its own last; of a list, its name alone.
    pub names: Vec<String>,
    /// Its type.
    pub mime_type: Option<String>,
    /// pending, stored, refused, none.
    pub state: String,
    /// Why it was refused, or what went wrong last.
    pub why: Option<String>,
    /// Failures in a row.
    pub tries: i32,
    /// Bytes of the revision that is wanted, as Google says.
    pub wanted_size: Option<i64>,
    /// Bytes of it so far.
    pub received: i64,
    /// What is stored was exported as; none: it is as it is, or nothing is stored.
    pub format: Option<String>,
    /// Bytes that are stored; none: nothing is.
    pub size: Option<i64>,
    /// Their SHA-256.
    pub sha256: Option<String>,
    /// Where they stand in the object store.
    pub key: Option<Uuid>,
    /// When the file's name or content changed.
    pub modified_at: Option<DateTime<Utc>>,
    /// When it was stored.
    pub stored_at: Option<DateTime<Utc>>,
}

/// The contents of an account's files in the order of their ids, only those of a state if one is named.
pub async fn ls(
    conn: &mut PgConnection,
    account: AccountId,
    state: Option<&str>,
    after: &str,
    limit: i64,
) -> Result<Vec<Stored>, sqlx::Error> {
    sqlx::query_as!(
        Stored,
        r#"-- contents::ls
        select c.file_id, coalesce(f.name, '') as "name!", array[coalesce(f.name, '')] as "names!", f.mime_type, c.state,
            c.why, c.tries, c.wanted_size, c.received, c.format, o.size as "size?", encode(o.sha256, 'hex') as sha256,
            o.key as "key?", f.modified_at, c.stored_at
        from file_contents c
        left join files f on f.account_id = c.account_id and f.file_id = c.file_id
        left join objects o on o.id = c.object_id
        where c.account_id = $1 and c.file_id > $3 and ($2::text is null or c.state = $2)
        order by c.file_id
        limit $4"#,
        account,
        state,
        after,
        limit,
    )
    .fetch_all(conn)
    .await
}

/// The files in a folder, at any depth and not in the trash, with how their contents stand. In the order of their ids.
pub async fn stored_in(
    conn: &mut PgConnection,
    account: AccountId,
    folder: &str,
) -> Result<Vec<Stored>, sqlx::Error> {
    sqlx::query_as!(
        Stored,
        r#"-- contents::stored_in
        select c.file_id, f.name, t.names as "names!", f.mime_type, c.state, c.why, c.tries, c.wanted_size, c.received, c.format,
            o.size as "size?", encode(o.sha256, 'hex') as sha256, o.key as "key?", f.modified_at, c.stored_at
        from file_tree($1, $2) t
        join files f on f.account_id = $1 and f.file_id = t.file_id
        join file_contents c on c.account_id = $1 and c.file_id = t.file_id
        left join objects o on o.id = c.object_id
        where not f.trashed
        order by c.file_id"#,
        account,
        folder,
    )
    .fetch_all(conn)
    .await
}

/// Files in a state.
#[derive(Debug, Clone, Serialize)]
pub struct Count {
    /// pending, stored, refused, none.
    pub state: String,
    /// How many.
    pub files: i64,
    /// Their bytes, as far as Google says.
    pub bytes: i64,
}

/// How many files of an account are in which state.
pub async fn counts(conn: &mut PgConnection, account: AccountId) -> Result<Vec<Count>, sqlx::Error> {
    sqlx::query_as!(
        Count,
        r#"-- contents::counts
        select c.state, count(*) as "files!", coalesce(sum(coalesce(c.wanted_size, o.size)), 0)::bigint as "bytes!"
        from file_contents c left join objects o on o.id = c.object_id
        where c.account_id = $1
        group by c.state
        order by c.state"#,
        account,
    )
    .fetch_all(conn)
    .await
}

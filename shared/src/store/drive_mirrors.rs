//! Which files have their contents stored: table `drive_mirrors`.

use chrono::{DateTime, Utc};
use serde::Serialize;
use serde_json::Value;
use sqlx::PgConnection;

use crate::job::AccountId;

/// A folder, or a whole account, whose files have their contents stored.
#[derive(Debug, Clone, Serialize)]
pub struct Mirror {
    /// Its row.
    pub id: i64,
    /// Whose.
    pub account: AccountId,
    /// Google's id of the folder or the shared drive; none: all of the account.
    pub folder: Option<String>,
    /// The folder's name, if it is known.
    pub name: Option<String>,
    /// Types; none: all.
    pub mime_types: Option<Vec<String>>,
    /// Bytes.
    pub max_size: Option<i64>,
    /// What Google's own documents are exported as, where it is not the usual.
    pub exports: Value,
    /// When the files were last compared with what is wanted; none: not yet.
    pub compared_at: Option<DateTime<Utc>>,
}

/// What a mirror is to hold.
#[derive(Debug, Clone, Default)]
pub struct NewMirror {
    /// The folder; none: all of the account.
    pub folder: Option<String>,
    /// Types; none: all.
    pub mime_types: Option<Vec<String>>,
    /// Bytes.
    pub max_size: Option<i64>,
    /// What Google's own documents are exported as.
    pub exports: Value,
}

/// Adds a mirror, or changes the one of the same folder. Answers its row.
pub async fn put(conn: &mut PgConnection, account: AccountId, new: &NewMirror) -> Result<i64, sqlx::Error> {
    sqlx::query_scalar!(
        r#"-- drive_mirrors::put
        insert into drive_mirrors (account_id, folder, mime_types, max_size, exports) values ($1, $2, $3, $4, $5)
        on conflict (account_id, folder) do update set
            mime_types = excluded.mime_types, max_size = excluded.max_size, exports = excluded.exports,
            compared_at = '-infinity'
        returning id"#,
        account,
        new.folder,
        new.mime_types.as_deref(),
        new.max_size,
        new.exports,
    )
    .fetch_one(conn)
    .await
}

/// The mirrors of an account, or all, in the order of their rows.
pub async fn ls(conn: &mut PgConnection, account: Option<AccountId>) -> Result<Vec<Mirror>, sqlx::Error> {
    sqlx::query_as!(
        Mirror,
        r#"-- drive_mirrors::ls
        select m.id, m.account_id as account, m.folder, coalesce(f.name, d.name) as name, m.mime_types, m.max_size, m.exports,
            nullif(m.compared_at, '-infinity') as compared_at
        from drive_mirrors m
        left join files f on f.account_id = m.account_id and f.file_id = m.folder
        left join drives d on d.account_id = m.account_id and d.google_id = m.folder
        where $1::bigint is null or m.account_id = $1
        order by m.id"#,
        account,
    )
    .fetch_all(conn)
    .await
}

/// Has the files of an account compared with what is wanted by the next step, whatever it is in the middle of.
pub async fn outdate(conn: &mut PgConnection, account: AccountId) -> Result<(), sqlx::Error> {
    sqlx::query!(
        r#"-- drive_mirrors::outdate
        with locked as (
            select id from drive_mirrors where account_id = $1 and compared_at > '-infinity' order by id for update
        )
        update drive_mirrors m set compared_at = '-infinity' from locked where m.id = locked.id"#,
        account,
    )
    .execute(conn)
    .await
    .map(drop)
}

/// Takes a mirror away; what is stored for it goes, unless another mirror has it at the next comparison. Answers whose it was.
pub async fn remove(conn: &mut PgConnection, id: i64) -> Result<Option<AccountId>, sqlx::Error> {
    sqlx::query_scalar!(
        "-- drive_mirrors::remove\ndelete from drive_mirrors where id = $1 returning account_id",
        id
    )
    .fetch_optional(conn)
    .await
}

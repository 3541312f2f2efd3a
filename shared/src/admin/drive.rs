//! `drive`: which drives are mirrored of whom, and what is in them.

use chrono::{DateTime, Utc};
use serde::Serialize;
use sqlx::PgConnection;

use super::{AdminError, tenant};
use crate::{
    job::AccountId,
    store::files::{self, TreeRow},
};

/// A mirrored drive.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Drive {
    /// Its number.
    pub id: i64,
    /// The account that sees it.
    pub account: AccountId,
    /// That account's address.
    pub email: String,
    /// The provider's id of it, which is that of the folder at its top, too.
    pub google_id: String,
    /// Its name.
    pub name: Option<String>,
    /// Whether it is the account's My Drive; else it is a shared drive.
    pub is_mine: bool,
    /// The account is no member any more.
    pub deleted: bool,
    /// Mirrored files and folders, those in the trash too.
    pub files: i64,
    /// Bytes of their contents.
    pub bytes: i64,
    /// Whether a sweep is under way.
    pub sweeping: bool,
    /// When its last whole sweep ended; none: not yet.
    pub full_at: Option<DateTime<Utc>>,
}

/// Which drives.
#[derive(Debug, Clone, Default)]
pub struct Filter {
    /// Of this account only.
    pub account: Option<AccountId>,
    /// Of this tenant only, by name.
    pub tenant: Option<String>,
    /// Only those after this one.
    pub after: i64,
    /// At most so many.
    pub limit: i64,
}

/// Drives in the order of their numbers.
pub async fn ls(conn: &mut PgConnection, filter: &Filter) -> Result<Vec<Drive>, AdminError> {
    let tenant = match &filter.tenant {
        Some(name) => Some(tenant::find(conn, name).await?),
        None => None,
    };
    Ok(sqlx::query_as!(
        Drive,
        r#"-- admin::drive::ls
        select d.id, d.account_id as account, a.email, d.google_id, d.name, d.is_mine, d.deleted,
            held.files as "files!", held.bytes as "bytes!", d.start_token is not null as "sweeping!",
            nullif(d.full_at, '-infinity') as full_at
        from drives d
        join accounts a on a.id = d.account_id
        cross join lateral (
            select count(*) as files, coalesce(sum(size), 0)::bigint as bytes
            from files f
            where f.drive_id = d.id and f.account_id = d.account_id
        ) held
        where d.id > $1
            and ($2::bigint is null or d.account_id = $2)
            and ($3::bigint is null or a.tenant_id = $3)
        order by d.id
        limit $4"#,
        filter.after,
        filter.account,
        tenant,
        filter.limit,
    )
    .fetch_all(conn)
    .await?)
}

/// Which part of a drive's tree.
#[derive(Debug, Clone, Default)]
pub struct Branch {
    /// The drive, by its number.
    pub drive: i64,
    /// From this folder on, by the provider's id; none: from the top.
    pub folder: Option<String>,
    /// So many levels.
    pub depth: i32,
    /// What is in the trash, too.
    pub trashed: bool,
    /// At most so many files.
    pub limit: i64,
}

/// What is in a drive, in the order of a tree.
pub async fn tree(conn: &mut PgConnection, branch: &Branch) -> Result<Vec<TreeRow>, AdminError> {
    let (account, top) = top(&mut *conn, branch.drive).await?;
    let folder = branch.folder.as_deref().unwrap_or(&top);
    Ok(files::tree(conn, account, folder, branch.depth, branch.trashed, branch.limit).await?)
}

/// Whose a drive is, and the folder at its top.
pub(super) async fn top(conn: &mut PgConnection, drive: i64) -> Result<(AccountId, String), AdminError> {
    let row = sqlx::query!(
        "-- admin::drive::top
        select account_id, google_id from drives where id = $1",
        drive,
    )
    .fetch_optional(conn)
    .await?;
    row.map(|row| (row.account_id, row.google_id))
        .ok_or_else(|| AdminError::not_found("drive", drive, "`syncfleet drive ls` shows all"))
}

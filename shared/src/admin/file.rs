//! `file`: the mirrored files.

use sqlx::PgConnection;

use super::{AdminError, account::AccountRef, drive};
use crate::{
    job::AccountId,
    store::{
        drives,
        files::{self, FileRow, Found},
    },
};

/// Which files.
#[derive(Debug, Clone, Default)]
pub struct Filter {
    /// Of this account; none: of the drive's.
    pub account: Option<AccountRef>,
    /// Of this drive, by its number; none: of all the account's.
    pub drive: Option<i64>,
    /// Right in this folder, by the provider's id.
    pub folder: Option<String>,
    /// Right in the folder, or the file, at this path from the top of the drive (of My Drive if none is named).
    pub path: Option<String>,
    /// With this name, whatever its case; `*` stands for any text.
    pub name: Option<String>,
    /// Only what is in the trash; else only what is not.
    pub trashed: bool,
    /// At most so many.
    pub limit: i64,
}

/// Files, folders first, then by name.
pub async fn ls(conn: &mut PgConnection, filter: &Filter) -> Result<Vec<FileRow>, AdminError> {
    let account = account(&mut *conn, filter).await?;
    let parents = match (&filter.folder, &filter.path) {
        (Some(folder), _) => Some(vec![folder.clone()]),
        (None, Some(path)) => Some(at(&mut *conn, account, filter.drive, path).await?),
        (None, None) => None,
    };
    let found = Found {
        drive: filter.drive,
        parents,
        like: filter.name.as_deref().map(pattern),
        trashed: Some(filter.trashed),
        limit: filter.limit,
    };
    Ok(files::named(conn, account, &found).await?)
}

async fn account(conn: &mut PgConnection, filter: &Filter) -> Result<AccountId, AdminError> {
    let named = match &filter.account {
        Some(account) => Some(account.find(&mut *conn).await?),
        None => None,
    };
    let of_drive = match filter.drive {
        Some(drive) => Some(drive::top(conn, drive).await?.0),
        None => None,
    };
    match (named, of_drive) {
        (Some(named), Some(other)) if named != other => Err(AdminError::Refused(format!(
            "drive {} is not one of account {named}: it belongs to account {other}",
            filter.drive.unwrap_or_default()
        ))),
        (Some(account), _) | (None, Some(account)) => Ok(account),
        (None, None) => Err(AdminError::Refused("name an account or a drive".to_owned())),
    }
}

/// The folders at a path. Names are not unique, so there may be several.
pub(super) async fn at(
    conn: &mut PgConnection,
    account: AccountId,
    drive: Option<i64>,
    path: &str,
) -> Result<Vec<String>, AdminError> {
    let top = if let Some(drive) = drive {
        drive::top(&mut *conn, drive).await?.1
    } else {
        let drives = drives::list(&mut *conn, account).await?;
        let mine = drives.into_iter().find(|drive| drive.is_mine);
        let hint = "no drive of the account is mirrored yet";
        mine.ok_or_else(|| AdminError::not_found("path", path, hint))?.google_id
    };
    let names: Vec<&str> = path.split('/').filter(|name| !name.is_empty()).collect();
    let reached = files::by_path(conn, account, &top, &names).await?;
    if reached.is_empty() {
        let hint = "names count letter by letter, and one with a slash in it is reached by --folder only";
        return Err(AdminError::not_found("path", path, hint));
    }
    Ok(reached)
}

/// A pattern of SQL's `like`, for names in small letters.
fn pattern(name: &str) -> String {
    let mut like = String::with_capacity(name.len());
    for c in name.to_lowercase().chars() {
        match c {
            '*' => like.push('%'),
            '%' | '_' | '\\' => like.extend(['\\', c]),
            c => like.push(c),
        }
    }
    like
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_star_stands_for_other_text() {
        assert_eq!(pattern("Plan*.PDF"), "plan%.pdf");
        assert_eq!(pattern("100%_a\\b"), "100\\%\\_a\\\\b");
    }
}

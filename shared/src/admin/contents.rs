//! Which files have their contents stored, and how far that is.

use serde_json::json;
use sqlx::{PgConnection, PgPool};

use super::{Actor, AdminError, account::AccountRef, file};
use crate::{
    job::{AccountId, Policy},
    store::{
        accounts, audit,
        contents::{self, Stored},
        drive_mirrors::{self, Mirror, NewMirror},
        job_state::{self, Wanted},
        jobs::{self, NewJob},
    },
};

/// The kind whose jobs store contents.
const KIND: &str = "drive_contents";

/// Wants the contents of a folder and all below it, or of the whole account. One of the same folder is changed. `folder` is a
/// provider's id, or a path from the top of My Drive that begins with a slash.
pub async fn add_mirror(
    db: &PgPool,
    actor: &Actor,
    policies: &[Policy],
    account: &AccountRef,
    new: NewMirror,
) -> Result<(Mirror, Vec<Wanted>), AdminError> {
    let policy = super::policy(policies, KIND)?;
    let mut tx = db.begin().await?;
    let account = account.find(&mut tx).await?;
    let folder = match &new.folder {
        Some(text) => Some(folder(&mut tx, account, text).await?),
        None => None,
    };
    let row = accounts::get(&mut tx, account).await?;
    let tenant = row.ok_or_else(|| AdminError::not_found("account", account, ""))?.tenant;
    let new = NewMirror { folder, ..new };
    let id = drive_mirrors::put(&mut tx, account, &new).await?;
    let job = NewJob { key: account.to_string(), tenant, account: Some(account), first: None };
    let jobs = jobs::ensure(&mut tx, policy, &[job]).await?;
    job_state::release(&mut tx, &jobs).await?;
    let wanted = job_state::want(&mut tx, &jobs, None, None).await?;
    let detail = json!({
        "account": account, "folder": new.folder, "types": new.mime_types, "max_size": new.max_size, "exports": new.exports,
    });
    audit::write(&mut tx, actor.as_str(), "add mirror", &format!("mirror {id}"), &detail).await?;
    let mirror = drive_mirrors::ls(&mut tx, Some(account)).await?.into_iter().find(|mirror| mirror.id == id);
    tx.commit().await?;
    Ok((mirror.ok_or_else(|| AdminError::not_found("mirror", id, ""))?, wanted))
}

/// Wants these contents no more: what no other mirror of the account wants goes.
pub async fn remove_mirror(db: &PgPool, actor: &Actor, id: i64) -> Result<Vec<Wanted>, AdminError> {
    let mut tx = db.begin().await?;
    let account = drive_mirrors::remove(&mut tx, id).await?;
    let hint = "`syncfleet drive mirror ls` shows all";
    let account = account.ok_or_else(|| AdminError::not_found("mirror", id, hint))?;
    let jobs = jobs::of_account(&mut tx, KIND, account).await?;
    let wanted = job_state::want(&mut tx, &jobs, None, None).await?;
    audit::write(&mut tx, actor.as_str(), "rm mirror", &format!("mirror {id}"), &json!({"account": account}))
        .await?;
    tx.commit().await?;
    Ok(wanted)
}

/// The mirrors of an account, or all.
pub async fn mirrors(
    conn: &mut PgConnection,
    account: Option<&AccountRef>,
) -> Result<Vec<Mirror>, AdminError> {
    let account = match account {
        Some(account) => Some(account.find(&mut *conn).await?),
        None => None,
    };
    Ok(drive_mirrors::ls(conn, account).await?)
}

/// The contents of an account's files, in the order of the files' ids.
pub async fn ls(
    conn: &mut PgConnection,
    account: &AccountRef,
    state: Option<&str>,
    after: &str,
    limit: i64,
) -> Result<Vec<Stored>, AdminError> {
    let account = account.find(&mut *conn).await?;
    Ok(contents::ls(conn, account, state, after, limit).await?)
}

/// The contents of the files in a folder, at any depth, and whose they are.
pub async fn in_folder(
    conn: &mut PgConnection,
    account: &AccountRef,
    text: &str,
) -> Result<(AccountId, Vec<Stored>), AdminError> {
    let account = account.find(&mut *conn).await?;
    let folder = folder(&mut *conn, account, text).await?;
    Ok((account, contents::stored_in(conn, account, &folder).await?))
}

/// A folder by the provider's id, or by its path.
async fn folder(conn: &mut PgConnection, account: AccountId, text: &str) -> Result<String, AdminError> {
    let found = if text.starts_with('/') {
        file::at(&mut *conn, account, None, text).await?
    } else {
        vec![text.to_owned()]
    };
    let folders = sqlx::query_scalar!(
        r#"-- admin::contents::folder
        select file_id as "id!" from files where account_id = $1 and file_id = any($2) and is_folder
        union
        select google_id from drives where account_id = $1 and google_id = any($2) and not deleted"#,
        account,
        &found,
    )
    .fetch_all(conn)
    .await?;
    match folders.as_slice() {
        [folder] => Ok(folder.clone()),
        [] => Err(AdminError::not_found(
            "folder",
            text,
            "`syncfleet drive tree` and `syncfleet file ls` show what is mirrored",
        )),
        several => Err(AdminError::Refused(format!(
            "{text} is the path of several folders: name one by its id: {}",
            several.join(", ")
        ))),
    }
}

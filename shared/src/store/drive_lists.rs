//! How far an account's list of drives is mirrored: table `drive_lists`.

use sqlx::PgConnection;

use super::cursor::SaveError;
use crate::{google::Pages, job::AccountId};

/// How far a list is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ListCursor {
    /// The next page of the pass under way; none: the next step begins one.
    pub page_token: Option<String>,
    /// A page of the pass under way that must not come again.
    pub page_mark: Option<String>,
    /// Counts passes.
    pub generation: i64,
    /// Counts writes of the cursor. A step writes only if the count is still the one it read.
    pub step: i64,
}

impl ListCursor {
    /// The page to be asked for.
    #[must_use]
    pub fn pages(&self) -> Pages<'_> {
        Pages { token: self.page_token.as_deref(), mark: self.page_mark.as_deref() }
    }
}

/// The cursor of an account's list; made if it is new. None: there is no such account.
pub async fn cursor(conn: &mut PgConnection, account: AccountId) -> Result<Option<ListCursor>, sqlx::Error> {
    if let Some(cursor) = find(&mut *conn, account).await? {
        return Ok(Some(cursor));
    }
    sqlx::query!(
        "-- drive_lists::cursor
        insert into drive_lists (account_id) select id from accounts where id = $1
        on conflict do nothing",
        account,
    )
    .execute(&mut *conn)
    .await?;
    find(conn, account).await
}

async fn find(conn: &mut PgConnection, account: AccountId) -> Result<Option<ListCursor>, sqlx::Error> {
    sqlx::query_as!(
        ListCursor,
        "-- drive_lists::find
        select page_token, page_mark, generation, step from drive_lists where account_id = $1",
        account,
    )
    .fetch_optional(conn)
    .await
}

/// Writes the cursor, if nobody did since it was read. Without a next page, the pass has ended.
pub async fn save(conn: &mut PgConnection, account: AccountId, cursor: &ListCursor) -> Result<(), SaveError> {
    let done = sqlx::query!(
        r#"-- drive_lists::save
        update drive_lists set
            page_token = $3, generation = $4, step = step + 1,
            full_at = case when $3::text is null then clock() else full_at end
        where account_id = $1 and step = $2"#,
        account,
        cursor.step,
        cursor.page_token,
        cursor.generation,
    )
    .execute(conn)
    .await?;
    if done.rows_affected() == 1 {
        Ok(())
    } else {
        Err(SaveError::Moved(format!("the list of drives of account {account}")))
    }
}

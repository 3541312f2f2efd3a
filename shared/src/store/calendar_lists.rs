//! How far an account's list of calendars is mirrored: table `calendar_lists`.

use sqlx::PgConnection;

use super::{
    cursor::{Columns, Cursor, Pass, SaveError},
    seconds,
};
use crate::job::AccountId;

/// The cursor of an account's list; made if it is new. None: there is no such account.
pub async fn cursor(conn: &mut PgConnection, account: AccountId) -> Result<Option<Cursor>, sqlx::Error> {
    if let Some(cursor) = find(&mut *conn, account).await? {
        return Ok(Some(cursor));
    }
    sqlx::query!(
        "-- calendar_lists::cursor
        insert into calendar_lists (account_id) select id from accounts where id = $1
        on conflict do nothing",
        account,
    )
    .execute(&mut *conn)
    .await?;
    find(conn, account).await
}

async fn find(conn: &mut PgConnection, account: AccountId) -> Result<Option<Cursor>, sqlx::Error> {
    let columns = sqlx::query_as!(
        Columns,
        r#"-- calendar_lists::find
        select
            sync_token, page_token, page_mark, pass, generation, step, resyncs,
            case when resync_at > clock() then extract(epoch from resync_at - clock())::float8 else 0 end as "held!",
            case when full_at > '-infinity' then extract(epoch from clock() - full_at)::float8 else 'infinity' end
                as "full_age!"
        from calendar_lists
        where account_id = $1"#,
        account,
    )
    .fetch_optional(conn)
    .await?;
    Ok(columns.map(Cursor::from))
}

/// Writes the cursor, if nobody did since it was read. `ended` is the pass that ends with it.
pub async fn save(
    conn: &mut PgConnection,
    account: AccountId,
    cursor: &Cursor,
    ended: Option<Pass>,
) -> Result<(), SaveError> {
    let done = sqlx::query!(
        r#"-- calendar_lists::save
        update calendar_lists set
            sync_token = $3, page_token = $4, pass = $5, generation = $6, step = step + 1, resyncs = $7,
            resync_at = clock() + make_interval(secs => $8),
            full_at = case when $9 then clock() else full_at end
        where account_id = $1 and step = $2"#,
        account,
        cursor.step,
        cursor.sync_token,
        cursor.page_token,
        cursor.pass.map(Pass::as_str),
        cursor.generation,
        cursor.resyncs,
        seconds(cursor.held.unwrap_or_default()),
        ended == Some(Pass::Full),
    )
    .execute(conn)
    .await?;
    if done.rows_affected() == 1 {
        Ok(())
    } else {
        Err(SaveError::Moved(format!("the calendar list of account {account}")))
    }
}

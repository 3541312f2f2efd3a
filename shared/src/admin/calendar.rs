//! `calendar`: what is mirrored of whom.

use chrono::{DateTime, Utc};
use serde::Serialize;
use sqlx::PgConnection;

use super::{AdminError, tenant};
use crate::job::AccountId;

/// A mirrored calendar.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Calendar {
    /// Its number.
    pub id: i64,
    /// The account that sees it.
    pub account: AccountId,
    /// That account's address.
    pub email: String,
    /// The provider's id of it.
    pub google_id: String,
    /// Its name.
    pub summary: Option<String>,
    /// What the account may do with it.
    pub access_role: Option<String>,
    /// Whether its events are mirrored.
    pub readable: bool,
    /// Not in the account's list any more.
    pub deleted: bool,
    /// Mirrored events, tombstones left out.
    pub events: i64,
    /// The pass under way; none: none.
    pub pass: Option<String>,
    /// When its last full pass ended; none: not yet.
    pub full_at: Option<DateTime<Utc>>,
}

/// Which calendars.
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

/// Calendars in the order of their numbers.
pub async fn ls(conn: &mut PgConnection, filter: &Filter) -> Result<Vec<Calendar>, AdminError> {
    let tenant = match &filter.tenant {
        Some(name) => Some(tenant::find(conn, name).await?),
        None => None,
    };
    Ok(sqlx::query_as!(
        Calendar,
        r#"-- admin::calendar::ls
        select c.id, c.account_id as account, a.email, c.google_id, c.summary, c.access_role,
            c.readable as "readable!", c.deleted, c.pass, nullif(c.full_at, '-infinity') as full_at,
            (
                select count(*) from events e
                where e.account_id = c.account_id and e.calendar_id = c.id
                    and e.status is distinct from 'cancelled'
            ) as "events!"
        from calendars c
        join accounts a on a.id = c.account_id
        where c.id > $1
            and ($2::bigint is null or c.account_id = $2)
            and ($3::bigint is null or a.tenant_id = $3)
        order by c.id
        limit $4"#,
        filter.after,
        filter.account,
        tenant,
        filter.limit,
    )
    .fetch_all(conn)
    .await?)
}

//! `event`: what stands in the mirrored calendars.

use chrono::{DateTime, NaiveDate, TimeDelta, Utc};
use serde::Serialize;
use sqlx::PgConnection;

use super::{AdminError, account::AccountRef};
use crate::{
    calendar::occurrences::{self, Found},
    job::AccountId,
    store::calendars,
};

/// How wide a window may be that series are expanded in.
pub const WIDEST: TimeDelta = TimeDelta::days(5 * 366);

/// A mirrored event, as the provider has it: series are not expanded.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Event {
    /// The account that sees it.
    pub account: AccountId,
    /// Its calendar.
    pub calendar: i64,
    /// The provider's id of it, within the calendar.
    pub id: String,
    /// confirmed, tentative or cancelled.
    pub status: Option<String>,
    /// Its title.
    pub summary: Option<String>,
    /// When a timed event begins.
    pub start_at: Option<DateTime<Utc>>,
    /// When it ends.
    pub end_at: Option<DateTime<Utc>>,
    /// The first day of an all-day event.
    pub start_date: Option<NaiveDate>,
    /// The day after its last one.
    pub end_date: Option<NaiveDate>,
    /// Whether it is the master of a series.
    pub recurring: bool,
    /// The master of an exception.
    pub recurring_event_id: Option<String>,
    /// When it was changed last, as the provider says.
    pub updated: Option<DateTime<Utc>>,
}

/// Which events.
#[derive(Debug, Clone, Default)]
pub struct Filter {
    /// Of this account only.
    pub account: Option<AccountId>,
    /// Of this calendar only.
    pub calendar: Option<i64>,
    /// Tombstones, too.
    pub cancelled: bool,
    /// At most so many.
    pub limit: i64,
}

/// Events, the latest start first.
pub async fn ls(conn: &mut PgConnection, filter: &Filter) -> Result<Vec<Event>, AdminError> {
    Ok(sqlx::query_as!(
        Event,
        r#"-- admin::event::ls
        select account_id as account, calendar_id as calendar, event_id as id, status, summary,
            start_at, end_at, start_date, end_date, recurrence is not null as "recurring!", recurring_event_id, updated
        from events
        where ($1::bigint is null or account_id = $1)
            and ($2::bigint is null
                or calendar_id = $2 and account_id = (select account_id from calendars where id = $2))
            and ($3 or status is distinct from 'cancelled')
        order by coalesce(start_at, start_date::timestamp at time zone 'utc', original_start_at) desc nulls last,
            calendar_id, event_id
        limit $4"#,
        filter.account,
        filter.calendar,
        filter.cancelled,
        filter.limit,
    )
    .fetch_all(conn)
    .await?)
}

/// What happens between two moments, series expanded, the earliest first.
pub async fn between(conn: &mut PgConnection, filter: &occurrences::Filter) -> Result<Found, AdminError> {
    let window = filter.window;
    if window.from >= window.to {
        return Err(AdminError::Refused(format!(
            "the window is empty: it is to begin ({}) before it ends ({})",
            window.from.to_rfc3339(),
            window.to.to_rfc3339()
        )));
    }
    if window.to - window.from > WIDEST {
        return Err(AdminError::Refused(format!(
            "the window is too wide: {} days, at most {} are allowed",
            (window.to - window.from).num_days(),
            WIDEST.num_days()
        )));
    }
    if calendars::zones(&mut *conn, filter.account, filter.calendar).await?.is_empty() {
        if let Some(account) = filter.account {
            AccountRef::Id(account).find(&mut *conn).await?;
        }
        if let Some(calendar) = filter.calendar {
            let hint = "`syncfleet calendar ls` shows the calendars of an account";
            return Err(AdminError::not_found("calendar", calendar, hint));
        }
    }
    Ok(occurrences::between(conn, filter).await?)
}

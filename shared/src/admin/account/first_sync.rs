use serde::Serialize;
use sqlx::PgConnection;

use crate::{
    admin::AdminError,
    job::{AccountId, JobId},
};

/// How far the first full passes over accounts' calendars are.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct FirstSync {
    /// Whether the lists of calendars have been read to their end.
    pub listed: bool,
    /// Calendars that are mirrored or are to be.
    pub calendars: i64,
    /// Those of them whose first full pass has ended.
    pub done: i64,
    /// Events so far, of all of them; cancelled ones count.
    pub events: i64,
    /// Jobs of the accounts that are parked until somebody does something.
    pub parked: Vec<JobId>,
}

impl FirstSync {
    /// Whether all of it is done.
    #[must_use]
    pub const fn is_done(&self) -> bool {
        self.listed && self.done >= self.calendars
    }
}

/// How far the first syncs of these accounts are.
pub async fn first_sync(conn: &mut PgConnection, accounts: &[AccountId]) -> Result<FirstSync, AdminError> {
    let row = sqlx::query!(
        r#"-- admin::account::first_sync
        with calendars as materialized (
            select id, account_id, full_at > '-infinity' as done
            from calendars
            where account_id = any($1) and readable
        )
        select
            not exists (
                select from unnest($1::bigint[]) as asked (id)
                left join calendar_lists l on l.account_id = asked.id and l.full_at > '-infinity'
                where l.account_id is null
            ) as "listed!",
            (select count(*) from calendars) as "calendars!",
            (select count(*) from calendars where done) as "done!",
            (
                select count(*) from events e
                join calendars c on c.account_id = e.account_id and c.id = e.calendar_id
            ) as "events!",
            array(
                select j.id from jobs j join job_state s on s.job_id = j.id
                where j.account_id = any($1) and s.phase = 'parked' and s.parked not in ('gate', 'gone')
                order by j.id
            ) as "parked!""#,
        accounts,
    )
    .fetch_one(conn)
    .await?;
    Ok(FirstSync {
        listed: row.listed,
        calendars: row.calendars,
        done: row.done,
        events: row.events,
        parked: row.parked,
    })
}

/// The accounts of these jobs whose first sync is not done.
pub async fn under_way(conn: &mut PgConnection, jobs: &[JobId]) -> Result<Vec<AccountId>, AdminError> {
    Ok(sqlx::query_scalar!(
        r#"-- admin::account::under_way
        select distinct a.id
        from jobs j
        join accounts a on a.id = j.account_id
        left join calendar_lists l on l.account_id = a.id
        where j.id = any($1) and (
            coalesce(l.full_at, '-infinity') = '-infinity'
            or exists (select from calendars c where c.account_id = a.id and c.readable and c.full_at = '-infinity')
        )
        order by a.id"#,
        jobs,
    )
    .fetch_all(conn)
    .await?)
}

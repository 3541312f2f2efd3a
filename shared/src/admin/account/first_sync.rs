use serde::Serialize;
use sqlx::PgConnection;

use crate::{
    admin::AdminError,
    job::{AccountId, JobId},
};

/// How far the first full passes over accounts' calendars, and the first sweeps over their drives, are.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct FirstSync {
    /// Whether the lists of calendars and of drives have been read to their end. One that an account has not granted does not
    /// count beside one that it has.
    pub listed: bool,
    /// Calendars that are mirrored or are to be.
    pub calendars: i64,
    /// Those of them whose first full pass has ended.
    pub done: i64,
    /// Events so far, of all of them; cancelled ones count.
    pub events: i64,
    /// Drives that are mirrored or are to be.
    pub drives: i64,
    /// Those of them whose first sweep has ended.
    pub drives_done: i64,
    /// Files so far, of all of them, folders and what is in the trash included.
    pub files: i64,
    /// Lists, calendars and drives that are not done, and whose jobs go on by themselves.
    pub going_on: i64,
    /// Jobs of the accounts that are parked until somebody does something.
    pub parked: Vec<JobId>,
}

impl FirstSync {
    /// Whether all of it is done.
    #[must_use]
    pub const fn is_done(&self) -> bool {
        self.listed && self.done >= self.calendars && self.drives_done >= self.drives
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
        ), drives as materialized (
            select id, account_id, full_at > '-infinity' as done
            from drives
            where account_id = any($1) and not deleted
        ), jobs as materialized (
            select j.id, j.kind, j.key, j.account_id, case when s.phase = 'parked' then s.parked end as parked
            from jobs j join job_state s on s.job_id = j.id
            where j.account_id = any($1)
        ), parts as materialized (
            select j.account_id, j.kind, j.parked, coalesce(l.full_at, '-infinity') > '-infinity' as done
            from jobs j left join calendar_lists l on l.account_id = j.account_id
            where j.kind = 'calendar_list'
            union all
            select j.account_id, j.kind, j.parked, coalesce(l.full_at, '-infinity') > '-infinity'
            from jobs j left join drive_lists l on l.account_id = j.account_id
            where j.kind = 'drive_list'
            union all
            select j.account_id, j.kind, j.parked, c.done
            from jobs j join calendars c on c.id::text = j.key
            where j.kind = 'calendar_events'
            union all
            select j.account_id, j.kind, j.parked, d.done
            from jobs j join drives d on d.id::text = j.key
            where j.kind = 'drive_changes'
        ), lists as (
            select account_id, bool_or(done) and bool_and(done or coalesce(parked = 'scope', false)) as listed
            from parts
            where kind in ('calendar_list', 'drive_list')
            group by account_id
        )
        select
            not exists (
                select from unnest($1::bigint[]) as asked (id)
                left join lists l on l.account_id = asked.id
                where l.listed is not true
            ) as "listed!",
            (select count(*) from calendars) as "calendars!",
            (select count(*) from calendars where done) as "done!",
            (
                select count(*) from events e
                join calendars c on c.account_id = e.account_id and c.id = e.calendar_id
            ) as "events!",
            (select count(*) from drives) as "drives!",
            (select count(*) from drives where done) as "drives_done!",
            (
                select count(*) from files f
                join drives d on d.account_id = f.account_id and d.id = f.drive_id
            ) as "files!",
            (select count(*) from parts where not done and coalesce(parked in ('gate', 'gone'), true)) as "going_on!",
            array(
                select id from jobs where parked not in ('gate', 'gone') order by id
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
        drives: row.drives,
        drives_done: row.drives_done,
        files: row.files,
        going_on: row.going_on,
        parked: row.parked,
    })
}

/// The accounts of these jobs whose first sync is not done.
pub async fn under_way(conn: &mut PgConnection, jobs: &[JobId]) -> Result<Vec<AccountId>, AdminError> {
    Ok(sqlx::query_scalar!(
        r#"-- admin::account::under_way
        select distinct a.id
        from jobs asked
        join accounts a on a.id = asked.account_id
        where asked.id = any($1) and (
            exists (
                select from jobs j left join calendar_lists l on l.account_id = a.id
                where j.account_id = a.id and j.kind = 'calendar_list' and coalesce(l.full_at, '-infinity') = '-infinity'
            )
            or exists (
                select from jobs j left join drive_lists l on l.account_id = a.id
                where j.account_id = a.id and j.kind = 'drive_list' and coalesce(l.full_at, '-infinity') = '-infinity'
            )
            or exists (select from calendars c where c.account_id = a.id and c.readable and c.full_at = '-infinity')
            or exists (select from drives d where d.account_id = a.id and not d.deleted and d.full_at = '-infinity')
        )
        order by a.id"#,
        jobs,
    )
    .fetch_all(conn)
    .await?)
}

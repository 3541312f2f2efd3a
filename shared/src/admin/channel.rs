//! `channel`: what Google pushes, and what is polled because it does not.

use std::time::Duration;

use chrono::{DateTime, Utc};
use serde::Serialize;
use serde_json::json;
use sqlx::{PgConnection, PgPool};

use super::{Actor, AdminError, account::AccountRef, tenant};
use crate::{
    google::{Google, channels::Stopped},
    job::{AccountId, JobId},
    store::{audit, channel_refusals, channel_refusals::Reason, channels, job_state, jobs},
};

/// The kind whose jobs keep the channels.
const KEEPER: &str = "google_channels";

/// A channel, or something that has none for now.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Channel {
    /// The channel's id; none: there is no channel, it is polled.
    pub id: Option<String>,
    /// The account.
    pub account: AccountId,
    /// Its address.
    pub email: String,
    /// The job that a notification wants.
    pub job: JobId,
    /// That job's kind; none: the job is gone.
    pub kind: Option<String>,
    /// What is watched, for people.
    pub watches: Option<String>,
    /// asked, live, stopping, stopped; or polled.
    pub state: String,
    /// When it was asked for, or refused.
    pub created_at: DateTime<Utc>,
    /// When it ends by itself. Of what is polled: when a channel is asked for again; none: when an operator says so.
    pub until: Option<DateTime<Utc>>,
    /// About when a message came last.
    pub heard_at: Option<DateTime<Utc>>,
    /// Passes in a row that found what it had not told.
    pub missed: i32,
    /// Why there is none, or what went wrong.
    pub note: Option<String>,
}

/// Which channels.
#[derive(Debug, Clone, Default)]
pub struct Filter {
    /// Of this account only.
    pub account: Option<AccountRef>,
    /// Of this tenant only, by name.
    pub tenant: Option<String>,
    /// Stopped ones, too.
    pub all: bool,
    /// At most so many.
    pub limit: i64,
}

/// Channels, and what is polled for want of one, by account and job.
pub async fn ls(conn: &mut PgConnection, filter: &Filter) -> Result<Vec<Channel>, AdminError> {
    let tenant = match &filter.tenant {
        Some(name) => Some(tenant::find(conn, name).await?),
        None => None,
    };
    let account = match &filter.account {
        Some(account) => Some(account.find(conn).await?),
        None => None,
    };
    Ok(sqlx::query_as!(
        Channel,
        r#"-- admin::channel::ls
        with all_of_them as (
            select id, account_id, job_id, state::text as state, created_at, expires_at as until, heard_at, missed, note
            from channels
            where $3 or state <> 'stopped'
            union all
            select null, account_id, job_id, 'polled', refused_at, nullif(until, 'infinity'), null, 0,
                reason || ': ' || note
            from channel_refusals
            where until > clock()
        )
        select c.id, c.account_id as "account!", a.email, c.job_id as "job!", j.kind as "kind?",
            case j.kind
                when 'calendar_list' then 'calendar list'
                when 'calendar_events' then (
                    select coalesce(k.summary, k.google_id) from calendars k where k.id = j.key::bigint
                )
                when 'drive_changes' then (
                    select coalesce(d.name, d.google_id) from drives d where d.id = j.key::bigint
                )
                else j.key
            end as watches,
            c.state as "state!", c.created_at as "created_at!", c.until, c.heard_at, c.missed as "missed!", c.note
        from all_of_them c
        join accounts a on a.id = c.account_id
        left join jobs j on j.id = c.job_id
        where ($1::bigint is null or c.account_id = $1) and ($2::bigint is null or a.tenant_id = $2)
        order by c.account_id, c.job_id, c.created_at
        limit $4"#,
        account,
        tenant,
        filter.all,
        filter.limit,
    )
    .fetch_all(conn)
    .await?)
}

/// Which channels are meant.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Which {
    /// A channel by its id, or what a job watches by the job's number.
    One(String),
    /// All of an account.
    Account(AccountRef),
}

/// What came of renewing or stopping.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Changed {
    /// The account.
    pub account: AccountId,
    /// The jobs whose channels are meant.
    pub jobs: Vec<JobId>,
    /// The job that does it; none: no worker with a public address has looked at the account yet.
    pub by: Option<JobId>,
    /// For ringing.
    #[serde(skip)]
    pub wanted: Vec<job_state::Wanted>,
}

/// Has other channels made in place of these, and such that were refused asked for again.
pub async fn renew(db: &PgPool, actor: &Actor, which: &Which) -> Result<Changed, AdminError> {
    let mut tx = db.begin().await?;
    let (account, jobs) = find(&mut tx, which).await?;
    channel_refusals::lift(&mut tx, &jobs).await?;
    sqlx::query!(
        "-- admin::channel::renew
        with locked as (
            select id from channels where job_id = any($1) and state = 'live' order by id for update
        )
        update channels c set renew_at = clock() from locked where c.id = locked.id",
        &jobs,
    )
    .execute(&mut *tx)
    .await?;
    let changed = want_keeper(&mut tx, account, jobs).await?;
    audit::write(&mut tx, actor.as_str(), "channel.renew", &account.to_string(), &json!(changed)).await?;
    tx.commit().await?;
    Ok(changed)
}

/// Ends these channels, and has what they watch polled until [`renew`].
pub async fn stop(db: &PgPool, actor: &Actor, which: &Which) -> Result<Changed, AdminError> {
    let mut tx = db.begin().await?;
    let (account, jobs) = find(&mut tx, which).await?;
    let note = format!("stopped by {}; `syncfleet channel renew` begins again", actor.as_str());
    for job in &jobs {
        channel_refusals::put(&mut tx, account, *job, Reason::Operator, &note, None).await?;
    }
    let ids = sqlx::query_scalar!(
        "-- admin::channel::stop
        select id from channels where job_id = any($1) and state in ('asked', 'live') order by id",
        &jobs,
    )
    .fetch_all(&mut *tx)
    .await?;
    channels::retire(&mut tx, &ids).await?;
    let changed = want_keeper(&mut tx, account, jobs).await?;
    audit::write(&mut tx, actor.as_str(), "channel.stop", &account.to_string(), &json!(changed)).await?;
    tx.commit().await?;
    Ok(changed)
}

/// The account, and the jobs whose channels are meant.
async fn find(conn: &mut PgConnection, which: &Which) -> Result<(AccountId, Vec<JobId>), AdminError> {
    let id = match which {
        Which::Account(account) => {
            let account = account.find(conn).await?;
            let jobs = sqlx::query_scalar!(
                r#"-- admin::channel::find (account)
                select distinct job_id as "job!" from (
                    select job_id from channels where account_id = $1
                    union all
                    select job_id from channel_refusals where account_id = $1
                ) c
                order by 1"#,
                account,
            )
            .fetch_all(conn)
            .await?;
            return Ok((account, jobs));
        }
        Which::One(id) => id,
    };
    let job: Option<JobId> = id.parse().ok();
    let found = sqlx::query!(
        r#"-- admin::channel::find (one)
        select job_id as "job!", account_id as "account!" from (
            select job_id, account_id from channels where id = $1 or job_id = $2
            union all
            select job_id, account_id from channel_refusals where job_id = $2
        ) c
        limit 1"#,
        id,
        job,
    )
    .fetch_optional(conn)
    .await?;
    let hint = "`syncfleet channel ls` shows channels and, of what is polled, the job";
    let found = found.ok_or_else(|| AdminError::not_found("channel", id, hint))?;
    Ok((found.account, vec![found.job]))
}

/// Has the job looked at that keeps the channels of an account.
pub(super) async fn want_keeper(
    conn: &mut PgConnection,
    account: AccountId,
    jobs: Vec<JobId>,
) -> Result<Changed, AdminError> {
    let keepers = jobs::of_keys(&mut *conn, KEEPER, &[account.to_string()]).await?;
    let wanted = job_state::want(conn, &keepers, None, Some(crate::job::Lane::Interactive)).await?;
    Ok(Changed { account, jobs, by: keepers.first().copied(), wanted })
}

/// Ends all channels of accounts that are about to go, as far as that goes within `limit`: afterwards nobody can. No new
/// ones are made meanwhile, as the job that does it goes first.
pub async fn stop_all(
    db: &PgPool,
    google: Option<&Google>,
    accounts: &[AccountId],
    limit: Duration,
) -> Result<Stopped, AdminError> {
    let mut all = Stopped::default();
    let began = std::time::Instant::now();
    for account in accounts {
        let (live, now) = {
            let mut conn = db.acquire().await?;
            jobs::remove(&mut conn, KEEPER, &[account.to_string()]).await?;
            channels::of_account(&mut conn, *account).await?
        };
        let live =
            live.iter().filter(|one| one.state != channels::State::Stopped && one.expires_at > now).count();
        let left = u64::try_from(live).unwrap_or(u64::MAX);
        let time = limit.saturating_sub(began.elapsed());
        let stopped = match google {
            Some(google) if live > 0 && !time.is_zero() => google.stop_channels(db, *account, time).await?,
            _ => Stopped { stopped: 0, left },
        };
        all.stopped += stopped.stopped;
        all.left += stopped.left;
    }
    Ok(all)
}

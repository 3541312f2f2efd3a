//! Push channels: table `channels`. What becomes of one is told in `worker/src/jobs/google_channels.rs`; a notification
//! comes in by [`notify`].
//!
//! A channel's row is there before Google is asked to make the channel, and stays a while after its end: whatever calls
//! us, it can be told what it is.
//!
//! Locks: a statement that touches jobs and channels locks the jobs first, each table in id order.

mod notify;
mod standing;

use std::time::Duration;

use chrono::{DateTime, Utc};
use serde::Serialize;
use sqlx::PgConnection;

pub use self::{
    notify::{Heard, Notified, Outcome, notify},
    standing::{Standing, missed, standing},
};
use super::seconds;
use crate::job::{AccountId, JobId};

/// How a channel stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, sqlx::Type)]
#[serde(rename_all = "lowercase")]
#[sqlx(type_name = "channel_state", rename_all = "lowercase")]
pub enum State {
    /// Google is asked for it, or about to be. Nobody knows yet whether it delivers.
    Asked,
    /// Google has said that it delivers.
    Live,
    /// It is not wanted any more, and may deliver still.
    Stopping,
    /// Google was told to end it.
    Stopped,
}

impl State {
    /// The word in SQL and the CLI.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Asked => "asked",
            Self::Live => "live",
            Self::Stopping => "stopping",
            Self::Stopped => "stopped",
        }
    }
}

/// A channel.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Channel {
    /// Our own id of it.
    pub id: String,
    /// The job that a notification wants.
    pub job: JobId,
    /// The API that delivers.
    pub api: String,
    /// How it stands.
    pub state: State,
    /// Where Google calls.
    pub address: String,
    /// Google's id of what is watched, as far as it is known.
    pub resource_id: Option<String>,
    /// When its row was made.
    pub created_at: DateTime<Utc>,
    /// When it ends by itself.
    pub expires_at: DateTime<Utc>,
    /// When another one is to take its place; none: no time is set.
    pub renew_at: Option<DateTime<Utc>>,
    /// About when a message came last.
    pub heard_at: Option<DateTime<Utc>>,
    /// Passes in a row that found what it had not told.
    pub missed: i32,
    /// When it was stopped.
    pub ended_at: Option<DateTime<Utc>>,
}

/// The channels of an account in the order of their making, and the database's time.
pub async fn of_account(
    conn: &mut PgConnection,
    account: AccountId,
) -> Result<(Vec<Channel>, DateTime<Utc>), sqlx::Error> {
    let channels = sqlx::query_as!(
        Channel,
        r#"-- channels::of_account
        select
            id, job_id as job, api, state as "state: State", address, resource_id, created_at, expires_at,
            nullif(renew_at, 'infinity') as renew_at, heard_at, missed, ended_at
        from channels
        where account_id = $1
        order by created_at, id"#,
        account,
    )
    .fetch_all(&mut *conn)
    .await?;
    let now = sqlx::query_scalar!(
        r#"-- channels::of_account (now)
        select clock() as "now!""#
    )
    .fetch_one(conn)
    .await?;
    Ok((channels, now))
}

/// A job whose resource can be watched.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Target {
    /// The job.
    pub job: JobId,
    /// Its kind.
    pub kind: String,
    /// Its key.
    pub key: String,
    /// Until when no channel is asked for.
    pub refused_until: Option<DateTime<Utc>>,
}

/// The jobs of an account, of these kinds, whose resources are there to be watched.
pub async fn targets(
    conn: &mut PgConnection,
    account: AccountId,
    kinds: &[String],
) -> Result<Vec<Target>, sqlx::Error> {
    // Infinity is no date for chrono: a refusal for ever lasts for a century.
    sqlx::query_as!(
        Target,
        r#"-- channels::targets
        select j.id as job, j.kind, j.key,
            case when r.until > clock() then least(r.until, clock() + interval '100 years') end as refused_until
        from jobs j
        join job_state s on s.job_id = j.id
        left join channel_refusals r on r.job_id = j.id
        where j.account_id = $1 and j.kind = any($2)
            and (s.parked is null or s.parked not in ('gone', 'scope'))
        order by j.id"#,
        account,
        kinds,
    )
    .fetch_all(conn)
    .await
}

/// A channel to be.
#[derive(Debug, Clone)]
pub struct NewChannel {
    /// Its id.
    pub id: String,
    /// The job that a notification is to want.
    pub job: JobId,
    /// The API.
    pub api: &'static str,
    /// Where Google is to call.
    pub address: String,
}

/// Makes the rows of channels that are about to be asked for, each for `life`.
pub async fn ask(
    conn: &mut PgConnection,
    account: AccountId,
    life: Duration,
    new: &[NewChannel],
) -> Result<(), sqlx::Error> {
    let column = |of: fn(&NewChannel) -> String| -> Vec<String> { new.iter().map(of).collect() };
    let jobs: Vec<JobId> = new.iter().map(|channel| channel.job).collect();
    sqlx::query!(
        "-- channels::ask
        insert into channels (id, account_id, job_id, api, state, address, expires_at)
        select id, $1, job_id, api, 'asked', address, clock() + make_interval(secs => $2)
        from unnest($3::text[], $4::bigint[], $5::text[], $6::text[]) as n (id, job_id, api, address)
        order by id",
        account,
        seconds(life),
        &column(|channel| channel.id.clone()),
        &jobs,
        &column(|channel| channel.api.to_owned()),
        &column(|channel| channel.address.clone()),
    )
    .execute(conn)
    .await
    .map(drop)
}

/// Google has made the channel. False: its row is not waiting for that any more.
pub async fn answered(
    conn: &mut PgConnection,
    id: &str,
    resource_id: &str,
    expires_at: DateTime<Utc>,
    renew_at: DateTime<Utc>,
) -> Result<bool, sqlx::Error> {
    let done = sqlx::query!(
        "-- channels::answered
        update channels set state = 'live', resource_id = $2, expires_at = $3, renew_at = $4
        where id = $1 and state = 'asked'",
        id,
        resource_id,
        expires_at,
        renew_at,
    )
    .execute(conn)
    .await?;
    Ok(done.rows_affected() == 1)
}

/// These are not wanted any more.
pub async fn retire(conn: &mut PgConnection, ids: &[String]) -> Result<u64, sqlx::Error> {
    let done = sqlx::query!(
        "-- channels::retire
        with locked as (
            select id from channels where id = any($1) and state in ('asked', 'live') order by id for update
        )
        update channels c set state = 'stopping' from locked where c.id = locked.id",
        ids,
    )
    .execute(conn)
    .await?;
    Ok(done.rows_affected())
}

/// Google was told to end it; `note` is what it said if it did not like that.
pub async fn stopped(conn: &mut PgConnection, id: &str, note: Option<&str>) -> Result<(), sqlx::Error> {
    sqlx::query!(
        "-- channels::stopped
        update channels set state = 'stopped', ended_at = clock(), note = $2 where id = $1 and state <> 'stopped'",
        id,
        note,
    )
    .execute(conn)
    .await
    .map(drop)
}

/// Takes all channels of an account for stopped that nobody can end any more: what they still tell is not followed.
pub async fn leave(conn: &mut PgConnection, account: AccountId, note: &str) -> Result<(), sqlx::Error> {
    sqlx::query!(
        "-- channels::leave
        with locked as (
            select id from channels where account_id = $1 and state <> 'stopped' order by id for update
        )
        update channels c set state = 'stopped', ended_at = clock(), note = $2
        from locked
        where c.id = locked.id and c.state <> 'stopped'",
        account,
        note,
    )
    .execute(conn)
    .await
    .map(drop)
}

/// How an account's channels stand.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Count {
    /// Those that are asked for, live, or about to be ended.
    pub live: i64,
    /// Those that could not be ended, and have not run out yet.
    pub left: i64,
    /// When the last of them will have run out.
    pub left_until: Option<DateTime<Utc>>,
}

/// How an account's channels stand.
pub async fn count(conn: &mut PgConnection, account: AccountId) -> Result<Count, sqlx::Error> {
    sqlx::query_as!(
        Count,
        r#"-- channels::count
        select count(*) filter (where state <> 'stopped') as "live!",
            count(*) filter (where state = 'stopped' and note is not null) as "left!",
            max(expires_at) filter (where state = 'stopped' and note is not null) as left_until
        from channels
        where account_id = $1 and expires_at > clock()"#,
        account,
    )
    .fetch_one(conn)
    .await
}

/// Removes rows that nobody will ask about any more.
pub async fn forget(conn: &mut PgConnection, ids: &[String]) -> Result<(), sqlx::Error> {
    sqlx::query!(
        "-- channels::forget
        with locked as (select id from channels where id = any($1) order by id for update)
        delete from channels c using locked where c.id = locked.id",
        ids,
    )
    .execute(conn)
    .await
    .map(drop)
}

/// A channel that called us and is not known.
#[derive(Debug, Clone)]
pub struct Orphan {
    /// Its id.
    pub id: String,
    /// The account that its token names.
    pub account: AccountId,
    /// The job that its token names.
    pub job: JobId,
    /// The API that has called.
    pub api: &'static str,
    /// Google's id of what it watches.
    pub resource_id: String,
}

/// Notes a channel that is not known, to be stopped. False: its account is gone, or its row is there by now.
pub async fn adopt(conn: &mut PgConnection, orphan: &Orphan) -> Result<bool, sqlx::Error> {
    let done = sqlx::query!(
        "-- channels::adopt
        insert into channels (id, account_id, job_id, api, state, address, resource_id, expires_at)
        select $1, id, $3, $4, 'stopping', '', $5, clock() + interval '30 days'
        from accounts
        where id = $2
        on conflict (id) do nothing",
        orphan.id,
        orphan.account,
        orphan.job,
        orphan.api,
        orphan.resource_id,
    )
    .execute(conn)
    .await?;
    Ok(done.rows_affected() == 1)
}

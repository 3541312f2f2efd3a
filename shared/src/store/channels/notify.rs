use std::collections::HashSet;

use sqlx::PgConnection;

use crate::{
    job::{AccountId, JobId, Lane},
    store::job_state::Wanted,
};

/// What came over a channel, once or several times.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Heard {
    /// The channel, as the message names it.
    pub channel: String,
    /// The account that its token names.
    pub account: AccountId,
    /// The job that its token names.
    pub job: JobId,
    /// Google's id of what is watched, as the message has it.
    pub resource_id: String,
    /// The channel's first message: it says that it delivers, and tells of no change.
    pub sync: bool,
}

/// What became of a message.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Outcome {
    /// Its job is wanted. Also if the job is gone meanwhile.
    Wanted,
    /// A channel delivers.
    Synced,
    /// The channel was stopped.
    Stopped,
    /// The channel is not known.
    Unknown,
    /// The channel watches something else.
    WrongResource,
}

/// What became of messages, in their order, and of the jobs.
#[derive(Debug, Clone, Default)]
pub struct Notified {
    /// One for each message.
    pub outcomes: Vec<Outcome>,
    /// The jobs that were wanted.
    pub wanted: Vec<Wanted>,
}

/// Wants the jobs of these messages in the lane interactive, and notes what was heard: one statement.
///
/// It is [`crate::store::job_state::want`] over the channels whose resource is that of the message, or not known yet: the
/// first message may come before Google has answered the watch. A channel's own row is written seldom: when its resource
/// is news, when it was silent for a minute, when it had missed something, and when the pass that follows is to know that
/// a notification has caused it.
pub async fn notify(conn: &mut PgConnection, heard: &[Heard]) -> Result<Notified, sqlx::Error> {
    let column =
        |of: fn(&Heard) -> &str| -> Vec<String> { heard.iter().map(|one| of(one).to_owned()).collect() };
    let accounts: Vec<AccountId> = heard.iter().map(|one| one.account).collect();
    let jobs: Vec<JobId> = heard.iter().map(|one| one.job).collect();
    let syncs: Vec<bool> = heard.iter().map(|one| one.sync).collect();
    let rows = sqlx::query!(
        r#"-- channels::notify
        with heard as (
            select * from unnest($1::text[], $2::bigint[], $3::bigint[], $4::text[], $5::bool[])
                with ordinality as h (channel, account_id, job_id, resource_id, sync, place)
        ), judged as (
            select h.*,
                case
                    when c.id is null then 'unknown'
                    when c.resource_id <> h.resource_id then 'wrong_resource'
                    when c.state = 'stopped' then 'stopped'
                    when h.sync then 'synced'
                    else 'wanted'
                end as outcome,
                c.resource_id is null or c.heard_at is null or c.heard_at < clock() - interval '1 minute'
                    or c.missed > 0 and not h.sync as is_news
            from heard h
            left join channels c
                on c.id = h.channel and c.account_id = h.account_id and c.job_id = h.job_id
        ), locked as (
            select job_id, dirty_since is null or seen is not null and dirty_again is null as is_first
            from job_state
            where job_id in (select job_id from judged where outcome = 'wanted')
            order by job_id
            for update
        ), wanted as (
            update job_state s set
                wanted = s.wanted + 1,
                dirty_since = coalesce(s.dirty_since, clock()),
                dirty_again = case when s.seen is not null then coalesce(s.dirty_again, clock()) end,
                run_at = case
                    when s.phase = 'idle' then greatest(s.floor_at, s.backoff_until, least(s.run_at, clock()))
                    else s.run_at
                end,
                lane = 'interactive'
            from locked
            where s.job_id = locked.job_id
            returning
                s.job_id, s.kind, s.tenant_id, s.wanted as counter, locked.is_first,
                s.phase = 'idle' and not s.paused and s.run_at <= clock() as due
        ), told as (
            select distinct on (j.channel) j.channel, j.resource_id, j.sync, w.is_first
            from judged j left join wanted w on w.job_id = j.job_id and j.outcome = 'wanted'
            where j.outcome in ('wanted', 'synced') and (j.is_news or w.is_first)
            order by j.channel, j.sync
        ), locked_channels as (
            select c.id, t.resource_id, t.sync, t.is_first
            from channels c join told t on t.channel = c.id
            order by c.id
            for update of c
        ), noted as (
            update channels c set
                resource_id = coalesce(c.resource_id, l.resource_id),
                heard_at = clock(),
                missed = case when l.sync then c.missed else 0 end,
                pushed_at = case when l.is_first then clock() else c.pushed_at end,
                pushed_before = case when l.is_first then c.pushed_at else c.pushed_before end
            from locked_channels l
            where c.id = l.id
        )
        select j.place as "place!", j.outcome as "outcome!", j.job_id as "job!", w.kind as "kind?",
            w.tenant_id as "tenant?", w.counter as "counter?", w.due as "due?"
        from judged j left join wanted w on w.job_id = j.job_id and j.outcome = 'wanted'
        order by j.place"#,
        &column(|one| &one.channel),
        &accounts,
        &jobs,
        &column(|one| &one.resource_id),
        &syncs,
    )
    .fetch_all(conn)
    .await?;
    let (mut notified, mut seen) = (Notified::default(), HashSet::new());
    for row in rows {
        notified.outcomes.push(match row.outcome.as_str() {
            "wanted" => Outcome::Wanted,
            "synced" => Outcome::Synced,
            "stopped" => Outcome::Stopped,
            "wrong_resource" => Outcome::WrongResource,
            _ => Outcome::Unknown,
        });
        if let (Some(kind), Some(tenant), Some(counter), Some(due)) =
            (row.kind, row.tenant, row.counter, row.due)
            && seen.insert(row.job)
        {
            let (job, lane) = (row.job, Lane::Interactive);
            notified.wanted.push(Wanted { job, kind, tenant, lane, counter, due });
        }
    }
    Ok(notified)
}

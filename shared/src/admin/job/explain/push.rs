//! What push means for a job: whether Google tells of its changes, or why it is polled only.

use chrono::{DateTime, Utc};
use serde::Serialize;
use sqlx::PgConnection;

use crate::{
    admin::{
        AdminError,
        job::Job,
        words::{count, when},
    },
    job::JobId,
};

/// The kinds whose jobs have something that Google pushes.
const PUSHED: [&str; 3] = ["calendar_list", "calendar_events", "drive_changes"];

/// How a job hears of changes.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(tag = "is", rename_all = "snake_case")]
pub enum Push {
    /// A channel watches what it keeps in step; the poll behind it is seldom while the channel proves alive.
    Watched {
        /// The channel's id.
        channel: String,
        /// When it ends by itself; another one takes its place before.
        until: DateTime<Utc>,
        /// About when a message came over it last; none: none has come.
        heard_at: Option<DateTime<Utc>>,
        /// When one last told of a change that no pass had answered yet; none: none has.
        told_at: Option<DateTime<Utc>>,
        /// Passes in a row that found what it had not told.
        missed: i32,
    },
    /// There is no channel, and none is asked for: it is polled.
    Polled {
        /// unsupported, refused or operator.
        reason: String,
        /// What was said.
        note: String,
        /// When a channel is asked for again; none: when an operator says so.
        until: Option<DateTime<Utc>>,
    },
    /// There is no channel yet: it is polled.
    NotYet {
        /// The job that makes it; none: no worker with a public address has looked at the account.
        by: Option<JobId>,
    },
}

/// How a job hears of changes; none: nothing is pushed for jobs of its kind.
pub(super) async fn read(conn: &mut PgConnection, job: &Job) -> Result<Option<Push>, AdminError> {
    if !PUSHED.contains(&job.kind.as_str()) {
        return Ok(None);
    }
    let row = sqlx::query!(
        r#"-- admin::job::explain (push)
        select c.id as "channel?", c.expires_at as "expires_at?", c.heard_at, c.missed as "missed?",
            (select max(pushed_at) from channels where job_id = asked.id) as told_at,
            r.reason as "reason?", r.note as "note?", nullif(r.until, 'infinity') as until,
            (
                select k.id from jobs k
                where k.kind = 'google_channels' and k.key = $2::bigint::text
            ) as "keeper?"
        from (select $1::bigint as id) asked
        left join lateral (
            select * from channels
            where job_id = asked.id and state = 'live' and expires_at > clock()
            order by created_at desc, id desc
            limit 1
        ) c on true
        left join channel_refusals r on r.job_id = asked.id and r.until > clock()"#,
        job.id,
        job.account,
    )
    .fetch_one(conn)
    .await?;
    Ok(Some(match (row.channel, row.expires_at, row.reason) {
        (Some(channel), Some(until), _) => Push::Watched {
            channel,
            until,
            heard_at: row.heard_at,
            told_at: row.told_at,
            missed: row.missed.unwrap_or_default(),
        },
        (_, _, Some(reason)) => Push::Polled { reason, note: row.note.unwrap_or_default(), until: row.until },
        _ => Push::NotYet { by: row.keeper },
    }))
}

impl Push {
    /// The same in words, as seen from `now`.
    #[must_use]
    pub fn sentence(&self, now: DateTime<Utc>) -> String {
        match self {
            Self::Watched { until, heard_at, told_at, missed, .. } => {
                let last = match (told_at, heard_at) {
                    (Some(at), _) => format!("last told of a change {}", when(*at, now)),
                    (None, Some(_)) => "no change was told yet".to_owned(),
                    (None, None) => "it has not delivered yet".to_owned(),
                };
                let missed = match missed {
                    0 => String::new(),
                    n => format!(
                        "; {} in a row found what it had not told, so it is polled as without push",
                        count(i64::from(*n), "poll")
                    ),
                };
                format!(
                    "watched by a channel until {} ({}), {last}{missed}",
                    clock(*until),
                    when(*until, now)
                )
            }
            Self::Polled { reason, note, until } => {
                let why = match reason.as_str() {
                    "unsupported" => "Google does not push it",
                    "operator" => "an operator has stopped it",
                    _ => "Google refused a channel",
                };
                let until = until.map_or_else(String::new, |at| {
                    format!("; a channel is asked for again {}", when(at, now))
                });
                format!("polled only: {why} ({note}){until}")
            }
            Self::NotYet { by: Some(job) } => {
                format!(
                    "polled only, there is no channel yet: job {job} keeps them (`syncfleet job explain {job}`)"
                )
            }
            Self::NotYet { by: None } => {
                "polled only: no worker with a public address (SYNCFLEET_PUBLIC_URL) has \
                                          looked at the account"
                    .to_owned()
            }
        }
    }
}

fn clock(at: DateTime<Utc>) -> String {
    format!("{} UTC", at.format("%Y-%m-%d %H:%M"))
}

#[cfg(test)]
mod tests {
    use chrono::{TimeDelta, TimeZone};

    use super::*;

    #[test]
    fn each_way_to_hear_of_changes_is_told() {
        let now = Utc.with_ymd_and_hms(2026, 3, 1, 10, 0, 0).unwrap();
        let watched = |heard: bool, told: bool, missed| Push::Watched {
            channel: "c".to_owned(),
            until: now + TimeDelta::days(3),
            heard_at: heard.then_some(now),
            told_at: told.then(|| now - TimeDelta::minutes(2)),
            missed,
        };
        let polled =
            |reason: &str, until| Push::Polled { reason: reason.to_owned(), note: "why".to_owned(), until };
        for (push, words) in [
            (
                watched(true, true, 0),
                "watched by a channel until 2026-03-04 10:00 UTC (in 3 d), last told of a change 2 m ago",
            ),
            (watched(true, false, 0), "no change was told yet"),
            (watched(false, false, 0), "it has not delivered yet"),
            (watched(true, true, 2), "2 polls in a row found what it had not told"),
            (
                polled("unsupported", Some(now + TimeDelta::hours(1))),
                "Google does not push it (why); a channel is asked for again in 1 h",
            ),
            (polled("operator", None), "polled only: an operator has stopped it (why)"),
            (Push::NotYet { by: Some(7) }, "job 7 keeps them"),
            (Push::NotYet { by: None }, "SYNCFLEET_PUBLIC_URL"),
        ] {
            let text = push.sentence(now);
            assert!(text.contains(words), "{text}");
        }
    }
}

//! What was done for records of DNS, and what came of it: table `dns_history`.

use std::{net::IpAddr, time::Duration};

use chrono::{DateTime, Utc};
use serde::Serialize;
use sqlx::PgConnection;

use super::{dns_records::RecordId, parsed, seconds};
use crate::dns::address::Family;

/// What was done, or found.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum What {
    /// The provider changed it.
    Good,
    /// The provider had it already.
    NoChange,
    /// The provider wants to be left alone for a time.
    Wait,
    /// The provider refuses until a person acts.
    Parked,
    /// There was no answer, or none that makes sense.
    Retry,
    /// The provider refuses for a reason not known to last.
    Refused,
    /// The outcome of a sending was not recorded, and the zone's servers have what was sent.
    Observed,
    /// The zone's servers have it.
    Verified,
    /// The zone's servers do not have it, and the time is over.
    Unverified,
}

impl What {
    /// The word in SQL, metrics and the CLI.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Good => "good",
            Self::NoChange => "nochg",
            Self::Wait => "wait",
            Self::Parked => "parked",
            Self::Retry => "retry",
            Self::Refused => "refused",
            Self::Observed => "observed",
            Self::Verified => "verified",
            Self::Unverified => "unverified",
        }
    }
}

/// What is to be noted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct New {
    /// Of which family.
    pub family: Family,
    /// The address that it was about.
    pub address: Option<IpAddr>,
    /// What was done.
    pub what: What,
    /// What was said: one line, without a secret.
    pub said: String,
    /// How long it took.
    pub took: Option<Duration>,
}

/// What was noted.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Entry {
    /// Its number: later ones are higher.
    pub id: i64,
    /// When.
    pub at: DateTime<Utc>,
    /// Of which family.
    pub family: Family,
    /// The address that it was about.
    pub address: Option<IpAddr>,
    /// What was done: a word of [`What`].
    pub what: String,
    /// What was said.
    pub said: String,
    /// How long it took, in milliseconds.
    pub took_ms: Option<i64>,
}

/// Notes what was done for a record, in the transaction that records it.
pub async fn write(conn: &mut PgConnection, record: RecordId, done: &[New]) -> Result<(), sqlx::Error> {
    for new in done {
        sqlx::query!(
            "-- dns_history::write
            insert into dns_history (record_id, at, family, address, what, said, took_ms)
            values ($1, clock(), $2, $3::text::inet, $4, $5, $6)",
            record,
            new.family as Family,
            new.address.map(|address| address.to_string()),
            new.what.as_str(),
            new.said,
            new.took.map(|took| i64::try_from(took.as_millis()).unwrap_or(i64::MAX)),
        )
        .execute(&mut *conn)
        .await?;
    }
    Ok(())
}

/// The last `limit` entries of a record, newest first.
pub async fn last(conn: &mut PgConnection, record: RecordId, limit: i64) -> Result<Vec<Entry>, sqlx::Error> {
    let rows = sqlx::query!(
        r#"-- dns_history::last
        select id, at, family as "family: Family", host(address) as address, what, said, took_ms
        from dns_history
        where record_id = $1
        order by id desc
        limit $2"#,
        record,
        limit,
    )
    .fetch_all(conn)
    .await?;
    rows.into_iter()
        .map(|row| {
            Ok(Entry {
                id: row.id,
                at: row.at,
                family: row.family,
                address: row.address.as_deref().map(parsed).transpose()?,
                what: row.what,
                said: row.said,
                took_ms: row.took_ms,
            })
        })
        .collect()
}

/// Forgets what is older than `keep`, and of each record that was busy of late what is more than its last `most`; at most `limit`
/// rows of each sort. Says how many went. Two at once do no harm: each passes over what the other has in hand.
pub async fn forget_old(
    conn: &mut PgConnection,
    keep: Duration,
    most: i64,
    limit: i64,
) -> Result<u64, sqlx::Error> {
    let old = sqlx::query!(
        "-- dns_history::forget_old (1)
        delete from dns_history h
        using (
            select id from dns_history where at < clock() - make_interval(secs => $1)
            order by id limit $2 for update skip locked
        ) old
        where h.id = old.id",
        seconds(keep),
        limit,
    )
    .execute(&mut *conn)
    .await?;
    let surplus = sqlx::query!(
        "-- dns_history::forget_old (2)
        with busy as (
            select distinct record_id from dns_history where at > clock() - interval '1 hour'
        ), surplus as (
            select h.id
            from busy
            cross join lateral (
                select id from dns_history where record_id = busy.record_id order by id desc offset $1 limit 1
            ) last
            join dns_history h on h.record_id = busy.record_id and h.id <= last.id
            order by h.id
            limit $2
            for update of h skip locked
        )
        delete from dns_history h using surplus where h.id = surplus.id",
        most,
        limit,
    )
    .execute(conn)
    .await?;
    Ok(old.rows_affected() + surplus.rows_affected())
}

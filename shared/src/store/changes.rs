//! The change feed: table `changes`, one row per change of a row in the mirror, or of the state of a name, written in the
//! transaction that changes it.
//!
//! # Wanted properties
//!
//! 1. A change is in the feed exactly when the mirror's change is committed.
//! 2. A reader that goes from position to position sees every change once: none is missed, none comes twice.
//! 3. A reader never waits for a writer, and no writer for a reader or for another writer.
//!
//! # How
//!
//! Numbers from a sequence are drawn before the commit, so "all after the last number" misses what was drawn early and
//! committed late. Each row therefore carries its transaction's number (`xid`), and [`read`] gives only rows below the
//! snapshot's `xmin`: all transactions below it have ended, those to come are at or above it. What lies below is final, and the
//! order (epoch, xid, id) is the same for everybody. <https://www.postgresql.org/docs/current/functions-info.html>, "Transaction
//! ID and Snapshot Information".
//!
//! # Races, and their answers
//!
//! - *A transaction commits late.* While it runs it is the `xmin` or above it, so nobody has read past it.
//! - *A transaction writes and stays open*, anywhere on the server: the feed stands still for its time. It is late then, never
//!   wrong. The fleet's own transactions are short by its session's limits; `syncfleet_feed_held_back_seconds` tells of others'.
//!   Transactions that only read hold nothing back.
//! - *A database is restored elsewhere, taken back to an earlier moment, or fails over.* Transaction numbers may begin anew, or
//!   repeat. So the order begins with an epoch: another server or another timeline is another epoch, a later one always greater
//!   (they are minutes since 1970). The first write in a new place begins it. Rows of earlier epochs are final.
//! - *Rows are dropped while somebody reads.* Dropping a partition and noting the last row that each tenant lost in it are one
//!   transaction, and a read learns both from one snapshot: it says `gone`, or it has seen the rows.
//! - *Nothing changed.* A page that brings an event again with the same etag writes no change, nor one that brings a file again
//!   of which at most the version has grown.
//! - *Readers should know at once.* A worker that has committed changes calls [`notify`] for their tenants, in a transaction of
//!   its own, some times a second at the most. Not in the transaction that writes: the server lets transactions that notify
//!   commit one after the other, with their wait for the disk (measured with 32 clients: 980 commits a second instead of 4,100).
//!   A notification that is lost costs some seconds: readers also look by themselves.
//! - *A reader wants little, and is far behind.* A read looks at so many of the tenant's changes and no more, and tells how far
//!   it came; the next one goes on from there.

mod listen;
mod names;
mod position;
mod read;
mod retain;

use sqlx::PgConnection;

pub use self::{
    listen::listen,
    names::{dns_address, dns_record},
    position::{After, NotAPosition, Position},
    read::{Batch, Entry, Held, LOOKED_AT, Subject, begin, held, now, read},
    retain::retain,
};
use crate::job::{AccountId, TenantId};

/// The channel of notifications. The payload is the number of a tenant whose feed has grown.
pub const CHANNEL: &str = "syncfleet.changes";

/// How long [`tell`] may take.
const TELL: std::time::Duration = std::time::Duration::from_secs(5);

/// What kind of row changed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, serde::Serialize, serde::Deserialize, sqlx::Type)]
#[serde(rename_all = "snake_case")]
#[sqlx(type_name = "change_resource", rename_all = "snake_case")]
pub enum Resource {
    /// A row in `calendars`. Key: its number.
    Calendar,
    /// A row in `events`. Parent: its calendar's number; key: `event_id`.
    Event,
    /// A row in `drives`. Key: its number.
    Drive,
    /// A row in `files`. Parent: its drive's number; key: `file_id`.
    File,
    /// A row in `dns_records`. Parent: its number, as a host may be kept at two providers; key: the host. Of no account.
    DnsRecord,
    /// A row in `dns_addresses`. Parent: its number; key: its name. Of no account.
    DnsAddress,
}

impl Resource {
    /// All of them.
    pub const ALL: [Self; 6] =
        [Self::Calendar, Self::Event, Self::Drive, Self::File, Self::DnsRecord, Self::DnsAddress];

    /// The word in SQL, JSON and the CLI.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Calendar => "calendar",
            Self::Event => "event",
            Self::Drive => "drive",
            Self::File => "file",
            Self::DnsRecord => "dns_record",
            Self::DnsAddress => "dns_address",
        }
    }
}

impl std::str::FromStr for Resource {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let found = Self::ALL.into_iter().find(|resource| resource.as_str() == text.trim());
        found.ok_or_else(|| {
            let known = Self::ALL.map(Self::as_str).join(", ");
            format!("unknown resource {text:?}: the resources are {known}")
        })
    }
}

/// What became of the row.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, serde::Serialize, serde::Deserialize, sqlx::Type)]
#[serde(rename_all = "lowercase")]
#[sqlx(type_name = "change_what", rename_all = "lowercase")]
pub enum What {
    /// It is new.
    Created,
    /// It is another than before.
    Updated,
    /// It is not there any more.
    Deleted,
    /// What it is kept for does not work any more.
    Failing,
    /// It works again.
    Recovered,
}

impl What {
    /// All of them.
    pub const ALL: [Self; 5] = [Self::Created, Self::Updated, Self::Deleted, Self::Failing, Self::Recovered];

    /// The word in SQL, JSON and the CLI.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Created => "created",
            Self::Updated => "updated",
            Self::Deleted => "deleted",
            Self::Failing => "failing",
            Self::Recovered => "recovered",
        }
    }

    /// What is to be told of something that was failing or not, and is failing or not after the transaction; none: its state is the
    /// same. So it is told once, however often it fails.
    #[must_use]
    pub const fn turned(was_failing: bool, is_failing: bool) -> Option<Self> {
        match (was_failing, is_failing) {
            (false, true) => Some(Self::Failing),
            (true, false) => Some(Self::Recovered),
            _ => None,
        }
    }
}

impl std::str::FromStr for What {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let found = Self::ALL.into_iter().find(|what| what.as_str() == text.trim());
        found.ok_or_else(|| {
            let known = Self::ALL.map(Self::as_str).join(", ");
            format!("unknown change {text:?}: what becomes of a row is {known}")
        })
    }
}

/// A change of an account's row to be told.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Change {
    /// Whose row. The account must still be there.
    pub account: AccountId,
    /// What kind of row.
    pub resource: Resource,
    /// The row that it stands in; none: the account itself.
    pub parent: Option<i64>,
    /// Its own identity in there.
    pub key: String,
    /// What became of it.
    pub what: What,
}

/// Writes changes, in the transaction that makes them and in their order. For those who
/// write the mirror by sets: let the statement return key and [`What`] of the rows that differ, and pass all of them on at once.
/// Where they may be all rows of a drive, the statement writes them itself, as [`account_goes`] does.
pub async fn write(conn: &mut PgConnection, changes: &[Change]) -> Result<(), sqlx::Error> {
    if changes.is_empty() {
        return Ok(());
    }
    let accounts: Vec<AccountId> = changes.iter().map(|change| change.account).collect();
    let resources: Vec<Resource> = changes.iter().map(|change| change.resource).collect();
    let parents: Vec<Option<i64>> = changes.iter().map(|change| change.parent).collect();
    let keys: Vec<&str> = changes.iter().map(|change| change.key.as_str()).collect();
    let whats: Vec<What> = changes.iter().map(|change| change.what).collect();
    sqlx::query!(
        r#"-- changes::write
        with here as materialized (
            select feed_epoch_to_write() as epoch, pg_current_xact_id()::text::bigint as xid, clock() as at
        )
        insert into changes (epoch, xid, at, tenant_id, account_id, resource, parent, key, what)
        select here.epoch, here.xid, here.at, a.tenant_id, n.account_id, n.resource, n.parent, n.key, n.what
        from here, unnest($1::bigint[], $2::change_resource[], $3::bigint[], $4::text[], $5::change_what[])
            with ordinality as n (account_id, resource, parent, key, what, place)
        join accounts a on a.id = n.account_id
        order by n.place"#,
        &accounts,
        &resources as &[Resource],
        &parents as &[Option<i64>],
        &keys as &[&str],
        &whats as &[What],
    )
    .execute(conn)
    .await
    .map(drop)
}

/// Tells that all that is mirrored of an account is gone; to be called before the account goes.
pub async fn account_goes(conn: &mut PgConnection, account: AccountId) -> Result<(), sqlx::Error> {
    sqlx::query!(
        r#"-- changes::account_goes
        with here as materialized (
            select feed_epoch_to_write() as epoch, pg_current_xact_id()::text::bigint as xid, clock() as at
        ), gone as (
            select account_id, 'event'::change_resource as resource, calendar_id as parent, event_id as key
            from events where account_id = $1
            union all
            select account_id, 'calendar', null, id::text from calendars where account_id = $1 and not deleted
            union all
            select account_id, 'file', drive_id, file_id from files where account_id = $1
            union all
            select account_id, 'drive', null, id::text from drives where account_id = $1 and not deleted
        )
        insert into changes (epoch, xid, at, tenant_id, account_id, resource, parent, key, what)
        select here.epoch, here.xid, here.at, a.tenant_id, g.account_id, g.resource, g.parent, g.key, 'deleted'
        from here, gone g join accounts a on a.id = g.account_id"#,
        account,
    )
    .execute(conn)
    .await
    .map(drop)
}

/// The same for whoever has just committed changes and cannot do better than that: if it fails, the readers find them by
/// themselves.
pub async fn tell(db: &sqlx::PgPool, tenant: TenantId) {
    let told = super::limited(TELL, async { notify(&mut *db.acquire().await?, &[tenant]).await }).await;
    if let Err(error) = told {
        tracing::debug!("readers of the feed were not woken: {error}");
    }
}

/// Wakes the readers of these tenants' feeds; to be called after the commit of the changes.
pub async fn notify(conn: &mut PgConnection, tenants: &[TenantId]) -> Result<(), sqlx::Error> {
    sqlx::query!(
        "-- changes::notify
        select pg_notify($1, tenant::text) from unnest($2::bigint[]) as tenant",
        CHANNEL,
        tenants,
    )
    .fetch_all(conn)
    .await
    .map(drop)
}

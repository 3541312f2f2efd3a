use chrono::{DateTime, Utc};
use serde::Serialize;
use sqlx::PgConnection;

use super::{After, Position, Resource, What};
use crate::job::{AccountId, TenantId};

/// A change, as it is told.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Entry {
    /// Where it stands in the feed: the position after it.
    pub id: Position,
    /// When it was mirrored: when its transaction began.
    pub at: DateTime<Utc>,
    /// Whose row changed; none: it is of the tenant, and of none of its accounts.
    pub account: Option<AccountId>,
    /// What kind of row.
    pub resource: Resource,
    /// The row that it stands in, as [`Resource`] says; none: the account itself.
    pub parent: Option<i64>,
    /// The row's own identity in there.
    pub key: String,
    /// What became of it.
    pub what: What,
    /// Why, or what it is now, for people.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub detail: Option<String>,
}

/// Which changes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Subject {
    /// Of whom. Nobody sees another tenant's.
    pub tenant: TenantId,
    /// Of this account only.
    pub account: Option<AccountId>,
    /// Of these resources only; empty: of all.
    pub resources: Vec<Resource>,
    /// Only where this became of the row; empty: whatever became of it.
    pub whats: Vec<What>,
}

impl Subject {
    /// Whether it is less than all of the tenant's.
    const fn is_narrow(&self) -> bool {
        self.account.is_some() || !self.resources.is_empty() || !self.whats.is_empty()
    }

    /// The resources, and what becomes of them, in SQL's words.
    fn words(&self) -> (Vec<&'static str>, Vec<&'static str>) {
        let resources = self.resources.iter().map(|resource| resource.as_str()).collect();
        (resources, self.whats.iter().map(|what| what.as_str()).collect())
    }
}

/// What a read came to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Batch {
    /// The changes, in the feed's order.
    pub entries: Vec<Entry>,
    /// How far it has read: where the next read begins.
    pub upto: Position,
    /// There may be more below the end already, even if this found nothing.
    pub more: bool,
    /// Changes are there that an open transaction holds back: it is worth looking again soon.
    pub held_back: bool,
    /// The position that was asked for lies before what is kept, or is none of this feed: changes were missed.
    pub gone: bool,
}

/// How many of the tenant's changes are looked at for a reader that wants some of them only: one who is far behind comes
/// forward by so much with each read, whether any of them were its own or not.
pub const LOOKED_AT: i64 = 5_000;

/// The next changes after a position, at most `limit`. `until`: not beyond this position, and all up to there is looked at;
/// without it a read looks at no more than [`LOOKED_AT`] changes.
pub async fn read(
    conn: &mut PgConnection,
    of: &Subject,
    after: Position,
    until: Option<Position>,
    limit: i64,
) -> Result<Batch, sqlx::Error> {
    let (resources, whats) = of.words();
    let look = match until {
        Some(_) => i64::MAX,
        None if of.is_narrow() => limit.max(LOOKED_AT),
        None => limit,
    };
    let until = until.unwrap_or(Position { epoch: i32::MAX, xid: i64::MAX, id: i64::MAX });
    let rows = sqlx::query!(
        r#"-- changes::read
        with here as materialized (
            select feed_epoch_to_read() as epoch, pg_snapshot_xmin(pg_current_snapshot())::text::bigint as xmin
        ), looked_at as materialized (
            select l.*
            from here
            cross join lateral (
                select epoch, xid, id, at, account_id, resource, parent, key, what, detail
                from changes
                where tenant_id = $1
                    and (epoch, xid, id) > ($2, $3, $4)
                    and (epoch, xid, id) < (here.epoch, here.xmin, 0::bigint)
                    and (epoch, xid, id) <= ($5, $6, $7)
                order by epoch, xid, id
                limit $11
            ) l
        ), edge as (
            select epoch, xid, id from looked_at order by epoch, xid, id offset $11 - 1 limit 1
        )
        select
            here.epoch as "here_epoch!", here.xmin as "here_xmin!",
            exists (
                select from feed_dropped d
                where d.tenant_id = $1 and (d.epoch, d.xid, d.id) > ($2, $3, $4)
            ) as "dropped!",
            exists (
                select from changes h
                where h.tenant_id = $1 and (h.epoch, h.xid, h.id) >= (here.epoch, here.xmin, 0::bigint)
            ) as "held_back!",
            edge.epoch as "edge_epoch?", edge.xid as "edge_xid?", edge.id as "edge_id?",
            c.epoch as "epoch?", c.xid as "xid?", c.id as "id?", c.at as "at?", c.account_id as "account?",
            c.resource as "resource?: Resource", c.parent as "parent?", c.key as "key?", c.what as "what?: What",
            c.detail as "detail?"
        from here
        left join edge on true
        left join (
            select *
            from looked_at
            where ($8::bigint is null or account_id = $8)
                and (cardinality($9::text[]) = 0 or resource::text = any($9))
                and (cardinality($12::text[]) = 0 or what::text = any($12))
            order by epoch, xid, id
            limit $10
        ) c on true
        order by c.epoch, c.xid, c.id"#,
        of.tenant,
        after.epoch,
        after.xid,
        after.id,
        until.epoch,
        until.xid,
        until.id,
        of.account,
        &resources as &[&str],
        limit,
        look,
        &whats as &[&str],
    )
    .fetch_all(conn)
    .await?;
    let Some(first) = rows.first() else { return Err(sqlx::Error::RowNotFound) };
    let here = Position { epoch: first.here_epoch, xid: first.here_xmin, id: 0 };
    let (dropped, held_back) = (first.dropped, first.held_back);
    // The last one that was looked at, if there may be more after it.
    let edge = match (first.edge_epoch, first.edge_xid, first.edge_id) {
        (Some(epoch), Some(xid), Some(id)) => Some(Position { epoch, xid, id }),
        _ => None,
    };
    let entries: Vec<Entry> = rows
        .into_iter()
        .filter_map(|row| {
            Some(Entry {
                id: Position { epoch: row.epoch?, xid: row.xid?, id: row.id? },
                at: row.at?,
                account: row.account,
                resource: row.resource?,
                parent: row.parent,
                key: row.key?,
                what: row.what?,
                detail: row.detail,
            })
        })
        .collect();
    let is_full = i64::try_from(entries.len()).is_ok_and(|found| found >= limit);
    let more = is_full || edge.is_some();
    let upto = match (entries.last(), edge) {
        (Some(last), _) if is_full => last.id,
        (_, Some(edge)) => edge,
        (_, None) => here.min(until).max(after),
    };
    Ok(Batch { entries, upto, more, held_back, gone: dropped || after > here })
}

/// The position after all that is settled now.
pub async fn now(conn: &mut PgConnection) -> Result<Position, sqlx::Error> {
    let row = sqlx::query!(
        r#"-- changes::now
        select feed_epoch_to_read() as "epoch!", pg_snapshot_xmin(pg_current_snapshot())::text::bigint as "xmin!""#
    )
    .fetch_one(conn)
    .await?;
    Ok(Position { epoch: row.epoch, xid: row.xmin, id: 0 })
}

/// The position where a reader of the tenant begins that begins so.
pub async fn begin(conn: &mut PgConnection, tenant: TenantId, after: After) -> Result<Position, sqlx::Error> {
    match after {
        After::Position(position) => Ok(position),
        After::Now => now(conn).await,
        After::Oldest => {
            let dropped = sqlx::query!(
                "-- changes::begin
                select epoch, xid, id from feed_dropped where tenant_id = $1",
                tenant,
            )
            .fetch_optional(conn)
            .await?;
            Ok(dropped.map_or(Position::START, |last| Position {
                epoch: last.epoch,
                xid: last.xid,
                id: last.id,
            }))
        }
    }
}

/// Numbers of transactions: what has ended, and what has begun.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Held {
    /// All below have ended.
    pub xmin: i64,
    /// None at or above has begun.
    pub xmax: i64,
}

/// How far the feed may be read, and how far it is written.
pub async fn held(conn: &mut PgConnection) -> Result<Held, sqlx::Error> {
    sqlx::query_as!(
        Held,
        r#"-- changes::held
        select pg_snapshot_xmin(s)::text::bigint as "xmin!", pg_snapshot_xmax(s)::text::bigint as "xmax!"
        from pg_current_snapshot() as s"#
    )
    .fetch_one(conn)
    .await
}

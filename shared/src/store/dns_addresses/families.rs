//! How each family of an address stands: table `dns_address_families`.

use std::net::IpAddr;

use sqlx::PgConnection;

use super::AddressId;
use crate::dns::address::{Family, Source};

/// Adds a family to an address, or gives it another source (none: only routers tell it). What is known of it stays; that it fails, until
/// the other source tells, or until there is none that could fail.
pub async fn put_family(
    conn: &mut PgConnection,
    address: AddressId,
    family: Family,
    source: Option<&Source>,
) -> Result<(), sqlx::Error> {
    let source = source.map(serde_json::to_value).transpose();
    let source = source.map_err(|error| sqlx::Error::Encode(error.into()))?;
    sqlx::query!(
        "-- dns_addresses::put_family
        insert into dns_address_families as f (address_id, family, source) values ($1, $2, $3)
        on conflict (address_id, family) do update set
            source = excluded.source,
            failing_since = case when excluded.source is not null or f.source is null then f.failing_since end,
            failing_why = case when excluded.source is not null or f.source is null then f.failing_why end",
        address,
        family as Family,
        source,
    )
    .execute(conn)
    .await
    .map(drop)
}

/// Takes a family from an address. Says whether it was there.
pub async fn remove_family(
    conn: &mut PgConnection,
    address: AddressId,
    family: Family,
) -> Result<bool, sqlx::Error> {
    sqlx::query!(
        "-- dns_addresses::remove_family
        delete from dns_address_families where address_id = $1 and family = $2",
        address,
        family as Family,
    )
    .execute(conn)
    .await
    .map(|done| done.rows_affected() == 1)
}

/// Takes what a family's source says now. Says whether the address has moved; it has not if it has no such family, or no source for it any
/// more. If it has, the jobs of [`super::records_of`] are to be wanted in the same transaction.
///
/// What routers tell is written by [`crate::store::dns_hosts::tell`].
pub async fn found(conn: &mut PgConnection, id: AddressId, address: IpAddr) -> Result<bool, sqlx::Error> {
    sqlx::query_scalar!(
        r#"-- dns_addresses::found
        with before as (
            select address
            from dns_address_families
            where address_id = $1 and family = $2 and source is not null
            for no key update
        )
        update dns_address_families f set
            address = $3::text::inet,
            since = case when before.address = $3::text::inet then f.since else clock() end,
            told_at = clock(),
            told_by = 'source',
            failing_since = null,
            failing_why = null
        from before
        where f.address_id = $1 and f.family = $2
        returning before.address is distinct from $3::text::inet as "moved!""#,
        id,
        Family::of(address) as Family,
        address.to_string(),
    )
    .fetch_optional(conn)
    .await
    .map(|moved| moved.unwrap_or(false))
}

/// Notes that the source of a family tells nothing, and why. Says whether that is news; it is none if the source was taken away.
///
/// What a router tells that cannot be used is noted by [`crate::store::dns_hosts::tell`], of families without a source alone: each family
/// fails by the word of one of both.
pub async fn failed(
    conn: &mut PgConnection,
    id: AddressId,
    family: Family,
    why: &str,
) -> Result<bool, sqlx::Error> {
    sqlx::query_scalar!(
        r#"-- dns_addresses::failed
        with before as (
            select failing_since
            from dns_address_families
            where address_id = $1 and family = $2 and source is not null
            for no key update
        )
        update dns_address_families f set
            failing_since = coalesce(f.failing_since, clock()), failing_why = $3
        from before
        where f.address_id = $1 and f.family = $2
        returning before.failing_since is null as "news!""#,
        id,
        family as Family,
        why,
    )
    .fetch_optional(conn)
    .await
    .map(|news| news.unwrap_or(false))
}

/// Notes of the families that fail by what a router told that the networks they may lie in are others now: what it told may be of use, and
/// its next call shows whether it is.
pub async fn await_router(conn: &mut PgConnection, id: AddressId) -> Result<(), sqlx::Error> {
    sqlx::query!(
        "-- dns_addresses::await_router
        update dns_address_families set failing_why = $2
        where address_id = $1 and source is null and failing_since is not null",
        id,
        "what is allowed has changed since a router told an address that could not be used; it has not called since",
    )
    .execute(conn)
    .await
    .map(drop)
}

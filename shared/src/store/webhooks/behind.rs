use std::time::Duration;

use sqlx::PgConnection;

use crate::job::{JobId, TenantId};

/// The jobs of webhooks whose cursor is behind the feed, and that nobody has wanted since their last pass began, by number: of
/// these tenants, or of all. At most `limit`.
///
/// Not looked for are those that are paused or disabled, and those whose job is wanted already: it is due, or in a backoff that
/// must not be shortened, or parked.
pub async fn behind(
    conn: &mut PgConnection,
    tenants: Option<&[TenantId]>,
    limit: i64,
) -> Result<Vec<JobId>, sqlx::Error> {
    sqlx::query_scalar!(
        r#"-- webhooks::behind
        with here as materialized (
            select feed_epoch_to_read() as epoch, pg_snapshot_xmin(pg_current_snapshot())::text::bigint as xmin
        )
        select j.id
        from here, webhooks w
        join jobs j on j.kind = 'webhook' and j.key = w.id::text
        join job_state s on s.job_id = j.id
        where ($1::bigint[] is null or w.tenant_id = any($1))
            and not w.paused and w.disabled_at is null
            and s.phase <> 'parked' and s.wanted <= coalesce(s.seen, s.done)
            and exists (
                select from changes c
                where c.tenant_id = w.tenant_id
                    and (c.epoch, c.xid, c.id) > (w.epoch, w.xid, w.change_id)
                    and (c.epoch, c.xid, c.id) < (here.epoch, here.xmin, 0::bigint)
            )
        order by j.id
        limit $2"#,
        tenants,
        limit,
    )
    .fetch_all(conn)
    .await
}

/// How long the first change that was not sent yet has waited, of all webhooks that are neither paused nor disabled. Changes
/// that a webhook's filter will pass over count for as long as its job has not seen them.
pub async fn lag(conn: &mut PgConnection) -> Result<Duration, sqlx::Error> {
    let seconds = sqlx::query_scalar!(
        r#"-- webhooks::lag
        select coalesce(max(extract(epoch from clock() - first.at)), 0)::float8 as "seconds!"
        from webhooks w
        cross join lateral (
            select at from changes c
            where c.tenant_id = w.tenant_id and (c.epoch, c.xid, c.id) > (w.epoch, w.xid, w.change_id)
            order by c.epoch, c.xid, c.id
            limit 1
        ) first
        where not w.paused and w.disabled_at is null"#
    )
    .fetch_one(conn)
    .await?;
    Ok(Duration::from_secs_f64(seconds.max(0.0)))
}

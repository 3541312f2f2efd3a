//! Sign-ins under way: table `sign_ins`.

use std::time::Duration;

use sqlx::PgConnection;

use super::seconds;

/// A sign-in that was under way.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Taken {
    /// The link that it began with.
    pub link: i64,
    /// Whether its time was over.
    pub expired: bool,
}

/// Notes a sign-in that has `time` to come back. False: `most` of this link are under way already.
pub async fn insert(
    conn: &mut PgConnection,
    state_hash: &[u8],
    browser_hash: &[u8],
    link: i64,
    time: Duration,
    most: i64,
) -> Result<bool, sqlx::Error> {
    sqlx::query!(
        r#"-- sign_ins::insert
        insert into sign_ins (state_hash, browser_hash, link_id, expires_at)
        select $1, $2, $3, clock() + make_interval(secs => $4)
        where (select count(*) from sign_ins where link_id = $3 and expires_at > clock()) < $5"#,
        state_hash,
        browser_hash,
        link,
        seconds(time),
        most,
    )
    .execute(conn)
    .await
    .map(|done| done.rows_affected() > 0)
}

/// Takes a sign-in of this browser, for good: of two who ask, one gets it.
pub async fn take(
    conn: &mut PgConnection,
    state_hash: &[u8],
    browser_hash: &[u8],
) -> Result<Option<Taken>, sqlx::Error> {
    sqlx::query_as!(
        Taken,
        r#"-- sign_ins::take
        delete from sign_ins where state_hash = $1 and browser_hash = $2
        returning link_id as link, expires_at <= clock() as "expired!""#,
        state_hash,
        browser_hash,
    )
    .fetch_optional(conn)
    .await
}

/// Whether a sign-in with this state is under way, whichever browser's it is.
pub async fn is_under_way(conn: &mut PgConnection, state_hash: &[u8]) -> Result<bool, sqlx::Error> {
    sqlx::query_scalar!(
        r#"-- sign_ins::is_under_way
        select exists (select from sign_ins where state_hash = $1 and expires_at > clock()) as "is!""#,
        state_hash,
    )
    .fetch_one(conn)
    .await
}

/// Forgets those whose time was over an hour ago.
pub async fn forget_old(conn: &mut PgConnection) -> Result<u64, sqlx::Error> {
    sqlx::query!(
        "-- sign_ins::forget_old
        with locked as (
            select state_hash from sign_ins where expires_at < clock() - interval '1 hour'
            order by state_hash
            for update
        )
        delete from sign_ins s using locked where s.state_hash = locked.state_hash",
    )
    .execute(conn)
    .await
    .map(|done| done.rows_affected())
}

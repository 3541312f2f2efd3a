//! Who refreshes an account's access token: table `oauth_refreshes`. A lease of some seconds, so that one caller in the whole
//! fleet asks the provider while nobody holds a connection of the pool.

use std::time::Duration;

use chrono::{DateTime, Utc};
use sqlx::{PgConnection, types::Uuid};

use super::seconds;
use crate::job::AccountId;

/// A refresh token that the provider refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Refused {
    /// `secrets.updated_at` of the token.
    pub token: DateTime<Utc>,
    /// How long ago.
    pub ago: Duration,
}

/// What a caller got who asked for the lease.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Claim {
    /// The lease, and the refusal that is remembered.
    Mine(Option<Refused>),
    /// Somebody else refreshes at the moment.
    Taken,
}

/// Asks for the lease. Who dies with it loses it after `time`.
pub async fn claim(
    conn: &mut PgConnection,
    account: AccountId,
    holder: Uuid,
    time: Duration,
) -> Result<Claim, sqlx::Error> {
    let row = sqlx::query!(
        r#"-- oauth_refreshes::claim
        insert into oauth_refreshes as r (account_id, holder, until)
        values ($1, $2, clock() + make_interval(secs => $3))
        on conflict (account_id) do update set holder = excluded.holder, until = excluded.until
        where r.until <= clock()
        returning refused, extract(epoch from clock() - refused_at)::float8 as ago"#,
        account,
        holder,
        seconds(time),
    )
    .fetch_optional(conn)
    .await?;
    let Some(row) = row else { return Ok(Claim::Taken) };
    let refused = row.refused.zip(row.ago).map(|(token, ago)| Refused {
        token,
        ago: Duration::try_from_secs_f64(ago).unwrap_or(Duration::ZERO),
    });
    Ok(Claim::Mine(refused))
}

/// Gives the lease back; `refused` names the token that was refused (its `updated_at`). Says whether the lease still stood.
pub async fn release(
    conn: &mut PgConnection,
    account: AccountId,
    holder: Uuid,
    refused: Option<DateTime<Utc>>,
) -> Result<bool, sqlx::Error> {
    sqlx::query!(
        r#"-- oauth_refreshes::release
        update oauth_refreshes set
            until = '-infinity',
            refused = coalesce($3, refused),
            refused_at = case when $3 is null then refused_at else clock() end
        where account_id = $1 and holder = $2"#,
        account,
        holder,
        refused,
    )
    .execute(conn)
    .await
    .map(|done| done.rows_affected() > 0)
}

//! The rate in use: halved when a provider refuses, grown back with time.

use std::time::Duration;

use sqlx::PgConnection;

use super::PROJECT;
use crate::{job::AccountId, store::seconds};

/// Halves the rate in use of a project's bucket (`account`: none), or of an account's, not below `least` of the configured one; unless
/// that was done within `window`. From then on it grows back. Gives the rate in use, as a share; none: it was not halved.
pub async fn slow(
    conn: &mut PgConnection,
    api: &str,
    project: &str,
    account: Option<AccountId>,
    least: f64,
    window: Duration,
) -> Result<Option<f64>, sqlx::Error> {
    sqlx::query_scalar!(
        r#"-- quotas::slow
        update quotas set rate = greatest($4, rate_in_use(rate, slowed_at) / 2), slowed_at = clock()
        where api = $1 and project = $2 and account_id = $3
            -- On both sides: whoever waited for another's halving began before it.
            and coalesce(abs(extract(epoch from clock() - slowed_at)::float8) > $5, true)
        returning rate"#,
        api,
        project,
        account.unwrap_or(PROJECT),
        least,
        seconds(window),
    )
    .fetch_optional(conn)
    .await
}

/// The lowest rate in use of an API.
#[derive(Debug, Clone, PartialEq)]
pub struct Slowed {
    /// The API.
    pub api: String,
    /// Whether it is an account's; else a project's.
    pub of_account: bool,
    /// The lowest, as a share of the configured rate.
    pub rate: f64,
}

/// The lowest rates in use, by API, of projects and of accounts. Those are left out that use all.
pub async fn slowed(conn: &mut PgConnection) -> Result<Vec<Slowed>, sqlx::Error> {
    sqlx::query_as!(
        Slowed,
        r#"-- quotas::slowed
        select api, account_id <> 0 as "of_account!", min(rate_in_use(rate, slowed_at)) as "rate!"
        from quotas
        where slowed_at > clock() - interval '1 hour' and rate_in_use(rate, slowed_at) < 1
        group by 1, 2"#
    )
    .fetch_all(conn)
    .await
}

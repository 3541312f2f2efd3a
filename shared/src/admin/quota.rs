//! `quota`: the budget of calls to a provider, and who uses it.

use chrono::{DateTime, Utc};
use serde::Serialize;
use sqlx::PgConnection;

use super::AdminError;
use crate::job::{AccountId, Policy};

/// How a budget stands.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Quota {
    /// The provider's API, e.g. `calendar`.
    pub api: String,
    /// The provider's project, to which the calls count.
    pub project: String,
    /// Whose budget; none: the project's.
    pub account: Option<AccountId>,
    /// That account's address; none: the account is gone, or it is the project's.
    pub email: Option<String>,
    /// The provider's limit for a minute, in its units, as the last draw knew it.
    pub per_minute: i64,
    /// Units that workers drew in the last minute, and up to 3 seconds before, without those that they did not spend.
    pub last_minute: i64,
    /// Units of blocks so young that they may not be spent yet.
    pub out: i64,
    /// The limit for a day; none: there is none.
    pub per_day: Option<i64>,
    /// Units drawn today, by Pacific time.
    pub today: i64,
    /// Percent of the limits that only push-driven work may use, as the last draw knew it.
    pub kept_percent: i32,
    /// Percent of the limit for a minute that is in use: less than 100 after the provider refused calls for their rate.
    pub rate_percent: i32,
    /// Until when no call is made, where the gate of the account, or of a kind that calls the API, is closed for it.
    pub throttled_until: Option<DateTime<Utc>>,
    /// budget: our own limit; share: that limit, but for what is kept for pushes; throttled: the provider's word.
    pub throttled_by: Option<String>,
}

/// The budgets of all projects, then those of accounts in use, the busiest first; at most `limit`.
pub async fn show(
    conn: &mut PgConnection,
    policies: &[Policy],
    limit: i64,
) -> Result<Vec<Quota>, AdminError> {
    let callers = policies.iter().filter_map(|policy| Some((policy.kind.to_owned(), policy.api?.to_owned())));
    let (kinds, apis): (Vec<String>, Vec<String>) = callers.unzip();
    Ok(sqlx::query_as!(
        Quota,
        r#"-- admin::quota::show
        select q.api, q.project, nullif(q.account_id, 0) as account, a.email as "email?",
            q.per_minute, drawn.last_minute as "last_minute!", drawn.out as "out!", q.per_day,
            case when q.day = (clock() at time zone 'America/Los_Angeles')::date then q.today else 0 end as "today!",
            round(100 * q.kept)::int as "kept_percent!",
            -- What is slowed by a little is not shown as if it were not.
            floor(100 * rate_in_use(q.rate, q.slowed_at))::int as "rate_percent!",
            gate.until as "throttled_until?", gate.reason as "throttled_by?"
        from quotas q
        left join accounts a on a.id = q.account_id
        cross join lateral (
            select greatest(0, sum(units))::bigint as last_minute,
                greatest(0, sum(units) filter (where age < 2))::bigint as out
            from (
                select units, floor(extract(epoch from clock()) / 3)::bigint - q.span + n - 1 as age
                from unnest(q.drawn) with ordinality as drawn (units, n)
            ) spans
            where age < 21
        ) drawn
        left join lateral (
            select until, reason
            from gates
            where reason in ('budget', 'share', 'throttled') and until > clock()
                and case when q.account_id = 0 then scope = 'kind'
                        and (target, q.api) in (select * from unnest($1::text[], $3::text[]))
                    else scope = 'account' and target = q.account_id::text end
            order by until desc
            limit 1
        ) gate on true
        where q.account_id = 0 or drawn.last_minute > 0 or gate.until is not null or rate_in_use(q.rate, q.slowed_at) < 1
        order by q.account_id <> 0, q.api, q.project, drawn.last_minute desc, q.account_id
        limit $2"#,
        &kinds,
        limit,
        &apis,
    )
    .fetch_all(conn)
    .await?)
}

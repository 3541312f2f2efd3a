//! `audit`: who changed what.

use std::time::Duration;

use chrono::{DateTime, Utc};
use serde::Serialize;
use sqlx::PgConnection;

use super::AdminError;
use crate::store::seconds;

/// A change that somebody made.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Entry {
    /// Its number, ascending.
    pub id: i64,
    /// When.
    pub at: DateTime<Utc>,
    /// Who.
    pub actor: String,
    /// Noun and verb: `tenant.add`.
    pub action: String,
    /// The name of what was changed.
    pub target: String,
    /// More about it.
    pub detail: serde_json::Value,
}

/// Which entries.
#[derive(Debug, Clone)]
pub struct Filter {
    /// Of this target only.
    pub target: Option<String>,
    /// Of this actor only.
    pub actor: Option<String>,
    /// Not older than this.
    pub since: Option<Duration>,
    /// At most so many.
    pub limit: i64,
}

/// The newest entries first.
pub async fn ls(conn: &mut PgConnection, filter: &Filter) -> Result<Vec<Entry>, AdminError> {
    Ok(sqlx::query_as!(
        Entry,
        "-- admin::audit::ls
        select id, at, actor, action, target, detail
        from audit
        where ($1::text is null or target = $1)
            and ($2::text is null or actor = $2)
            and ($3::float8 is null or at >= clock() - make_interval(secs => $3))
        order by id desc
        limit $4",
        filter.target,
        filter.actor,
        filter.since.map(seconds),
        filter.limit,
    )
    .fetch_all(conn)
    .await?)
}

//! Gates: whom the fleet must not serve for now. Table `gates`.

use std::time::Duration;

use chrono::{DateTime, Utc};
use sqlx::PgConnection;

use super::seconds;
use crate::job::{AccountId, Lane, TenantId};

/// Whose gate.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Gate {
    /// All jobs of a kind.
    Kind(String),
    /// All jobs of a lane.
    Lane(Lane),
    /// All jobs of a tenant.
    Tenant(TenantId),
    /// All jobs of an account.
    Account(AccountId),
}

impl Gate {
    pub(crate) fn columns(&self) -> (&'static str, String) {
        match self {
            Self::Kind(kind) => ("kind", kind.clone()),
            Self::Lane(lane) => ("lane", lane.to_string()),
            Self::Tenant(id) => ("tenant", id.to_string()),
            Self::Account(id) => ("account", id.to_string()),
        }
    }
}

/// Why a gate is closed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Reason {
    /// An operator closed it.
    Paused,
    /// The provider wants less.
    Throttled,
    /// Our own budget of calls is used up.
    Budget,
    /// What of it is open to work that nobody waits for is used up. The lane interactive passes this gate.
    Share,
    /// The account must sign in again.
    SignIn,
}

impl Reason {
    /// The word in SQL and the CLI.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Paused => "paused",
            Self::Throttled => "throttled",
            Self::Budget => "budget",
            Self::Share => "share",
            Self::SignIn => "sign_in",
        }
    }
}

/// A closed gate.
#[derive(Debug, Clone)]
pub struct Closed {
    /// kind, lane, tenant or account.
    pub scope: String,
    /// The kind's or lane's name, or the tenant's or account's id.
    pub target: String,
    /// paused, throttled, budget, share or `sign_in`.
    pub reason: String,
    /// When it opens by itself; none: somebody must open it.
    pub until: Option<DateTime<Utc>>,
    /// For people.
    pub note: String,
}

/// Closes a gate for a time (none: until [`open`]). A gate that is closed already for longer stays so. Why an account must sign in
/// is told by the first note: what fails afterwards only follows from it.
pub async fn close(
    conn: &mut PgConnection,
    gate: &Gate,
    reason: Reason,
    time: Option<Duration>,
    note: &str,
) -> Result<(), sqlx::Error> {
    let (scope, target) = gate.columns();
    sqlx::query!(
        r#"-- gates::close
        insert into gates as g (scope, target, reason, until, note)
        values ($1, $2, $3, clock() + make_interval(secs => $4), $5)
        on conflict (scope, target, reason) do update set
            until = case when excluded.until is null or g.until is null then null
                else greatest(g.until, excluded.until) end,
            note = case when g.until is null and g.reason = 'sign_in' then g.note else excluded.note end"#,
        scope,
        target,
        reason.as_str(),
        time.map(seconds),
        note,
    )
    .execute(conn)
    .await
    .map(drop)
}

/// Opens a gate. Its row stays until the jobs that are parked behind it are back. Says whether it was closed.
pub async fn open(conn: &mut PgConnection, gate: &Gate, reason: Reason) -> Result<bool, sqlx::Error> {
    let (scope, target) = gate.columns();
    sqlx::query!(
        r#"-- gates::open
        update gates set until = clock()
        where scope = $1 and target = $2 and reason = $3 and (until is null or until > clock())"#,
        scope,
        target,
        reason.as_str(),
    )
    .execute(conn)
    .await
    .map(|done| done.rows_affected() > 0)
}

/// The closed gates of a scope (none: of all scopes).
pub async fn closed(conn: &mut PgConnection, scope: Option<&str>) -> Result<Vec<Closed>, sqlx::Error> {
    sqlx::query_as!(
        Closed,
        r#"-- gates::closed
        select scope, target, reason, until, note
        from gates
        where (until is null or until > clock()) and ($1::text is null or scope = $1)
        order by scope, target, reason"#,
        scope,
    )
    .fetch_all(conn)
    .await
}

//! What operators do, one file per noun: plain functions behind the CLI and the API. Results are serde values, whose shape
//! is the JSON that both print. Whatever changes something writes the audit table in the same transaction.

pub mod account;
pub mod audit;
pub mod calendar;
pub mod channel;
pub mod check;
pub mod contents;
pub mod dns;
pub mod drive;
pub mod enqueue;
pub mod event;
pub mod feed;
pub mod file;
mod gate;
pub mod job;
pub mod keys;
pub mod kind;
pub mod lane;
pub mod pull;
pub mod quota;
mod remove;
pub mod run;
pub mod tenant;
pub mod webhook;
pub mod words;
pub mod worker;
pub mod workspace;

use chrono::{DateTime, Utc};
use sqlx::PgConnection;

pub use self::gate::{Gate, Switched};
use crate::{job::Policy, store};

/// Why an operation was refused.
#[derive(Debug, thiserror::Error)]
pub enum AdminError {
    /// Nothing has that name or id.
    #[error("there is no {what} {which}{}", advice(.hint))]
    NotFound {
        /// The noun.
        what: &'static str,
        /// What was asked for.
        which: String,
        /// What to do; may be empty.
        hint: String,
    },
    /// No kind has that name.
    #[error("unknown kind {name:?}: the kinds are {known}")]
    UnknownKind {
        /// What was asked for.
        name: String,
        /// All kinds, with commas.
        known: String,
    },
    /// A value that is not allowed, however things stand.
    #[error("{0}")]
    Invalid(String),
    /// The request makes no sense as things stand.
    #[error("{0}")]
    Refused(String),
    /// A sign-in is another Google account's than the one that is asked for. Nothing was stored.
    #[error("{why}: nothing was stored")]
    OtherAccount {
        /// What was found, for operators.
        why: String,
        /// The address that is asked for.
        expected: String,
        /// The address that came.
        came: String,
    },
    /// Google gave no refresh token, and there is none that could be kept. Nothing was stored.
    #[error("Google gave no refresh token, and there is none that is still good: nothing was stored")]
    NoRefreshToken,
    /// The database did not answer, or not as expected.
    #[error("the database refused: {}", store::said(.0))]
    Database(#[from] sqlx::Error),
}

fn advice(hint: &str) -> String {
    if hint.is_empty() { String::new() } else { format!(": {hint}") }
}

impl AdminError {
    fn not_found(what: &'static str, which: impl std::fmt::Display, hint: &str) -> Self {
        Self::NotFound { what, which: which.to_string(), hint: hint.to_owned() }
    }
}

/// Who does it, as the audit table names them: `cli:ada`.
#[derive(Debug, Clone)]
pub struct Actor(String);

impl Actor {
    /// An actor of a name.
    #[must_use]
    pub fn new(name: &str) -> Self {
        Self(name.trim().to_owned())
    }

    /// The name.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// The database's time, by which ages are told.
pub async fn now(conn: &mut PgConnection) -> Result<DateTime<Utc>, AdminError> {
    Ok(sqlx::query_scalar!(
        r#"-- admin::now
        select clock() as "now!""#
    )
    .fetch_one(conn)
    .await?)
}

/// A kind's name as it stands in the database: people may write dashes for underscores.
#[must_use]
pub fn kind_name(text: &str) -> String {
    text.trim().replace('-', "_")
}

/// The policy of a kind.
pub fn policy<'a>(policies: &'a [Policy], kind: &str) -> Result<&'a Policy, AdminError> {
    policies.iter().find(|policy| policy.kind == kind).ok_or_else(|| unknown(policies, kind))
}

fn unknown(policies: &[Policy], kind: &str) -> AdminError {
    let known: Vec<_> = policies.iter().map(|policy| policy.kind).collect();
    AdminError::UnknownKind { name: kind.to_owned(), known: known.join(", ") }
}

/// Refuses a kind that neither the program knows nor any job has: most likely a slip of the pen.
async fn must_be_kind(conn: &mut PgConnection, policies: &[Policy], kind: &str) -> Result<(), AdminError> {
    if policies.iter().any(|policy| policy.kind == kind) {
        return Ok(());
    }
    let has_jobs = sqlx::query_scalar!(
        r#"-- admin::must_be_kind
        select exists (select from jobs where kind = $1) as "has!""#,
        kind
    )
    .fetch_one(conn)
    .await?;
    if has_jobs { Ok(()) } else { Err(unknown(policies, kind)) }
}

//! The SQL: one file per table, free functions. Each statement begins with a comment that names its function, so that it is
//! found in `pg_stat_statements` and in logs. What a job goes through is told in [`job_state`].

pub mod accounts;
pub mod audit;
pub mod calendar_lists;
pub mod calendars;
pub mod changes;
pub mod channel_refusals;
pub mod channels;
pub mod connect;
pub mod contents;
pub mod cursor;
pub mod dns_addresses;
pub mod dns_history;
pub mod dns_hosts;
pub mod dns_logins;
pub mod dns_records;
pub mod drive_lists;
pub mod drive_mirrors;
pub mod drives;
pub mod events;
pub mod feed_tokens;
pub mod files;
pub mod gates;
pub mod job_state;
pub mod jobs;
pub mod oauth_refreshes;
pub mod objects;
mod partitions;
pub mod quotas;
pub mod runs;
pub mod schema;
pub mod secrets;
pub mod sign_in_links;
pub mod sign_ins;
pub mod tenants;
pub mod webhooks;
pub mod workers;

pub use connect::{Session, connect};
pub use sqlx::{PgConnection, PgPool};

/// A transaction on a connection of the pool.
pub type Tx = sqlx::Transaction<'static, sqlx::Postgres>;

/// Waits for an answer of the database no longer than `limit`. A server that went without a word never answers, and no
/// connection of its tells so. What was asked may be done all the same.
pub async fn limited<T, E: From<sqlx::Error>>(
    limit: std::time::Duration,
    answer: impl Future<Output = Result<T, E>>,
) -> Result<T, E> {
    tokio::time::timeout(limit, answer).await.unwrap_or_else(|_| Err(no_answer(limit).into()))
}

/// What the database says of an error. sqlx adds where in its own source code the server was, which helps nobody here.
#[must_use]
pub fn said(error: &sqlx::Error) -> String {
    error.as_database_error().map_or_else(|| error.to_string(), |error| error.message().to_owned())
}

fn no_answer(limit: std::time::Duration) -> sqlx::Error {
    sqlx::Error::Io(std::io::Error::new(std::io::ErrorKind::TimedOut, format!("no answer in {limit:?}")))
}

/// Seconds for SQL's `make_interval`; a time that does not fit is as good as for ever.
pub(crate) fn seconds(duration: std::time::Duration) -> f64 {
    duration.as_secs_f64().min(1e10)
}

/// Whole seconds, as some columns have them.
pub(crate) fn whole_seconds(duration: std::time::Duration) -> i32 {
    i32::try_from(duration.as_secs()).unwrap_or(i32::MAX)
}

/// A value that is stored as text.
pub(crate) fn parsed<T: std::str::FromStr<Err: std::fmt::Display>>(text: &str) -> Result<T, sqlx::Error> {
    text.parse().map_err(|error: T::Err| sqlx::Error::Decode(format!("{text:?}: {error}").into()))
}

/// One row per key, the last one: a statement cannot write the same row twice.
pub(crate) fn last_of_each<T>(rows: &[T], key: impl Fn(&T) -> &str) -> Vec<&T> {
    let mut seen = std::collections::HashSet::with_capacity(rows.len());
    let mut kept: Vec<&T> = rows.iter().rev().filter(|row| seen.insert(key(row).to_owned())).collect();
    kept.reverse();
    kept
}

#[cfg(test)]
mod tests {
    #[test]
    fn of_rows_with_the_same_key_the_last_one_stays_in_its_place() {
        let rows = [("a", 1), ("b", 2), ("a", 3), ("c", 4)];
        let kept: Vec<_> = super::last_of_each(&rows, |row| row.0).into_iter().map(|row| row.1).collect();
        assert_eq!(kept, [2, 3, 4]);
    }
}

//! The roles, as they are run: real processes against a real database, signals and faults included.
#![expect(clippy::unwrap_used, reason = "a test that cannot go on fails")]

mod bell;
mod contents;
mod crash;
mod feed;
mod keys;
mod metrics;
mod notifications;
mod outage;
mod process;
mod push;
mod redis;
mod refusals;
mod schedulers;
mod schema;
mod shutdown;
mod up;
mod work;

//! The roles, as they are run: real processes against a real database, signals and faults included.
#![expect(clippy::unwrap_used, reason = "a test that cannot go on fails")]

mod alerts;
mod bell;
#[path = "../../../shared/tests/dns/bind.rs"]
#[expect(dead_code, reason = "the tests of the library need more of it")]
mod bind;
mod contents;
mod crash;
mod dns;
mod dyndns;
mod feed;
mod keys;
mod log;
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

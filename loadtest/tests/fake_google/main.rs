//! The rules of the fake Google, each as a client sees it.
#![expect(clippy::unwrap_used, reason = "a test that cannot go on fails")]

mod calendar_list;
mod churn;
mod client;
mod control;
mod drive;
mod events;
mod faults;
mod grants;
mod mirror;
mod oauth;
mod push;
mod scenario;
mod series;
mod sign_in;

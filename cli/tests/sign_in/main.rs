//! Signing in on a page: the real ingress and the real command line, against the fake Google and a real `PostgreSQL`.
#![expect(clippy::unwrap_used, reason = "a test that cannot go on fails")]

mod browser;
mod disconnect;
mod forged;
mod grants;
mod links;
mod pages;
mod person;
#[expect(dead_code, reason = "the tests of the roles use more of it")]
#[path = "../roles/process.rs"]
mod process;
mod races;
mod setup;
mod webdriver;

//! What scheduler and worker both need: jobs and their store, the bell, the admin operations, configuration, secrets,
//! telemetry, the object store, and Google.

pub mod admin;
pub mod bell;
pub mod calendar;
pub mod config;
pub mod dns;
pub mod google;
pub mod guard;
pub mod job;
pub mod objects;
pub mod open_files;
mod retry_after;
pub mod secrets;
pub mod shutdown;
pub mod store;
pub mod telemetry;
pub mod tls;
pub mod webhook;

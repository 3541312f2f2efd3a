//! The kind `webhook`, run by a worker against a real database and a real HTTP server.
#![expect(clippy::unwrap_used, reason = "a test that cannot go on fails")]

mod answers;
mod delivery;
mod endpoint;
mod guard;
mod ntfy;
mod rig;

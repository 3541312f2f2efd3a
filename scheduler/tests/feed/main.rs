//! `GET /feed` over the real listener, with a client that reads as slowly as it likes.
#![expect(clippy::unwrap_used, reason = "a test that cannot go on fails")]

mod client;
mod refusals;
mod rig;
mod streams;

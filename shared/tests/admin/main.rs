//! The admin operations on a real database.
#![expect(clippy::unwrap_used, reason = "a test that cannot go on fails")]

mod enqueue;
mod explain;
mod fixture;
mod gates;
mod keys;
mod nouns;

//! The admin operations on a real database.

mod enqueue;
mod explain;
mod fixture;
mod nouns;

//! The mirrored events on a real database: their columns, their expansion, and what docs/data-model.md says of them.
#![expect(clippy::unwrap_used, reason = "a test that cannot go on fails")]

mod cases;
mod columns;
mod document;
mod fixture;
mod window;

//! The change feed on a real database. Transactions of other tests on the same server hold it back for their time, so what is to
//! come is waited for.
#![expect(clippy::unwrap_used, reason = "a test that cannot go on fails")]

mod fixture;
mod kept;
mod names;
mod order;
mod tokens;

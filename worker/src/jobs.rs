//! The kinds, one file or folder each. To add one: write its file with a `KIND` in it, and add its two lines here.

mod noop;

use futures_util::future::BoxFuture;
use shared::{
    job::{Policy, Run, StepResult},
    store::PgPool,
};

/// Every kind that this program knows.
pub const KINDS: &[Kind] = &[noop::KIND];

/// A kind of job: how its jobs are run, and what one step of a pass does.
///
/// A step is bounded: one page, or some seconds. It reads its cursor from the database, asks the outside, and gives back a
/// transaction with rows and cursor, not yet committed, and its verdict. It may be cut off at any `await`, and the same step
/// may be done again by another worker; only what its transaction wrote counts.
#[derive(Debug, Clone, Copy)]
pub struct Kind {
    /// How its jobs are run.
    pub policy: Policy,
    /// One step.
    pub step: for<'a> fn(&'a Context, &'a Run) -> BoxFuture<'a, StepResult>,
}

/// What steps work with.
#[derive(Debug, Clone)]
pub struct Context {
    /// The database.
    pub db: PgPool,
}

/// The policies of all kinds.
#[must_use]
pub fn policies() -> Vec<Policy> {
    KINDS.iter().map(|kind| kind.policy).collect()
}

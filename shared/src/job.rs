//! The words of the engine: job, kind, lane, run, verdict. Plain values, no input or output.

mod failure;
mod lane;
mod policy;
mod run;
mod verdict;

pub use failure::{Failure, StepResult};
pub use lane::{Lane, Lanes};
pub use policy::{Policy, Retry};
pub use run::Run;
pub use verdict::{GateScope, Parked, Step, ThrottledBy, Verdict};

/// A job's row.
pub type JobId = i64;
/// One execution of a job; its lease while it runs. UUIDv7, drawn by the claimer, never repeated.
pub type RunId = uuid::Uuid;
/// One worker process, new at each start.
pub type WorkerId = uuid::Uuid;
/// A tenant's row.
pub type TenantId = i64;
/// An account's row.
pub type AccountId = i64;

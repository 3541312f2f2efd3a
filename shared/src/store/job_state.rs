//! How every job stands: table `job_state`, one narrow row per job, written at every step.
//!
//! # Wanted properties
//!
//! 1. At most one live lease per job. It is the run's own id, drawn by its claimer and never repeated.
//! 2. `done <= seen <= wanted`. No want is lost: after the last want, some pass begins and completes.
//! 3. What a step wrote is committed only together with its verdict, and only while its lease stands.
//! 4. Nobody waits for ever: whatever is due and open is claimed again, whoever dies and whatever the bell forgets.
//!
//! # The statements
//!
//! | function | from | to |
//! |---|---|---|
//! | [`want`] | any | counts; an idle job's `run_at` comes nearer, never under a floor or a backoff |
//! | [`due`], [`claimable`] | idle | reads only |
//! | [`claim`] | idle, due, open | running |
//! | [`checkpoint`] | running, mine | running, mine: writes under the lease, before something is done outside |
//! | [`complete`] | running, mine | idle; due at once if it was wanted meanwhile |
//! | [`put_back`] | running, mine | idle: go on, wait, retry, throttled, handed back |
//! | [`park`] | running, mine | parked |
//! | [`reap`] | running, of a dead worker | idle; parked at the fifth crash |
//! | [`hand_back`] | running, of this worker, not in its memory | idle |
//! | [`park_gated`] | idle, due, behind a lasting gate | parked |
//! | [`unpark_opened`] | parked behind a gate that opened | idle, spread over time |
//! | [`release`], [`pause`] | idle or parked | the operator's hand |
//! | [`begin_anew`] | idle, in the midst of a pass | idle, with no pass under way |
//!
//! # Races, and their answers
//!
//! - *Two workers claim one job.* The row is locked and read again under the lock; the second finds it running, or skips it.
//! - *A want meets a commit.* Both write the row, so one waits for the other. If the want is second it finds the job idle and
//!   pulls `run_at` near. If it is first, [`complete`] sees `wanted > seen` on the newest version and leaves the job due.
//! - *A want meets a wait.* If it is first, [`put_back`] sees that `wanted` moved since the claim and leaves the job due. If it is
//!   second it pulls `run_at` near. Wants from before the claim do not count: the step that waits knew of them.
//! - *A want meets a claim.* If it is first, the claim takes it into `seen`. If it is second, `wanted > seen`.
//! - *A worker is stopped (or cut off) past its lease and goes on.* The job was reaped; its lease is another or none; its
//!   guarded update finds no row, so everything it wrote rolls back.
//! - *A claim's answer is lost.* The row runs in the worker's name, but not in its memory: [`hand_back`] finds it.
//! - *A commit's answer is lost.* The run's history row was written in the same transaction: its presence tells.
//! - *A checkpoint meets the reaper.* The checkpoint locks the row until its transaction ends: the reaper, who passes over locked rows,
//!   comes after it, or came before it, and then the checkpoint finds no lease and rolls back.
//! - *Reaping meets a worker that comes back.* Its beat waits for the reaper's lock on the worker's row, and a worker claims
//!   only while its last acknowledged beat is young; so no claim falls between "dead" and "taken back".
//! - *Parking behind a gate meets its opening.* Parking locks the gate's row for share, opening updates it: whoever is second
//!   sees the other. An opened gate keeps its row until no job is parked behind it.
//! - *Statements over many rows meet.* All lock in id order first.
//! - *Steps that want one another's jobs commit at once.* Each would hold what the other needs next. A step [`lock`]s the jobs that it
//!   wants or removes together with its own, in one statement, after the rows of its mirror and before those of channels.

mod checkpoint;
mod claim;
mod commit;
mod due;
mod measure;
mod parked;
mod reap;
mod want;

pub use checkpoint::checkpoint;
pub use claim::{Claimer, claim};
pub use commit::{Completed, Completion, Finished, LeaseLost, PutBack, complete, park, put_back};
pub use due::{Due, claimable, due, due_elsewhere};
pub use measure::{Count, count, staleness};
pub use parked::{begin_anew, is_running, park_gated, pause, release, unpark_opened};
pub use reap::{Reaped, hand_back, reap};
pub use want::{Wanted, lock, want};

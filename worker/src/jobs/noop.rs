//! `noop`: does nothing, at once. For benchmarks, and to see a fleet alive.

use std::time::Duration;

use futures_util::{FutureExt, future::BoxFuture};
use shared::job::{Lane, Policy, Retry, Run, Step, StepResult, Verdict};

use super::{Context, Kind};

pub(super) const KIND: Kind = Kind {
    policy: Policy {
        kind: "noop",
        about: "does nothing; for benchmarks",
        lane: Lane::Normal,
        interval: None,
        min_interval: Duration::ZERO,
        limit: Duration::from_secs(10),
        retry: Retry { base: Duration::from_secs(1), cap: Duration::from_mins(1), attempts: None },
        per_account: None,
        api: None,
    },
    step,
};

fn step<'a>(_: &'a Context, _: &'a Run) -> BoxFuture<'a, StepResult> {
    std::future::ready(Ok(Step::quiet(Verdict::Complete))).boxed()
}

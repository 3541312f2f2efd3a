//! Troubles: what happens at a certain time, once or again and again.

use std::time::Duration;

use anyhow::{bail, ensure};
use serde::Deserialize;
use serde_json::Value;

use crate::fake_google::{Operation, PushFaults, Shared, control::fault_rule, faults::FaultRule, lock, push};

/// The longest time that a trouble is planned ahead.
const LONGEST_S: f64 = 86_400.0;

/// Something that happens in time.
#[derive(Debug, Clone)]
pub(super) struct Trouble {
    at: Duration,
    /// The time to the next; none: it happens once.
    every: Option<Duration>,
    /// How often in all; none: for ever.
    times: Option<u64>,
    what: What,
}

#[derive(Debug, Clone)]
enum What {
    Operation(Box<Operation>),
    Fault(FaultRule),
    Push(Box<PushFaults>),
}

/// A trouble as the file has it.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Body {
    at_s: f64,
    every_s: Option<f64>,
    times: Option<u64>,
    #[serde(rename = "do")]
    operation: Option<Operation>,
    fault: Option<Value>,
    push: Option<PushFaults>,
}

impl TryFrom<Body> for Trouble {
    type Error = anyhow::Error;

    fn try_from(body: Body) -> anyhow::Result<Self> {
        let time = |name: &str, seconds: f64, least: f64| {
            ensure!(
                (least..=LONGEST_S).contains(&seconds),
                "{name}: {seconds}: {least} to {LONGEST_S} is allowed"
            );
            Ok(Duration::from_secs_f64(seconds))
        };
        ensure!(body.times != Some(0), "times: 0: at least 1 is allowed");
        ensure!(body.every_s.is_some() || body.times.is_none_or(|times| times == 1), "times: needs every_s");
        let what = match (body.operation, body.fault, body.push) {
            (Some(operation), None, None) => What::Operation(Box::new(operation)),
            (None, Some(rule), None) => What::Fault(fault_rule(&rule)?),
            (None, None, Some(faults)) => {
                faults.check()?;
                What::Push(Box::new(faults))
            }
            _ => bail!("exactly one of do, fault and push is needed"),
        };
        Ok(Self {
            at: time("at_s", body.at_s, 0.0)?,
            every: body.every_s.map(|seconds| time("every_s", seconds, 0.1)).transpose()?,
            times: body.times,
            what,
        })
    }
}

/// Lets it happen, as often as it says. What cannot be done any more by then is logged: the world changes by itself.
pub(super) async fn run(shared: Shared, trouble: Trouble) {
    tokio::time::sleep(trouble.at).await;
    for count in 1_u64.. {
        match &trouble.what {
            What::Fault(rule) => shared.faults.add(rule.clone()),
            What::Push(faults) => {
                if let Err(error) = push::set(&shared, PushFaults::clone(faults)) {
                    tracing::warn!("the fake Google cannot set {faults:?}: {error:#}");
                }
            }
            What::Operation(operation) => {
                let done = lock(&shared.world).apply(Operation::clone(operation));
                if let Err(error) = done {
                    tracing::warn!("the fake Google cannot do {operation:?} now: {error:#}");
                }
            }
        }
        let Some(every) = trouble.every.filter(|_| trouble.times.is_none_or(|times| count < times)) else {
            return;
        };
        tokio::time::sleep(every).await;
    }
}

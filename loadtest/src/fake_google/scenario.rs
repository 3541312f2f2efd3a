//! A scenario file: what a fake Google holds, how it changes, and what goes wrong with it. `docs/fake-google.md` describes it.
//!
//! A file is read and tried out as a whole before anything listens, so a mistake in it leaves nothing half done.

mod read;
mod trouble;

use std::{path::Path, time::Duration};

use anyhow::Context;
use chrono::{DateTime, Utc};
use tokio::task::JoinSet;

use self::trouble::Trouble;
use super::{
    Operation, Options, PushFaults, Shared,
    churn::{self, Churned},
    faults::FaultRule,
    lock, push,
    world::World,
};

/// A scenario that was read, and whose world can be made.
#[derive(Debug, Clone)]
pub struct Scenario {
    seed: u64,
    page_size: Option<usize>,
    token_lifetime: Option<Duration>,
    latency: Option<Duration>,
    now: Option<DateTime<Utc>>,
    world: Vec<Operation>,
    churn: Option<f64>,
    churn_files: Option<f64>,
    faults: Vec<FaultRule>,
    troubles: Vec<Trouble>,
    push: Option<PushFaults>,
    http_callbacks: bool,
}

impl Scenario {
    /// Reads a file. An error names the file, the line and the field, and says what is allowed.
    pub fn read(path: &Path) -> anyhow::Result<Self> {
        let name = path.display();
        let text =
            std::fs::read_to_string(path).with_context(|| format!("cannot read the scenario {name}"))?;
        Self::parse(&text).with_context(|| format!("the scenario {name} cannot be played"))
    }

    /// Reads a scenario's text.
    pub fn parse(text: &str) -> anyhow::Result<Self> {
        read::scenario(text)
    }

    /// How the fake is set up for it.
    #[must_use]
    pub fn options(&self, port: u16) -> Options {
        let usual = Options::default();
        Options {
            port,
            seed: self.seed,
            page_size_cap: self.page_size.unwrap_or(usual.page_size_cap),
            access_token_lifetime: self.token_lifetime.unwrap_or(usual.access_token_lifetime),
            latency: self.latency.unwrap_or(usual.latency),
            now: self.now.unwrap_or(usual.now),
            http_callbacks: self.http_callbacks,
            ..usual
        }
    }

    /// Makes the world and the faults, and starts what comes with time.
    pub(super) fn begin(&self, shared: &Shared, tasks: &mut JoinSet<()>) -> anyhow::Result<()> {
        {
            let mut world = lock(&shared.world);
            for operation in &self.world {
                world.apply(operation.clone())?;
            }
        }
        for rule in &self.faults {
            shared.faults.add(rule.clone());
        }
        if let Some(faults) = &self.push {
            push::set(shared, faults.clone())?;
        }
        if let Some(rate) = self.churn {
            churn::start(shared, Churned::Events, rate, self.seed)?;
        }
        if let Some(rate) = self.churn_files {
            churn::start(shared, Churned::Files, rate, self.seed)?;
        }
        for trouble in &self.troubles {
            tasks.spawn(trouble::run(shared.clone(), trouble.clone()));
        }
        Ok(())
    }

    /// A world of its own, to try operations out in.
    fn rehearsal(&self) -> World {
        let options = self.options(0);
        World::new(options.seed, options.now, &options.client_id, &options.client_secret)
    }
}

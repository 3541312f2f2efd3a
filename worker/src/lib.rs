//! Claims runs and executes them. All that a kind knows stands in [`jobs`]; nothing else in the fleet names a kind.

pub mod jobs;

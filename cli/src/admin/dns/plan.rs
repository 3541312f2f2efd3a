//! Dry runs, printed.

use chrono::{DateTime, Utc};
use shared::admin::{dns::plan::Plan, words};

use crate::output::{Output, json, line, say};

/// Prints what would be sent.
pub fn print(plan: &Plan, now: DateTime<Utc>, out: Output) -> anyhow::Result<()> {
    if !out.is_table() {
        return json(plan);
    }
    for family in &plan.families {
        let address = family.address.map(|address| format!(" {address}")).unwrap_or_default();
        line(&format!("# {}{address}: {}", family.family, family.what))?;
    }
    if let Some(at) = plan.not_before {
        let why = plan.not_before_why.as_deref().unwrap_or("the least time between two updates");
        line(&format!("# not before {} ({why})", words::when(at, now)))?;
    }
    for step in &plan.steps {
        line("")?;
        for text in step.to_string().lines() {
            line(text)?;
        }
    }
    say("dry run: nothing was written, and nothing was sent")
}

//! From a file's text to a scenario: whatever is wrong is told with its line and its field.

use std::time::Duration;

use anyhow::{anyhow, bail};
use serde::Deserialize;
use serde_json::{Value, value::RawValue};

use super::{
    Scenario,
    trouble::{self, Trouble},
};
use crate::fake_google::{Operation, PushFaults, control::fault_rule};

/// The file as it stands. Values are kept as text at first: so each one's line is known.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct File<'a> {
    #[serde(borrow)]
    seed: Option<&'a RawValue>,
    #[serde(borrow)]
    page_size: Option<&'a RawValue>,
    #[serde(borrow)]
    token_lifetime_s: Option<&'a RawValue>,
    #[serde(borrow)]
    latency_ms: Option<&'a RawValue>,
    #[serde(borrow)]
    now: Option<&'a RawValue>,
    #[serde(borrow)]
    churn_per_s: Option<&'a RawValue>,
    #[serde(borrow)]
    churn_files_per_s: Option<&'a RawValue>,
    #[serde(borrow)]
    http_callbacks: Option<&'a RawValue>,
    #[serde(borrow)]
    push: Option<&'a RawValue>,
    #[serde(default, borrow)]
    world: Vec<&'a RawValue>,
    #[serde(default, borrow)]
    faults: Vec<&'a RawValue>,
    #[serde(default, borrow)]
    troubles: Vec<&'a RawValue>,
}

/// Reads the text, and tries its world out.
pub(super) fn scenario(text: &str) -> anyhow::Result<Scenario> {
    let file: File<'_> = typed(text, 1, "")?;
    let part = |name, raw| part(text, name, raw);
    let number = |name, raw, least, most| part(name, raw).map(|part| part.number(least, most)).transpose();
    let mut scenario = Scenario {
        seed: number("seed", file.seed, 0, u64::MAX)?.unwrap_or_default(),
        page_size: number("page_size", file.page_size, 1, 2500)?.and_then(|size| usize::try_from(size).ok()),
        token_lifetime: number("token_lifetime_s", file.token_lifetime_s, 0, 86_400)?
            .map(Duration::from_secs),
        latency: number("latency_ms", file.latency_ms, 0, 60_000)?.map(Duration::from_millis),
        now: part("now", file.now).map(|part: Part<'_>| part.read()).transpose()?,
        churn: part("churn_per_s", file.churn_per_s).map(|part| part.rate()).transpose()?,
        churn_files: part("churn_files_per_s", file.churn_files_per_s).map(|part| part.rate()).transpose()?,
        world: Vec::new(),
        faults: Vec::new(),
        troubles: Vec::new(),
        http_callbacks: part("http_callbacks", file.http_callbacks)
            .map(|part| part.read())
            .transpose()?
            .unwrap_or_default(),
        push: part("push", file.push).map(|part| part.push()).transpose()?,
    };
    let mut world = scenario.rehearsal();
    for part in parts(text, "world", &file.world) {
        let operation: Operation = part.read()?;
        world.apply(operation.clone()).map_err(|error| part.refused(&error))?;
        scenario.world.push(operation);
    }
    for part in parts(text, "faults", &file.faults) {
        let body: Value = part.read()?;
        scenario.faults.push(fault_rule(&body).map_err(|error| part.refused(&error))?);
    }
    for part in parts(text, "troubles", &file.troubles) {
        let body: trouble::Body = part.read()?;
        scenario.troubles.push(Trouble::try_from(body).map_err(|error| part.refused(&error))?);
    }
    Ok(scenario)
}

/// A value in the file, and where it stands.
struct Part<'a> {
    text: &'a str,
    line: usize,
    name: String,
}

impl<'a> Part<'a> {
    fn read<T: Deserialize<'a>>(&self) -> anyhow::Result<T> {
        typed(self.text, self.line, &self.name)
    }

    fn refused(&self, error: &anyhow::Error) -> anyhow::Error {
        anyhow!("line {}, {}: {error:#}", self.line, self.name)
    }

    fn number(&self, least: u64, most: u64) -> anyhow::Result<u64> {
        let number = self.read()?;
        if (least..=most).contains(&number) {
            return Ok(number);
        }
        Err(self.refused(&anyhow!("{number}: {least} to {most} is allowed")))
    }

    fn push(&self) -> anyhow::Result<PushFaults> {
        let faults: PushFaults = self.read()?;
        faults.check().map_err(|error| self.refused(&error))?;
        Ok(faults)
    }

    fn rate(&self) -> anyhow::Result<f64> {
        let rate = self.read()?;
        if rate > 0.0 && rate <= 100_000.0 {
            return Ok(rate);
        }
        Err(self.refused(&anyhow!("{rate}: more than 0 and up to 100000 is allowed")))
    }
}

fn part<'a>(text: &str, name: &str, raw: Option<&'a RawValue>) -> Option<Part<'a>> {
    raw.map(|raw| Part { text: raw.get(), line: line_of(text, raw), name: name.to_owned() })
}

fn parts<'a>(text: &str, list: &str, items: &[&'a RawValue]) -> Vec<Part<'a>> {
    let part = |(place, raw): (usize, &&'a RawValue)| Part {
        text: raw.get(),
        line: line_of(text, raw),
        name: format!("{list}[{place}]"),
    };
    items.iter().enumerate().map(part).collect()
}

/// The line in which a part of the text begins. It is a slice of the text, so the difference of their addresses is its place.
fn line_of(text: &str, part: &RawValue) -> usize {
    let at = part.get().as_ptr().addr().saturating_sub(text.as_ptr().addr());
    1 + text.get(..at).map_or(0, |before| before.matches('\n').count())
}

/// Reads a part of the file that begins in `line`.
fn typed<'a, T: Deserialize<'a>>(text: &'a str, line: usize, name: &str) -> anyhow::Result<T> {
    let mut deserializer = serde_json::Deserializer::from_str(text);
    let (field, error) = match serde_path_to_error::deserialize(&mut deserializer) {
        Ok(value) => match deserializer.end() {
            Ok(()) => return Ok(value),
            Err(error) => (name.to_owned(), error),
        },
        Err(error) => (field(name, &error.path().to_string()), error.into_inner()),
    };
    let place = format!(" at line {} column {}", error.line(), error.column());
    let what = error.to_string();
    let what = what.strip_suffix(&place).unwrap_or(&what);
    let line = line + error.line().saturating_sub(1);
    if field.is_empty() {
        bail!("line {line}: {what}");
    }
    bail!("line {line}, {field}: {what}")
}

fn field(item: &str, path: &str) -> String {
    match (item, path) {
        (item, "." | "") => item.to_owned(),
        ("", path) => path.to_owned(),
        (item, path) => format!("{item}.{path}"),
    }
}

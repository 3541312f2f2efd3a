//! From a file's text to a scenario: whatever is wrong is told with its line and its field.

use std::time::Duration;

use anyhow::{anyhow, bail};
use chrono::{DateTime, Utc};
use serde::{Deserialize, Deserializer, de::Error as _};
use serde_json::{Value, value::RawValue};

use super::{
    Scenario,
    trouble::{self, Trouble},
};
use crate::fake_google::{Operation, control::fault_rule};

/// The file as it stands. Lists are kept as text at first: so each item's line is known.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct File<'a> {
    #[serde(default)]
    seed: u64,
    #[serde(default, deserialize_with = "between::<_, 1, 2500>")]
    page_size: Option<u64>,
    #[serde(default, deserialize_with = "between::<_, 0, 86_400>")]
    token_lifetime_s: Option<u64>,
    #[serde(default, deserialize_with = "between::<_, 0, 60_000>")]
    latency_ms: Option<u64>,
    #[serde(default)]
    now: Option<DateTime<Utc>>,
    #[serde(default, borrow)]
    world: Vec<&'a RawValue>,
    #[serde(default, deserialize_with = "churn")]
    churn_per_s: Option<f64>,
    #[serde(default, borrow)]
    faults: Vec<&'a RawValue>,
    #[serde(default, borrow)]
    troubles: Vec<&'a RawValue>,
}

fn between<'de, D: Deserializer<'de>, const MIN: u64, const MAX: u64>(
    deserializer: D,
) -> Result<Option<u64>, D::Error> {
    let number = u64::deserialize(deserializer)?;
    if (MIN..=MAX).contains(&number) {
        Ok(Some(number))
    } else {
        Err(D::Error::custom(format!("{number}: {MIN} to {MAX} is allowed")))
    }
}

fn churn<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<f64>, D::Error> {
    let rate = f64::deserialize(deserializer)?;
    if rate > 0.0 && rate <= 100_000.0 {
        Ok(Some(rate))
    } else {
        Err(D::Error::custom(format!("{rate}: more than 0 and up to 100000 is allowed")))
    }
}

/// Reads the text, and tries its world out.
pub(super) fn scenario(text: &str) -> anyhow::Result<Scenario> {
    let file: File<'_> = typed(text, 1, "")?;
    let mut scenario = Scenario {
        seed: file.seed,
        page_size: file.page_size.and_then(|size| usize::try_from(size).ok()),
        token_lifetime: file.token_lifetime_s.map(Duration::from_secs),
        latency: file.latency_ms.map(Duration::from_millis),
        now: file.now,
        world: Vec::new(),
        churn: file.churn_per_s,
        faults: Vec::new(),
        troubles: Vec::new(),
    };
    let mut world = scenario.rehearsal();
    for item in items(text, "world", &file.world) {
        let operation: Operation = typed(item.text, item.line, &item.name)?;
        world.apply(operation.clone()).map_err(|error| item.refused(&error))?;
        scenario.world.push(operation);
    }
    for item in items(text, "faults", &file.faults) {
        let body: Value = typed(item.text, item.line, &item.name)?;
        scenario.faults.push(fault_rule(&body).map_err(|error| item.refused(&error))?);
    }
    for item in items(text, "troubles", &file.troubles) {
        let body: trouble::Body = typed(item.text, item.line, &item.name)?;
        scenario.troubles.push(Trouble::try_from(body).map_err(|error| item.refused(&error))?);
    }
    Ok(scenario)
}

/// An item of a list, and where it stands.
struct Item<'a> {
    text: &'a str,
    line: usize,
    name: String,
}

impl Item<'_> {
    fn refused(&self, error: &anyhow::Error) -> anyhow::Error {
        anyhow!("line {}, {}: {error:#}", self.line, self.name)
    }
}

fn items<'a>(text: &'a str, list: &str, raw: &[&'a RawValue]) -> Vec<Item<'a>> {
    let mut from = 0;
    let mut line = 1;
    let mut found = Vec::new();
    for (place, raw) in raw.iter().enumerate() {
        // The items are parts of the text, so the difference of their addresses is where they stand in it.
        let at = raw.get().as_ptr().addr().saturating_sub(text.as_ptr().addr());
        line += text.get(from..at).map_or(0, |before| before.matches('\n').count());
        from = at;
        found.push(Item { text: raw.get(), line, name: format!("{list}[{place}]") });
    }
    found
}

/// Reads a part of the file that begins in `line`.
fn typed<'a, T: Deserialize<'a>>(text: &'a str, line: usize, name: &str) -> anyhow::Result<T> {
    let mut deserializer = serde_json::Deserializer::from_str(text);
    let error = match serde_path_to_error::deserialize(&mut deserializer) {
        Ok(value) => match deserializer.end() {
            Ok(()) => return Ok(value),
            Err(error) => (name.to_owned(), error),
        },
        Err(error) => (field(name, &error.path().to_string()), error.into_inner()),
    };
    let (field, error) = error;
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

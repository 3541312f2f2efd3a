//! The alerts in `deploy/monitoring` watch what the fleet tells, and name commands that there are. That they can be read at all is checked
//! by `deploy/test/render.sh`.

use std::{collections::BTreeMap, process::Command};

use crate::metrics::texts;

const ALERTS: &str = include_str!("../../../deploy/monitoring/alerts.yaml");

/// The metrics that the sources describe: counter, gauge or histogram.
fn described() -> BTreeMap<String, String> {
    let mut described = BTreeMap::new();
    for text in texts() {
        for rest in text.split("describe_").skip(1) {
            let Some((kind, rest)) = rest.split_once("!(") else { continue };
            if ["counter", "gauge", "histogram"].contains(&kind) {
                described.insert(rest.split('"').nth(1).unwrap().to_owned(), kind.to_owned());
            }
        }
    }
    described
}

/// The metrics of the alerts, as they stand there.
fn watched() -> Vec<&'static str> {
    let words = ALERTS.split(|c: char| !c.is_ascii_alphanumeric() && c != '_');
    words.filter(|word| word.starts_with("syncfleet_")).collect()
}

#[test]
fn alerts_watch_metrics_that_are_described() {
    let described = described();
    assert!(described.len() > 40 && watched().len() > 30, "{described:?}");
    for metric in watched() {
        let of_histogram =
            ["_bucket", "_sum", "_count"].iter().find_map(|end| metric.strip_suffix(end)).unwrap_or(metric);
        match described.get(of_histogram).map(String::as_str) {
            Some("histogram") => assert_ne!(of_histogram, metric, "a histogram has no value of its own"),
            Some(_) => assert_eq!(of_histogram, metric),
            None => panic!("nobody tells {metric}"),
        }
    }
}

/// A label's value that nobody writes would let an alert sleep for ever.
#[test]
fn alerts_ask_for_values_that_are_written() {
    let texts = texts().concat();
    // Only selectors are in quotes.
    let values: Vec<&str> =
        ALERTS.split('"').skip(1).step_by(2).flat_map(|values| values.split('|')).collect();
    assert!(values.contains(&"dispatch") && values.contains(&"parked_failed"), "{values:?}");
    for value in values {
        // What is parked is told with the reason: see `job_state::count`.
        let written = value.strip_prefix("parked_").unwrap_or(value);
        assert!(texts.contains(&format!("\"{written}\"")), "nobody writes {value}");
    }
}

#[test]
fn alerts_advise_commands_that_there_are() {
    let quoted = ALERTS.split('`').skip(1).step_by(2);
    let commands: Vec<Vec<&str>> = quoted
        .map(|text| text.split_whitespace().collect())
        .filter(|words: &Vec<_>| words[0] == "syncfleet")
        .collect();
    assert!(commands.len() > 10, "{commands:?}");
    for words in commands {
        let ended =
            Command::new(env!("CARGO_BIN_EXE_syncfleet")).args(&words[1..]).arg("--help").output().unwrap();
        assert!(ended.status.success(), "{words:?}: {}", String::from_utf8_lossy(&ended.stderr));
    }
}

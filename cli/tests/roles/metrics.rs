//! Every metric that the sources name is told by a fleet, and none carries what does not belong there.

use std::{
    collections::BTreeSet,
    fs,
    path::{Path, PathBuf},
};

use shared::store::PgPool;

use crate::{
    process::{LIMIT, Program, until},
    work,
};

/// Told only after something has happened that this test does not bring about.
const AFTER_AN_EVENT: &[(&str, &str)] = &[
    ("syncfleet_dns_verify_seconds", "a name was seen at its address"),
    ("syncfleet_google_requests_total", "a call to Google was answered"),
    ("syncfleet_google_skipped_items_total", "an item of Google's could not be read"),
    ("syncfleet_google_throttled_total", "Google asked to slow down"),
    ("syncfleet_push_to_mirrored_seconds", "a push was mirrored"),
    ("syncfleet_push_request_duration_seconds", "Google has called"),
    ("syncfleet_oauth_refresh_failures_total", "a token could not be refreshed"),
    ("syncfleet_quota_draws_total", "a worker has an OAuth client"),
    ("syncfleet_quota_limit_units", "a worker has an OAuth client"),
    ("syncfleet_quota_refusals_total", "a worker has an OAuth client"),
    ("syncfleet_quota_slowdowns_total", "a worker has an OAuth client"),
    ("syncfleet_quota_units_in_hand", "a worker has an OAuth client"),
    ("syncfleet_quota_units_total", "a worker has an OAuth client"),
    ("syncfleet_quota_wait_seconds", "a call waited for its budget"),
];

fn sources(folder: &Path, found: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            sources(&path, found);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            found.push(path);
        }
    }
}

/// The sources of the fleet's packages.
pub fn texts() -> Vec<String> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap();
    let mut files = Vec::new();
    for package in ["shared", "scheduler", "worker", "cli"] {
        sources(&root.join(package).join("src"), &mut files);
    }
    files.into_iter().map(|file| fs::read_to_string(file).unwrap()).collect()
}

/// The names in quotes in the sources of the fleet's packages.
fn named() -> BTreeSet<String> {
    let mut names = BTreeSet::new();
    for text in texts() {
        for rest in text.split("\"syncfleet_").skip(1) {
            let end = rest.find(|c: char| !c.is_ascii_alphanumeric() && c != '_').unwrap();
            if rest[end..].starts_with('"') {
                names.insert(format!("syncfleet_{}", &rest[..end]));
            }
        }
    }
    names
}

/// The name without what a histogram adds to it.
fn name(line: &str) -> &str {
    let name = line.split(['{', ' ']).next().unwrap();
    ["_bucket", "_sum", "_count"].iter().find_map(|end| name.strip_suffix(end)).unwrap_or(name)
}

/// The labels' values.
fn values(line: &str) -> Vec<&str> {
    let Some((_, rest)) = line.split_once('{') else { return Vec::new() };
    rest.rsplit_once('}').unwrap().0.split('"').skip(1).step_by(2).collect()
}

fn is_private(value: &str) -> bool {
    let digits = value.chars().filter(char::is_ascii_digit).count();
    value.contains('@') || value.len() > 40 || uuid::Uuid::parse_str(value).is_ok() || digits > 4
}

#[test]
fn private_values_are_recognised() {
    for private in ["ada@example.org", "0192e7c4-9d5b-7c3e-8a55-1b2c3d4e5f60", "1234567"] {
        assert!(is_private(private), "{private}");
    }
    assert!(!is_private("calendar_events") && !is_private("0.1.0"));
    let line = r#"syncfleet_x_bucket{lane="bulk",le="0.5"} 3"#;
    assert_eq!((name(line), values(line)), ("syncfleet_x", vec!["bulk", "0.5"]));
}

#[sqlx::test(migrator = "shared::store::schema::MIGRATOR")]
async fn all_metrics_are_told(db: PgPool) {
    // Before the fleet: jobs are counted at its start, and a minute later.
    work::add(&db, 0, 20).await;
    let program = Program::with(&db);
    let mut fleet = [
        program.start(&["scheduler"]).await,
        program.start(&["worker"]).await,
        program.start(&["ingress"]).await,
    ];
    for process in &mut fleet {
        process.ready().await;
    }
    work::done(&db, LIMIT).await;

    let mut missing = named();
    assert!(missing.len() > 15, "{missing:?}");
    for (name, _) in AFTER_AN_EVENT {
        assert!(missing.remove(*name), "{name} is not in the sources any more");
    }
    until("all metrics are told", LIMIT, async || {
        for process in &fleet {
            let (_, text) = process.get("/metrics").await.unwrap();
            for line in text.lines().filter(|line| !line.starts_with('#') && !line.is_empty()) {
                missing.remove(name(line));
                for value in values(line).into_iter().filter(|_| !line.contains("_bucket{")) {
                    assert!(!is_private(value), "{line}");
                }
            }
        }
        if !missing.is_empty() {
            eprintln!("not told yet: {missing:?}");
        }
        missing.is_empty()
    })
    .await;

    // What is told is described for those who read it, and what is named is not told under another name.
    for process in &fleet {
        let (_, text) = process.get("/metrics").await.unwrap();
        let helped: BTreeSet<_> =
            text.lines().filter_map(|line| line.strip_prefix("# HELP ")).map(name).collect();
        let told: BTreeSet<_> =
            text.lines().filter(|line| !line.starts_with('#') && !line.is_empty()).map(name).collect();
        let silent: Vec<_> = told.difference(&helped).collect();
        assert!(silent.is_empty(), "without a description: {silent:?}");
    }
}

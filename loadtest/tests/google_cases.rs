//! `docs/google-cases.md` tells the truth about the tests.
#![expect(clippy::unwrap_used, reason = "a test that cannot go on fails")]

use std::{
    collections::BTreeSet,
    fs,
    path::{Path, PathBuf},
};

/// How many cases there are.
const CASES: usize = 75;

/// Folders with tests.
const FOLDERS: [&str; 5] = ["shared", "scheduler", "worker", "cli", "loadtest"];

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..")
}

/// The files of a folder and its folders that end so.
fn files(folder: &Path, found: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            if path.file_name().is_some_and(|name| name != "target") {
                files(&path, found);
            }
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            found.push(path);
        }
    }
}

/// The names of all tests: functions below an attribute that ends in `test`.
fn tests() -> BTreeSet<String> {
    let mut found = Vec::new();
    for folder in FOLDERS {
        files(&root().join(folder), &mut found);
    }
    let mut names = BTreeSet::new();
    for file in found {
        let mut is_test = false;
        for line in fs::read_to_string(file).unwrap().lines().map(str::trim) {
            if let Some(attribute) = line.strip_prefix("#[") {
                let name = attribute.split(['(', ']']).next().unwrap_or_default();
                is_test |= name.ends_with("test");
            } else if let Some(rest) = line.strip_prefix("async fn ").or_else(|| line.strip_prefix("fn ")) {
                if is_test {
                    names.extend(rest.split(['(', '<']).next().map(str::to_owned));
                }
                is_test = false;
            }
        }
    }
    names
}

/// The rows of the table: number, case, and what stands in backquotes in its last column.
fn rows() -> Vec<(usize, String, Vec<String>)> {
    let text = fs::read_to_string(root().join("docs/google-cases.md")).unwrap();
    let mut rows = Vec::new();
    for line in text.lines() {
        let columns: Vec<&str> = line.split('|').map(str::trim).collect();
        if let ["", number, _, last, ""] = columns[..]
            && let Ok(number) = number.parse()
        {
            let names = last.split('`').skip(1).step_by(2).map(str::to_owned).collect();
            rows.push((number, last.to_owned(), names));
        }
    }
    rows
}

/// The case that a test's name tells.
fn case_of(test: &str) -> Option<usize> {
    test.strip_prefix("case_")?.split('_').next()?.parse().ok()
}

#[test]
fn every_case_has_a_row_with_a_test_or_a_reason() {
    let rows = rows();
    let numbers: Vec<usize> = rows.iter().map(|(number, ..)| *number).collect();
    assert_eq!(numbers, (1..=CASES).collect::<Vec<_>>());
    for (number, last, names) in rows {
        assert!(!names.is_empty() || last.starts_with("still to come: "), "case {number}: {last:?}");
    }
}

/// A name may end in `*`: all tests that begin so, of which there is at least one.
#[test]
fn every_test_in_the_table_exists() {
    let tests = tests();
    let exists = |name: &String| match name.strip_suffix('*') {
        Some(prefix) => tests.iter().any(|test| test.starts_with(prefix)),
        None => tests.contains(name),
    };
    let missing: Vec<_> =
        rows().into_iter().flat_map(|(.., names)| names).filter(|name| !exists(name)).collect();
    assert!(missing.is_empty(), "docs/google-cases.md names tests that do not exist: {missing:#?}");
}

#[test]
fn every_test_of_a_case_is_in_its_row() {
    let tests = tests();
    let rows = rows();
    let stands = |test: &str, case: usize| {
        let names = rows.iter().filter(|(number, ..)| *number == case).flat_map(|(.., names)| names);
        names
            .into_iter()
            .any(|name| name == test || name.strip_suffix('*').is_some_and(|prefix| test.starts_with(prefix)))
    };
    let named: Vec<_> = tests.iter().filter_map(|test| Some((test, case_of(test)?))).collect();
    assert!(named.len() > 40, "the tests were not found: {named:?}");
    let missing: Vec<_> = named.iter().filter(|(test, case)| !stands(test, *case)).collect();
    assert!(missing.is_empty(), "add these tests to their rows in docs/google-cases.md: {missing:#?}");
}

//! The units in deploy/systemd, held against what `up` understands and how long it takes to end.

use std::{fs, path::Path, time::Duration};

use clap::CommandFactory as _;

use super::postgres;
use crate::command::Cli;

/// The lines of a unit that set something.
fn lines(unit: &str) -> Vec<(String, String)> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap().join("deploy/systemd").join(unit);
    let text = fs::read_to_string(path).unwrap();
    let lines = text.lines().filter(|line| !line.starts_with(['#', '[']));
    lines
        .filter_map(|line| line.split_once('='))
        .map(|(key, value)| (key.to_owned(), value.to_owned()))
        .collect()
}

fn value<'a>(lines: &'a [(String, String)], key: &str) -> &'a str {
    let found: Vec<_> = lines.iter().filter(|(found, _)| found == key).collect();
    assert_eq!(found.len(), 1, "{key}: {found:?}");
    &found[0].1
}

#[test]
fn units_start_what_there_is_and_give_it_time_to_end() {
    for unit in ["syncfleet.service", "user/syncfleet.service"] {
        let lines = lines(unit);
        let started: Vec<&str> = value(&lines, "ExecStart").split(' ').collect();
        assert!(started[0].ends_with("/bin/syncfleet") && started[1] == "up", "{unit}: {started:?}");
        let matches = Cli::command().try_get_matches_from(&started);
        assert!(matches.is_ok(), "{unit}: {matches:?}");

        let mut cli = Cli::command();
        cli.build();
        let up = cli.find_subcommand("up").unwrap();
        let (name, set) = value(&lines, "Environment").split_once('=').unwrap();
        let arg = up.get_arguments().find(|arg| arg.get_env().is_some_and(|env| env == name)).unwrap();
        let flag = format!("--{}={set}", arg.get_long().unwrap());
        assert!(
            Cli::command().try_get_matches_from(["syncfleet", "up", &flag]).is_ok(),
            "{unit}: {name}={set}"
        );

        // A worker and all beside it end within 25 seconds, and PostgreSQL after that.
        let stop_within = postgres::Options::new("/nowhere".into(), "".as_ref(), None).stop_within;
        let longest = Duration::from_secs(25) + stop_within + postgres::QUIT_WITHIN;
        let given = Duration::from_secs(value(&lines, "TimeoutStopSec").parse().unwrap());
        assert!(given > longest && worker::GRACE < Duration::from_secs(25), "{unit}: {given:?}, {longest:?}");
        assert_eq!(
            value(&lines, "KillMode"),
            "mixed",
            "{unit}: PostgreSQL must outlive the worker's last commits"
        );
        assert_eq!(
            value(&lines, "RestartPreventExitStatus"),
            "2",
            "{unit}: `syncfleet --help` tells the exit codes"
        );
    }
}

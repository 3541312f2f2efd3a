//! The short form of the fault test, with the program that was built before.

use std::{path::Path, process::Command};

#[test]
fn a_fleet_under_faults_mirrors_the_truth() {
    let loadtest = Path::new(env!("CARGO_BIN_EXE_loadtest"));
    let output = Command::new(loadtest).args(["faults", "--minutes", "1.2"]).output().unwrap();
    let (told, errors) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert!(output.status.success(), "{told}\n{errors}");
    assert!(told.contains("all is well"), "{told}\n{errors}");
}

#[test]
fn a_plan_is_printed_and_repeated() {
    let plan = |seed: &str| {
        let mut command = Command::new(env!("CARGO_BIN_EXE_loadtest"));
        command.args(["faults", "--plan-only", "--minutes", "5", "--seed", seed]).output().unwrap()
    };
    let (one, same, other) = (plan("1"), plan("1"), plan("2"));
    assert!(one.status.success());
    assert_eq!(one.stdout, same.stdout);
    assert_ne!(one.stdout, other.stdout);
}

#[test]
fn what_cannot_be_is_refused() {
    let mut command = Command::new(env!("CARGO_BIN_EXE_loadtest"));
    let output = command.args(["faults", "--syncfleet", "/nowhere/syncfleet"]).output().unwrap();
    assert_eq!(output.status.code(), Some(1));
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(errors.contains("no program at /nowhere/syncfleet"), "{errors}");
}

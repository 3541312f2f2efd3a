//! The short form of `loadtest dns`, with the program that was built before: every check of the long one.

use std::process::Command;

use serde_json::Value;

#[test]
#[expect(clippy::disallowed_methods, reason = "the test's servers are named there")]
fn names_follow_their_addresses() {
    // A database that is empty, and nobody else's.
    let redis = std::env::var("REDIS_URL").unwrap();
    let output = Command::new(env!("CARGO_BIN_EXE_loadtest"))
        .args(["dns", "--records", "100", "--addresses", "10", "--sample", "20", "--report", "json"])
        .args(["--seconds", "1", "--connections", "4", "--limit", "240"])
        .env("REDIS_URL", format!("{}/14", redis.trim_end_matches('/')))
        .output()
        .unwrap();
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{errors}");
    let report: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(report["changed"]["updates"], 100, "{report}");
    assert_eq!(report["changed"]["history"]["good"], 100, "{report}");
    assert_eq!(report["changed"]["watched"], 20, "{report}");
    assert_eq!(report["first"]["calls"], 10, "{report}");
    for sort in ["good", "nochg"] {
        assert!(report[sort]["calls"].as_u64() > Some(0), "{report}");
    }
}

#[test]
fn what_cannot_be_is_refused() {
    let mut command = Command::new(env!("CARGO_BIN_EXE_loadtest"));
    let output = command.args(["dns", "--records", "5", "--addresses", "10"]).output().unwrap();
    assert_eq!(output.status.code(), Some(1));
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(errors.contains("--records 5: each of the 10 addresses needs one at least"), "{errors}");
}

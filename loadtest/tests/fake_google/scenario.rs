//! Scenario files: the documented example, and what is said of files that cannot be played.

use std::{
    fs,
    io::{BufRead, BufReader, Write},
    path::Path,
    process::{Command, Stdio},
    time::{Duration, Instant},
};

use loadtest::fake_google::{FakeGoogle, Scenario};

use crate::client::{http, refresh};

/// The example in the documentation.
fn example() -> String {
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/fake-google.md");
    let text = fs::read_to_string(file).unwrap();
    let (_, rest) = text.split_once("```json\n").unwrap();
    rest.split_once("```").unwrap().0.to_owned()
}

#[tokio::test]
async fn the_documented_example_is_played() {
    let scenario = Scenario::parse(&example()).unwrap();
    let google = FakeGoogle::play(&scenario, 0).await.unwrap();
    let truth = google.world().truth(None);
    let accounts: Vec<_> = truth.iter().map(|account| account.email.as_str()).collect();
    assert_eq!(accounts, ["user1@example.com", "user2@example.com", "anna@example.com"]);
    let team = truth[0].calendars.iter().find(|calendar| calendar.id == "team").unwrap();
    assert_eq!(team.events[0].summary.as_deref(), Some("Standup"));
    assert_eq!(team.events[1].status, "cancelled");
    assert_eq!(google.options().page_size_cap, 25);

    let http = http();
    assert_eq!(http.post(google.token_url()).send().await.unwrap().status(), 503, "its fault strikes once");
    let (status, answer) = refresh(&google, &http, &[("refresh_token", "refresh-anna")]).await;
    assert_eq!(status, 200, "{answer}");
}

#[tokio::test]
async fn the_same_seed_makes_the_same_world() {
    let mut worlds = Vec::new();
    for _ in 0..2 {
        let quiet = example().replace("\"churn_per_s\": 2,", "");
        let google = FakeGoogle::play(&Scenario::parse(&quiet).unwrap(), 0).await.unwrap();
        let rows = google.world().truth_rows();
        worlds.push(rows);
    }
    assert!(worlds[0].len() > 100);
    assert_eq!(worlds[0], worlds[1]);
}

#[tokio::test]
async fn troubles_come_in_time_and_as_often_as_they_say() {
    let text = r#"{
        "world": [{"op": "seed", "accounts": 1, "calendars_per_account": 1, "events_per_calendar": 1}],
        "troubles": [
            {"at_s": 0.05, "every_s": 0.1, "times": 2, "do": {"op": "seed", "accounts": 1,
                "calendars_per_account": 1, "events_per_calendar": 1}},
            {"at_s": 0.05, "fault": {"api": "token", "kind": "status", "status": 500}},
            {"at_s": 0.1, "do": {"op": "delete_event", "calendar": "nowhere", "id": "nothing"}}
        ]
    }"#;
    let google = FakeGoogle::play(&Scenario::parse(text).unwrap(), 0).await.unwrap();
    let began = Instant::now();
    while google.world().truth(None).len() < 3 {
        assert!(began.elapsed() < Duration::from_secs(10));
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    let http = http();
    assert_eq!(refresh(&google, &http, &[]).await.0, 500);
    // One more would have come by now.
    tokio::time::sleep(Duration::from_millis(300)).await;
    assert_eq!(google.world().truth(None).len(), 3);
    google.stop().await.unwrap();
}

#[test]
fn what_is_wrong_is_told_with_its_line_and_field() {
    let cases = [
        ("{\n  \"sed\": 1\n}", &["line 2", "unknown field `sed`", "`seed`"][..]),
        ("{\n  \"page_size\": 0\n}", &["line 2", "page_size", "1 to 2500 is allowed"]),
        ("{\n  \"latency_ms\": \"x\"\n}", &["line 2", "latency_ms", "invalid type: string \"x\""]),
        ("{\n  \"now\": \"soon\"\n}", &["line 2", "now: "]),
        ("{\n\"churn_per_s\": -1}", &["line 2", "churn_per_s", "up to 100000 is allowed"]),
        (
            "{\n  \"world\": [\n    {\"op\": \"explode\"}\n  ]\n}",
            &["line 3", "world[0]", "`explode`", "`add_account`"],
        ),
        (
            "{\"world\": [\n{\"op\": \"add_account\", \"email\": \"a\",\n\"refresh_token\": \"r\"},\n{\"op\": \"add_calendar\", \"owner\": \"b\", \"summary\": \"B\"}]}",
            &["line 4", "world[1]", "no account b: add it first"],
        ),
        (
            "{\"world\": [{\"op\": \"add_account\", \"email\": \"a\"}]}",
            &["line 1", "world[0]", "missing field `refresh_token`"],
        ),
        (
            "{\"faults\": [\n{\"kind\": \"cut\"},\n{\"kind\": \"cut\", \"probability\": 7}]}",
            &["line 3", "faults[1]", "probability 7: 0 to 1 is allowed"],
        ),
        (
            "{\"faults\": [{\"kind\": \"cut\", \"cuont\": 7}]}",
            &["faults[0]", "unknown field `cuont`", "count"],
        ),
        ("{\"faults\": [{\"kind\": \"status\", \"status\": 200}]}", &["faults[0]", "400 to 599 is allowed"]),
        (
            "{\"faults\": [{\"api\": \"mail\", \"kind\": \"cut\"}]}",
            &["faults[0]", "`mail`", "`calendar_list`"],
        ),
        ("{\"troubles\": [{\"at_s\": 1}]}", &["troubles[0]", "exactly one of do, fault and push"]),
        (
            "{\"troubles\": [{\"at_s\": -1, \"fault\": {\"kind\": \"cut\"}}]}",
            &["troubles[0]", "at_s: -1: 0 to 86400 is allowed"],
        ),
        (
            "{\"troubles\": [\n\n{\"at_s\": 1, \"do\": {\"op\": \"revoke\",\n \"email\": 5}}]}",
            &["line 4", "troubles[0].do", "invalid type: integer `5`"],
        ),
        ("{\n\"seed\": 1,\n}", &["line 3", "trailing comma"]),
        ("{}\n{}", &["line 2", "trailing characters"]),
        ("", &["line 1", "EOF"]),
    ];
    for (text, words) in cases {
        let error = format!("{:#}", Scenario::parse(text).unwrap_err());
        for word in words {
            assert!(error.contains(word), "{word:?} is missing in {error:?}, of {text:?}");
        }
    }
}

#[test]
fn the_program_plays_a_file_and_refuses_a_bad_one() {
    let program = env!("CARGO_BIN_EXE_loadtest");
    let mut file = tempfile::NamedTempFile::new().unwrap();
    file.write_all(example().as_bytes()).unwrap();
    let play = |file: &Path| {
        let mut command = Command::new(program);
        command.args(["fake-google", "--scenario"]).arg(file).stdout(Stdio::piped()).stderr(Stdio::piped());
        command
    };
    let mut child = play(file.path()).spawn().unwrap();
    let mut line = String::new();
    BufReader::new(child.stdout.take().unwrap()).read_line(&mut line).unwrap();
    child.kill().unwrap();
    child.wait().unwrap();
    assert!(line.starts_with("http://127.0.0.1:"), "{line}");

    let mut bad = tempfile::NamedTempFile::new().unwrap();
    bad.write_all(b"{\n\"page_size\": 9999}").unwrap();
    let path = bad.path().to_str().unwrap().to_owned();
    for (file, words) in [
        (bad.path(), &[path.as_str(), "line 2, page_size: 9999: 1 to 2500 is allowed"][..]),
        (Path::new("/nowhere.json"), &["cannot read the scenario /nowhere.json"]),
    ] {
        let output = play(file).output().unwrap();
        assert_eq!(output.status.code(), Some(1));
        assert!(output.stdout.is_empty());
        let errors = String::from_utf8_lossy(&output.stderr);
        assert!(words.iter().all(|word| errors.contains(word)), "{errors}");
    }
    let both =
        Command::new(program).args(["fake-google", "--scenario", "x", "--seed", "1"]).output().unwrap();
    assert_eq!(both.status.code(), Some(2));
}

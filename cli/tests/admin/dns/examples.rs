//! What docs/dns-providers.md says of each provider, held against the program.

use std::{collections::BTreeSet, fs};

use loadtest::fake_google::{FakeGoogle, Options};
use serde_json::{Map, Value, json};
use shared::{
    admin::dns::providers::PROVIDERS,
    dns::{
        Provider,
        provider::{NAMES, Rule},
    },
};
use sqlx::PgPool;

use super::{SECRET, program, rows};

const PAGE: &str = include_str!("../../../../docs/dns-providers.md");

/// The section of a provider.
fn section(provider: &str) -> &'static str {
    let mut sections = PAGE.split("\n## ").filter_map(|part| part.split_once('\n'));
    let found = sections.find(|(title, _)| *title == provider);
    found.unwrap_or_else(|| panic!("{provider} has no section")).1
}

/// The first block of code in a language.
fn block(section: &'static str, language: &str) -> Option<&'static str> {
    let (_, behind) = section.split_once(&format!("```{language}\n"))?;
    behind.split_once("\n```").map(|(block, _)| block)
}

/// The cells of a table's rows, without its head.
fn table<'a>(section: &'a str, head: &str) -> Vec<Vec<&'a str>> {
    let begin = section.find(head).unwrap_or_else(|| panic!("{head} is missing:\n{section}"));
    section[begin..]
        .lines()
        .take_while(|line| line.starts_with('|'))
        .skip(2)
        .map(|line| line.trim_matches('|').split(" | ").map(str::trim).collect())
        .collect()
}

#[sqlx::test(migrator = "shared::store::schema::MIGRATOR")]
async fn each_example_is_a_dry_run_that_works(db: PgPool) {
    let robot = "dns@my-project.iam.gserviceaccount.com";
    let google = FakeGoogle::start(Options::default()).await.unwrap();
    google.world().add_service_account(robot).unwrap();
    let folder = tempfile::tempdir().unwrap();
    for (file, text) in [
        ("token", SECRET.to_owned()),
        ("password", SECRET.to_owned()),
        ("secret-key", SECRET.to_owned()),
        ("key", "aHVudGVyMiYrIyU=".to_owned()),
        ("key.json", google.key_file(robot).unwrap().to_string()),
        ("dynv6.json", block(section("template"), "json").unwrap().to_owned()),
    ] {
        fs::write(folder.path().join(file), text).unwrap();
    }

    let program = program(&db);
    program.ok(&["tenant", "add", "me"]);
    program.ok(&["dns", "address", "add", "home", "--tenant", "me", "--ipv4", "echo", "--ipv6", "echo"]);
    let before = rows(&db).await;
    for name in NAMES {
        let example = block(section(name), "sh").unwrap_or_else(|| panic!("{name} has no example"));
        assert!(!example.contains(['\'', '"', '#', '|']), "{name}: plain words alone: {example}");
        let joined = example.replace("\\\n", " ");
        let mut words: Vec<String> = joined.split_whitespace().map(str::to_owned).collect();
        assert_eq!(words.remove(0), "syncfleet", "{name}");
        let said = |flag: &str, value: &str| words.windows(2).any(|pair| pair == [flag, value]);
        assert!(said("--provider", name) && words.contains(&"--dry-run".to_owned()), "{name}: {example}");
        for at in 1..words.len() {
            if words[at - 1].ends_with("-file") {
                words[at] = folder.path().join(&words[at]).to_str().unwrap().to_owned();
            }
        }
        let shown = program.run(&words.iter().map(String::as_str).collect::<Vec<_>>());
        assert_eq!(shown.code, 0, "{name}: {shown:?}");
        assert!(shown.stderr.contains("nothing was written, and nothing was sent"), "{name}: {shown:?}");
        for address in ["192.0.2.1", "2001:db8::1"] {
            assert!(shown.stdout.contains(address), "{name}: {}", shown.stdout);
        }
        for secret in ["hunter2", "aHVudGVyMiYrIyU", "PRIVATE KEY"] {
            assert!(!shown.stdout.contains(secret), "{name}: {}", shown.stdout);
        }
    }
    assert_eq!(rows(&db).await, before);
}

/// A value that a setting which must be given may have.
fn value(provider: &str, setting: &str) -> Value {
    match setting {
        "url" => json!("https://a.example/"),
        "zone" if provider != "google-cloud" => json!("example.org"),
        "parameters" => json!([{ "name": "a", "is": "address" }]),
        "good" => json!({ "first_word": ["ok"] }),
        _ => json!("x"),
    }
}

#[test]
fn each_setting_is_told_with_its_default() {
    for described in PROVIDERS {
        let name = described.name;
        let mut shortest: Map<String, Value> =
            described.needs.iter().map(|setting| ((*setting).to_owned(), value(name, setting))).collect();
        shortest.insert("provider".to_owned(), json!(name));
        let all = serde_json::to_value(Provider::parse(Value::Object(shortest)).unwrap()).unwrap();
        let default = |setting: &'static str| match &all[setting] {
            _ if described.needs.contains(&setting) => "needed".to_owned(),
            Value::Null => "none".to_owned(),
            Value::String(text) => format!("`{text}`"),
            other => format!("`{other}`"),
        };
        let settings = [described.needs, described.takes].concat();
        let expected: BTreeSet<(String, String)> =
            settings.iter().map(|setting| (format!("`{setting}`"), default(setting))).collect();
        let told = table(section(name), "| setting | what it is | default | meaning |");
        assert!(told.iter().all(|row| row.len() == 4 && !row[1].is_empty() && !row[3].is_empty()), "{name}");
        let told: BTreeSet<(String, String)> =
            told.iter().map(|row| (row[0].to_owned(), row[2].to_owned())).collect();
        assert_eq!(told, expected, "{name}");
    }
}

#[test]
fn each_rule_of_a_template_is_one() {
    let rules = table(section("template"), "| rule | holds if |");
    for row in &rules {
        let rule = serde_json::from_str::<Rule>(row[0].trim_matches('`'));
        assert!(rule.is_ok(), "{}: {rule:?}", row[0]);
    }
    assert_eq!(rules.len(), 4, "all that there are");
}

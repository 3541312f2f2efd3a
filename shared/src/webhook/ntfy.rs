//! Notifications for people, as ntfy takes them: JSON, posted to the root of its server.
//! <https://docs.ntfy.sh/publish/#publish-as-json>

use std::{collections::HashMap, fmt::Write};

use serde::Serialize;

use super::form::Batch;
use crate::store::{
    changes::{Entry, Resource, What},
    webhooks::WebhookId,
};

/// The most bytes of a text. ntfy makes an attachment of a message that is longer than 4,096 bytes, and takes no JSON that is
/// longer than twice that; escaped it may become twice as long as it is here.
const TEXT_LIMIT: usize = 3_000;

/// The most characters of a title.
const TITLE_LIMIT: usize = 250;

/// ntfy's priorities go from 1 to 5: <https://docs.ntfy.sh/publish/#message-priority>.
const HIGH: u8 = 4;
const DEFAULT: u8 = 3;

/// A message, as ntfy names its parts.
#[derive(Debug, Serialize)]
struct Notification<'a> {
    topic: &'a str,
    title: String,
    message: String,
    priority: u8,
    /// Those that name an emoji are shown as one: <https://docs.ntfy.sh/emojis/>.
    tags: &'a [&'a str],
    /// A message that comes again takes the place of the first one. Servers older than 2.16 show both.
    #[serde(skip_serializing_if = "Option::is_none")]
    sequence_id: Option<String>,
}

impl Notification<'_> {
    fn json(&self) -> String {
        // All keys are strings: it does not fail.
        serde_json::to_string(self).unwrap_or_default()
    }
}

/// One notification of all changes of a batch.
pub(super) fn changes(topic: &str, batch: Batch<'_>) -> String {
    let (title, mut message) = match batch.entries {
        [] => ("Changes were lost".to_owned(), String::new()),
        [one] => (headline(one), alone(one)),
        several => (summary(several), lines(several)),
    };
    if batch.lost {
        message.push_str("\nEarlier changes were dropped before they could be sent.");
    }
    let (priority, tags): (_, &[_]) = if any_failing(batch.entries) {
        (HIGH, &["warning"])
    } else if batch.entries.iter().any(|entry| entry.what == What::Recovered) {
        (DEFAULT, &["white_check_mark"])
    } else {
        (DEFAULT, &[])
    };
    // At most 64 characters: letters, digits, - and _.
    let (webhook, end) = (batch.webhook, batch.end);
    let sequence_id = Some(format!("{webhook:x}-{:x}-{:x}-{:x}", end.epoch, end.xid, end.id));
    let title = title.chars().take(TITLE_LIMIT).collect();
    let message = message.trim().to_owned();
    Notification { topic, title, message, priority, tags, sequence_id }.json()
}

/// A test message.
pub(super) fn test(topic: &str, webhook: WebhookId) -> String {
    let title = "syncfleet: a test".to_owned();
    let message = format!("Webhook {webhook} reaches you here.");
    Notification { topic, title, message, priority: DEFAULT, tags: &[], sequence_id: None }.json()
}

/// What happened to whom.
fn headline(entry: &Entry) -> String {
    let key = &entry.key;
    match (entry.resource, entry.what) {
        (Resource::DnsRecord, What::Failing) => format!("{key} does not follow its address"),
        (Resource::DnsRecord, What::Recovered) => format!("{key} follows its address again"),
        (Resource::DnsRecord, What::Updated) => format!("{key} has a new address"),
        (Resource::DnsAddress, What::Failing) => format!("Address {key} fails"),
        (Resource::DnsAddress, What::Recovered) => format!("Address {key} fails no more"),
        (Resource::DnsRecord, What::Deleted) => format!("{key} is not kept any more"),
        (Resource::DnsAddress, What::Deleted) => format!("Address {key} is removed"),
        (resource, what) => {
            let of = entry.account.map(|account| format!(" of account {account}")).unwrap_or_default();
            format!("{} {key}{of}: {}", resource.as_str(), what.as_str())
        }
    }
}

fn alone(entry: &Entry) -> String {
    let at = entry.at.format("%Y-%m-%d %H:%M UTC");
    entry.detail.as_ref().map_or_else(|| at.to_string(), |detail| format!("{detail}\n{at}"))
}

/// How many of which.
fn summary(entries: &[Entry]) -> String {
    let worst_first = [What::Failing, What::Recovered, What::Created, What::Updated, What::Deleted];
    let counts = worst_first.iter().filter_map(|what| {
        let count = entries.iter().filter(|entry| entry.what == *what).count();
        (count > 0).then(|| format!("{count} {}", what.as_str()))
    });
    format!("{} changes: {}", entries.len(), counts.collect::<Vec<_>>().join(", "))
}

/// A line for each, as far as they go.
fn lines(entries: &[Entry]) -> String {
    let mut text = String::new();
    for (told, entry) in entries.iter().enumerate() {
        let detail = entry.detail.as_ref().map(|detail| format!(": {detail}")).unwrap_or_default();
        let line = format!("{} {}{detail}\n", entry.at.format("%d %b %H:%M"), headline(entry));
        if text.len() + line.len() > TEXT_LIMIT {
            // Writing to a string does not fail.
            let _ = writeln!(text, "and {} more", entries.len() - told);
            break;
        }
        text.push_str(&line);
    }
    text.push_str("(UTC)");
    text
}

/// Whether something still fails after all of them.
fn any_failing(entries: &[Entry]) -> bool {
    let mut last = HashMap::new();
    for entry in entries {
        if matches!(entry.what, What::Failing | What::Recovered | What::Deleted) {
            last.insert((entry.resource, entry.parent, &entry.key), entry.what);
        }
    }
    last.values().any(|what| *what == What::Failing)
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;
    use crate::store::changes::Position;

    fn entry(key: &str, what: What, detail: Option<&str>) -> Entry {
        Entry {
            id: Position { epoch: 1, xid: 2, id: 3 },
            at: "2026-03-01T10:00:03.512345Z".parse().unwrap(),
            account: None,
            resource: Resource::DnsRecord,
            parent: Some(7),
            key: key.to_owned(),
            what,
            detail: detail.map(str::to_owned),
        }
    }

    fn told(entries: &[Entry], lost: bool) -> Value {
        let end = Position { epoch: 29_921_168, xid: 7_421, id: 88 };
        let body = changes("home", Batch { webhook: 3, end, entries, lost });
        assert_eq!(body, changes("home", Batch { webhook: 3, end, entries, lost }), "the same bytes");
        assert!(body.len() <= 2 * 4_096, "{} bytes", body.len());
        let value: Value = serde_json::from_str(&body).unwrap();
        assert!(value["message"].as_str().unwrap().len() <= 4_096);
        value
    }

    #[test]
    fn one_change_is_a_sentence_with_its_reason() {
        let failing = entry("home.example.com", What::Failing, Some("IPv4: badauth: no such user"));
        assert_eq!(
            told(&[failing], false),
            json!({
                "topic": "home",
                "title": "home.example.com does not follow its address",
                "message": "IPv4: badauth: no such user\n2026-03-01 10:00 UTC",
                "priority": 4,
                "tags": ["warning"],
                "sequence_id": "3-1c88f90-1cfd-58",
            })
        );
        let recovered = told(&[entry("home.example.com", What::Recovered, None)], true);
        assert_eq!(
            recovered["message"],
            "2026-03-01 10:00 UTC\nEarlier changes were dropped before they could be sent."
        );
        assert_eq!((&recovered["priority"], &recovered["tags"][0]), (&3.into(), &"white_check_mark".into()));
        let none = told(&[], true);
        assert_eq!(none["title"], "Changes were lost");
        let event =
            Entry { account: Some(42), resource: Resource::Event, ..entry("5k2", What::Updated, None) };
        assert_eq!(told(&[event], false)["title"], "event 5k2 of account 42: updated");
    }

    #[test]
    fn several_are_one_summary_whose_priority_is_how_it_stands_in_the_end() {
        let mut several = vec![
            entry("a.example", What::Failing, Some("no answer")),
            entry("b.example", What::Updated, Some("203.0.113.7")),
            entry("a.example", What::Recovered, None),
        ];
        let value = told(&several, false);
        assert_eq!(value["title"], "3 changes: 1 failing, 1 recovered, 1 updated");
        assert_eq!(
            value["message"],
            "01 Mar 10:00 a.example does not follow its address: no answer\n\
             01 Mar 10:00 b.example has a new address: 203.0.113.7\n\
             01 Mar 10:00 a.example follows its address again\n(UTC)"
        );
        assert_eq!((&value["priority"], &value["tags"][0]), (&3.into(), &"white_check_mark".into()));
        several.push(entry("b.example", What::Failing, None));
        assert_eq!(told(&several, false)["priority"], 4);
    }

    #[test]
    fn what_would_be_too_long_is_counted() {
        let detail = "\"\\".repeat(150);
        let many: Vec<Entry> =
            (0..100).map(|n| entry(&format!("{n}.example"), What::Failing, Some(&detail))).collect();
        let value = told(&many, true);
        let message = value["message"].as_str().unwrap();
        let lines = message.lines().filter(|line| line.contains("does not follow")).count();
        assert!(lines >= 5 && message.contains(&format!("\nand {} more\n", 100 - lines)), "{message}");
        let long = told(&[entry(&"\"".repeat(1_000), What::Failing, Some(&"\"".repeat(300)))], true);
        assert_eq!(long["title"].as_str().unwrap().len(), TITLE_LIMIT);
    }

    #[test]
    fn a_sequence_id_is_one_to_ntfy_whatever_the_numbers() {
        let end = Position { epoch: i32::MAX, xid: i64::MAX, id: i64::MAX };
        let body = changes("t", Batch { webhook: i64::MAX, end, entries: &[], lost: true });
        let value: Value = serde_json::from_str(&body).unwrap();
        let id = value["sequence_id"].as_str().unwrap();
        assert!(
            id.len() <= 64 && id.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-'),
            "{id}"
        );
    }
}

use chrono::{DateTime, Utc};
use serde_json::json;
use url::Url;

use super::ntfy;
use crate::store::{
    changes::{Entry, Position},
    webhooks::WebhookId,
};

/// What the messages to a webhook look like.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Form {
    /// The changes, for programs, signed: <https://www.standardwebhooks.com>.
    Standard,
    /// Notifications, for people, through an ntfy server: <https://docs.ntfy.sh/publish/#publish-as-json>.
    Ntfy {
        /// Where the server puts them.
        topic: String,
    },
}

/// A webhook of this form cannot be.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum FormError {
    /// The topic is none to ntfy.
    #[error("the topic has 1 to 64 characters, each a letter, a digit, - or _")]
    Topic,
    /// The URL is not that of a server.
    #[error(
        "ntfy takes messages at the root of its server: give https://ntfy.example/ as URL, and the topic by --topic"
    )]
    NotTheRoot,
}

/// Changes that are sent as one message.
#[derive(Debug, Clone, Copy)]
pub struct Batch<'a> {
    /// To which webhook.
    pub webhook: WebhookId,
    /// Where they end.
    pub end: Position,
    /// In the feed's order.
    pub entries: &'a [Entry],
    /// Changes before them were dropped before they could be sent.
    pub lost: bool,
}

impl Form {
    /// The form that goes with a topic of ntfy, or with none.
    #[must_use]
    pub fn of(topic: Option<String>) -> Self {
        topic.map_or(Self::Standard, |topic| Self::Ntfy { topic })
    }

    /// The word in the CLI.
    #[must_use]
    pub const fn as_str(&self) -> &'static str {
        match self {
            Self::Standard => "standard",
            Self::Ntfy { .. } => "ntfy",
        }
    }

    /// The topic of ntfy.
    #[must_use]
    pub fn topic(&self) -> Option<&str> {
        match self {
            Self::Standard => None,
            Self::Ntfy { topic } => Some(topic),
        }
    }

    /// Whether messages of this form can go to a URL.
    pub fn check(&self, url: &Url) -> Result<(), FormError> {
        let Self::Ntfy { topic } = self else { return Ok(()) };
        let is_topic = |c: char| c.is_ascii_alphanumeric() || "-_".contains(c);
        if !(1..=64).contains(&topic.len()) || !topic.chars().all(is_topic) {
            return Err(FormError::Topic);
        }
        let is_root = url.path() == "/" && url.query().is_none() && url.fragment().is_none();
        if is_root { Ok(()) } else { Err(FormError::NotTheRoot) }
    }

    /// The body of the message that tells these changes: the same bytes whenever it is made.
    #[must_use]
    pub fn changes(&self, batch: Batch<'_>) -> String {
        match self {
            Self::Standard => {
                let mut data =
                    json!({ "webhook": batch.webhook, "end": batch.end, "changes": batch.entries });
                if batch.lost {
                    data["lost"] = true.into();
                }
                let timestamp = batch.entries.last().map(|last| last.at);
                json!({ "type": "changes", "timestamp": timestamp, "data": data }).to_string()
            }
            Self::Ntfy { topic } => ntfy::changes(topic, batch),
        }
    }

    /// The body of a test message.
    #[must_use]
    pub fn test(&self, webhook: WebhookId, now: DateTime<Utc>) -> String {
        match self {
            Self::Standard => {
                json!({ "type": "test", "timestamp": now, "data": { "webhook": webhook } }).to_string()
            }
            Self::Ntfy { topic } => ntfy::test(topic, webhook),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ntfy_is_called_at_its_root_and_by_a_topic_that_it_takes() {
        let ntfy = |topic: &str| Form::of(Some(topic.to_owned()));
        let check = |form: &Form, url: &str| form.check(&url.parse().unwrap());
        for url in ["https://ntfy.sh", "https://ntfy.sh/", "http://10.0.0.7:8080/"] {
            assert_eq!(check(&ntfy("home_Names-7"), url), Ok(()));
        }
        for url in ["https://ntfy.sh/home", "https://ntfy.sh/?x=1", "https://ntfy.sh/#home"] {
            assert_eq!(check(&ntfy("home"), url), Err(FormError::NotTheRoot), "{url}");
            assert_eq!(check(&Form::Standard, url), Ok(()));
        }
        for topic in ["", "a b", "a/b", "ä", &"x".repeat(65)] {
            assert_eq!(check(&ntfy(topic), "https://ntfy.sh"), Err(FormError::Topic), "{topic}");
        }
    }
}

use std::{net::IpAddr, time::Duration};

use super::{Wanted, http::MASK};

/// What an answer means to whoever keeps the record.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Outcome {
    /// The record was changed.
    Good,
    /// The record had the address already. To be counted: to send what was sent before is abuse at many providers.
    NoChange,
    /// Nothing was changed, and nothing may be sent before this time is over.
    Wait(Duration),
    /// Nothing will change until a person acts.
    Park(Park),
    /// Nothing is known to have changed, and it may go better later.
    Retry,
    /// Refused for a reason that is not known to be lasting. The same may be tried a few times more, then it needs a person.
    Refused,
}

/// What a person must see to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Park {
    /// User, password, token or key are not accepted.
    BadAuth,
    /// The provider does not serve this program, or ignores it.
    BadAgent,
    /// The provider has no such name or zone, or it is another account's.
    NoHost,
    /// The name is none to the provider.
    NotFqdn,
    /// Too many names at once, or a name in a rotation.
    NumHost,
    /// Blocked for abuse.
    Abuse,
    /// The credentials are right, but may not do this.
    NotPermitted,
    /// A setting makes no sense to the provider.
    BadSetting,
    /// The record is there, but is not this fleet's to change.
    NotOurs,
    /// RFC 8945: the signature does not fit the key.
    BadSig,
    /// RFC 8945: the server does not know the key.
    BadKey,
    /// The clocks differ by too much.
    BadTime,
    /// The server is not the primary of the zone.
    NotZone,
}

impl Park {
    /// The word in the database, in metrics and in messages.
    #[must_use]
    pub const fn word(self) -> &'static str {
        match self {
            Self::BadAuth => "badauth",
            Self::BadAgent => "badagent",
            Self::NoHost => "nohost",
            Self::NotFqdn => "notfqdn",
            Self::NumHost => "numhost",
            Self::Abuse => "abuse",
            Self::NotPermitted => "notpermitted",
            Self::BadSetting => "badsetting",
            Self::NotOurs => "notours",
            Self::BadSig => "badsig",
            Self::BadKey => "badkey",
            Self::BadTime => "badtime",
            Self::NotZone => "notzone",
        }
    }
}

/// An outcome, with the provider's words or what happened instead: one line, at most 200 characters, without the secret.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Answer {
    /// What it means.
    pub outcome: Outcome,
    /// What was said.
    pub said: String,
}

impl Answer {
    pub(super) fn new(outcome: Outcome, said: impl Into<String>) -> Self {
        Self { outcome, said: said.into() }
    }

    pub(super) fn retry(said: impl Into<String>) -> Self {
        Self::new(Outcome::Retry, said)
    }

    pub(super) fn park(park: Park, said: impl Into<String>) -> Self {
        Self::new(Outcome::Park(park), said)
    }
}

/// One answer for each record that was asked for.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Answers {
    /// Of the A record.
    pub a: Option<Answer>,
    /// Of the AAAA record.
    pub aaaa: Option<Answer>,
}

impl Answers {
    /// The same answer for every record that was asked for.
    pub(super) fn all(wanted: &Wanted, answer: &Answer) -> Self {
        Self { a: wanted.v4.map(|_| answer.clone()), aaaa: wanted.v6.map(|_| answer.clone()) }
    }

    pub(super) fn set(&mut self, address: IpAddr, answer: Answer) {
        match address {
            IpAddr::V4(_) => self.a = Some(answer),
            IpAddr::V6(_) => self.aaaa = Some(answer),
        }
    }
}

/// What a provider said, short, on one line, and without the secret.
pub(super) fn said(text: &str, secret: &str) -> String {
    let mut text = text.to_owned();
    if !secret.is_empty() {
        let encoded: String = url::form_urlencoded::byte_serialize(secret.as_bytes()).collect();
        text = text.replace(secret, MASK).replace(&encoded, MASK);
    }
    let line: String = text.chars().map(|c| if c.is_control() { ' ' } else { c }).collect();
    line.split_whitespace().collect::<Vec<_>>().join(" ").chars().take(200).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_told_is_short_on_one_line_and_without_the_secret() {
        assert_eq!(said("bad\r\n  token s3cret\u{1b}[2J", "s3cret"), "bad token *** [2J");
        assert_eq!(said("?token=a%26b", "a&b"), "?token=***");
        assert_eq!(said(&"x".repeat(500), "").len(), 200);
    }
}

use std::{net::IpAddr, time::Duration};

use base64::{Engine as _, engine::general_purpose::STANDARD_NO_PAD};
use serde_json::Value;

use super::{Wanted, http::MASK};

/// The most characters that are told of an answer.
const LONGEST: usize = 200;

/// What an answer means to whoever keeps the record.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Outcome {
    /// The record was changed.
    Good,
    /// The record had the address already. To be counted: to send what was sent before is abuse at many providers.
    NoChange,
    /// Nothing was changed, and nothing may be sent before this time is over.
    Wait(Duration),
    /// Whether anything was changed is not known, and nothing may be sent before this time is over.
    Unknown(Duration),
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

/// The word, beside those of [`Park`], for refusals without a known reason that have become too many.
pub const REFUSED: &str = "refused";

impl Park {
    /// All of them.
    pub const ALL: [Self; 13] = [
        Self::BadAuth,
        Self::BadAgent,
        Self::NoHost,
        Self::NotFqdn,
        Self::NumHost,
        Self::Abuse,
        Self::NotPermitted,
        Self::BadSetting,
        Self::NotOurs,
        Self::BadSig,
        Self::BadKey,
        Self::BadTime,
        Self::NotZone,
    ];

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

    /// What this answer means of an update that the provider had taken before, and is done in its own time: that it cannot be told how it
    /// ended. Nothing else, whatever keeps it from being told: the record is changed, or will be.
    pub(super) fn of_what_was_taken(self) -> Self {
        let outcome = match self.outcome {
            Outcome::Wait(time) => Outcome::Unknown(time),
            Outcome::Park(_) | Outcome::Refused => Outcome::Retry,
            outcome => outcome,
        };
        Self {
            outcome,
            said: format!("taken, its end is not known: {}", self.said).chars().take(LONGEST).collect(),
        }
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

    /// An answer after which nothing more is to be sent now, for the addresses that were not sent: it is not about one of them.
    pub(super) fn end(&self) -> Option<Answer> {
        self.ended_by(|park| matches!(park, Park::BadAuth | Park::BadAgent | Park::Abuse))
    }

    /// The same where whatever parks is about the whole name.
    pub(super) fn end_of_the_name(&self) -> Option<Answer> {
        self.ended_by(|_| true)
    }

    fn ended_by(&self, parks: impl Fn(Park) -> bool) -> Option<Answer> {
        let ends = |answer: &&Answer| match answer.outcome {
            Outcome::Wait(_) | Outcome::Unknown(_) => true,
            Outcome::Park(park) => parks(park),
            Outcome::Good | Outcome::NoChange | Outcome::Retry | Outcome::Refused => false,
        };
        let answer = [&self.a, &self.aaaa].into_iter().flatten().find(ends)?;
        let said = format!("not sent, as before: {}", answer.said).chars().take(LONGEST).collect();
        let outcome = match answer.outcome {
            // Of what was not sent it is known that nothing was changed.
            Outcome::Unknown(time) => Outcome::Wait(time),
            outcome => outcome,
        };
        Some(Answer { outcome, said })
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
    let line: String = masked(text, secret).chars().map(|c| if c.is_control() { ' ' } else { c }).collect();
    line.split_whitespace().collect::<Vec<_>>().join(" ").chars().take(LONGEST).collect()
}

/// A text without the secret, however a provider has written what it was sent: as it is, percent-encoded, in JSON, in HTML, or in base64
/// with a user before it.
fn masked(text: &str, secret: &str) -> String {
    if secret.is_empty() {
        return text.to_owned();
    }
    let form: String = url::form_urlencoded::byte_serialize(secret.as_bytes()).collect();
    let spaced = form.replace('+', "%20");
    let json = Value::from(secret).to_string();
    let html = secret.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;");
    let forms = [
        secret.to_owned(),
        lowered(&spaced),
        lowered(&form),
        spaced,
        json.trim_matches('"').to_owned(),
        html.replace('"', "&quot;").replace('\'', "&#39;"),
        html,
        form,
    ];
    let mut text = forms.iter().fold(text.to_owned(), |text, form| text.replace(form, MASK));
    let of_base64 = |c: char| c.is_ascii_alphanumeric() || "+/-_=".contains(c);
    let words: Vec<String> =
        text.split(|c| !of_base64(c)).filter(|word| word.len() > 7).map(str::to_owned).collect();
    for word in words {
        let plain = word.trim_end_matches('=').replace('-', "+").replace('_', "/");
        let decoded = STANDARD_NO_PAD.decode(plain).unwrap_or_default();
        if decoded.windows(secret.len()).any(|part| part == secret.as_bytes()) {
            text = text.replace(&word, MASK);
        }
    }
    text
}

/// Percent-encoded text with the hexadecimal digits in lower case, which mean the same (RFC 3986 section 2.1). What is not encoded stays.
fn lowered(form: &str) -> String {
    let mut digits = 0;
    let lower = |c: char| {
        let hex = digits > 0;
        digits = if c == '%' { 2_u8 } else { digits.saturating_sub(1) };
        if hex { c.to_ascii_lowercase() } else { c }
    };
    form.chars().map(lower).collect()
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

    #[test]
    fn the_secret_is_masked_however_it_is_written() {
        for (text, told) in [
            ("token s3 &\"' end", "token *** end"),
            ("?t=s3+%26%22%27&x=1", "?t=***&x=1"),
            ("?t=s3%20%26%22%27&x=1", "?t=***&x=1"),
            (r#"{"t":"s3 &\"'"}"#, r#"{"t":"***"}"#),
            ("<b>s3 &amp;\"'</b>", "<b>***</b>"),
            ("<b>s3 &amp;&quot;&#39;</b>", "<b>***</b>"),
            // user:s3 &"'
            ("got Authorization: Basic dXNlcjpzMyAmIic=!", "got Authorization: Basic ***!"),
            ("got dXNlcjpzMyAmIic", "got ***"),
        ] {
            assert_eq!(said(text, "s3 &\"'"), told, "{text}");
        }
    }

    #[test]
    fn a_secret_with_capitals_is_masked_with_hexadecimal_digits_of_either_case() {
        for text in ["Ab+C /D", "Ab%2BC+%2FD", "Ab%2bC+%2fD", "Ab%2BC%20%2FD", "Ab%2bC%20%2fD"] {
            assert_eq!(said(&format!("?t={text}&x=1"), "Ab+C /D"), "?t=***&x=1", "{text}");
        }
        // Not the secret: letters that are not encoded keep their case.
        assert_eq!(said("ab%2bc+%2fd", "Ab+C /D"), "ab%2bc+%2fd");
    }

    #[test]
    fn what_is_not_about_one_address_ends_it() {
        let after = |outcome| Answers { a: Some(Answer::new(outcome, "word")), aaaa: None }.end();
        for outcome in
            [Outcome::Wait(Duration::from_mins(1)), Outcome::Park(Park::BadAuth), Outcome::Park(Park::Abuse)]
        {
            let answer = after(outcome).unwrap();
            assert_eq!((answer.outcome, answer.said.as_str()), (outcome, "not sent, as before: word"));
        }
        let time = Duration::from_mins(1);
        assert_eq!(after(Outcome::Unknown(time)).unwrap().outcome, Outcome::Wait(time), "it was not sent");
        for outcome in [Outcome::Good, Outcome::Retry, Outcome::Refused, Outcome::Park(Park::NoHost)] {
            assert_eq!(after(outcome), None);
        }
        let of_the_name =
            |outcome| Answers { a: Some(Answer::new(outcome, "word")), aaaa: None }.end_of_the_name();
        let nohost = Outcome::Park(Park::NoHost);
        assert_eq!(of_the_name(nohost).map(|answer| answer.outcome), Some(nohost));
        assert_eq!(of_the_name(Outcome::Refused), None);
    }

    #[test]
    fn what_was_taken_is_neither_refused_nor_undone_by_a_later_word() {
        let time = Duration::from_mins(1);
        for (outcome, then) in [
            (Outcome::Wait(time), Outcome::Unknown(time)),
            (Outcome::Unknown(time), Outcome::Unknown(time)),
            (Outcome::Park(Park::NotPermitted), Outcome::Retry),
            (Outcome::Refused, Outcome::Retry),
            (Outcome::Retry, Outcome::Retry),
        ] {
            let answer = Answer::new(outcome, "x".repeat(200)).of_what_was_taken();
            assert_eq!((answer.outcome, answer.said.len()), (then, 200));
        }
    }
}

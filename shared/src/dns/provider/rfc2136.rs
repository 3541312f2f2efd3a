//! A zone's primary server, by DNS UPDATE (RFC 2136) with TSIG (RFC 8945), over TCP.
//!
//! One message holds, for each address, the deletion of the set and the new record: the server does all of it or nothing (RFC 2136
//! section 3.4), so that there is no moment without a record. A set that has the address already is not told from one that
//! has not, so every success is `Good`.
//!
//! With an owner a TXT record beside the name marks its records as that owner's. Every message that changes them requires the mark, or
//! that neither mark nor records are there: so the server itself keeps from others what is theirs, whoever writes at the same time.
//!
//! An answer that says BADSIG or BADKEY is not signed, since it cannot be (RFC 8945 section 5.3.2), and somebody on the way could
//! have made it; so could one that says BADTIME. They only park the record. Everything else must be signed by the key.

mod meaning;
mod message;
mod shown;
mod signed;

use base64::{Engine as _, engine::general_purpose::STANDARD};
use chrono::{DateTime, Utc};
use hickory_proto::{
    ProtoError,
    op::{Message, Query, ResponseCode},
    rr::{Name, rdata::tsig::TsigAlgorithm},
};
use secrecy::{ExposeSecret as _, SecretString};
use serde::{Deserialize, Serialize};

use self::{
    meaning::meaning,
    message::{Mark, mark},
    shown::shown,
};
use super::{FieldError, Finding, Held, Step};
use crate::dns::{Answer, Answers, Host, Http, Outcome, Park, Wanted, exchange::server};

/// A zone's primary server; its secret is that of the key, in base64, as `tsig-keygen` prints it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Rfc2136 {
    /// The server: a name or an address, with `:port` if it is not 53.
    pub server: String,
    /// The zone.
    pub zone: Host,
    /// The key's name.
    pub key: String,
    /// The key's algorithm.
    #[serde(default)]
    pub algorithm: Algorithm,
    /// What must be there before.
    #[serde(default)]
    pub require: Require,
    /// The text of the TXT record that marks records as this fleet's; none: every record may be changed.
    #[serde(default)]
    pub owner: Option<String>,
}

/// An algorithm of TSIG. MD5 and SHA-1 are not offered: RFC 8945 section 6.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Algorithm {
    /// `hmac-sha256`
    #[default]
    HmacSha256,
    /// `hmac-sha384`
    HmacSha384,
    /// `hmac-sha512`
    HmacSha512,
}

/// A prerequisite: RFC 2136 section 2.4.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Require {
    /// Nothing: a missing record is made.
    #[default]
    Nothing,
    /// The records that are to be changed, so that no misspelt name comes into being.
    Records,
}

impl Rfc2136 {
    pub(super) fn check(&self, wanted: &Wanted, secret: &SecretString) -> Result<(), FieldError> {
        if wanted.host.below(&self.zone).is_none() {
            return Err(FieldError::new("zone", format!("{} is not in the zone {}", wanted.host, self.zone)));
        }
        self.address().map_err(|why| FieldError::new("server", why))?;
        if self.key.is_empty() || !self.key.is_ascii() || Name::from_ascii(&self.key).is_err() {
            return Err(FieldError::new("key", "it is a name, as ddns-key"));
        }
        if let Some(owner) = &self.owner
            && !((1..=255).contains(&owner.len()) && owner.bytes().all(|b| b == b' ' || b.is_ascii_graphic()))
        {
            return Err(FieldError::new("owner", "it is 1 to 255 letters, digits and signs of ASCII"));
        }
        let bytes = STANDARD.decode(secret.expose_secret());
        if bytes.is_err() || bytes.is_ok_and(|bytes| bytes.is_empty()) {
            return Err(FieldError::new(
                "secret",
                "it is not base64; give the text after secret in the key's file, without quotes",
            ));
        }
        Ok(())
    }

    /// Host and port of the server.
    fn address(&self) -> Result<(&str, u16), String> {
        server(&self.server)
    }

    /// In the words of nsupdate.
    pub(super) fn plan(&self, wanted: &Wanted) -> Vec<Step> {
        let marks = if self.owner.is_none() {
            vec![(Mark::None, "# one message, by TCP")]
        } else {
            let mut marks = vec![(Mark::Ours, "# one message, by TCP")];
            if self.require == Require::Nothing {
                marks.push((Mark::New, "# if the mark is not there: one message, by TCP"));
            }
            marks
        };
        marks.into_iter().map(|(mark, note)| self.shown(wanted, mark, note)).collect()
    }

    /// The message that is sent, read back.
    fn shown(&self, wanted: &Wanted, marked: Mark, note: &str) -> Step {
        let head = [
            note.to_owned(),
            format!("server {}", self.server),
            format!("zone {}.", self.zone),
            format!("key {}:{} ***", self.algorithm.word(), self.key),
        ];
        let changes = match self.change(wanted, marked) {
            Ok(message) => shown(&message),
            Err(error) => vec![format!("# it cannot be made: {error}")],
        };
        let lines: Vec<String> = head.into_iter().chain(changes).chain(["send".to_owned()]).collect();
        Step::new(lines.join("\n"))
    }

    pub(super) async fn update(
        &self,
        http: &Http,
        secret: &SecretString,
        wanted: &Wanted,
        now: DateTime<Utc>,
    ) -> Answers {
        let answer = self.all(http, secret, wanted, now).await.unwrap_or_else(|answer| answer);
        Answers::all(wanted, &answer)
    }

    async fn all(
        &self,
        http: &Http,
        secret: &SecretString,
        wanted: &Wanted,
        now: DateTime<Utc>,
    ) -> Result<Answer, Answer> {
        if self.owner.is_none() {
            return self
                .one(http, secret, self.change(wanted, Mark::None), now)
                .await
                .map(|(_, answer)| answer);
        }
        let (code, answer) = self.one(http, secret, self.change(wanted, Mark::Ours), now).await?;
        if code != ResponseCode::NXRRSet || self.require == Require::Records {
            return Ok(if code == ResponseCode::NXRRSet { self.not_ours(wanted, code) } else { answer });
        }
        let (code, answer) = self.one(http, secret, self.change(wanted, Mark::New), now).await?;
        Ok(if code == ResponseCode::YXRRSet { self.not_ours(wanted, code) } else { answer })
    }

    fn not_ours(&self, wanted: &Wanted, code: ResponseCode) -> Answer {
        let (mark, owner) = (mark(&wanted.host), self.owner.as_deref().unwrap_or_default());
        let what = format!(
            "{code}: records are there, or are missing, and TXT {mark} is not {owner:?}; set it if they are to be changed"
        );
        Answer::park(Park::NotOurs, what)
    }

    /// What the server says to a message, and what that means.
    async fn one(
        &self,
        http: &Http,
        secret: &SecretString,
        message: Result<Message, ProtoError>,
        now: DateTime<Utc>,
    ) -> Result<(ResponseCode, Answer), Answer> {
        let message = message.map_err(|error| Answer::park(Park::BadSetting, error.to_string()))?;
        let signed = self.send(http, secret, message, now).await?;
        let answer = meaning(&signed.answer, signed.by_the_key, now);
        // What nobody has signed is no word on a prerequisite.
        let code = signed.answer.metadata.response_code;
        Ok((if signed.by_the_key { code } else { ResponseCode::ServFail }, answer))
    }

    /// What the server itself holds, which may be one that the zone does not name. Signed, as it may answer differently to others.
    pub(super) async fn observe(
        &self,
        http: &Http,
        secret: &SecretString,
        wanted: &Wanted,
        now: DateTime<Utc>,
    ) -> Result<Held, Answer> {
        let mut held = Held::default();
        for address in wanted.addresses() {
            let question = Self::question(wanted, address)
                .map_err(|error| Answer::park(Park::BadSetting, error.to_string()))?;
            let signed = self.send(http, secret, question, now).await?;
            let answer = &signed.answer;
            match answer.metadata.response_code {
                ResponseCode::NoError | ResponseCode::NXDomain if signed.by_the_key => {}
                _ => {
                    let answer = meaning(answer, signed.by_the_key, now);
                    return Err(Answer {
                        said: format!("asked for {}: {}", wanted.host, answer.said),
                        ..answer
                    });
                }
            }
            if !answer.metadata.authoritative {
                return Err(Answer::park(Park::NotZone, "the server does not speak for the zone"));
            }
            // Those of an alias come with it, under their own name.
            let name = answer.queries.first().map(Query::name);
            let own = answer.answers.iter().filter(|record| Some(&record.name) == name);
            held.addresses.extend(own.filter_map(|record| record.data.ip_addr()));
        }
        Ok(held)
    }

    /// Key and zone by a message that has prerequisites alone, the policy by the deletion of what is not there.
    pub(super) async fn probe(
        &self,
        http: &Http,
        secret: &SecretString,
        wanted: &Wanted,
        now: DateTime<Utc>,
    ) -> Vec<Finding> {
        let mut found = Vec::new();
        for (what, message, good) in [
            ("key", self.nothing(), "the server takes it for the zone"),
            ("policy", self.deletion_of_nothing(wanted), "the key may change these records"),
        ] {
            match self.one(http, secret, message, now).await {
                Ok((_, answer)) if answer.outcome == Outcome::Good => found.push(Finding::good(what, good)),
                Ok((_, answer)) | Err(answer) => {
                    found.push(Finding::new(what, answer));
                    return found;
                }
            }
        }
        found.push(match self.observe(http, secret, wanted, now).await {
            Ok(held) => Finding::held(&held),
            Err(answer) => Finding::new("records", answer),
        });
        found
    }
}

impl Algorithm {
    const fn word(self) -> &'static str {
        match self {
            Self::HmacSha256 => "hmac-sha256",
            Self::HmacSha384 => "hmac-sha384",
            Self::HmacSha512 => "hmac-sha512",
        }
    }

    const fn of_tsig(self) -> TsigAlgorithm {
        match self {
            Self::HmacSha256 => TsigAlgorithm::HmacSha256,
            Self::HmacSha384 => TsigAlgorithm::HmacSha384,
            Self::HmacSha512 => TsigAlgorithm::HmacSha512,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    pub(super) fn provider(server: &str) -> Rfc2136 {
        Rfc2136 {
            server: server.to_owned(),
            zone: "example.org".parse().unwrap(),
            key: "ddns-key".to_owned(),
            algorithm: Algorithm::default(),
            require: Require::Records,
            owner: None,
        }
    }
}

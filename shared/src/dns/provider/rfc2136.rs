//! A zone's primary server, by DNS UPDATE (RFC 2136) with TSIG (RFC 8945), over TCP.
//!
//! One message holds, for each address, the deletion of the set and the new record: the server does all of it or nothing (RFC 2136
//! section 3.4), so that there is no moment without a record. A set that has the address already is not told from one that
//! has not, so every success is `Good`.
//!
//! An answer that says BADSIG or BADKEY is not signed, since it cannot be (RFC 8945 section 5.3.2), and somebody on the way could
//! have made it; so could one that says BADTIME. They only park the record. Everything else must be signed by the key.

use std::time::Duration;

use base64::{Engine as _, engine::general_purpose::STANDARD};
use chrono::{DateTime, Utc};
use hickory_proto::{
    op::{Message, OpCode, Query, ResponseCode, UpdateMessage as _},
    rr::{
        DNSClass, Name, RData, Record, RecordType, TSigner,
        rdata::{
            A, AAAA,
            tsig::{TSIG, TsigAlgorithm, TsigError},
        },
    },
};
use secrecy::{ExposeSecret as _, SecretString};
use serde::{Deserialize, Serialize};

use super::{FieldError, Step};
use crate::dns::{
    Answer, Answers, Host, Limits, Outcome, Park, Wanted, exchange::tcp, host::record_type, outcome::said,
};

/// Seconds that the clocks may differ by: RFC 8945 section 10.
const FUDGE: u16 = 300;

/// The TTL of a name that has none, in seconds.
const TTL: u32 = 60;

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
        let bad = || {
            format!(
                "{:?} is no server: allowed are ns1.example.org, ns1.example.org:5353, 192.0.2.1 or [2001:db8::1]:53",
                self.server
            )
        };
        let (host, port) = if let Some(rest) = self.server.strip_prefix('[') {
            rest.split_once(']').ok_or_else(bad)?
        } else if self.server.matches(':').count() > 1 {
            (self.server.as_str(), "")
        } else {
            self.server.find(':').map_or((self.server.as_str(), ""), |at| self.server.split_at(at))
        };
        let port = match port.strip_prefix(':') {
            Some(port) => port.parse().ok().filter(|port| *port != 0).ok_or_else(bad)?,
            None if port.is_empty() => 53,
            None => return Err(bad()),
        };
        let fits =
            !host.is_empty() && host.bytes().all(|b| b.is_ascii_alphanumeric() || b"-._:".contains(&b));
        if fits { Ok((host, port)) } else { Err(bad()) }
    }

    fn message(&self, wanted: &Wanted) -> Result<Message, hickory_proto::ProtoError> {
        let (zone, host) = (name(&self.zone)?, name(&wanted.host)?);
        let mut message = Message::query();
        message.metadata.op_code = OpCode::Update;
        message.metadata.recursion_desired = false;
        message.add_zone(Query::query(zone, RecordType::SOA));
        for address in wanted.addresses() {
            let (kind, data) = match address {
                std::net::IpAddr::V4(address) => (RecordType::A, RData::A(A(address))),
                std::net::IpAddr::V6(address) => (RecordType::AAAA, RData::AAAA(AAAA(address))),
            };
            // Class ANY and no data: "is there" in one section (2.4.1), "delete the set" in the other (2.5.2).
            let mut any = Record::update0(host.clone(), 0, kind).into_record_of_rdata();
            any.dns_class = DNSClass::ANY;
            if self.require == Require::Records {
                message.add_pre_requisite(any.clone());
            }
            message.add_update(any);
            message.add_update(Record::from_rdata(host.clone(), wanted.ttl.unwrap_or(TTL), data));
        }
        Ok(message)
    }

    /// In the words of nsupdate.
    pub(super) fn plan(&self, wanted: &Wanted) -> Vec<Step> {
        let host = &wanted.host;
        let mut lines = vec![
            "# one message, by TCP".to_owned(),
            format!("server {}", self.server),
            format!("zone {}.", self.zone),
            format!("key {}:{} ***", self.algorithm.word(), self.key),
        ];
        for address in wanted.addresses() {
            let kind = record_type(address);
            if self.require == Require::Records {
                lines.push(format!("prereq yxrrset {host}. {kind}"));
            }
            lines.push(format!("update delete {host}. {kind}"));
            lines.push(format!("update add {host}. {} {kind} {address}", wanted.ttl.unwrap_or(TTL)));
        }
        lines.push("send".to_owned());
        vec![Step::new(lines.join("\n"))]
    }

    pub(super) async fn update(
        &self,
        limits: Limits,
        secret: &SecretString,
        wanted: &Wanted,
        now: DateTime<Utc>,
    ) -> Answers {
        let answer = self.send(limits.call, secret, wanted, now).await.unwrap_or_else(|answer| answer);
        Answers::all(wanted, &answer)
    }

    async fn send(
        &self,
        limit: Duration,
        secret: &SecretString,
        wanted: &Wanted,
        now: DateTime<Utc>,
    ) -> Result<Answer, Answer> {
        let setting = |why: String| Answer::park(Park::BadSetting, why);
        let key = STANDARD
            .decode(secret.expose_secret())
            .map_err(|_| setting("the secret is not base64".to_owned()))?;
        let key_name = Name::from_ascii(&self.key).map_err(|error| setting(error.to_string()))?;
        let signer = TSigner::new(key, self.algorithm.of_tsig(), key_name, FUDGE)
            .map_err(|error| setting(error.to_string()))?;
        let mut message = self.message(wanted).map_err(|error| setting(error.to_string()))?;
        let time = u64::try_from(now.timestamp()).unwrap_or_default();
        let (signature, verifier) =
            signer.sign_message(&message, time).map_err(|error| setting(error.to_string()))?;
        message.set_signature(signature);
        let bytes = message.to_vec().map_err(|error| setting(error.to_string()))?;

        let (host, port) = self.address().map_err(setting)?;
        let found = tokio::time::timeout(limit, tokio::net::lookup_host((host, port))).await;
        let servers = match found {
            Ok(Ok(servers)) => servers,
            Ok(Err(error)) => return Err(Answer::retry(format!("{host} is not found: {error}"))),
            Err(_) => return Err(Answer::retry(format!("{host} is not found in time"))),
        };
        let mut why = format!("{host} has no address");
        for server in servers {
            match tcp(server, &bytes, limit).await {
                Ok(answer) => {
                    let Ok(read) = Message::from_vec(&answer) else {
                        return Err(Answer::retry(format!("{server}: the answer is no message of DNS")));
                    };
                    if read.metadata.id != message.metadata.id {
                        return Err(Answer::retry(format!("{server}: the answer is to another message")));
                    }
                    let signed = verifier.is_some_and(|mut verifier| verifier.verify(&answer).is_ok());
                    return Ok(meaning(&read, signed, now));
                }
                Err(error) => why = error,
            }
        }
        Err(Answer::retry(said(&why, "")))
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

fn name(host: &Host) -> Result<Name, hickory_proto::ProtoError> {
    let mut name = Name::from_ascii(host.as_str())?;
    name.set_fqdn(true);
    Ok(name)
}

/// What an answer means. `signed`: its signature is the key's, and of this time.
fn meaning(answer: &Message, signed: bool, now: DateTime<Utc>) -> Answer {
    let code = answer.metadata.response_code;
    let tsig = answer.signature().map(|record| &record.data);
    match tsig.and_then(|tsig| tsig.error) {
        Some(TsigError::BadSig) => {
            return Answer::park(
                Park::BadSig,
                "BADSIG: the secret is not that of the server's key of this name",
            );
        }
        Some(TsigError::BadKey) => {
            return Answer::park(Park::BadKey, "BADKEY: the server knows no key of this name and algorithm");
        }
        Some(TsigError::BadTime) => return Answer::park(Park::BadTime, bad_time(tsig, now)),
        Some(other) => return Answer::new(Outcome::Refused, format!("{code}, TSIG {other:?}")),
        None => {}
    }
    if !signed {
        return Answer::retry(format!("{code}, but the answer is not signed by the key"));
    }
    match code {
        ResponseCode::NoError => Answer::new(Outcome::Good, "NOERROR"),
        ResponseCode::Refused => Answer::park(
            Park::NotPermitted,
            "REFUSED: the key may not change this name (update-policy, allow-update)",
        ),
        ResponseCode::NotAuth | ResponseCode::NotZone | ResponseCode::NotImp => Answer::park(
            Park::NotZone,
            format!("{code}: the server is not the primary of this zone; SOA names that server"),
        ),
        ResponseCode::NXRRSet => {
            Answer::park(Park::NoHost, "NXRRSET: the record is not there, and require says records")
        }
        ResponseCode::YXRRSet | ResponseCode::YXDomain | ResponseCode::NXDomain | ResponseCode::ServFail => {
            Answer::retry(code.to_string())
        }
        _ => Answer::new(Outcome::Refused, code.to_string()),
    }
}

/// The server tells its own time: RFC 8945 section 5.2.3.
fn bad_time(tsig: Option<&TSIG>, now: DateTime<Utc>) -> String {
    let theirs = tsig.and_then(|tsig| <[u8; 6]>::try_from(tsig.other.as_slice()).ok());
    let apart = theirs.map(|bytes| {
        let theirs = bytes.iter().fold(0_i64, |seconds, byte| seconds << 8 | i64::from(*byte));
        now.timestamp() - theirs
    });
    match apart {
        Some(seconds) if seconds > 0 => format!("BADTIME: this clock is {seconds} s ahead of the server's"),
        Some(seconds) => format!("BADTIME: this clock is {} s behind the server's", -seconds),
        None => "BADTIME: this clock and the server's differ by more than 300 s".to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn provider(server: &str) -> Rfc2136 {
        Rfc2136 {
            server: server.to_owned(),
            zone: "example.org".parse().unwrap(),
            key: "ddns-key".to_owned(),
            algorithm: Algorithm::default(),
            require: Require::Records,
        }
    }

    #[test]
    fn servers_are_names_or_addresses_with_a_port() {
        for (text, host, port) in [
            ("ns1.example.org", "ns1.example.org", 53),
            ("ns1.example.org:5353", "ns1.example.org", 5353),
            ("192.0.2.1:54", "192.0.2.1", 54),
            ("2001:db8::1", "2001:db8::1", 53),
            ("[2001:db8::1]:54", "2001:db8::1", 54),
            ("[2001:db8::1]", "2001:db8::1", 53),
        ] {
            assert_eq!(provider(text).address(), Ok((host, port)));
        }
        for bad in ["", ":53", "a:0", "a:x", "[::1", "[::1]x", "a b", "https://a/"] {
            assert!(provider(bad).address().unwrap_err().contains("allowed are"), "{bad}");
        }
    }

    #[test]
    fn one_message_has_prerequisites_deletions_and_additions_of_both_families() {
        let wanted = Wanted {
            host: "*.example.org".parse().unwrap(),
            v4: Some("192.0.2.7".parse().unwrap()),
            v6: Some("2001:db8::7".parse().unwrap()),
            ttl: Some(30),
        };
        let message = provider("ns").message(&wanted).unwrap();
        let classes: Vec<_> =
            message.updates().iter().map(|record| (record.record_type(), record.dns_class)).collect();
        assert_eq!(
            classes,
            [
                (RecordType::A, DNSClass::ANY),
                (RecordType::A, DNSClass::IN),
                (RecordType::AAAA, DNSClass::ANY),
                (RecordType::AAAA, DNSClass::IN),
            ]
        );
        assert_eq!(message.prerequisites().len(), 2);
        assert_eq!(message.updates()[1].ttl, 30);
    }

    #[test]
    fn an_answer_that_is_not_signed_changes_nothing() {
        let mut answer = Message::response(1, OpCode::Update);
        for code in [ResponseCode::NoError, ResponseCode::Refused, ResponseCode::NotAuth] {
            answer.metadata.response_code = code;
            assert_eq!(meaning(&answer, false, DateTime::UNIX_EPOCH).outcome, Outcome::Retry, "{code}");
        }
        for (code, outcome) in [
            (ResponseCode::NoError, Outcome::Good),
            (ResponseCode::Refused, Outcome::Park(Park::NotPermitted)),
            (ResponseCode::NotAuth, Outcome::Park(Park::NotZone)),
            (ResponseCode::NotZone, Outcome::Park(Park::NotZone)),
            (ResponseCode::NXRRSet, Outcome::Park(Park::NoHost)),
            (ResponseCode::ServFail, Outcome::Retry),
            (ResponseCode::FormErr, Outcome::Refused),
        ] {
            answer.metadata.response_code = code;
            assert_eq!(meaning(&answer, true, DateTime::UNIX_EPOCH).outcome, outcome, "{code}");
        }
    }
}

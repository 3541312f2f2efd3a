//! Google Cloud DNS, API version 1 (<https://cloud.google.com/dns/docs/reference/rest/v1/resourceRecordSets>), as a service account.
//!
//! A set of records is read, and patched with its own TTL; one that has just the address is not written, one that is missing is
//! made. The service account's key gives an access token ([`token`]).

mod token;

use std::net::IpAddr;

use chrono::{DateTime, Utc};
use reqwest::{Method, StatusCode};
use secrecy::{ExposeSecret as _, SecretString};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use self::token::token;
use super::{FieldError, Finding, Held, Step, fixed};
use crate::{
    dns::{
        Answer, Answers, Endpoint, Host, Http, Outcome, Park, Wanted,
        host::record_type,
        http::{Auth, RATE_LIMITED, Reply, Request},
        outcome::said,
    },
    google::workspace::Key,
};

/// The TTL of a name that has none, in seconds.
const TTL: u32 = 300;

/// A managed zone of Google Cloud; its secret is a service account's key file.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct GoogleCloud {
    /// The project's id.
    pub project: String,
    /// The managed zone's name, which is not that of its domain.
    pub zone: String,
    /// Where it is called.
    #[serde(default = "url")]
    pub url: Endpoint,
}

fn url() -> Endpoint {
    fixed("https://dns.googleapis.com/dns/v1")
}

impl GoogleCloud {
    pub(super) fn check(&self, secret: &SecretString) -> Result<(), FieldError> {
        for (field, text) in [("project", &self.project), ("zone", &self.zone)] {
            let fits = (1..=63).contains(&text.len())
                && text.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b"-.:".contains(&b));
            if !fits {
                return Err(FieldError::new(field, "it is 1 to 63 small letters, digits and -"));
            }
        }
        Key::parse(secret).map_err(|error| FieldError::new("secret", error.to_string()))?;
        Ok(())
    }

    fn path<'a>(&'a self, more: &[&'a str]) -> url::Url {
        self.url.with(&[&["projects", &self.project, "managedZones", &self.zone], more].concat())
    }

    fn one(&self, wanted: &Wanted, address: IpAddr) -> url::Url {
        self.path(&["rrsets", &format!("{}.", wanted.host), record_type(address)])
    }

    fn get(&self, wanted: &Wanted, address: IpAddr) -> Request {
        Request::get(self.one(wanted, address), Auth::Bearer)
    }

    /// The set as it is to be.
    fn write(&self, method: Method, wanted: &Wanted, address: IpAddr, ttl: u64) -> Request {
        let url = if method == Method::POST { self.path(&["rrsets"]) } else { self.one(wanted, address) };
        let body = json!({
            "name": format!("{}.", wanted.host), "type": record_type(address), "ttl": ttl,
            "rrdatas": [address.to_string()],
        });
        Request::json(method, url, Auth::Bearer, &body)
    }

    pub(super) fn plan(&self, wanted: &Wanted) -> Vec<Step> {
        let ttl = u64::from(wanted.ttl.unwrap_or(TTL));
        let token = "an access token is asked for, where the key file says (token_uri), by an assertion signed with its key";
        let of = |address| {
            [
                self.get(wanted, address),
                self.write(Method::PATCH, wanted, address, ttl)
                    .noted("if the records are others; with the TTL that is there"),
                self.write(Method::POST, wanted, address, ttl).noted("if there are none"),
            ]
        };
        let requests = wanted.addresses().into_iter().flat_map(of).map(Step::new);
        std::iter::once(Step::new(format!("# {token}"))).chain(requests).collect()
    }

    pub(super) async fn update(
        &self,
        http: &Http,
        secret: &SecretString,
        wanted: &Wanted,
        now: DateTime<Utc>,
    ) -> Answers {
        let token = match token(http, secret, now).await {
            Ok(token) => token,
            Err(answer) => return Answers::all(wanted, &answer),
        };
        let mut answers = Answers::default();
        for address in wanted.addresses() {
            let answer = match answers.end() {
                Some(answer) => answer,
                None => self.set(http, &token, wanted, address).await.unwrap_or_else(|answer| answer),
            };
            answers.set(address, answer);
        }
        answers
    }

    /// A set and its TTL; none: there is no such set, or no such zone.
    async fn read(
        &self,
        http: &Http,
        token: &SecretString,
        wanted: &Wanted,
        address: IpAddr,
    ) -> Result<Option<(Value, u64)>, Answer> {
        let reply = http.send(self.get(wanted, address), token).await?;
        if reply.status == StatusCode::NOT_FOUND && reply.json().is_some() {
            return Ok(None);
        }
        let set = success(&reply, token)?;
        let ttl = set["ttl"].as_u64().ok_or_else(|| reply.malformed("no TTL came", token.expose_secret()))?;
        Ok(Some((set, ttl)))
    }

    pub(super) async fn observe(
        &self,
        http: &Http,
        secret: &SecretString,
        wanted: &Wanted,
        now: DateTime<Utc>,
    ) -> Result<Held, Answer> {
        let token = token(http, secret, now).await?;
        self.held(http, &token, wanted).await
    }

    async fn held(&self, http: &Http, token: &SecretString, wanted: &Wanted) -> Result<Held, Answer> {
        let mut held = Held::default();
        for address in wanted.addresses() {
            let set = self.read(http, token, wanted, address).await?;
            let texts = set.iter().filter_map(|(set, _)| set["rrdatas"].as_array()).flatten();
            held.addresses.extend(texts.filter_map(|text| text.as_str()?.parse::<IpAddr>().ok()));
        }
        Ok(held)
    }

    /// Token, zone and records. Whether the service account may also write is seen by writing alone.
    pub(super) async fn probe(
        &self,
        http: &Http,
        secret: &SecretString,
        wanted: &Wanted,
        now: DateTime<Utc>,
    ) -> Vec<Finding> {
        let token = match token(http, secret, now).await {
            Ok(token) => token,
            Err(answer) => return vec![Finding::new("token", answer)],
        };
        let mut found = vec![Finding::good("token", "the key file gives one")];
        match self.domain(http, &token).await {
            Ok(zone) if wanted.host.below(&zone).is_some() => {
                found.push(Finding::good("zone", zone.as_str()));
            }
            Ok(zone) => {
                let what = format!("the zone is {zone}, and {} is not in it", wanted.host);
                found.push(Finding::new("zone", Answer::park(Park::NoHost, what)));
                return found;
            }
            Err(answer) => {
                found.push(Finding::new("zone", answer));
                return found;
            }
        }
        found.push(match self.held(http, &token, wanted).await {
            Ok(held) => Finding::held(&held),
            Err(answer) => Finding::new("records", answer),
        });
        found
    }

    /// The domain of the managed zone.
    async fn domain(&self, http: &Http, token: &SecretString) -> Result<Host, Answer> {
        let reply = http.send(Request::get(self.path(&[]), Auth::Bearer), token).await?;
        let zone = success(&reply, token)?;
        let name = zone["dnsName"].as_str().and_then(|name| name.parse().ok());
        name.ok_or_else(|| reply.malformed("no zone came", token.expose_secret()))
    }

    async fn set(
        &self,
        http: &Http,
        token: &SecretString,
        wanted: &Wanted,
        address: IpAddr,
    ) -> Result<Answer, Answer> {
        let request = match self.read(http, token, wanted, address).await? {
            None => self.write(Method::POST, wanted, address, u64::from(wanted.ttl.unwrap_or(TTL))),
            Some((set, _)) if holds(&set, address) => {
                return Ok(Answer::new(Outcome::NoChange, "the record has the address; nothing was sent"));
            }
            Some((_, ttl)) => self.write(Method::PATCH, wanted, address, ttl),
        };
        let reply = http.send(request, token).await?;
        if holds(&success(&reply, token)?, address) {
            Ok(Answer::new(Outcome::Good, format!("{} {address}", record_type(address))))
        } else {
            Err(reply.malformed("no set with the address came", token.expose_secret()))
        }
    }
}

/// Whether a set has this address alone.
fn holds(set: &Value, address: IpAddr) -> bool {
    set["rrdatas"].as_array().is_some_and(|data| {
        data.len() == 1 && data[0].as_str().and_then(|text| text.parse().ok()) == Some(address)
    })
}

/// The body of a success. <https://cloud.google.com/apis/design/errors>
fn success(reply: &Reply, token: &SecretString) -> Result<Value, Answer> {
    let token = token.expose_secret();
    match reply.json() {
        Some(body) if reply.status.is_success() => Ok(body),
        None if reply.status.is_success() => Err(reply.malformed("no JSON came", token)),
        body => {
            let error = body.as_ref().map(|body| &body["error"]);
            let reason = error.and_then(|error| error["errors"][0]["reason"].as_str()).unwrap_or_default();
            let message = error.and_then(|error| error["message"].as_str()).unwrap_or_default();
            let answer = reply.by_status(token);
            let outcome = match reason {
                "rateLimitExceeded" | "userRateLimitExceeded" | "quotaExceeded" => {
                    Outcome::Wait(reply.retry_after.unwrap_or(RATE_LIMITED))
                }
                _ => answer.outcome,
            };
            let told = said(&format!("{} {reason}: {message}", reply.status.as_u16()), token);
            Err(Answer::new(outcome, if message.is_empty() { answer.said } else { told }))
        }
    }
}

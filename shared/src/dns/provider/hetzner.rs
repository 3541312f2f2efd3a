//! Hetzner's DNS in its cloud API (<https://docs.hetzner.cloud/reference/cloud#zone-rrsets>).
//!
//! A set of records is read, and set by the action `set_records`, which keeps its TTL; a set that has just the address is not written,
//! one that is missing is made. Both writes are actions, which Hetzner does in its own time: they are asked for until they end.

use std::net::IpAddr;

use reqwest::{Method, StatusCode};
use secrecy::{ExposeSecret as _, SecretString};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::{FieldError, Finding, Held, Step, fixed};
use crate::dns::{
    Answer, Answers, Endpoint, Host, Http, Outcome, Park, Wanted,
    host::record_type,
    http::{Auth, Reply, Request},
    outcome::said,
};

/// A project of Hetzner; its secret is an API token.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Hetzner {
    /// The zone's name.
    pub zone: Host,
    /// Where it is called.
    #[serde(default = "url")]
    pub url: Endpoint,
}

fn url() -> Endpoint {
    fixed("https://api.hetzner.cloud/v1")
}

impl Hetzner {
    pub(super) fn check(&self, wanted: &Wanted) -> Result<(), FieldError> {
        match wanted.host.below(&self.zone) {
            Some(_) => Ok(()),
            None => Err(FieldError::new("zone", format!("{} is not in the zone {}", wanted.host, self.zone))),
        }
    }

    fn path<'a>(&'a self, wanted: &'a Wanted, address: IpAddr) -> [&'a str; 5] {
        let name = wanted.host.below(&self.zone).unwrap_or_default();
        ["zones", self.zone.as_str(), "rrsets", name, record_type(address)]
    }

    fn get(&self, wanted: &Wanted, address: IpAddr) -> Request {
        Request::get(self.url.with(&self.path(wanted, address)), Auth::Bearer)
    }

    fn zone(&self) -> Request {
        Request::get(self.url.with(&["zones", self.zone.as_str()]), Auth::Bearer)
    }

    fn set(&self, wanted: &Wanted, address: IpAddr) -> Request {
        let path = [&self.path(wanted, address)[..], &["actions", "set_records"]].concat();
        let body = json!({ "records": [{ "value": address.to_string() }] });
        Request::json(Method::POST, self.url.with(&path), Auth::Bearer, &body)
    }

    fn create(&self, wanted: &Wanted, address: IpAddr) -> Request {
        let [zones, zone, rrsets, name, kind] = self.path(wanted, address);
        let mut body = json!({ "name": name, "type": kind, "records": [{ "value": address.to_string() }] });
        if let Some(ttl) = wanted.ttl {
            body["ttl"] = json!(ttl);
        }
        Request::json(Method::POST, self.url.with(&[zones, zone, rrsets]), Auth::Bearer, &body)
    }

    fn action(&self, id: &str) -> Request {
        Request::get(self.url.with(&["zones", "actions", id]), Auth::Bearer)
    }

    pub(super) fn plan(&self, wanted: &Wanted) -> Vec<Step> {
        let of = |address| {
            [
                self.get(wanted, address),
                self.set(wanted, address).noted("if the records are others"),
                self.create(wanted, address).noted("if there are none"),
                self.action("ACTION").noted("until the action has ended"),
            ]
        };
        wanted.addresses().into_iter().flat_map(of).map(Step::new).collect()
    }

    pub(super) async fn update(&self, http: &Http, secret: &SecretString, wanted: &Wanted) -> Answers {
        let mut answers = Answers::default();
        for address in wanted.addresses() {
            let answer = self.one(http, secret, wanted, address).await;
            answers.set(address, answer.unwrap_or_else(|answer| answer));
        }
        answers
    }

    /// The addresses of a set, those that are none as such; none: there is no such set, or no such zone.
    async fn read(
        &self,
        http: &Http,
        secret: &SecretString,
        wanted: &Wanted,
        address: IpAddr,
    ) -> Result<Option<Vec<Option<IpAddr>>>, Answer> {
        let reply = http.send(self.get(wanted, address), secret).await?;
        if reply.status == StatusCode::NOT_FOUND && reply.json().is_some() {
            return Ok(None);
        }
        let body = success(&reply, secret)?;
        let records = body["rrset"]["records"]
            .as_array()
            .ok_or_else(|| reply.malformed("no records came", secret.expose_secret()))?;
        let value = |record: &Value| record["value"].as_str().and_then(|value| value.parse().ok());
        Ok(Some(records.iter().map(value).collect()))
    }

    pub(super) async fn observe(
        &self,
        http: &Http,
        secret: &SecretString,
        wanted: &Wanted,
    ) -> Result<Held, Answer> {
        let mut held = Held::default();
        for address in wanted.addresses() {
            let records = self.read(http, secret, wanted, address).await?;
            held.addresses.extend(records.into_iter().flatten().flatten());
        }
        Ok(held)
    }

    /// Zone and records. Whether the token may also write is seen by writing alone.
    pub(super) async fn probe(&self, http: &Http, secret: &SecretString, wanted: &Wanted) -> Vec<Finding> {
        let zone = async {
            let reply = http.send(self.zone(), secret).await?;
            let body = success(&reply, secret)?;
            match body["zone"]["mode"].as_str() {
                Some("secondary") => Err(Answer::park(
                    Park::NotZone,
                    "the zone is a secondary one: its records are kept elsewhere",
                )),
                Some(mode) => Ok(said(mode, secret.expose_secret())),
                None => Err(reply.malformed("no zone came", secret.expose_secret())),
            }
        };
        let zone = match zone.await {
            Ok(mode) => Finding::good("zone", mode),
            Err(answer) => return vec![Finding::new("zone", answer)],
        };
        let records = match self.observe(http, secret, wanted).await {
            Ok(held) => Finding::held(&held),
            Err(answer) => Finding::new("records", answer),
        };
        vec![zone, records]
    }

    async fn one(
        &self,
        http: &Http,
        secret: &SecretString,
        wanted: &Wanted,
        address: IpAddr,
    ) -> Result<Answer, Answer> {
        let request = match self.read(http, secret, wanted, address).await? {
            None => self.create(wanted, address),
            Some(records) if records == [Some(address)] => {
                return Ok(Answer::new(Outcome::NoChange, "the record has the address; nothing was sent"));
            }
            Some(_) => self.set(wanted, address),
        };
        let mut reply = http.send(request, secret).await?;
        let mut polls = 0;
        loop {
            let body = success(&reply, secret)?;
            let action = &body["action"];
            match (action["status"].as_str(), &action["id"]) {
                (Some("success"), _) => {
                    return Ok(Answer::new(Outcome::Good, format!("{} {address}", record_type(address))));
                }
                (Some("error"), _) => {
                    let what = format!("{}: {}", action["error"]["code"], action["error"]["message"]);
                    return Err(Answer::new(Outcome::Refused, said(&what, secret.expose_secret())));
                }
                (Some("running"), Value::Number(id)) if polls < http.limits.polls => {
                    polls += 1;
                    tokio::time::sleep(http.limits.poll).await;
                    reply = http.send(self.action(&id.to_string()), secret).await?;
                }
                (Some("running"), _) => return Err(Answer::retry("the action has not ended in time")),
                _ => return Err(reply.malformed("no action came", secret.expose_secret())),
            }
        }
    }
}

/// The body of a success. <https://docs.hetzner.cloud/reference/cloud#errors>
fn success(reply: &Reply, secret: &SecretString) -> Result<Value, Answer> {
    let secret = secret.expose_secret();
    match reply.json() {
        Some(body) if reply.status.is_success() => Ok(body),
        None if reply.status.is_success() => Err(reply.malformed("no JSON came", secret)),
        body => {
            let error = body.as_ref().map(|body| &body["error"]);
            let word = error.and_then(|error| error["code"].as_str()).unwrap_or_default();
            let answer = reply.by_status(secret);
            let outcome = match word {
                "unauthorized" => Outcome::Park(Park::BadAuth),
                "forbidden" | "token_readonly" => Outcome::Park(Park::NotPermitted),
                "not_found" => Outcome::Park(Park::NoHost),
                "invalid_input" => Outcome::Refused,
                "conflict" | "locked" | "service_error" | "maintenance" | "timeout" => Outcome::Retry,
                _ => answer.outcome,
            };
            Err(Answer::new(outcome, answer.said))
        }
    }
}

//! Hetzner's DNS in its cloud API (<https://docs.hetzner.cloud/reference/cloud#zone-rrsets>).
//!
//! A set of records is read, and set by the action `set_records`, which keeps its TTL; a set that has just the address is not written,
//! one that is missing is made. Both writes are actions, which Hetzner does in its own time: they are asked for until they end.
//!
//! With an owner, a set that has a record whose comment is not that owner's mark is left alone. Without one a record keeps its comment.

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
    /// The comment that marks a record as this fleet's; none: every record may be changed.
    #[serde(default)]
    pub owner: Option<String>,
    /// Where it is called.
    #[serde(default = "url")]
    pub url: Endpoint,
}

fn url() -> Endpoint {
    fixed("https://api.hetzner.cloud/v1")
}

#[derive(Debug, Deserialize)]
struct Record {
    value: String,
    #[serde(default)]
    comment: String,
}

impl Record {
    fn address(&self) -> Option<IpAddr> {
        self.value.parse().ok()
    }
}

impl Hetzner {
    pub(super) fn check(&self, wanted: &Wanted) -> Result<(), FieldError> {
        if self.owner.as_ref().is_some_and(|owner| owner.is_empty() || owner.chars().count() > 100) {
            return Err(FieldError::new("owner", "it is 1 to 100 characters"));
        }
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

    /// The records of a set. `comment` is what the record has already.
    fn one_record(&self, address: IpAddr, comment: &str) -> Value {
        let mut record = json!({ "value": address.to_string() });
        let comment = self.owner.as_deref().unwrap_or(comment);
        if !comment.is_empty() {
            record["comment"] = json!(comment);
        }
        json!([record])
    }

    fn set(&self, wanted: &Wanted, address: IpAddr, comment: &str) -> Request {
        let path = [&self.path(wanted, address)[..], &["actions", "set_records"]].concat();
        let body = json!({ "records": self.one_record(address, comment) });
        Request::json(Method::POST, self.url.with(&path), Auth::Bearer, &body)
    }

    fn create(&self, wanted: &Wanted, address: IpAddr) -> Request {
        let [zones, zone, rrsets, name, kind] = self.path(wanted, address);
        let mut body = json!({ "name": name, "type": kind, "records": self.one_record(address, "") });
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
                self.set(wanted, address, "")
                    .noted("if the records are others; with the comment that is there"),
                self.create(wanted, address).noted("if there are none"),
                self.action("ACTION").noted("until the action has ended"),
            ]
        };
        wanted.addresses().into_iter().flat_map(of).map(Step::new).collect()
    }

    pub(super) async fn update(&self, http: &Http, secret: &SecretString, wanted: &Wanted) -> Answers {
        let mut answers = Answers::default();
        for address in wanted.addresses() {
            let answer = match answers.end() {
                Some(answer) => answer,
                None => self.one(http, secret, wanted, address).await.unwrap_or_else(|answer| answer),
            };
            answers.set(address, answer);
        }
        answers
    }

    /// The records of a set; none: there is no such set, or no such zone.
    async fn read(
        &self,
        http: &Http,
        secret: &SecretString,
        wanted: &Wanted,
        address: IpAddr,
    ) -> Result<Option<Vec<Record>>, Answer> {
        let reply = http.send(self.get(wanted, address), secret).await?;
        if reply.status == StatusCode::NOT_FOUND && reply.json().is_some() {
            return Ok(None);
        }
        let mut body = success(&reply, secret)?;
        let records =
            body.get_mut("rrset").and_then(|set| set.get_mut("records")).map(Value::take).unwrap_or_default();
        serde_json::from_value(records)
            .map(Some)
            .map_err(|_| reply.malformed("no records came", secret.expose_secret()))
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
            held.addresses.extend(records.iter().flatten().filter_map(Record::address));
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
            Some(records)
                if self.owner.as_ref().is_some_and(|owner| records.iter().any(|r| r.comment != *owner)) =>
            {
                let what = "a record's comment is not the owner's: if it is to be changed, set that comment";
                return Err(Answer::park(Park::NotOurs, what));
            }
            Some(records) => match records.as_slice() {
                [record] if record.address() == Some(address) => {
                    return Ok(Answer::new(
                        Outcome::NoChange,
                        "the record has the address; nothing was sent",
                    ));
                }
                [record] => self.set(wanted, address, &record.comment),
                _ => self.set(wanted, address, ""),
            },
        };
        let mut polls = 0;
        let mut state = ask(http, secret, request).await?;
        // From here on it is taken, and Hetzner does it in its own time.
        loop {
            match state {
                State::Done => {
                    return Ok(Answer::new(Outcome::Good, format!("{} {address}", record_type(address))));
                }
                State::Failed(what) => return Err(Answer::new(Outcome::Refused, what)),
                State::Running(_) if polls == http.limits.polls => {
                    return Err(Answer::retry("the action has not ended in time"));
                }
                State::Running(id) => {
                    polls += 1;
                    tokio::time::sleep(http.limits.poll).await;
                    state = ask(http, secret, self.action(&id)).await.map_err(Answer::of_what_was_taken)?;
                }
            }
        }
    }
}

/// How an action stands.
enum State {
    /// It has not ended; its id.
    Running(String),
    /// It has ended well.
    Done,
    /// It has failed, in Hetzner's words.
    Failed(String),
}

/// How an action stands, by a request whose answer tells it.
async fn ask(http: &Http, secret: &SecretString, request: Request) -> Result<State, Answer> {
    let reply = http.send(request, secret).await?;
    let body = success(&reply, secret)?;
    let action = &body["action"];
    match (action["status"].as_str(), &action["id"]) {
        (Some("success"), _) => Ok(State::Done),
        (Some("error"), _) => {
            let what = format!("{}: {}", action["error"]["code"], action["error"]["message"]);
            Ok(State::Failed(said(&what, secret.expose_secret())))
        }
        (Some("running"), Value::Number(id)) => Ok(State::Running(id.to_string())),
        _ => Err(reply.malformed("no action came", secret.expose_secret())),
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

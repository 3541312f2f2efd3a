//! Cloudflare, API version 4 (<https://developers.cloudflare.com/api/resources/dns/subresources/records/>).
//!
//! The zone is looked up by name unless its id is given (a token that may only edit records cannot list zones). Then the record is
//! read, and changed by PATCH with `content` alone, so that TTL and proxying stay; one that has the address already is not
//! written. Only a missing record is made. With an owner, a record whose comment is not that owner's mark is left alone.

use std::net::IpAddr;

use reqwest::{Method, StatusCode};
use secrecy::{ExposeSecret as _, SecretString};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::{FieldError, Finding, Held, Step, fixed};
use crate::dns::{
    Answer, Answers, Endpoint, Http, Outcome, Park, Wanted,
    host::record_type,
    http::{Auth, Reply, Request},
    outcome::said,
};

/// An account of Cloudflare; its secret is an API token.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Cloudflare {
    /// The id of the zone, 32 hexadecimal digits; none: it is looked up by name.
    #[serde(default)]
    pub zone_id: Option<String>,
    /// The comment that marks a record as this fleet's; none: every record may be changed.
    #[serde(default)]
    pub owner: Option<String>,
    /// Whether a record that is made is proxied. One that is there keeps what it has.
    #[serde(default)]
    pub proxied: bool,
    /// Where it is called.
    #[serde(default = "url")]
    pub url: Endpoint,
}

fn url() -> Endpoint {
    fixed("https://api.cloudflare.com/client/v4")
}

#[derive(Debug, Deserialize)]
struct Record {
    id: String,
    content: String,
    #[serde(default)]
    comment: Option<String>,
    #[serde(default)]
    proxied: Option<bool>,
}

impl Cloudflare {
    pub(super) fn check(&self) -> Result<(), FieldError> {
        if let Some(id) = &self.zone_id
            && (id.len() != 32 || !id.bytes().all(|b| b.is_ascii_hexdigit()))
        {
            return Err(FieldError::new(
                "zone_id",
                "it is 32 hexadecimal digits, as the overview of the zone shows them",
            ));
        }
        if self.owner.as_ref().is_some_and(|owner| owner.is_empty() || owner.chars().count() > 100) {
            return Err(FieldError::new(
                "owner",
                "it is 1 to 100 characters: the longest comment on Cloudflare's free plan",
            ));
        }
        Ok(())
    }

    fn verify(&self) -> Request {
        Request::get(self.url.with(&["user", "tokens", "verify"]), Auth::Bearer)
    }

    fn zones(&self, name: &str) -> Request {
        let mut url = self.url.with(&["zones"]);
        url.query_pairs_mut().append_pair("name", name);
        Request::get(url, Auth::Bearer)
    }

    fn records(&self, zone: &str, wanted: &Wanted, address: IpAddr) -> Request {
        let mut url = self.url.with(&["zones", zone, "dns_records"]);
        url.query_pairs_mut()
            .append_pair("type", record_type(address))
            .append_pair("name", wanted.host.as_str());
        Request::get(url, Auth::Bearer)
    }

    fn patch(&self, zone: &str, record: &str, address: IpAddr) -> Request {
        let url = self.url.with(&["zones", zone, "dns_records", record]);
        Request::json(Method::PATCH, url, Auth::Bearer, &json!({ "content": address.to_string() }))
    }

    fn create(&self, zone: &str, wanted: &Wanted, address: IpAddr) -> Request {
        // 1 is automatic.
        let mut record = json!({
            "type": record_type(address), "name": wanted.host, "content": address.to_string(),
            "ttl": wanted.ttl.unwrap_or(1), "proxied": self.proxied,
        });
        if let Some(owner) = &self.owner {
            record["comment"] = json!(owner);
        }
        Request::json(Method::POST, self.url.with(&["zones", zone, "dns_records"]), Auth::Bearer, &record)
    }

    pub(super) fn plan(&self, wanted: &Wanted) -> Vec<Step> {
        let mut steps = Vec::new();
        let zone = self.zone_id.as_deref().unwrap_or("ZONE");
        if self.zone_id.is_none() {
            let requests =
                wanted.host.and_above().map(|name| self.zones(name).noted("until a zone is found"));
            steps.extend(requests.map(Step::new));
        }
        for address in wanted.addresses() {
            steps.push(Step::new(self.records(zone, wanted, address)));
            steps.push(Step::new(
                self.patch(zone, "RECORD", address).noted("if the record has another address"),
            ));
            steps.push(Step::new(self.create(zone, wanted, address).noted("if there is no record")));
        }
        steps
    }

    pub(super) async fn update(&self, http: &Http, secret: &SecretString, wanted: &Wanted) -> Answers {
        let zone = match self.zone(http, secret, wanted).await {
            Ok(zone) => zone,
            Err(answer) => return Answers::all(wanted, &answer),
        };
        let mut answers = Answers::default();
        for address in wanted.addresses() {
            let answer = match answers.end() {
                Some(answer) => answer,
                None => self.one(http, secret, wanted, &zone, address).await.unwrap_or_else(|answer| answer),
            };
            answers.set(address, answer);
        }
        answers
    }

    /// What it holds. A record that is proxied is answered for with Cloudflare's own addresses.
    pub(super) async fn observe(
        &self,
        http: &Http,
        secret: &SecretString,
        wanted: &Wanted,
    ) -> Result<Held, Answer> {
        let zone = self.zone(http, secret, wanted).await?;
        self.held(http, secret, wanted, &zone).await
    }

    async fn held(
        &self,
        http: &Http,
        secret: &SecretString,
        wanted: &Wanted,
        zone: &str,
    ) -> Result<Held, Answer> {
        let mut held = Held::default();
        for address in wanted.addresses() {
            for record in self.read(http, secret, wanted, zone, address).await? {
                held.addresses.extend(record.content.parse::<IpAddr>());
                held.proxied |= record.proxied == Some(true);
            }
        }
        Ok(held)
    }

    /// Token, zone and records. Whether the token may also write is seen by writing alone.
    pub(super) async fn probe(&self, http: &Http, secret: &SecretString, wanted: &Wanted) -> Vec<Finding> {
        let token = self.token(http, secret).await;
        let mut found = vec![match &token {
            Ok(said) => Finding::good("token", said),
            Err(answer) => Finding::new("token", answer.clone()),
        }];
        // One of an account, not of a user, is not known there; it shows by what it reads.
        let unknown = matches!(&token, Err(answer) if answer.outcome == Outcome::Park(Park::BadAuth));
        if token.is_err() && !unknown {
            return found;
        }
        let zone = match self.zone(http, secret, wanted).await {
            Ok(zone) => zone,
            Err(_) if unknown => return found,
            Err(answer) => {
                found.push(Finding::new("zone", answer));
                return found;
            }
        };
        match self.held(http, secret, wanted, &zone).await {
            Ok(held) => {
                if unknown {
                    found[0] = Finding::good("token", "of an account: it reads the zone");
                }
                found.extend([Finding::good("zone", zone), Finding::held(&held)]);
            }
            Err(_) if unknown => {}
            Err(answer) => found.extend([Finding::good("zone", zone), Finding::new("records", answer)]),
        }
        found
    }

    /// The state of a user's token: <https://developers.cloudflare.com/api/resources/user/subresources/tokens/methods/verify/>.
    async fn token(&self, http: &Http, secret: &SecretString) -> Result<String, Answer> {
        let reply = http.send(self.verify(), secret).await?;
        let token = match result(&reply, secret) {
            // 1000 is an invalid token, whatever the status.
            Err(answer) if reply.status.is_client_error() && answer.outcome == Outcome::Refused => {
                return Err(Answer::park(Park::BadAuth, answer.said));
            }
            other => other?,
        };
        match token.get("status").and_then(Value::as_str) {
            Some("active") => Ok("active".to_owned()),
            Some(state @ ("disabled" | "expired")) => {
                Err(Answer::park(Park::BadAuth, format!("the token is {state}")))
            }
            _ => Err(reply.malformed("no state of the token came", secret.expose_secret())),
        }
    }

    /// The id of the zone that the name is in.
    async fn zone(&self, http: &Http, secret: &SecretString, wanted: &Wanted) -> Result<String, Answer> {
        if let Some(id) = &self.zone_id {
            return Ok(id.clone());
        }
        for name in wanted.host.and_above() {
            let reply = http.send(self.zones(name), secret).await?;
            let zones = result(&reply, secret)?;
            if let Some(id) = zones.get(0).and_then(|zone| zone.get("id")).and_then(Value::as_str) {
                return Ok(id.to_owned());
            }
        }
        let what = "no zone of this name: it is not the token's, or the token may not read zones (Zone:Read); give zone_id instead";
        Err(Answer::park(Park::NoHost, what))
    }

    /// The records of the type of an address.
    async fn read(
        &self,
        http: &Http,
        secret: &SecretString,
        wanted: &Wanted,
        zone: &str,
        address: IpAddr,
    ) -> Result<Vec<Record>, Answer> {
        let reply = http.send(self.records(zone, wanted, address), secret).await?;
        serde_json::from_value(result(&reply, secret)?)
            .map_err(|_| reply.malformed("no list of records came", secret.expose_secret()))
    }

    async fn one(
        &self,
        http: &Http,
        secret: &SecretString,
        wanted: &Wanted,
        zone: &str,
        address: IpAddr,
    ) -> Result<Answer, Answer> {
        let records = self.read(http, secret, wanted, zone, address).await?;
        let request = match records.as_slice() {
            [] => self.create(zone, wanted, address),
            [record] => {
                if let Some(owner) = &self.owner
                    && record.comment.as_ref() != Some(owner)
                {
                    let what = format!(
                        "the record's comment is not {owner:?}: if it is to be changed, set that comment"
                    );
                    return Err(Answer::park(Park::NotOurs, what));
                }
                if record.content.parse() == Ok(address) {
                    return Ok(Answer::new(
                        Outcome::NoChange,
                        "the record has the address; nothing was sent",
                    ));
                }
                self.patch(zone, &record.id, address)
            }
            more => {
                let what =
                    format!("{} records of type {} are there: which one?", more.len(), record_type(address));
                return Err(Answer::park(Park::NumHost, what));
            }
        };
        let reply = http.send(request, secret).await?;
        let record: Record = serde_json::from_value(result(&reply, secret)?)
            .map_err(|_| reply.malformed("no record came", secret.expose_secret()))?;
        if record.content.parse() == Ok(address) {
            Ok(Answer::new(Outcome::Good, format!("{} {}", record_type(address), record.content)))
        } else {
            Ok(Answer::new(Outcome::Refused, "the answer has another address than the one sent"))
        }
    }
}

/// The field `result` of a success.
fn result(reply: &Reply, secret: &SecretString) -> Result<Value, Answer> {
    let secret = secret.expose_secret();
    let Some(Value::Object(mut body)) = reply.json() else {
        return Err(if reply.status.is_success() {
            reply.malformed("no JSON came", secret)
        } else {
            reply.by_status(secret)
        });
    };
    if reply.status.is_success() && body.get("success") == Some(&Value::Bool(true)) {
        return body.remove("result").ok_or_else(|| reply.malformed("no result came", secret));
    }
    let error = body.get("errors").and_then(|errors| errors.get(0));
    let code = error.and_then(|error| error.get("code")).and_then(Value::as_u64);
    let message = error.and_then(|error| error.get("message")).and_then(Value::as_str).unwrap_or_default();
    let told = said(&format!("{} {} {message}", reply.status.as_u16(), code.unwrap_or_default()), secret);
    // <https://developers.cloudflare.com/fundamentals/api/troubleshooting/>
    let outcome = match code {
        // In trouble of its own it has been seen to call good tokens bad.
        _ if reply.status == StatusCode::TOO_MANY_REQUESTS || reply.status.is_server_error() => {
            reply.by_status(secret).outcome
        }
        Some(6003 | 6111 | 9106 | 9109 | 10_000 | 10_001) => Outcome::Park(Park::BadAuth),
        Some(1001 | 7000 | 7003 | 81_044) => Outcome::Park(Park::NoHost),
        Some(81_058) => Outcome::NoChange,
        _ if reply.status.is_success() => Outcome::Refused,
        _ => reply.by_status(secret).outcome,
    };
    Err(Answer::new(outcome, told))
}

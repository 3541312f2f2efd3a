//! Amazon Route 53: one `ChangeResourceRecordSets` with an `UPSERT` for each address
//! (<https://docs.aws.amazon.com/Route53/latest/APIReference/API_ChangeResourceRecordSets.html>).
//!
//! An `UPSERT` takes the place of whatever is there, with the TTL, and be it an alias of Amazon's own. So the sets are read before: one
//! keeps its TTL if the name has none, one that has just the address is not written, and what is no plain set is not touched.
//!
//! A batch is done whole or not at all. Its change is `PENDING` until all of Route 53's servers have it, then `INSYNC`: it is asked for
//! until then.

mod read;
mod sign;

use std::{fmt::Write as _, net::IpAddr};

use chrono::{DateTime, Utc};
use quick_xml::escape::escape;
use reqwest::{Method, StatusCode};
use secrecy::{ExposeSecret as _, SecretString};
use serde::{Deserialize, Serialize};

use self::{read::Set, sign::Key};
use super::{FieldError, Step, fixed};
use crate::dns::{
    Answer, Answers, Endpoint, Host, Http, Outcome, Park, Wanted,
    host::record_type,
    http::{Auth, MASK, RATE_LIMITED, Reply, Request},
    outcome::said,
    xml,
};

/// The TTL of a name that has none, in seconds.
const TTL: u32 = 300;

/// An account of AWS; its secret is a secret access key.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Route53 {
    /// The id of the hosted zone, as `Z0123456789ABC`.
    pub zone_id: String,
    /// The id of the access key.
    pub access_key_id: String,
    /// Where it is called.
    #[serde(default = "url")]
    pub url: Endpoint,
}

fn url() -> Endpoint {
    fixed("https://route53.amazonaws.com")
}

impl Route53 {
    pub(super) fn check(&self) -> Result<(), FieldError> {
        let plain =
            |text: &str| (1..=128).contains(&text.len()) && text.bytes().all(|b| b.is_ascii_alphanumeric());
        if !plain(&self.zone_id) || self.zone_id.len() > 32 {
            return Err(FieldError::new(
                "zone_id",
                "it is 1 to 32 letters and digits, without /hostedzone/ before it",
            ));
        }
        if !plain(&self.access_key_id) {
            return Err(FieldError::new("access_key_id", "it is letters and digits, as AKIA…"));
        }
        Ok(())
    }

    /// One batch of the addresses, each with its TTL.
    fn change(&self, host: &Host, sets: &[(IpAddr, u32)]) -> Request {
        let url = self.url.with(&["2013-04-01", "hostedzone", &self.zone_id, "rrset", ""]);
        let mut changes = String::new();
        for (address, ttl) in sets {
            let _ = write!(
                changes,
                "<Change><Action>UPSERT</Action><ResourceRecordSet><Name>{}.</Name><Type>{}</Type><TTL>{ttl}</TTL>\
                 <ResourceRecords><ResourceRecord><Value>{address}</Value></ResourceRecord></ResourceRecords>\
                 </ResourceRecordSet></Change>",
                escape(host.as_str()),
                record_type(*address),
            );
        }
        let mut request = Request::new(Method::POST, url, Auth::None);
        request.headers.push(("content-type".to_owned(), "application/xml".to_owned()));
        request.body = Some(format!(
            "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\
             <ChangeResourceRecordSetsRequest xmlns=\"https://route53.amazonaws.com/doc/2013-04-01/\">\
             <ChangeBatch><Changes>{changes}</Changes></ChangeBatch></ChangeResourceRecordSetsRequest>"
        ));
        request
    }

    fn look(&self, change: &str) -> Request {
        Request::get(self.url.with(&["2013-04-01", "change", change]), Auth::None)
    }

    fn signed(&self, mut request: Request, secret: &str, now: DateTime<Utc>) -> Request {
        let key = Key { id: &self.access_key_id, secret, region: "us-east-1", service: "route53" };
        sign::sign(&mut request, &key, now);
        request
    }

    pub(super) fn plan(&self, wanted: &Wanted, now: DateTime<Utc>) -> Vec<Step> {
        let addresses = wanted.addresses();
        let lists = addresses.iter().map(|address| self.list(&wanted.host, record_type(*address)));
        let sets: Vec<_> = addresses.iter().map(|address| (*address, wanted.ttl.unwrap_or(TTL))).collect();
        let with = if wanted.ttl.is_none() {
            "of what is another; with the TTL that is there"
        } else {
            "of what is another"
        };
        let change = self.change(&wanted.host, &sets).noted(with);
        let look = self.look("CHANGE").noted("until the change is INSYNC");
        lists.chain([change, look]).map(|request| Step::new(self.signed(request, MASK, now))).collect()
    }

    pub(super) async fn update(
        &self,
        http: &Http,
        secret: &SecretString,
        wanted: &Wanted,
        now: DateTime<Utc>,
    ) -> Answers {
        let started = tokio::time::Instant::now();
        let (mut answers, mut sets) = (Answers::default(), Vec::new());
        for address in wanted.addresses() {
            let found = self.sets(http, secret, &wanted.host, record_type(address), now + started.elapsed());
            match found.await.map(|found| judge(&found, address, wanted)) {
                Ok(Judged::Set(ttl)) => sets.push((address, ttl)),
                Ok(Judged::Left(answer)) => answers.set(address, answer),
                // Of what cannot be read nothing is written.
                Err(answer) => return Answers::all(wanted, &answer),
            }
        }
        if sets.is_empty() {
            return answers;
        }
        let change =
            self.signed(self.change(&wanted.host, &sets), secret.expose_secret(), now + started.elapsed());
        let answer = self.all(http, secret, change, now, started).await.unwrap_or_else(|answer| answer);
        for (address, _) in sets {
            answers.set(address, answer.clone());
        }
        answers
    }

    /// Sends a change, and waits until it is done. `now` was when it `started`.
    async fn all(
        &self,
        http: &Http,
        secret: &SecretString,
        change: Request,
        now: DateTime<Utc>,
        started: tokio::time::Instant,
    ) -> Result<Answer, Answer> {
        let mut polls = 0;
        let (mut id, mut status) = ask(http, secret, change).await?;
        // From here on it is taken, and Route 53 does it in its own time.
        while status == Status::Pending {
            if polls == http.limits.polls {
                return Ok(Answer::new(Outcome::Good, format!("{id} is still PENDING")));
            }
            polls += 1;
            tokio::time::sleep(http.limits.poll).await;
            let look = self.signed(self.look(&id), secret.expose_secret(), now + started.elapsed());
            (id, status) = ask(http, secret, look).await.map_err(Answer::of_what_was_taken)?;
        }
        Ok(Answer::new(Outcome::Good, format!("{id} INSYNC")))
    }
}

/// What is to be done with the set of an address.
enum Judged {
    /// It is written, with this TTL.
    Set(u32),
    /// It is not written.
    Left(Answer),
}

fn judge(found: &[Set], address: IpAddr, wanted: &Wanted) -> Judged {
    let (host, kind) = (&wanted.host, record_type(address));
    let refused = |park, what: String| Judged::Left(Answer::park(park, said(&what, "")));
    let [set] = found else {
        return if found.is_empty() {
            Judged::Set(wanted.ttl.unwrap_or(TTL))
        } else {
            refused(
                Park::NumHost,
                format!("{host} has {} sets of the type {kind}; one is changed alone", found.len()),
            )
        };
    };
    if let Some(target) = &set.alias {
        let what = format!(
            "the {kind} record of {host} is an alias of {target}, which an update would overwrite: remove it first if it is not needed"
        );
        return refused(Park::NotOurs, what);
    }
    if set.is_routed {
        return refused(
            Park::NumHost,
            format!("the {kind} set of {host} has a routing policy; only a plain one is changed"),
        );
    }
    let ttl = wanted.ttl.or(set.ttl).unwrap_or(TTL);
    let is_there = matches!(&set.values[..], [value] if value.parse() == Ok(address));
    if is_there && set.ttl == Some(ttl) {
        return Judged::Left(Answer::new(Outcome::NoChange, "the record has the address; nothing was sent"));
    }
    Judged::Set(ttl)
}

/// How a change stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Status {
    /// Not all of Route 53's servers have it.
    Pending,
    /// All have it.
    InSync,
}

/// Id and status of a change, by a request whose answer tells them.
async fn ask(http: &Http, secret: &SecretString, request: Request) -> Result<(String, Status), Answer> {
    let reply = http.send(request, secret).await?;
    let texts = success(&reply, secret.expose_secret())?;
    let id = xml::first(&texts, "ChangeInfo/Id").and_then(|id| id.rsplit('/').next());
    let status = match xml::first(&texts, "ChangeInfo/Status") {
        Some("PENDING") => Some(Status::Pending),
        Some("INSYNC") => Some(Status::InSync),
        Some(_) => return Err(reply.malformed("no status of a change came", secret.expose_secret())),
        None => None,
    };
    match (id, status) {
        (Some(id), Some(status)) if !id.is_empty() => Ok((id.to_owned(), status)),
        _ => Err(Answer::retry("no ChangeInfo came: a captive portal, or the URL is not Route 53's")),
    }
}

/// The texts of a success.
fn success(reply: &Reply, secret: &str) -> Result<Vec<(String, String)>, Answer> {
    let Some(texts) = xml::texts(&reply.body) else {
        return Err(if reply.status.is_success() {
            Answer::retry("no XML came")
        } else {
            reply.by_status(secret)
        });
    };
    if reply.status.is_success() {
        return Ok(texts);
    }
    let code = xml::first(&texts, "Error/Code").unwrap_or(match reply.status {
        StatusCode::BAD_REQUEST if xml::first(&texts, "Messages/Message").is_some() => "InvalidChangeBatch",
        _ => "",
    });
    if code.is_empty() {
        return Err(reply.by_status(secret));
    }
    let message = xml::first(&texts, "Message").unwrap_or_default();
    // <https://docs.aws.amazon.com/Route53/latest/APIReference/CommonErrors.html>
    let outcome = match code {
        "SignatureDoesNotMatch"
            if message.contains("Signature expired") || message.contains("not yet current") =>
        {
            Outcome::Park(Park::BadTime)
        }
        "RequestExpired" | "RequestTimeTooSkewed" => Outcome::Park(Park::BadTime),
        "InvalidClientTokenId"
        | "SignatureDoesNotMatch"
        | "IncompleteSignature"
        | "MissingAuthenticationToken"
        | "UnrecognizedClientException" => Outcome::Park(Park::BadAuth),
        "AccessDenied" | "AccessDeniedException" | "OptInRequired" | "NotAuthorized" => {
            Outcome::Park(Park::NotPermitted)
        }
        "NoSuchHostedZone" => Outcome::Park(Park::NoHost),
        "Throttling" | "ThrottlingException" => Outcome::Wait(reply.retry_after.unwrap_or(RATE_LIMITED)),
        "PriorRequestNotComplete" | "InternalFailure" | "ServiceUnavailable" => Outcome::Retry,
        "InvalidChangeBatch" | "InvalidInput" | "ValidationError" => Outcome::Refused,
        _ => reply.by_status(secret).outcome,
    };
    Err(Answer::new(outcome, said(&format!("{} {code}: {message}", reply.status.as_u16()), secret)))
}

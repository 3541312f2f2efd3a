//! key-systems, which domaindiscount24, moniker and RRPproxy sell: `GET …/update.php?hostname=H&password=P&ip=A`
//! (<https://support.domaindiscount24.com/hc/en-gb/articles/4409759444625-Dynamic-DNS>).
//!
//! The answer is an envelope of lines: `[RESPONSE]`, `code = 200`, `description = …`, at last `EOF`. Its `code` decides, whatever the
//! HTTP status; a success needs both. The codes are of the RRP family: 2xx success, 4xx the server's trouble, 5xx refusals; which of them the updates use is not
//! published, so a refusal that is not known goes with its own words. For 30 minutes after an update further ones are
//! denied, so of two addresses one goes at a time. The password stands in the URL, so that URL is never logged.

use std::{net::IpAddr, time::Duration};

use secrecy::{ExposeSecret as _, SecretString};
use serde::{Deserialize, Serialize};

use super::{Step, fixed};
use crate::dns::{
    Answer, Answers, Endpoint, Http, Outcome, Park, Wanted,
    http::{Auth, MASK, Reply, Request},
    outcome::said,
};

/// No update is taken so long after one.
const PAUSE: Duration = Duration::from_mins(30);

/// A name at key-systems; its secret is the password of its DynDNS.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct KeySystems {
    /// Where it is called.
    #[serde(default = "url")]
    pub url: Endpoint,
}

fn url() -> Endpoint {
    fixed("https://dynamicdns.key-systems.net/update.php")
}

impl KeySystems {
    fn request(&self, wanted: &Wanted, address: IpAddr, secret: &str) -> Request {
        let parameters =
            [("hostname", wanted.host.as_str()), ("password", secret), ("ip", &address.to_string())];
        Request::get(self.url.query(&parameters), Auth::None)
    }

    pub(super) fn plan(&self, wanted: &Wanted) -> Vec<Step> {
        let requests = wanted.addresses().into_iter().map(|address| self.request(wanted, address, MASK));
        requests
            .enumerate()
            .map(|(nth, request)| {
                Step::new(if nth == 0 {
                    request
                } else {
                    request.noted("30 minutes later, if the first is taken")
                })
            })
            .collect()
    }

    pub(super) async fn update(&self, http: &Http, secret: &SecretString, wanted: &Wanted) -> Answers {
        let mut answers = Answers::default();
        for address in wanted.addresses() {
            let before = answers.a.as_ref().map(|answer| answer.outcome);
            let answer = match (before, answers.end()) {
                (Some(Outcome::Good), _) => {
                    Answer::new(Outcome::Wait(PAUSE), "not sent: one update in 30 minutes")
                }
                // It may have been taken all the same.
                (Some(Outcome::Retry), _) => {
                    Answer::retry("not sent: the other address has no clear answer yet")
                }
                (_, Some(answer)) => answer,
                _ => {
                    let request = self.request(wanted, address, secret.expose_secret());
                    match http.send(request, secret).await {
                        Ok(reply) => answer(&reply, secret.expose_secret()),
                        Err(answer) => answer,
                    }
                }
            };
            answers.set(address, answer);
        }
        answers
    }
}

/// What stands after `key =`, in an envelope.
fn field<'a>(body: &'a str, key: &str) -> Option<&'a str> {
    let mut lines = body.lines().map(str::trim).filter(|line| !line.is_empty());
    (lines.next()? == "[RESPONSE]").then_some(())?;
    lines
        .filter_map(|line| line.split_once('='))
        .find(|(found, _)| found.trim() == key)
        .map(|(_, value)| value.trim())
}

fn answer(reply: &Reply, secret: &str) -> Answer {
    let code =
        field(&reply.body, "code").filter(|code| code.len() == 3).and_then(|code| code.parse::<u16>().ok());
    let Some(code) = code else {
        return if reply.status.is_success() {
            reply.malformed("no [RESPONSE] with a code came", secret)
        } else {
            reply.by_status(secret)
        };
    };
    let description = field(&reply.body, "description").unwrap_or_default();
    let outcome = match code {
        200..=299 if reply.status.is_success() => Outcome::Good,
        200..=299 => return reply.by_status(secret),
        400..=499 => Outcome::Retry,
        530 | 531 => Outcome::Park(Park::BadAuth),
        _ if says(description, &["authorization failed", "authentication failed"]) => {
            Outcome::Park(Park::BadAuth)
        }
        _ if says(description, &["minute", "too many", "too often"]) => Outcome::Wait(PAUSE),
        545 => Outcome::Park(Park::NoHost),
        _ => Outcome::Refused,
    };
    Answer::new(outcome, said(&format!("{code} {description}"), secret))
}

fn says(description: &str, words: &[&str]) -> bool {
    let description = description.to_ascii_lowercase();
    words.iter().any(|word| description.contains(word))
}

#[cfg(test)]
mod tests {
    use reqwest::StatusCode;

    use super::*;
    use crate::dns::http::tests::reply;

    #[test]
    fn the_code_decides() {
        let envelope = |code: &str, says: &str| {
            format!("[RESPONSE]\ncode = {code}\ndescription = {says}\nqueuetime = 0\nEOF\n")
        };
        for (status, body, outcome) in [
            (200, envelope("200", "Command completed successfully"), Outcome::Good),
            (200, envelope("421", "Command failed due to server error"), Outcome::Retry),
            (200, envelope("531", "Authorization failed"), Outcome::Park(Park::BadAuth)),
            (200, envelope("549", "authorization failed; password s3cret"), Outcome::Park(Park::BadAuth)),
            (200, envelope("545", "Entity reference not found"), Outcome::Park(Park::NoHost)),
            (200, envelope("549", "Please wait 30 minutes"), Outcome::Wait(PAUSE)),
            (200, envelope("541", "Invalid attribute value"), Outcome::Refused),
            (500, envelope("200", "Command completed successfully"), Outcome::Retry),
            (302, envelope("200", "Command completed successfully"), Outcome::Retry),
            (200, envelope("420", "Command failed due to server error"), Outcome::Retry),
            (200, envelope("530", "Authentication failed"), Outcome::Park(Park::BadAuth)),
            (200, envelope("549", "Too many updates"), Outcome::Wait(PAUSE)),
            (200, envelope("0200", "no code"), Outcome::Retry),
            (403, envelope("531", "Authorization failed"), Outcome::Park(Park::BadAuth)),
            (200, "code = 200\n".to_owned(), Outcome::Retry),
            (200, "[RESPONSE]\ncode = 20".to_owned(), Outcome::Retry),
            (200, "[RESPONSE]\ndescription = code = 200\n".to_owned(), Outcome::Retry),
            (200, "success".to_owned(), Outcome::Retry),
            (200, String::new(), Outcome::Retry),
            (401, String::new(), Outcome::Park(Park::BadAuth)),
        ] {
            let answer = answer(&reply(StatusCode::from_u16(status).unwrap(), &body), "s3cret");
            assert_eq!(answer.outcome, outcome, "{body}");
            assert!(!answer.said.contains("s3cret"), "{answer:?}");
        }
    }
}

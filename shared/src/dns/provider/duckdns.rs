//! Duck DNS: `GET …/update?domains=NAME&token=…&ip=…&ipv6=…&verbose=true` (<https://www.duckdns.org/spec.jsp>).
//!
//! The first line of the answer is `OK` or `KO`; after `OK` come the two addresses and `UPDATED` or `NOCHANGE`, a line each. `KO`
//! has no reason. The token stands in the URL, so that URL is never logged.

use secrecy::{ExposeSecret as _, SecretString};
use serde::{Deserialize, Serialize};

use super::{FieldError, Step, fixed};
use crate::dns::{
    Answer, Answers, Endpoint, Host, Http, Outcome, Wanted,
    http::{Auth, MASK, Reply, Request},
    outcome::said,
};

/// Where its names are.
const DOMAIN: &str = ".duckdns.org";

/// An account of Duck DNS; its secret is the token.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct DuckDns {
    /// Where it is called.
    #[serde(default = "url")]
    pub url: Endpoint,
}

fn url() -> Endpoint {
    fixed("https://www.duckdns.org/update")
}

/// The name as the parameter has it.
fn label(host: &Host) -> &str {
    host.as_str().strip_suffix(DOMAIN).unwrap_or(host.as_str())
}

/// Whether the name is one of Duck DNS.
pub(super) fn check(wanted: &Wanted) -> Result<(), FieldError> {
    match wanted.host.as_str().strip_suffix(DOMAIN) {
        Some(label) if !label.contains(['.', '*']) => Ok(()),
        _ => Err(FieldError::new(
            "host",
            "Duck DNS has names as home.duckdns.org; all names below follow them by themselves",
        )),
    }
}

impl DuckDns {
    fn request(&self, wanted: &Wanted, secret: &str) -> Request {
        let (v4, v6) = (wanted.v4.map(|a| a.to_string()), wanted.v6.map(|a| a.to_string()));
        let mut parameters = vec![("domains", label(&wanted.host)), ("token", secret), ("verbose", "true")];
        parameters.extend(v4.iter().map(|address| ("ip", address.as_str())));
        parameters.extend(v6.iter().map(|address| ("ipv6", address.as_str())));
        Request::get(self.url.query(&parameters), Auth::None)
    }

    pub(super) fn plan(&self, wanted: &Wanted) -> Vec<Step> {
        vec![Step::new(self.request(wanted, MASK))]
    }

    pub(super) async fn update(&self, http: &Http, secret: &SecretString, wanted: &Wanted) -> Answers {
        let answer = match http.send(self.request(wanted, secret.expose_secret()), secret).await {
            Ok(reply) => answer(&reply, wanted, secret.expose_secret()),
            Err(answer) => answer,
        };
        Answers::all(wanted, &answer)
    }
}

fn answer(reply: &Reply, wanted: &Wanted, secret: &str) -> Answer {
    if !reply.status.is_success() {
        return reply.by_status(secret);
    }
    let lines: Vec<&str> = reply.body.lines().map(str::trim).collect();
    let told = said(&reply.body, secret);
    let other = wanted.addresses().into_iter().find(|sent| {
        lines
            .iter()
            .filter_map(|line| line.parse().ok())
            .any(|set: std::net::IpAddr| set.is_ipv4() == sent.is_ipv4() && set != *sent)
    });
    match lines.as_slice() {
        ["OK", ..] if other.is_some() => {
            Answer::new(Outcome::Refused, format!("{told}: another address than the one sent"))
        }
        ["OK"] | ["OK", .., "UPDATED"] => Answer::new(Outcome::Good, told),
        ["OK", .., "NOCHANGE"] => Answer::new(Outcome::NoChange, told),
        ["KO", ..] => Answer::new(
            Outcome::Refused,
            "KO: token or name are wrong, or Duck DNS has a fault; it gives no reason",
        ),
        _ => reply.malformed("neither OK nor KO came", secret),
    }
}

#[cfg(test)]
mod tests {
    use reqwest::StatusCode;

    use super::*;
    use crate::dns::http::tests::reply;

    #[test]
    fn each_answer_has_its_meaning() {
        let wanted = Wanted {
            host: "home.duckdns.org".parse().unwrap(),
            v4: Some("192.0.2.7".parse().unwrap()),
            v6: Some("2001:db8::7".parse().unwrap()),
            beside: None,
            ttl: None,
        };
        for (body, outcome) in [
            ("OK\n192.0.2.7\n2001:db8::7\nUPDATED", Outcome::Good),
            ("OK\n192.0.2.7\n2001:DB8:0::7\nNOCHANGE\n", Outcome::NoChange),
            ("OK\n192.0.2.7\n\nUPDATED", Outcome::Good),
            ("OK\n198.51.100.9\n\nUPDATED", Outcome::Refused),
            ("OK", Outcome::Good),
            ("KO", Outcome::Refused),
            ("OKAY", Outcome::Retry),
            ("NOT OK", Outcome::Retry),
            ("OK\n192.0.2.7\n", Outcome::Retry),
            ("", Outcome::Retry),
        ] {
            assert_eq!(answer(&reply(StatusCode::OK, body), &wanted, "t").outcome, outcome, "{body:?}");
        }
    }

    #[test]
    fn names_are_those_of_duck_dns() {
        for (host, good) in [
            ("home.duckdns.org", true),
            ("a.home.duckdns.org", false),
            ("*.home.duckdns.org", false),
            ("a.example", false),
        ] {
            let wanted = Wanted { host: host.parse().unwrap(), v4: None, v6: None, beside: None, ttl: None };
            assert_eq!(check(&wanted).is_ok(), good, "{host}");
        }
    }
}

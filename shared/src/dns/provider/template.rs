//! Any provider that is called by HTTPS: a URL, parameters that each are something, and a rule by which an answer is a success.
//!
//! There is no text with placeholders: each value is one parameter, percent-encoded, so that no name is misspelt unseen and no
//! password cuts a URL short. What is no success by the rule is none, whatever the status; a web page never is one.

mod rule;

use std::net::IpAddr;

use reqwest::Method;
use secrecy::{ExposeSecret as _, SecretString};
use serde::{Deserialize, Serialize};

pub use self::rule::Rule;
use super::{FieldError, Step};
use crate::dns::{
    Answer, Answers, Endpoint, Http, Outcome, Park, Wanted,
    http::{Auth, MASK, Reply, Request},
    outcome::said,
};

/// A provider as its settings describe it; its secret is what it takes for one.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Template {
    /// Where it is called.
    pub url: Endpoint,
    /// How.
    #[serde(default)]
    pub method: Verb,
    /// What is sent: in the URL with GET, as a form with POST and PUT.
    pub parameters: Vec<Parameter>,
    /// How it shows who it is, beside a parameter `secret`.
    #[serde(default)]
    pub sign_in: Sign,
    /// An answer that is a success.
    pub good: Rule,
    /// An answer that says that nothing has changed. It is looked at first.
    #[serde(default)]
    pub no_change: Option<Rule>,
    /// An answer that says that the credentials are wrong. It is looked at before the others.
    #[serde(default)]
    pub bad_auth: Option<Rule>,
    /// Seconds between two updates.
    #[serde(default = "five_minutes")]
    pub minimum_interval_seconds: u32,
}

const fn five_minutes() -> u32 {
    300
}

/// A method of HTTP.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "UPPERCASE")]
pub enum Verb {
    /// GET
    #[default]
    Get,
    /// POST
    Post,
    /// PUT
    Put,
}

/// How a template shows who it is.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum Sign {
    /// By its parameters.
    #[default]
    None,
    /// Basic authentication with this user and the secret.
    Basic {
        /// The user.
        user: String,
    },
    /// The secret as a bearer token.
    Bearer,
}

/// A parameter.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Parameter {
    /// Its name.
    pub name: String,
    /// What it is filled with.
    pub is: Value,
}

/// What a parameter is filled with.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Value {
    /// The name.
    Host,
    /// The address; with both families a request each.
    Address,
    /// The IPv4 address; left out without one.
    Ipv4,
    /// The IPv6 address; left out without one.
    Ipv6,
    /// `A` or `AAAA`, of the address.
    Type,
    /// Seconds; left out without.
    Ttl,
    /// The secret.
    Secret,
    /// This.
    Text(String),
}

impl Template {
    pub(super) fn check(&self, wanted: &Wanted) -> Result<(), FieldError> {
        let has = |value: &Value| self.parameters.iter().any(|parameter| parameter.is == *value);
        let mut names: Vec<&str> = self.parameters.iter().map(|parameter| parameter.name.as_str()).collect();
        names.sort_unstable();
        if let Some([twice, ..]) = names.windows(2).find(|pair| pair[0] == pair[1]) {
            return Err(FieldError::new("parameters", format!("{twice:?} is there twice")));
        }
        if let Some(at) = self.parameters.iter().position(|parameter| parameter.name.is_empty()) {
            return Err(FieldError::new(format!("parameters[{at}].name"), "it is empty"));
        }
        let (one, each) = (has(&Value::Address), has(&Value::Ipv4) || has(&Value::Ipv6));
        if one == each {
            return Err(FieldError::new(
                "parameters",
                "the address is missing or there twice; allowed are one parameter that is address, or ones that are ipv4 and ipv6",
            ));
        }
        for (family, missing) in [
            ("ipv4", wanted.v4.is_some() && each && !has(&Value::Ipv4)),
            ("ipv6", wanted.v6.is_some() && each && !has(&Value::Ipv6)),
        ] {
            if missing {
                return Err(FieldError::new(
                    "parameters",
                    format!("no parameter is {family}, which is wanted"),
                ));
            }
        }
        if has(&Value::Type) && each {
            return Err(FieldError::new("parameters", "type goes with address, not with ipv4 and ipv6"));
        }
        if self.sign_in == Sign::None && !has(&Value::Secret) {
            return Err(FieldError::new(
                "parameters",
                "nothing holds the secret: give a parameter that is secret, or sign_in",
            ));
        }
        if let Sign::Basic { user } = &self.sign_in
            && user.contains(':')
        {
            return Err(FieldError::new("sign_in.basic.user", "it has no colon (RFC 7617 section 2)"));
        }
        if !(60..=86_400).contains(&self.minimum_interval_seconds) {
            return Err(FieldError::new("minimum_interval_seconds", "allowed are 60 to 86400"));
        }
        self.good.check("good")?;
        self.no_change.as_ref().map_or(Ok(()), |rule| rule.check("no_change"))?;
        self.bad_auth.as_ref().map_or(Ok(()), |rule| rule.check("bad_auth"))
    }

    pub(super) fn takes_ttl(&self) -> bool {
        self.parameters.iter().any(|parameter| parameter.is == Value::Ttl)
    }

    /// Its fixed texts, each with its field.
    pub(super) fn texts(&self) -> Vec<(String, &str)> {
        let mut texts = Vec::new();
        for (at, parameter) in self.parameters.iter().enumerate() {
            if let Value::Text(text) = &parameter.is {
                texts.push((format!("parameters[{at}].is.text"), text.as_str()));
            }
        }
        texts
    }

    /// The requests, with the addresses that each is for.
    fn requests(&self, wanted: &Wanted, secret: &str) -> Vec<(Vec<IpAddr>, Request)> {
        let all = wanted.addresses();
        if self.parameters.iter().any(|parameter| parameter.is == Value::Address) {
            all.into_iter()
                .map(|address| (vec![address], self.request(wanted, Some(address), secret)))
                .collect()
        } else {
            vec![(all, self.request(wanted, None, secret))]
        }
    }

    fn request(&self, wanted: &Wanted, address: Option<IpAddr>, secret: &str) -> Request {
        let filled: Vec<(&str, String)> = self
            .parameters
            .iter()
            .filter_map(|parameter| {
                let value = match &parameter.is {
                    Value::Host => Some(wanted.host.to_string()),
                    Value::Address => address.map(|address| address.to_string()),
                    Value::Ipv4 => wanted.v4.map(|address| address.to_string()),
                    Value::Ipv6 => wanted.v6.map(|address| address.to_string()),
                    Value::Type => address.map(|address| crate::dns::host::record_type(address).to_owned()),
                    Value::Ttl => wanted.ttl.map(|ttl| ttl.to_string()),
                    Value::Secret => Some(secret.to_owned()),
                    Value::Text(text) => Some(text.clone()),
                };
                value.map(|value| (parameter.name.as_str(), value))
            })
            .collect();
        let auth = match &self.sign_in {
            Sign::None => Auth::None,
            Sign::Basic { user } => Auth::Basic(user.clone()),
            Sign::Bearer => Auth::Bearer,
        };
        let pairs: Vec<(&str, &str)> = filled.iter().map(|(name, value)| (*name, value.as_str())).collect();
        if self.method == Verb::Get {
            return Request::get(self.url.query(&pairs), auth);
        }
        let method = if self.method == Verb::Post { Method::POST } else { Method::PUT };
        let mut request = Request::new(method, self.url.url().clone(), auth);
        request.headers.push(("content-type".to_owned(), "application/x-www-form-urlencoded".to_owned()));
        request.body =
            Some(url::form_urlencoded::Serializer::new(String::new()).extend_pairs(pairs).finish());
        request
    }

    pub(super) fn plan(&self, wanted: &Wanted) -> Vec<Step> {
        self.requests(wanted, MASK).into_iter().map(|(_, request)| Step::new(request)).collect()
    }

    pub(super) async fn update(&self, http: &Http, secret: &SecretString, wanted: &Wanted) -> Answers {
        let mut answers = Answers::default();
        for (addresses, request) in self.requests(wanted, secret.expose_secret()) {
            let reply = match answers.end() {
                Some(answer) => Err(answer),
                None => http.send(request, secret).await,
            };
            let answer = match reply {
                Ok(reply) => self.answer(&reply, secret.expose_secret()),
                Err(answer) => answer,
            };
            for address in addresses {
                answers.set(address, answer.clone());
            }
        }
        answers
    }

    fn answer(&self, reply: &Reply, secret: &str) -> Answer {
        let told = said(&format!("{} {}", reply.status.as_u16(), reply.body), secret);
        let holds = |rule: &Option<Rule>| rule.as_ref().is_some_and(|rule| rule.holds(reply));
        if holds(&self.bad_auth) {
            Answer::park(Park::BadAuth, told)
        } else if holds(&self.no_change) {
            Answer::new(Outcome::NoChange, told)
        } else if self.good.holds(reply) {
            Answer::new(Outcome::Good, told)
        } else if !reply.status.is_success() {
            reply.by_status(secret)
        } else if reply.is_page() || reply.body.trim().is_empty() {
            reply.malformed("the answer is no success by the rule", secret)
        } else {
            Answer::new(Outcome::Refused, said(&format!("no success by the rule: {told}"), secret))
        }
    }
}

#[cfg(test)]
mod tests {
    use reqwest::StatusCode;
    use serde_json::json;

    use super::*;
    use crate::dns::{host::tests::wanted, http::tests::reply};

    fn template(changes: &serde_json::Value) -> Template {
        let mut settings = json!({
            "url": "https://a.example/update?zone=1", "good": {"first_word": ["good"]},
            "parameters": [{"name": "h", "is": "host"}, {"name": "ip", "is": "address"},
                {"name": "token", "is": "secret"}, {"name": "v", "is": {"text": "a&b"}}],
        });
        for (field, value) in changes.as_object().unwrap() {
            settings[field] = value.clone();
        }
        serde_json::from_value(settings).unwrap()
    }

    #[test]
    fn every_value_is_percent_encoded() {
        let requests = template(&json!({})).requests(&wanted(), "p&w=%+#");
        let urls: Vec<_> = requests.iter().map(|(_, request)| request.url.as_str()).collect();
        assert_eq!(
            urls,
            [
                "https://a.example/update?zone=1&h=home.example.org&ip=192.0.2.7&token=p%26w%3D%25%2B%23&v=a%26b",
                "https://a.example/update?zone=1&h=home.example.org&ip=2001%3Adb8%3A%3A7&token=p%26w%3D%25%2B%23&v=a%26b",
            ]
        );
        let (_, post) = &template(&json!({"method": "POST"})).requests(&wanted(), "p&w")[0];
        assert_eq!(post.body.as_deref(), Some("h=home.example.org&ip=192.0.2.7&token=p%26w&v=a%26b"));
        assert_eq!(post.url.as_str(), "https://a.example/update?zone=1");
    }

    #[test]
    fn a_rule_decides_and_a_page_never_is_a_success() {
        let of = |changes: serde_json::Value, status: u16, body: &str| {
            template(&changes).answer(&reply(StatusCode::from_u16(status).unwrap(), body), "t").outcome
        };
        let none = || json!({});
        assert_eq!(of(none(), 200, "good 192.0.2.7"), Outcome::Good);
        assert_eq!(of(none(), 200, "goodbye"), Outcome::Refused);
        assert_eq!(of(none(), 200, "not good"), Outcome::Refused);
        assert_eq!(of(none(), 200, ""), Outcome::Retry);
        assert_eq!(of(none(), 500, "good"), Outcome::Retry);
        assert_eq!(of(none(), 200, "<html>good</html>"), Outcome::Retry);
        let status = || json!({"good": {"status": [200, 204]}});
        assert_eq!(of(status(), 204, ""), Outcome::Good);
        assert_eq!(of(status(), 200, "<!doctype html> sign in"), Outcome::Retry);
        let field = || json!({"good": {"json": {"pointer": "/r/0/ok", "is": true}}});
        assert_eq!(of(field(), 200, r#"{"r":[{"ok":true}]}"#), Outcome::Good);
        assert_eq!(of(field(), 200, r#"{"r":[{"ok":"true"}]}"#), Outcome::Refused);
        let line = || json!({"good": {"line": "code = 200"}, "no_change": {"line": "same"}, "bad_auth": {"status": [400]}});
        assert_eq!(of(line(), 200, "x\r\ncode = 200\r\n"), Outcome::Good);
        assert_eq!(of(line(), 200, "same\ncode = 200"), Outcome::NoChange);
        assert_eq!(of(line(), 400, "code = 200"), Outcome::Park(Park::BadAuth));
    }

    #[test]
    fn settings_that_cannot_work_are_refused() {
        for (changes, field, why) in [
            (
                json!({"parameters": [{"name": "h", "is": "host"}, {"name": "t", "is": "secret"}]}),
                "parameters",
                "address is missing",
            ),
            (
                json!({"parameters": [{"name": "a", "is": "address"}, {"name": "a", "is": "secret"}]}),
                "parameters",
                "twice",
            ),
            (
                json!({"parameters": [{"name": "", "is": "address"}, {"name": "a", "is": "secret"}]}),
                "parameters[0].name",
                "empty",
            ),
            (
                json!({"parameters": [{"name": "a", "is": "ipv4"}, {"name": "s", "is": "secret"}]}),
                "parameters",
                "is ipv6",
            ),
            (json!({"parameters": [{"name": "a", "is": "address"}]}), "parameters", "holds the secret"),
            (json!({"good": {"first_word": []}}), "good", "words"),
            (json!({"good": {"status": [302]}}), "good", "300"),
            (json!({"no_change": {"json": {"pointer": "ok", "is": 1}}}), "no_change", "begins with /"),
            (json!({"minimum_interval_seconds": 5}), "minimum_interval_seconds", "60"),
        ] {
            let error = template(&changes).check(&wanted()).unwrap_err();
            assert!(error.field == field && error.why.contains(why), "{changes}: {error}");
        }
    }
}

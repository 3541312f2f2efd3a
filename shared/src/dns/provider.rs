//! Who holds a record. Each provider has its file, with its rule on the wire and where that rule is written.
//!
//! A provider's settings are plain data; each has one secret beside them, which is kept elsewhere. [`Provider::plan`] shows the
//! requests, [`Provider::update`] sends them: both build them by the same functions. [`Provider::observe`] and [`Provider::probe`] only
//! read, where the provider can be read.

mod cloudflare;
mod desec;
mod duckdns;
mod dyndns2;
mod google_cloud;
mod hetzner;
mod inwx;
mod key_systems;
mod look;
mod rfc2136;
mod route53;
mod template;

use std::{fmt, time::Duration};

use chrono::{DateTime, Utc};
use secrecy::SecretString;
use serde::{Deserialize, Serialize, de::DeserializeOwned};
use serde_json::Value;

pub use self::{
    cloudflare::Cloudflare,
    desec::Desec,
    duckdns::DuckDns,
    dyndns2::{Dual, Dyndns2},
    google_cloud::GoogleCloud,
    hetzner::Hetzner,
    inwx::Inwx,
    key_systems::KeySystems,
    look::{Finding, Held},
    rfc2136::{Algorithm, Require, Rfc2136},
    route53::Route53,
    template::{Parameter, Rule, Sign, Template, Value as Filled, Verb},
};
use super::{Answer, Answers, Endpoint, Http, Wanted};

/// A provider with its settings. Its secret stands beside it: password, token, key of TSIG, secret access key, or key file.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "provider")]
pub enum Provider {
    /// `dyndns2`
    #[serde(rename = "dyndns2")]
    Dyndns2(Dyndns2),
    /// `key-systems`
    #[serde(rename = "key-systems")]
    KeySystems(KeySystems),
    /// `duckdns`
    #[serde(rename = "duckdns")]
    DuckDns(DuckDns),
    /// `cloudflare`
    #[serde(rename = "cloudflare")]
    Cloudflare(Cloudflare),
    /// `desec`
    #[serde(rename = "desec")]
    Desec(Desec),
    /// `hetzner`
    #[serde(rename = "hetzner")]
    Hetzner(Hetzner),
    /// `inwx`
    #[serde(rename = "inwx")]
    Inwx(Inwx),
    /// `route53`
    #[serde(rename = "route53")]
    Route53(Route53),
    /// `google-cloud`
    #[serde(rename = "google-cloud")]
    GoogleCloud(GoogleCloud),
    /// `rfc2136`
    #[serde(rename = "rfc2136")]
    Rfc2136(Rfc2136),
    /// `template`
    #[serde(rename = "template")]
    Template(Template),
}

/// The names of all providers.
pub const NAMES: [&str; 11] = [
    "dyndns2",
    "key-systems",
    "duckdns",
    "cloudflare",
    "desec",
    "hetzner",
    "inwx",
    "route53",
    "google-cloud",
    "rfc2136",
    "template",
];

/// A setting that makes no sense. What it holds is not repeated where it could be a secret.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{field}: {why}")]
pub struct FieldError {
    /// The setting, as `parameters[1].name`.
    pub field: String,
    /// What is wrong, and what is allowed.
    pub why: String,
}

impl FieldError {
    pub(super) fn new(field: impl Into<String>, why: impl Into<String>) -> Self {
        Self { field: field.into(), why: why.into() }
    }
}

/// One step of an update, as it is shown.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Step(String);

impl Step {
    pub(super) fn new(step: impl fmt::Display) -> Self {
        Self(step.to_string())
    }
}

impl fmt::Display for Step {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl Provider {
    /// Reads settings: an object whose `provider` is one of [`NAMES`].
    pub fn parse(settings: Value) -> Result<Self, FieldError> {
        let allowed = || format!("allowed are {}", NAMES.join(", "));
        let Value::Object(mut fields) = settings else {
            return Err(FieldError::new("provider", format!("the settings are an object; {}", allowed())));
        };
        let name = match fields.remove("provider") {
            Some(Value::String(name)) => name,
            Some(_) => return Err(FieldError::new("provider", format!("not a text; {}", allowed()))),
            None => return Err(FieldError::new("provider", format!("it is missing; {}", allowed()))),
        };
        let rest = Value::Object(fields);
        let provider = match name.as_str() {
            "dyndns2" => Self::Dyndns2(read(rest)?),
            "key-systems" => Self::KeySystems(read(rest)?),
            "duckdns" => Self::DuckDns(read(rest)?),
            "cloudflare" => Self::Cloudflare(read(rest)?),
            "desec" => Self::Desec(read(rest)?),
            "hetzner" => Self::Hetzner(read(rest)?),
            "inwx" => Self::Inwx(read(rest)?),
            "route53" => Self::Route53(read(rest)?),
            "google-cloud" => Self::GoogleCloud(read(rest)?),
            "rfc2136" => Self::Rfc2136(read(rest)?),
            "template" => Self::Template(read(rest)?),
            other => return Err(FieldError::new("provider", format!("{other:?} is none; {}", allowed()))),
        };
        Ok(provider)
    }

    /// Its name, one of [`NAMES`].
    #[must_use]
    pub const fn name(&self) -> &'static str {
        match self {
            Self::Dyndns2(_) => "dyndns2",
            Self::KeySystems(_) => "key-systems",
            Self::DuckDns(_) => "duckdns",
            Self::Cloudflare(_) => "cloudflare",
            Self::Desec(_) => "desec",
            Self::Hetzner(_) => "hetzner",
            Self::Inwx(_) => "inwx",
            Self::Route53(_) => "route53",
            Self::GoogleCloud(_) => "google-cloud",
            Self::Rfc2136(_) => "rfc2136",
            Self::Template(_) => "template",
        }
    }

    /// Whether settings, secret and what is wanted fit together. To be asked at the door; `update` takes it as given.
    pub fn check(&self, wanted: &Wanted, secret: &SecretString) -> Result<(), FieldError> {
        use secrecy::ExposeSecret as _;
        let text = secret.expose_secret();
        if text.is_empty() {
            return Err(FieldError::new("secret", "it is empty; each provider needs one"));
        }
        if text.trim() != text && !matches!(self, Self::GoogleCloud(_)) {
            return Err(FieldError::new(
                "secret",
                "it begins or ends with white space: as from a file with a last line break; leave that out",
            ));
        }
        let bearer = match self {
            Self::Cloudflare(_) | Self::Hetzner(_) => true,
            Self::Template(p) => p.sign_in == Sign::Bearer,
            _ => false,
        };
        if bearer && !text.bytes().all(|byte| byte.is_ascii_graphic()) {
            return Err(FieldError::new("secret", "a token is letters, digits and signs of ASCII alone"));
        }
        if let Some(field) = self.field_with(text) {
            let why = "the secret stands in it, where people read it: leave it out, it is sent by itself";
            return Err(FieldError::new(field, why));
        }
        if wanted.v4.is_none() && wanted.v6.is_none() {
            return Err(FieldError::new("address", "none is given; give one of IPv4, one of IPv6 or both"));
        }
        if let Some(ttl) = wanted.ttl
            && !(1..=86_400).contains(&ttl)
        {
            return Err(FieldError::new(
                "ttl",
                format!("{ttl} is not allowed; allowed are 1 to 86400 seconds"),
            ));
        }
        match self {
            Self::Dyndns2(p) => p.check(),
            Self::DuckDns(_) => duckdns::check(wanted),
            Self::Cloudflare(p) => p.check(),
            Self::Hetzner(p) => p.check(wanted),
            Self::Route53(p) => p.check(),
            Self::GoogleCloud(p) => p.check(secret),
            Self::Rfc2136(p) => p.check(wanted, secret),
            Self::Template(p) => p.check(wanted),
            Self::Desec(_) | Self::Inwx(_) | Self::KeySystems(_) => Ok(()),
        }
    }

    /// The setting, shown in plans and lists, that has the secret in it. Short ones stand in many a word.
    fn field_with(&self, secret: &str) -> Option<String> {
        let (url, texts) = match self {
            Self::Dyndns2(p) => (&p.url, Vec::new()),
            Self::Template(p) => (&p.url, p.texts()),
            _ => return None,
        };
        if secret.len() < 6 {
            return None;
        }
        let in_query = url.url().query_pairs().any(|(_, value)| value.contains(secret));
        if in_query || url.url().as_str().contains(secret) {
            return Some("url".to_owned());
        }
        texts.into_iter().find(|(_, text)| text.contains(secret)).map(|(field, _)| field)
    }

    /// How long to wait between two updates of a name, whatever changes. Of the provider's own rules, or those of kind clients.
    #[must_use]
    pub const fn minimum_interval(&self) -> Duration {
        match self {
            Self::KeySystems(_) => Duration::from_mins(30),
            // deSEC takes 300 writes of a record a day.
            Self::Dyndns2(_) | Self::DuckDns(_) | Self::Inwx(_) | Self::Desec(_) => Duration::from_mins(5),
            Self::Cloudflare(_) | Self::Hetzner(_) | Self::Route53(_) | Self::GoogleCloud(_) => {
                Duration::from_mins(1)
            }
            Self::Rfc2136(_) => Duration::from_secs(10),
            Self::Template(p) => Duration::from_secs(p.minimum_interval_seconds as u64),
        }
    }

    /// What would be sent, step by step, with `***` for the secret. Steps that depend on an answer say so.
    #[must_use]
    pub fn plan(&self, wanted: &Wanted, now: DateTime<Utc>) -> Vec<Step> {
        match self {
            Self::Dyndns2(p) => p.plan(wanted),
            Self::KeySystems(p) => p.plan(wanted),
            Self::DuckDns(p) => p.plan(wanted),
            Self::Cloudflare(p) => p.plan(wanted),
            Self::Desec(p) => p.plan(wanted),
            Self::Hetzner(p) => p.plan(wanted),
            Self::Inwx(p) => p.plan(wanted),
            Self::Route53(p) => p.plan(wanted, now),
            Self::GoogleCloud(p) => p.plan(wanted),
            Self::Rfc2136(p) => p.plan(wanted),
            Self::Template(p) => p.plan(wanted),
        }
    }

    /// Sends an update once. Each record that was asked for has an answer.
    pub async fn update(
        &self,
        http: &Http,
        secret: &SecretString,
        wanted: &Wanted,
        now: DateTime<Utc>,
    ) -> Answers {
        match self {
            Self::Dyndns2(p) => p.update(http, secret, wanted).await,
            Self::KeySystems(p) => p.update(http, secret, wanted).await,
            Self::DuckDns(p) => p.update(http, secret, wanted).await,
            Self::Cloudflare(p) => p.update(http, secret, wanted).await,
            Self::Desec(p) => p.update(http, secret, wanted).await,
            Self::Hetzner(p) => p.update(http, secret, wanted).await,
            Self::Inwx(p) => p.update(http, secret, wanted).await,
            Self::Route53(p) => p.update(http, secret, wanted, now).await,
            Self::GoogleCloud(p) => p.update(http, secret, wanted).await,
            Self::Rfc2136(p) => p.update(http, secret, wanted, now).await,
            Self::Template(p) => p.update(http, secret, wanted).await,
        }
    }

    /// Whether it can be asked what it holds: [`Self::observe`] and [`Self::probe`]. Those who only take updates cannot.
    #[must_use]
    pub const fn can_be_read(&self) -> bool {
        match self {
            Self::Cloudflare(_)
            | Self::Hetzner(_)
            | Self::Route53(_)
            | Self::GoogleCloud(_)
            | Self::Rfc2136(_) => true,
            Self::Dyndns2(_)
            | Self::KeySystems(_)
            | Self::DuckDns(_)
            | Self::Desec(_)
            | Self::Inwx(_)
            | Self::Template(_) => false,
        }
    }

    /// What it says that it holds now, of the families that have an address in `wanted`. Changes nothing, and is no update: no minimum
    /// interval applies. None: it cannot be asked ([`Self::can_be_read`]).
    pub async fn observe(
        &self,
        http: &Http,
        secret: &SecretString,
        wanted: &Wanted,
        now: DateTime<Utc>,
    ) -> Option<Result<Held, Answer>> {
        Some(match self {
            Self::Cloudflare(p) => p.observe(http, secret, wanted).await,
            Self::Hetzner(p) => p.observe(http, secret, wanted).await,
            Self::Route53(p) => p.observe(http, secret, wanted, now).await,
            Self::GoogleCloud(p) => p.observe(http, secret, wanted).await,
            Self::Rfc2136(p) => p.observe(http, secret, wanted, now).await,
            Self::Dyndns2(_)
            | Self::KeySystems(_)
            | Self::DuckDns(_)
            | Self::Desec(_)
            | Self::Inwx(_)
            | Self::Template(_) => return None,
        })
    }

    /// Whether credentials and zone are right, as far as that can be seen without changing anything. It ends with the first finding
    /// that is not good. None: nothing can be seen but by an update ([`Self::can_be_read`]).
    pub async fn probe(
        &self,
        http: &Http,
        secret: &SecretString,
        wanted: &Wanted,
        now: DateTime<Utc>,
    ) -> Option<Vec<Finding>> {
        Some(match self {
            Self::Cloudflare(p) => p.probe(http, secret, wanted).await,
            Self::Hetzner(p) => p.probe(http, secret, wanted).await,
            Self::Route53(p) => p.probe(http, secret, wanted, now).await,
            Self::GoogleCloud(p) => p.probe(http, secret, wanted).await,
            Self::Rfc2136(p) => p.probe(http, secret, wanted, now).await,
            Self::Dyndns2(_)
            | Self::KeySystems(_)
            | Self::DuckDns(_)
            | Self::Desec(_)
            | Self::Inwx(_)
            | Self::Template(_) => return None,
        })
    }
}

fn read<T: DeserializeOwned>(settings: Value) -> Result<T, FieldError> {
    serde_path_to_error::deserialize(settings).map_err(|error| {
        let field = error.path().to_string();
        // A missing field has no path of its own; its name is in the text.
        let field = if field == "." { "settings".to_owned() } else { field };
        FieldError::new(field, error.into_inner().to_string())
    })
}

/// The default of an endpoint. The texts are this crate's own, and a test reads them all.
fn fixed(url: &'static str) -> Endpoint {
    match Endpoint::try_from(url.to_owned()) {
        Ok(endpoint) => endpoint,
        Err(why) => unreachable!("{url}: {why}"),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn wanted() -> Wanted {
        Wanted {
            host: "home.example.org".parse().unwrap(),
            v4: Some("192.0.2.7".parse().unwrap()),
            v6: Some("2001:db8::7".parse().unwrap()),
            beside: None,
            ttl: None,
        }
    }

    /// The settings of each, as short as they may be.
    fn shortest() -> Vec<Value> {
        vec![
            json!({"provider": "dyndns2", "url": "https://members.dyndns.org/nic/update", "user": "u"}),
            json!({"provider": "key-systems"}),
            json!({"provider": "duckdns"}),
            json!({"provider": "cloudflare"}),
            json!({"provider": "desec", "user": "u"}),
            json!({"provider": "hetzner", "zone": "example.org"}),
            json!({"provider": "inwx", "user": "u"}),
            json!({"provider": "route53", "zone_id": "Z0123456789ABC", "access_key_id": "AKIDEXAMPLE"}),
            json!({"provider": "google-cloud", "project": "p-1", "zone": "z-1"}),
            json!({"provider": "rfc2136", "server": "ns1.example.org", "zone": "example.org", "key": "k"}),
            json!({"provider": "template", "url": "https://a.example/u", "parameters": [
                {"name": "h", "is": "host"}, {"name": "a", "is": "ipv4"}, {"name": "b", "is": "ipv6"},
                {"name": "p", "is": "secret"}], "good": {"first_word": ["ok"]}}),
        ]
    }

    #[test]
    fn settings_are_read_shown_and_read_again() {
        let now = DateTime::UNIX_EPOCH;
        for (settings, name) in shortest().into_iter().zip(NAMES) {
            let provider =
                Provider::parse(settings.clone()).unwrap_or_else(|error| panic!("{settings}: {error}"));
            assert_eq!(provider.name(), name);
            let again = serde_json::to_value(&provider).unwrap();
            assert_eq!(Provider::parse(again.clone()).unwrap(), provider, "{again}");
            assert!(provider.minimum_interval() >= Duration::from_secs(10), "{name}");
            let plan = provider.plan(&wanted(), now);
            let text: String = plan.iter().map(ToString::to_string).collect();
            if name != "duckdns" {
                assert!(text.contains("home"), "{name}: {text}");
            }
            assert!(
                text.contains("192.0.2.7") && text.contains("2001:db8::7") || text.contains("2001%3Adb8"),
                "{text}"
            );
        }
    }

    #[test]
    fn what_is_wrong_is_told_with_its_field_and_what_is_allowed() {
        for (settings, field, why) in [
            (json!([]), "provider", "dyndns2, key-systems"),
            (json!({}), "provider", "missing; allowed are dyndns2"),
            (json!({"provider": 7}), "provider", "not a text"),
            (json!({"provider": "dyn"}), "provider", "\"dyn\" is none; allowed are dyndns2"),
            (json!({"provider": "inwx"}), "settings", "missing field `user`"),
            (
                json!({"provider": "inwx", "user": "u", "pasword": "x"}),
                "pasword",
                "unknown field `pasword`, expected",
            ),
            (
                json!({"provider": "dyndns2", "url": "http://a.example", "user": "u"}),
                "url",
                "must begin with https://",
            ),
            (
                json!({"provider": "dyndns2", "url": "https://a.example", "user": "u", "dual": "both"}),
                "dual",
                "expected one of",
            ),
            (json!({"provider": "hetzner", "zone": "org"}), "zone", "no full host name"),
            (
                json!({"provider": "template", "url": "https://a.example", "good": {"first_word": ["x"]},
                    "parameters": [{"name": "a", "is": "hots"}]}),
                "parameters[0]",
                "expected one of",
            ),
        ] {
            let error = Provider::parse(settings.clone()).unwrap_err();
            assert!(error.field.starts_with(field) && error.why.contains(why), "{settings}: {error}");
        }
    }

    #[test]
    fn a_secret_stands_in_no_setting_and_fits_where_it_goes() {
        let url = json!({"provider": "dyndns2", "url": "https://a.example/u?token=s3cret%26x", "user": "u"});
        let text = json!({"provider": "template", "url": "https://a.example/u", "good": {"status": [200]},
            "parameters": [{"name": "h", "is": "host"}, {"name": "b", "is": "ipv4"}, {"name": "c", "is": "ipv6"},
            {"name": "t", "is": {"text": "s3cret&x"}}, {"name": "p", "is": "secret"}]});
        let token = json!({"provider": "cloudflare"});
        for (settings, secret, field) in [
            (&url, "s3cret&x", "url"),
            (&text, "s3cret&x", "parameters[3].is.text"),
            (&token, "t\u{f6}ken", "secret"),
            (&token, "to ken", "secret"),
        ] {
            let provider = Provider::parse(settings.clone()).unwrap();
            let error = provider.check(&wanted(), &secret.into()).unwrap_err();
            assert_eq!(error.field, field, "{error}");
            assert!(!error.to_string().contains(secret), "{error}");
            assert_eq!(provider.check(&wanted(), &"an0ther".into()), Ok(()));
        }
    }

    #[test]
    fn secret_address_and_ttl_are_looked_at() {
        let provider = Provider::parse(json!({"provider": "key-systems"})).unwrap();
        let check = |wanted: &Wanted, secret: &str| {
            provider.check(wanted, &secret.into()).map_err(|error| error.to_string())
        };
        assert_eq!(check(&wanted(), "s"), Ok(()));
        assert!(check(&wanted(), "").unwrap_err().starts_with("secret: it is empty"));
        assert!(check(&wanted(), "hunter2\n").unwrap_err().contains("white space"));
        let none = Wanted { v4: None, v6: None, ..wanted() };
        assert!(check(&none, "s").unwrap_err().starts_with("address: none"));
        for ttl in [0, 86_401] {
            let bad = Wanted { ttl: Some(ttl), ..wanted() };
            assert!(check(&bad, "s").unwrap_err().contains("1 to 86400"));
        }
    }
}

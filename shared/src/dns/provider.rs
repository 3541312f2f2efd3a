//! Who holds a record. Each provider has its file, with its rule on the wire and where that rule is written.
//!
//! A provider's settings are plain data; each has one secret beside them, which is kept elsewhere. [`Provider::plan`] shows the
//! requests, [`Provider::update`] sends them: both build them by the same functions. [`Provider::observe`] and [`Provider::probe`] only
//! read, where the provider can be read.

mod calls;
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
mod settings;
mod template;

use std::{fmt, time::Duration};

use serde::{Deserialize, Serialize};

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
    settings::FieldError,
    template::{Parameter, Rule, Sign, Template, Value as Filled, Verb},
};
use super::Endpoint;

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

    /// Whether a TTL can be chosen for its names. The protocols of DynDNS have no word for it.
    #[must_use]
    pub fn takes_ttl(&self) -> bool {
        match self {
            Self::Cloudflare(_)
            | Self::Hetzner(_)
            | Self::Route53(_)
            | Self::GoogleCloud(_)
            | Self::Rfc2136(_) => true,
            Self::Template(p) => p.takes_ttl(),
            Self::Dyndns2(_) | Self::KeySystems(_) | Self::DuckDns(_) | Self::Desec(_) | Self::Inwx(_) => {
                false
            }
        }
    }
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
    use chrono::DateTime;
    use serde_json::{Value, json};

    use super::*;
    use crate::dns::host::tests::wanted;

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
}

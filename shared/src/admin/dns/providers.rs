//! `dns providers`: who may hold a name, and what each needs to know.

use serde::Serialize;

/// A provider.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct Described {
    /// Its name.
    pub name: &'static str,
    /// Settings that must be given.
    pub needs: &'static [&'static str],
    /// Settings that may be given.
    pub takes: &'static [&'static str],
    /// What its secret is.
    pub secret: &'static str,
    /// The least time between two updates of a name, in seconds.
    pub min_interval_seconds: u64,
    /// Whether credentials can be tried without an update.
    pub can_be_read: bool,
    /// When a TTL that is chosen counts: `always`, `new` (a record that is there keeps its own), `by a parameter`; `-`: none can be
    /// chosen.
    pub ttl: &'static str,
    /// Who it is.
    pub about: &'static str,
}

const fn described(
    name: &'static str,
    about: &'static str,
    (needs, takes): (&'static [&'static str], &'static [&'static str]),
    secret: &'static str,
    (min_interval_seconds, can_be_read, ttl): (u64, bool, &'static str),
) -> Described {
    Described { name, needs, takes, secret, min_interval_seconds, can_be_read, ttl, about }
}

/// All of them.
pub const PROVIDERS: [Described; 11] = [
    described(
        "dyndns2",
        "any server that speaks dyndns2",
        (&["url", "user"], &["dual"]),
        "the password",
        (300, false, "-"),
    ),
    described(
        "key-systems",
        "domaindiscount24, moniker, RRPproxy",
        (&[], &["url"]),
        "the name's DynDNS password",
        (1_800, false, "-"),
    ),
    described("duckdns", "Duck DNS", (&[], &["url"]), "the token", (300, false, "-")),
    described(
        "cloudflare",
        "Cloudflare",
        (&[], &["zone_id", "owner", "proxied", "url"]),
        "an API token with Zone:Read and DNS:Edit",
        (60, true, "new"),
    ),
    described("desec", "deSEC", (&["user"], &["url"]), "a token", (300, false, "-")),
    described(
        "hetzner",
        "Hetzner Cloud DNS",
        (&["zone"], &["owner", "url"]),
        "an API token of the zone's project",
        (60, true, "new"),
    ),
    described("inwx", "INWX", (&["user"], &["url"]), "the DynDNS account's password", (300, false, "-")),
    described(
        "route53",
        "Amazon Route 53",
        (&["zone_id", "access_key_id"], &["url"]),
        "the secret access key",
        (60, true, "always"),
    ),
    described(
        "google-cloud",
        "Google Cloud DNS",
        (&["project", "zone"], &["url"]),
        "a service account's key file",
        (60, true, "new"),
    ),
    described(
        "rfc2136",
        "a zone's primary server, by DNS UPDATE",
        (&["server", "zone", "key"], &["algorithm", "require", "owner"]),
        "the key's secret in base64, as tsig-keygen prints it",
        (10, true, "always"),
    ),
    described(
        "template",
        "any other that is called by HTTPS",
        (
            &["url", "parameters", "good"],
            &["method", "sign_in", "no_change", "bad_auth", "minimum_interval_seconds"],
        ),
        "what it takes for one",
        (300, false, "by a parameter"),
    ),
];

#[cfg(test)]
mod tests {
    use serde_json::{Map, Value, json};

    use super::*;
    use crate::dns::{Provider, provider::NAMES};

    /// What the program itself says of a setting that it does not know.
    fn expected(name: &str) -> String {
        let error = Provider::parse(json!({ "provider": name, "nonsense": 1 })).unwrap_err();
        error.why
    }

    fn value(name: &str, setting: &str) -> Value {
        match setting {
            "url" => json!("https://a.example/"),
            "zone" if name != "google-cloud" => json!("example.org"),
            "parameters" => json!([{ "name": "a", "is": "address" }]),
            "good" => json!({ "first_word": ["ok"] }),
            _ => json!("x"),
        }
    }

    #[test]
    fn each_is_described_as_it_is() {
        assert_eq!(PROVIDERS.map(|described| described.name), NAMES);
        for described in PROVIDERS {
            let told = expected(described.name);
            let mut settings: Vec<&str> = told.split('`').skip(3).step_by(2).collect();
            settings.sort_unstable();
            let mut listed = [described.needs, described.takes].concat();
            listed.sort_unstable();
            assert_eq!(settings, listed, "{}: {told}", described.name);

            let needed = |without: Option<&str>| {
                let mut all: Map<String, Value> = described
                    .needs
                    .iter()
                    .filter(|setting| Some(**setting) != without)
                    .map(|setting| ((*setting).to_owned(), value(described.name, setting)))
                    .collect();
                all.insert("provider".to_owned(), json!(described.name));
                Provider::parse(Value::Object(all))
            };
            let provider = needed(None).unwrap();
            assert_eq!(
                provider.minimum_interval().as_secs(),
                described.min_interval_seconds,
                "{}",
                described.name
            );
            assert_eq!(provider.can_be_read(), described.can_be_read, "{}", described.name);
            let takes_ttl = !["-", "by a parameter"].contains(&described.ttl);
            assert_eq!(provider.takes_ttl(), takes_ttl, "{}", described.name);
            for without in described.needs {
                assert!(needed(Some(without)).is_err(), "{} without {without}", described.name);
            }
        }
    }
}

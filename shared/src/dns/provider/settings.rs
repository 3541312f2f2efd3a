use secrecy::SecretString;
use serde::de::DeserializeOwned;
use serde_json::Value;

use super::{NAMES, Provider, Sign, duckdns};
use crate::dns::Wanted;

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
    pub(in crate::dns) fn new(field: impl Into<String>, why: impl Into<String>) -> Self {
        Self { field: field.into(), why: why.into() }
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
        if text.chars().any(char::is_control) && !matches!(self, Self::GoogleCloud(_)) {
            return Err(FieldError::new(
                "secret",
                "it has line breaks or other control characters within, as no secret has: perhaps it is another file",
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
        if let Some(ttl) = wanted.ttl {
            within(ttl)?;
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

    /// Whether a name there can have this TTL. To be asked when somebody chooses one: `update` sends none where there is no place for it.
    pub fn check_ttl(&self, ttl: u32) -> Result<(), FieldError> {
        within(ttl)?;
        let why = match self {
            _ if self.takes_ttl() => return Ok(()),
            Self::Template(_) => "no parameter of the template is ttl".to_owned(),
            _ => format!("{} lets none be chosen", self.name()),
        };
        Err(FieldError::new("ttl", format!("{why}: leave it out (--no-ttl takes one away that is there)")))
    }

    /// The setting, shown in plans and lists, that has the secret in it. Short ones stand in many a word.
    fn field_with(&self, secret: &str) -> Option<String> {
        let (url, texts) = match self {
            Self::Dyndns2(p) => (&p.url, Vec::new()),
            Self::KeySystems(p) => (&p.url, Vec::new()),
            Self::DuckDns(p) => (&p.url, Vec::new()),
            Self::Cloudflare(p) => (&p.url, Vec::new()),
            Self::Desec(p) => (&p.url, Vec::new()),
            Self::Hetzner(p) => (&p.url, Vec::new()),
            Self::Inwx(p) => (&p.url, Vec::new()),
            Self::Route53(p) => (&p.url, Vec::new()),
            Self::GoogleCloud(p) => (&p.url, Vec::new()),
            Self::Template(p) => (&p.url, p.texts()),
            Self::Rfc2136(_) => return None,
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
}

fn within(ttl: u32) -> Result<(), FieldError> {
    if (1..=86_400).contains(&ttl) {
        return Ok(());
    }
    Err(FieldError::new("ttl", format!("{ttl} is not allowed; allowed are 1 to 86400 seconds")))
}

fn read<T: DeserializeOwned>(settings: Value) -> Result<T, FieldError> {
    serde_path_to_error::deserialize(settings).map_err(|error| {
        let field = error.path().to_string();
        // A missing field has no path of its own; its name is in the text.
        let field = if field == "." { "settings".to_owned() } else { field };
        FieldError::new(field, error.into_inner().to_string())
    })
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::dns::host::tests::wanted;

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
        let own = json!({"provider": "key-systems", "url": "https://a.example/s3cret%26x/update"});
        for (settings, secret, field) in [
            (&url, "s3cret&x", "url"),
            (&own, "s3cret%26x", "url"),
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
        assert!(check(&wanted(), "hunter2\nhunter3").unwrap_err().contains("another file"));
        let none = Wanted { v4: None, v6: None, ..wanted() };
        assert!(check(&none, "s").unwrap_err().starts_with("address: none"));
        for ttl in [0, 86_401] {
            let bad = Wanted { ttl: Some(ttl), ..wanted() };
            assert!(check(&bad, "s").unwrap_err().contains("1 to 86400"));
        }
        // What is stored already is sent as before, without it: only who chooses one is told.
        assert_eq!(check(&Wanted { ttl: Some(60), ..wanted() }, "s"), Ok(()));
    }

    #[test]
    fn a_ttl_is_refused_where_there_is_no_place_for_it() {
        let check = |settings: Value, ttl| {
            Provider::parse(settings).unwrap().check_ttl(ttl).map_err(|error| error.to_string())
        };
        let refused = check(json!({"provider": "duckdns"}), 60).unwrap_err();
        assert!(refused.starts_with("ttl: duckdns lets none be chosen"), "{refused}");
        assert_eq!(check(json!({"provider": "cloudflare"}), 1), Ok(()));
        assert!(check(json!({"provider": "cloudflare"}), 0).unwrap_err().contains("1 to 86400"));
        let template = |more: &[Value]| {
            let parameters = [&[json!({"name": "a", "is": "address"})], more].concat();
            json!({"provider": "template", "url": "https://a.example/", "parameters": parameters,
                "good": {"first_word": ["ok"]}})
        };
        assert!(check(template(&[]), 60).unwrap_err().contains("no parameter of the template is ttl"));
        assert_eq!(check(template(&[json!({"name": "t", "is": "ttl"})]), 60), Ok(()));
    }
}

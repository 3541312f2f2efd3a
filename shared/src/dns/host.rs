use std::{
    fmt,
    net::{IpAddr, Ipv4Addr, Ipv6Addr},
    str::FromStr,
};

use serde::{Deserialize, Serialize};

/// The longest name, as text without its last dot: RFC 1035 section 2.3.4.
const LONGEST: usize = 253;

/// A fully qualified name in lower case and ASCII, without the last dot; its first label may be `*`.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Host(String);

impl Host {
    /// As text, without the last dot.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The names above it, the longest first, that have two labels and more. It is the first of them itself.
    pub fn and_above(&self) -> impl Iterator<Item = &str> {
        std::iter::successors(Some(self.as_str()), |name| name.split_once('.').map(|(_, above)| above))
            .filter(|name| name.contains('.') && !name.starts_with('*'))
    }

    /// Its part below a zone: `@` for the zone itself, none if it is not in the zone.
    #[must_use]
    pub fn below(&self, zone: &Self) -> Option<&str> {
        if self == zone {
            return Some("@");
        }
        self.0.strip_suffix(&zone.0)?.strip_suffix('.')
    }
}

impl fmt::Display for Host {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl From<Host> for String {
    fn from(host: Host) -> Self {
        host.0
    }
}

impl TryFrom<String> for Host {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        text.parse()
    }
}

impl FromStr for Host {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let bad = |why: &str| {
            format!(
                "{text:?} is no full host name: {why}; allowed are names as home.example.org or *.home.example.org"
            )
        };
        let given = text.trim();
        let given = given.strip_suffix('.').unwrap_or(given);
        let (star, rest) = given.strip_prefix("*.").map_or(("", given), |rest| ("*.", rest));
        let rest = if rest.is_ascii() {
            rest.to_ascii_lowercase()
        } else {
            match url::Host::parse(rest) {
                Ok(url::Host::Domain(name)) => name,
                _ => return Err(bad("its letters cannot be written in DNS")),
            }
        };
        let name = format!("{star}{rest}");
        if name.len() > LONGEST {
            return Err(bad("it is longer than 253 characters"));
        }
        if !rest.contains('.') || rest.parse::<Ipv4Addr>().is_ok() {
            return Err(bad("it needs two labels and more, and is no address"));
        }
        for label in rest.split('.') {
            let fits = (1..=63).contains(&label.len())
                && label.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-' || b == b'_')
                && !label.starts_with('-')
                && !label.ends_with('-');
            if !fits {
                return Err(bad("a label is 1 to 63 letters, digits, - and _, with no - at its ends"));
            }
        }
        Ok(Self(name))
    }
}

/// What a name is to point at.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Wanted {
    /// The name.
    pub host: Host,
    /// The address of its A record; none: that record is left as it is.
    pub v4: Option<Ipv4Addr>,
    /// The address of its AAAA record; none: that record is left as it is.
    pub v6: Option<Ipv6Addr>,
    /// What the record of the other family was given last, where this update is of one family alone: for protocols that change what is left
    /// out. None: both are given, or there is no such record.
    pub beside: Option<IpAddr>,
    /// Seconds, where the provider lets it be chosen; none: what is there, or the provider's default.
    pub ttl: Option<u32>,
}

impl Wanted {
    /// The addresses, A before AAAA.
    #[must_use]
    pub fn addresses(&self) -> Vec<IpAddr> {
        self.v4.map(IpAddr::V4).into_iter().chain(self.v6.map(IpAddr::V6)).collect()
    }
}

/// The type of the record that holds an address.
pub(super) const fn record_type(address: IpAddr) -> &'static str {
    match address {
        IpAddr::V4(_) => "A",
        IpAddr::V6(_) => "AAAA",
    }
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;

    /// A name in both families.
    pub(in crate::dns) fn wanted() -> Wanted {
        Wanted {
            host: "home.example.org".parse().unwrap(),
            v4: Some("192.0.2.7".parse().unwrap()),
            v6: Some("2001:db8::7".parse().unwrap()),
            beside: None,
            ttl: None,
        }
    }

    #[test]
    fn names_are_read_and_written_as_dns_has_them() {
        for (given, name) in [
            ("home.example.org", "home.example.org"),
            (" Home.Example.ORG. ", "home.example.org"),
            ("*.example.org", "*.example.org"),
            ("_acme.example.org", "_acme.example.org"),
            ("bücher.example", "xn--bcher-kva.example"),
        ] {
            assert_eq!(given.parse::<Host>().unwrap().as_str(), name);
        }
    }

    #[test]
    fn what_is_no_full_name_is_refused_with_what_is_allowed() {
        let long = format!("{}.example.org", "a".repeat(64));
        let longer = vec!["abcdefgh"; 30].join(".");
        for bad in [
            "",
            ".",
            "localhost",
            "a..b",
            "-a.example",
            "a-.example",
            "a b.example",
            "1.2.3.4",
            "*.org",
            "a.*.org",
            &long,
            &longer,
        ] {
            let error = bad.parse::<Host>().unwrap_err();
            assert!(error.contains("home.example.org"), "{bad}: {error}");
        }
    }

    #[test]
    fn a_name_knows_its_place_in_a_zone() {
        let host: Host = "a.b.example.org".parse().unwrap();
        assert_eq!(host.and_above().collect::<Vec<_>>(), ["a.b.example.org", "b.example.org", "example.org"]);
        let zone = |text: &str| text.parse::<Host>().unwrap();
        assert_eq!(host.below(&zone("example.org")), Some("a.b"));
        assert_eq!(host.below(&host.clone()), Some("@"));
        assert_eq!(host.below(&zone("ample.org")), None);
        assert_eq!(zone("*.example.org").and_above().collect::<Vec<_>>(), ["example.org"]);
    }
}

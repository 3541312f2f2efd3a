use std::net::IpAddr;

use crate::dns::{Answer, Outcome};

/// What a provider says that it holds of a name, of the families that were asked for.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Held {
    /// The addresses of its A and AAAA records.
    pub addresses: Vec<IpAddr>,
    /// Whether the provider answers for the name with addresses of its own (Cloudflare's proxy): then the zone's servers do not tell
    /// what it holds.
    pub proxied: bool,
}

impl Held {
    /// Whether the record of this address's family has this address, and no other.
    #[must_use]
    pub fn just(&self, address: IpAddr) -> bool {
        let mut of_family = self.addresses.iter().filter(|held| held.is_ipv4() == address.is_ipv4());
        of_family.next() == Some(&address) && of_family.next().is_none()
    }
}

/// What was looked at, and how it is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Finding {
    /// `token`, `zone`, `records`, `key` or `policy`.
    pub what: &'static str,
    /// `Good`, or what an update would meet.
    pub answer: Answer,
}

impl Finding {
    pub(super) const fn new(what: &'static str, answer: Answer) -> Self {
        Self { what, answer }
    }

    pub(super) fn good(what: &'static str, said: impl Into<String>) -> Self {
        Self::new(what, Answer::new(Outcome::Good, said))
    }

    /// What the provider holds, in words.
    pub(super) fn held(held: &Held) -> Self {
        let addresses: Vec<_> = held.addresses.iter().map(ToString::to_string).collect();
        let what = if addresses.is_empty() { "none is there yet".to_owned() } else { addresses.join(", ") };
        Self::good("records", if held.proxied { format!("{what}, proxied") } else { what })
    }

    /// Whether it is as it must be.
    #[must_use]
    pub fn is_good(&self) -> bool {
        self.answer.outcome == Outcome::Good
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_family_is_told_apart() {
        let held = |texts: &[&str]| Held {
            addresses: texts.iter().map(|text| text.parse().unwrap()).collect(),
            proxied: false,
        };
        let (a, aaaa) = ("192.0.2.7".parse().unwrap(), "2001:db8::7".parse().unwrap());
        assert!(
            held(&["192.0.2.7", "2001:db8::7"]).just(a) && held(&["192.0.2.7", "2001:db8::7"]).just(aaaa)
        );
        assert!(
            held(&["192.0.2.7", "2001:db8::8"]).just(a) && !held(&["192.0.2.7", "2001:db8::8"]).just(aaaa)
        );
        assert!(!held(&["192.0.2.7", "192.0.2.8"]).just(a) && !held(&[]).just(a));
    }
}

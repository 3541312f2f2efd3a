//! Sources of addresses as people type them: `echo`, `interface:eth0`, `fixed:192.0.2.1`.

use std::{net::Ipv4Addr, str::FromStr};

use crate::dns::{Endpoint, address::Source};

/// What is allowed.
pub const ALLOWED: &str = "allowed are echo, echo:URL,URL,URL, whoami, interface:NAME, upnp, nat-pmp, nat-pmp:GATEWAY, \
                           pcp, pcp:GATEWAY, fixed:ADDRESS and router";

/// Who tells an address: a source, or only routers.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Teller(pub Option<Source>);

impl FromStr for Teller {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let text = text.trim();
        let (word, rest) =
            text.split_once(':').map_or((text, None), |(word, rest)| (word, Some(rest.trim())));
        let source = match (word, rest) {
            ("router", None) => return Ok(Self(None)),
            ("echo", None) => echo(Vec::new()),
            ("echo", Some(urls)) => echo(endpoints(urls)?),
            ("whoami", None) => Source::Whoami { agree: 2 },
            ("interface", Some(name)) if !name.is_empty() => Source::Interface { name: name.to_owned() },
            ("upnp", None) => Source::Upnp,
            ("nat-pmp" | "nat_pmp", rest) => Source::NatPmp { gateway: rest.map(gateway).transpose()? },
            ("pcp", rest) => Source::Pcp { gateway: rest.map(gateway).transpose()? },
            ("fixed", Some(address)) => Source::Fixed {
                address: address.parse().map_err(|_| format!("fixed: {address:?} is no IP address"))?,
            },
            _ => return Err(format!("{text:?} is no source: {ALLOWED}")),
        };
        Ok(Self(Some(source)))
    }
}

/// Of several services two must agree, a single one is taken at its word.
fn echo(services: Vec<Endpoint>) -> Source {
    let agree = if services.len() == 1 { 1 } else { 2 };
    Source::Echo { services, agree }
}

fn endpoints(urls: &str) -> Result<Vec<Endpoint>, String> {
    urls.split(',')
        .map(|url| Endpoint::try_from(url.trim().to_owned()).map_err(|why| format!("echo: {why}")))
        .collect()
}

fn gateway(text: &str) -> Result<Ipv4Addr, String> {
    let gateway: Option<Ipv4Addr> = text.parse().ok();
    gateway
        .filter(|address| !address.is_unspecified() && !address.is_multicast() && !address.is_broadcast())
        .ok_or_else(|| format!("{text:?} is no gateway: it is an IPv4 address, as 192.168.1.1"))
}

/// A source as it is typed; `router` if there is none.
#[must_use]
pub fn text(source: Option<&Source>) -> String {
    let with = |word: &str, rest: Option<String>| {
        rest.map_or_else(|| word.to_owned(), |rest| format!("{word}:{rest}"))
    };
    match source {
        None => "router".to_owned(),
        Some(Source::Echo { services, .. }) => {
            let urls: Vec<_> = services.iter().map(|service| service.url().as_str()).collect();
            with("echo", (!urls.is_empty()).then(|| urls.join(",")))
        }
        Some(Source::Whoami { .. }) => "whoami".to_owned(),
        Some(Source::Interface { name }) => with("interface", Some(name.clone())),
        Some(Source::Upnp) => "upnp".to_owned(),
        Some(Source::NatPmp { gateway }) => with("nat-pmp", gateway.map(|gateway| gateway.to_string())),
        Some(Source::Pcp { gateway }) => with("pcp", gateway.map(|gateway| gateway.to_string())),
        Some(Source::Fixed { address }) => with("fixed", Some(address.to_string())),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sources_are_read_and_written_as_they_are_typed() {
        for given in [
            "echo",
            "echo:https://a.example/ip",
            "echo:https://a.example/,https://b.example/,https://c.example/x",
            "whoami",
            "interface:eth0",
            "upnp",
            "nat-pmp",
            "nat-pmp:192.168.1.1",
            "pcp",
            "pcp:192.168.1.1",
            "fixed:192.0.2.1",
            "fixed:2001:db8::7",
            "router",
        ] {
            let teller: Teller = given.parse().unwrap();
            assert_eq!(text(teller.0.as_ref()), given);
        }
        for (given, agree) in
            [("echo", 2), ("echo:https://a.example/", 1), ("echo:https://a.example/,https://b.example/", 2)]
        {
            let teller: Teller = given.parse().unwrap();
            assert!(matches!(teller.0, Some(Source::Echo { agree: found, .. }) if found == agree), "{given}");
        }
    }

    #[test]
    fn what_is_none_is_refused_with_what_is_allowed() {
        for (given, why) in [
            ("", "allowed are echo"),
            ("ecko", "allowed are echo"),
            ("interface:", "allowed are echo"),
            ("interface", "interface:NAME"),
            ("fixed:home", "no IP address"),
            ("nat-pmp:router", "an IPv4 address"),
            ("nat-pmp:0.0.0.0", "an IPv4 address"),
            ("echo:http://a.example/", "https://"),
            ("echo:https://a.example/,", "not a URL"),
            ("upnp:eth0", "allowed are echo"),
        ] {
            let error = given.parse::<Teller>().unwrap_err();
            assert!(error.contains(why), "{given}: {error}");
        }
    }
}

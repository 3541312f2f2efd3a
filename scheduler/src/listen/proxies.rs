//! Who calls, when a proxy stands in front of the listener.
//!
//! Wanted: nobody passes for another. A proxy that is trusted says whom it speaks for, in `X-Forwarded-For` or in `Forwarded`
//! (RFC 7239); both lists are read from right to left, past the proxies that are trusted, to the first address that is not. What stands
//! further left the caller may have written himself.
//!
//! A proxy writes one of the two headers, and hands on the other as it came. So if both are there they must agree; a caller who
//! adds the other one spoils his own call alone. What cannot be read is nobody, and the caller then stays the proxy.

use std::{
    net::{IpAddr, SocketAddr},
    sync::Arc,
};

use axum::{
    extract::{ConnectInfo, Request, State},
    http::HeaderMap,
    middleware::Next,
    response::Response,
};
use shared::guard::Network;

use super::Peer;

/// Where proxies say whom they speak for.
const NAMES: [&str; 2] = ["x-forwarded-for", "forwarded"];

/// The networks of trusted proxies.
#[derive(Debug, Clone, Default)]
pub(super) struct Proxies(Arc<[Network]>);

impl Proxies {
    pub(super) fn new(trusted: &[Network]) -> Self {
        Self(trusted.into())
    }

    /// Whether the address is a trusted proxy's. If that is who calls, the proxy has not told for whom.
    pub(super) fn trusts(&self, address: IpAddr) -> bool {
        self.0.iter().any(|network| network.contains(address))
    }

    /// Who calls. `peer` is the other end of the connection.
    fn caller(&self, peer: IpAddr, headers: &HeaderMap) -> IpAddr {
        let peer = peer.to_canonical();
        if !self.trusts(peer) {
            return peer;
        }
        let told = |name, of: fn(&str) -> Option<IpAddr>| {
            headers.contains_key(name).then(|| self.first_stranger(&elements(headers, name), of))
        };
        let by_list = told("x-forwarded-for", address);
        let by_standard = told("forwarded", forwarded_for);
        match (by_list, by_standard) {
            (Some(one), Some(other)) if one != other => None,
            (Some(told), _) | (None, Some(told)) => told,
            (None, None) => None,
        }
        .unwrap_or(peer)
    }

    /// The last one that is no trusted proxy; the first one if all are. None: one on the way cannot be read.
    fn first_stranger(&self, elements: &[String], of: fn(&str) -> Option<IpAddr>) -> Option<IpAddr> {
        let mut last = None;
        for element in elements.iter().rev() {
            let address = of(element)?.to_canonical();
            last = Some(address);
            if !self.trusts(address) {
                break;
            }
        }
        last
    }
}

/// The elements of a list that may be spread over several headers. Bytes that are no text are no address.
fn elements(headers: &HeaderMap, name: &str) -> Vec<String> {
    headers
        .get_all(name)
        .iter()
        .flat_map(|value| {
            String::from_utf8_lossy(value.as_bytes()).split(',').map(str::to_owned).collect::<Vec<_>>()
        })
        .collect()
}

/// An address, perhaps with a port: `192.0.2.1`, `192.0.2.1:80`, `2001:db8::1`, `[2001:db8::1]`, `[2001:db8::1]:80`.
fn address(text: &str) -> Option<IpAddr> {
    let text = text.trim();
    text.parse::<IpAddr>()
        .ok()
        .or_else(|| text.parse::<SocketAddr>().ok().map(|address| address.ip()))
        .or_else(|| text.strip_prefix('[')?.strip_suffix(']')?.parse().ok())
}

/// The `for=` of an element of `Forwarded`; names (`unknown`, `_hidden`) are no address.
fn forwarded_for(element: &str) -> Option<IpAddr> {
    let mut pairs = element.split(';').filter_map(|pair| pair.trim().split_once('='));
    let (_, value) = pairs.find(|(name, _)| name.trim().eq_ignore_ascii_case("for"))?;
    address(value.trim().trim_matches('"'))
}

/// Whether a request says that it was handed on, and nobody trusted has said so: then [`look_behind`] has taken the headers away.
pub(super) fn speaks_for_another(headers: &HeaderMap) -> bool {
    NAMES.iter().any(|name| headers.contains_key(*name))
}

/// Puts the caller in the place of the connection's other end. Headers that were believed are taken away.
pub(super) async fn look_behind(
    State(proxies): State<Proxies>,
    ConnectInfo(Peer(peer)): ConnectInfo<Peer>,
    mut request: Request,
    next: Next,
) -> Response {
    let caller = proxies.caller(peer.ip(), request.headers());
    if proxies.trusts(peer.ip().to_canonical()) {
        for name in NAMES {
            request.headers_mut().remove(name);
        }
    }
    request.extensions_mut().insert(ConnectInfo(Peer(SocketAddr::new(caller, peer.port()))));
    next.run(request).await
}

#[cfg(test)]
mod tests {
    use axum::http::HeaderValue;

    use super::*;

    const PROXY: &str = "10.0.0.1";

    fn caller(peer: &str, headers: &[(&'static str, &str)]) -> String {
        let proxies = Proxies::new(&["10.0.0.0/8".parse().unwrap(), "fd00::/8".parse().unwrap()]);
        let mut map = HeaderMap::new();
        for (name, value) in headers {
            map.append(*name, HeaderValue::from_bytes(value.as_bytes()).unwrap());
        }
        proxies.caller(peer.parse().unwrap(), &map).to_string()
    }

    #[test]
    fn the_lists_are_read_from_right_to_left_past_trusted_proxies() {
        for (list, found) in [
            ("192.0.2.1", "192.0.2.1"),
            ("192.0.2.9, 192.0.2.1", "192.0.2.1"),
            ("192.0.2.9,192.0.2.1 ,10.0.0.2", "192.0.2.1"),
            ("192.0.2.1:4711", "192.0.2.1"),
            ("[2001:db8::1]:4711", "2001:db8::1"),
            ("2001:db8::1", "2001:db8::1"),
            ("::ffff:192.0.2.1", "192.0.2.1"),
            ("10.0.0.3, 10.0.0.2", "10.0.0.3"),
            // Whatever stands left of the first stranger is his own word.
            ("nonsense, 192.0.2.1", "192.0.2.1"),
            ("192.0.2.1, nonsense", PROXY),
            ("192.0.2.1, ", PROXY),
            ("", PROXY),
        ] {
            assert_eq!(caller(PROXY, &[("x-forwarded-for", list)]), found, "{list:?}");
        }
        let twice = [("x-forwarded-for", "192.0.2.9"), ("x-forwarded-for", "192.0.2.1")];
        assert_eq!(caller(PROXY, &twice), "192.0.2.1");
        for (list, found) in [
            ("for=192.0.2.1", "192.0.2.1"),
            ("For=192.0.2.9;proto=http, proto=https; for=\"[2001:db8::1]:4711\";by=10.0.0.1", "2001:db8::1"),
            ("for=192.0.2.1, for=10.0.0.2", "192.0.2.1"),
            ("for=unknown", PROXY),
            ("for=192.0.2.1, for=_hidden", PROXY),
            ("proto=https", PROXY),
        ] {
            assert_eq!(caller(PROXY, &[("forwarded", list)]), found, "{list:?}");
        }
    }

    #[test]
    fn nobody_else_is_believed() {
        let headers = [("x-forwarded-for", "192.0.2.1"), ("forwarded", "for=192.0.2.1")];
        assert_eq!(caller("198.51.100.1", &headers), "198.51.100.1");
        assert_eq!(caller("::ffff:198.51.100.1", &headers), "198.51.100.1");
        assert_eq!(caller("::ffff:10.0.0.1", &headers), "192.0.2.1");
        assert_eq!(caller("fd00::1", &headers), "192.0.2.1");
        assert_eq!(caller(PROXY, &[]), PROXY);
    }

    #[test]
    fn two_headers_that_disagree_are_none() {
        let headers = |standard: &'static str| [("x-forwarded-for", "192.0.2.1"), ("forwarded", standard)];
        assert_eq!(caller(PROXY, &headers("for=192.0.2.1;proto=https")), "192.0.2.1");
        assert_eq!(caller(PROXY, &headers("for=192.0.2.66")), PROXY);
        assert_eq!(caller(PROXY, &headers("for=unknown")), PROXY);
    }
}

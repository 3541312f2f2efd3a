use serde::{Deserialize, Serialize};
use url::{Host, Url};

/// A URL that credentials may be sent to: https, or http at a loopback address.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Endpoint(Url);

impl Endpoint {
    /// The URL.
    #[must_use]
    pub const fn url(&self) -> &Url {
        &self.0
    }

    /// The URL with more path segments, each percent-encoded.
    pub(in crate::dns) fn with(&self, segments: &[&str]) -> Url {
        let mut url = self.0.clone();
        if let Ok(mut path) = url.path_segments_mut() {
            path.pop_if_empty().extend(segments);
        }
        url
    }

    /// The URL with parameters, percent-encoded, after those that it has.
    pub(in crate::dns) fn query(&self, parameters: &[(&str, &str)]) -> Url {
        let mut url = self.0.clone();
        url.query_pairs_mut().extend_pairs(parameters);
        url
    }
}

impl From<Endpoint> for String {
    fn from(endpoint: Endpoint) -> Self {
        endpoint.0.into()
    }
}

impl TryFrom<String> for Endpoint {
    type Error = String;

    // The text is never repeated: people paste URLs with passwords in them.
    fn try_from(text: String) -> Result<Self, String> {
        let url = Url::parse(text.trim()).map_err(|error| format!("not a URL ({error})"))?;
        if !url.username().is_empty() || url.password().is_some() {
            return Err(
                "user and password do not belong into the URL: give them in fields of their own".to_owned()
            );
        }
        if url.fragment().is_some() {
            return Err("a part after # is never sent: percent-encode it (%23) or leave it out".to_owned());
        }
        if url.scheme() == "https" || (url.scheme() == "http" && loopback(&url)) {
            Ok(Self(url))
        } else {
            Err("it must begin with https:// (http:// only at a loopback address)".to_owned())
        }
    }
}

pub(super) fn loopback(url: &Url) -> bool {
    match url.host() {
        Some(Host::Ipv4(address)) => address.is_loopback(),
        Some(Host::Ipv6(address)) => address.is_loopback(),
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn endpoint(text: &str) -> Result<Endpoint, String> {
        Endpoint::try_from(text.to_owned())
    }

    #[test]
    fn credentials_go_to_https_alone() {
        for good in ["https://a.example/nic/update", "http://127.0.0.1:8080/", "http://[::1]/x"] {
            assert!(endpoint(good).is_ok(), "{good}");
        }
        for (bad, why) in [
            ("http://a.example/", "https://"),
            ("http://localhost/", "https://"),
            ("http://127.0.0.1.a.example/", "https://"),
            ("ftp://127.0.0.1/", "https://"),
            ("https://u:hunter2@a.example/", "user and password"),
            ("https://a.example/?p=hunter2#x", "#"),
            ("hunter2", "not a URL"),
        ] {
            let error = endpoint(bad).unwrap_err();
            assert!(error.contains(why) && !error.contains("hunter2"), "{bad}: {error}");
        }
    }

    #[test]
    fn parameters_and_segments_are_percent_encoded() {
        let url = endpoint("https://a.example/x?k=1").unwrap().query(&[("p", "a&b=c#d%e+f g/ü")]);
        assert_eq!(url.as_str(), "https://a.example/x?k=1&p=a%26b%3Dc%23d%25e%2Bf+g%2F%C3%BC");
        let url = endpoint("https://a.example/v1").unwrap().with(&["zones", "a/b?c", "*.x"]);
        assert_eq!(url.as_str(), "https://a.example/v1/zones/a%2Fb%3Fc/*.x");
    }
}

//! Where the outside reaches the fleet.

use std::net::IpAddr;

use url::{Host, Url};

use super::{Invalid, dns::is_private, local};

const PUBLIC_URL: &str = "SYNCFLEET_PUBLIC_URL";

/// The public address.
#[derive(Debug, Clone, clap::Args)]
pub struct PublicUrl {
    /// Where the outside reaches the public listener, as `https://sync.example.com`; without it nobody signs in on a page, and all is
    /// polled
    #[arg(long = "public-url", env = PUBLIC_URL, value_name = "URL", help_heading = "Settings")]
    pub public_url: Option<String>,
}

impl PublicUrl {
    /// The address, checked, with a slash at its end; none: the fleet has none.
    pub fn url(&self) -> Result<Option<Url>, Invalid> {
        let Some(text) = self.public_url.as_deref().map(str::trim).filter(|text| !text.is_empty()) else {
            return Ok(None);
        };
        let allowed = "https, or http to a loopback address (a router at home may be given another address: \
                       `syncfleet dns login add --url`)";
        base(text, local, allowed).map(Some).map_err(|why| Invalid::new(PUBLIC_URL, why))
    }

    /// The address, for those who cannot do without. `why` says what for.
    pub fn required(&self, why: &str) -> Result<Url, Invalid> {
        self.url()?.ok_or_else(|| Invalid::new(PUBLIC_URL, format_args!("not set: {why}")))
    }
}

/// Where a router reaches the public listener, with a slash at its end. In a private network that may be without TLS: it is said there
/// that the password can be read on the way.
pub fn for_routers(text: &str) -> Result<Url, String> {
    base(text.trim(), at_home, "https, or http to a private address, as http://192.168.1.5:8080")
}

/// Whether what is sent there can be read on the way, though only in a private network.
#[must_use]
pub fn is_plain(url: &Url) -> bool {
    url.scheme() == "http" && !local(url)
}

/// Whether the host is this machine, or an address of a private network. A name is none: it could lead anywhere.
#[must_use]
pub fn at_home(url: &Url) -> bool {
    let address: Option<IpAddr> = match url.host() {
        Some(Host::Ipv4(address)) => Some(address.into()),
        Some(Host::Ipv6(address)) => Some(address.into()),
        Some(Host::Domain(_)) | None => None,
    };
    local(url) || address.is_some_and(is_private)
}

/// A URL that others stand below, with a slash at its end; http where `plain` allows it. `allowed` says so in words.
fn base(text: &str, plain: impl Fn(&Url) -> bool, allowed: &str) -> Result<Url, String> {
    let mut url: Url = text.parse().map_err(|error| format!("{text:?} is not a URL: {error}"))?;
    if url.scheme() != "https" && !(url.scheme() == "http" && plain(&url)) {
        return Err(format!("{text:?} is not allowed: {allowed}"));
    }
    let user = !url.username().is_empty() || url.password().is_some();
    if url.query().is_some() || url.fragment().is_some() || user {
        let why = "has a query, a fragment or a user: only scheme, host, port and path are allowed";
        return Err(format!("{text:?} {why}"));
    }
    if !url.path().ends_with('/') {
        url.set_path(&format!("{}/", url.path()));
    }
    Ok(url)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn url(text: &str) -> Result<Option<Url>, Invalid> {
        PublicUrl { public_url: Some(text.to_owned()) }.url()
    }

    #[test]
    fn an_address_ends_with_a_slash() {
        assert_eq!(url(" https://a.example/x\n").unwrap().unwrap().as_str(), "https://a.example/x/");
        assert_eq!(url("http://127.0.0.1:8080").unwrap().unwrap().as_str(), "http://127.0.0.1:8080/");
        assert_eq!(url(" ").unwrap(), None);
    }

    #[test]
    fn what_nobody_could_call_is_refused() {
        for bad in [
            "nonsense",
            "http://a.example/",
            "ftp://127.0.0.1/",
            "https://a.example/?b",
            "https://u@a.example/",
        ] {
            let error = url(bad).unwrap_err().to_string();
            assert!(error.starts_with("SYNCFLEET_PUBLIC_URL: "), "{bad}: {error}");
        }
        assert!(url("http://192.168.1.5:8080").unwrap_err().to_string().contains("dns login add --url"));
    }

    #[test]
    fn routers_at_home_may_do_without_tls() {
        for (text, read, plain) in [
            ("http://192.168.1.5:8080", "http://192.168.1.5:8080/", true),
            (" http://10.0.0.7/fleet\n", "http://10.0.0.7/fleet/", true),
            ("http://[fd12::5]:8080/", "http://[fd12::5]:8080/", true),
            ("http://127.0.0.1:8080", "http://127.0.0.1:8080/", false),
            ("https://sync.example.com", "https://sync.example.com/", false),
            ("https://192.168.1.5", "https://192.168.1.5/", false),
        ] {
            let url = for_routers(text).unwrap();
            assert_eq!((url.as_str(), is_plain(&url)), (read, plain), "{text}");
            assert_eq!(at_home(&url), !text.contains("example.com"), "{text}");
        }
        for bad in [
            "192.168.1.5:8080",
            "http://8.8.8.8/",
            "http://100.64.0.1/",
            "http://169.254.1.1/",
            "http://172.32.0.1/",
            "http://[2a00:1450::1]/",
            "http://nas.home.arpa/",
            "http://192.168.1.5.example.com/",
            "ftp://192.168.1.5/",
            "http://u:p@192.168.1.5/",
            "http://192.168.1.5/?a=b",
        ] {
            assert!(for_routers(bad).is_err(), "{bad}");
        }
    }
}

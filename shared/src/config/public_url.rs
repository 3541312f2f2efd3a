//! Where the outside reaches the fleet.

use url::Url;

use super::{Invalid, local};

const PUBLIC_URL: &str = "SYNCFLEET_PUBLIC_URL";

/// The public address.
#[derive(Debug, Clone, clap::Args)]
pub struct PublicUrl {
    /// Where the outside reaches the public listener, as `https://sync.example.com`; without it nothing is pushed, all is polled
    #[arg(long = "public-url", env = PUBLIC_URL, value_name = "URL", help_heading = "Settings")]
    pub public_url: Option<String>,
}

impl PublicUrl {
    /// The address, checked, with a slash at its end; none: the fleet has none.
    pub fn url(&self) -> Result<Option<Url>, Invalid> {
        let Some(text) = self.public_url.as_deref().map(str::trim).filter(|text| !text.is_empty()) else {
            return Ok(None);
        };
        let mut url: Url = text
            .parse()
            .map_err(|error| Invalid::new(PUBLIC_URL, format_args!("{text:?} is not a URL: {error}")))?;
        if url.scheme() != "https" && !(url.scheme() == "http" && local(&url)) {
            let why = "is not allowed: https, or http to a loopback address";
            return Err(Invalid::new(PUBLIC_URL, format_args!("{text:?} {why}")));
        }
        if url.query().is_some() || url.fragment().is_some() || !url.username().is_empty() {
            let why = "has a query, a fragment or a user: only scheme, host, port and path are allowed";
            return Err(Invalid::new(PUBLIC_URL, format_args!("{text:?} {why}")));
        }
        if !url.path().ends_with('/') {
            url.set_path(&format!("{}/", url.path()));
        }
        Ok(Some(url))
    }
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
    }
}

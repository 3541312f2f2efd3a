use url::Url;

use crate::config::{Invalid, local};

/// Whether what is sent there travels encrypted, or does not leave the machine.
pub(crate) fn keeps_secrets(url: &Url) -> bool {
    url.scheme() == "https" || url.scheme() == "http" && local(url)
}

/// Tokens go to these addresses, so they travel encrypted or do not leave the machine.
pub(super) fn address(name: &'static str, text: &str) -> Result<Url, Invalid> {
    let url: Url =
        text.parse().map_err(|error| Invalid::new(name, format_args!("{text:?} is not a URL: {error}")))?;
    if !keeps_secrets(&url) {
        let why = "is not allowed: https, or http to a loopback address";
        return Err(Invalid::new(name, format_args!("{text:?} {why}")));
    }
    if url.query().is_some() || url.fragment().is_some() {
        return Err(Invalid::new(name, format_args!("{text:?} has a query or a fragment")));
    }
    Ok(url)
}

/// The root of an API: an address that ends with a slash.
pub(super) fn root(name: &'static str, text: &str) -> Result<Url, Invalid> {
    let mut url = address(name, text)?;
    if !url.path().ends_with('/') {
        url.set_path(&format!("{}/", url.path()));
    }
    Ok(url)
}

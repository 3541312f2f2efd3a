use url::{Host, Url};

use crate::guard::{Allow, Blocked, Guard};

/// The setting that allows networks to webhooks.
const SETTING: &str = "SYNCFLEET_WEBHOOK_ALLOW";

pub(super) const fn guard(allow: Allow, plain: bool) -> Guard {
    Guard::new(allow, plain, SETTING)
}

/// Whether a URL is one that could be called: scheme, host, and an address that stands in it. Names are resolved later.
pub(super) fn check_url(url: &Url, allow: &Allow) -> Result<(), Blocked> {
    let plain = match url.scheme() {
        "https" => false,
        "http" => true,
        other => return Err(Blocked::new(format!("a webhook's URL begins with https://, not {other}:"))),
    };
    if !url.username().is_empty() || url.password().is_some() {
        return Err(Blocked::new("a webhook's URL has no user or password: messages are signed instead"));
    }
    match url.host() {
        None => Err(Blocked::new("a webhook's URL has a host")),
        Some(Host::Domain(_)) if plain && allow.is_empty() => {
            Err(Blocked::new("a webhook's URL begins with https://"))
        }
        Some(_) => guard(allow.clone(), plain).check_host(url),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_url_is_https_unless_its_network_is_allowed() {
        let (none, local) = (Allow::default(), Allow::new(&["127.0.0.0/8".parse().unwrap()]));
        let check =
            |url: &str, allow| check_url(&url.parse().unwrap(), allow).map_err(|blocked| blocked.to_string());
        assert_eq!(check("https://a.example/x?y=z", &none), Ok(()));
        assert_eq!(check("http://127.0.0.1:8080/", &local), Ok(()));
        // The numbers that a URL may write an address with.
        for local in [
            "https://127.0.0.1",
            "https://2130706433/",
            "https://0x7f.1/",
            "https://[::ffff:7f00:1]/",
            "https://[::1]/",
        ] {
            assert!(check(local, &none).unwrap_err().contains("must not be called"), "{local}");
        }
        for (url, why) in [
            ("http://a.example/", "begins with https://"),
            ("http://8.8.8.8/", "without TLS"),
            ("ftp://a.example/", "not ftp:"),
            ("https://u@a.example/", "no user or password"),
            ("https://:p@a.example/", "no user or password"),
        ] {
            assert!(check(url, &none).unwrap_err().contains(why), "{url}");
        }
    }
}

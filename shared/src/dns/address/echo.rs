//! Web services that say who calls them: <https://www.ipify.org>, <https://icanhazip.com>, and Cloudflare's
//! `/cdn-cgi/trace`, whose answer has a line `ip=…`.

use std::net::IpAddr;

use futures_util::future::join_all;
use reqwest::Method;
use url::Url;

use super::{Family, Told};
use crate::dns::{
    Endpoint,
    http::{Caller, Reply},
};

/// Services of three operators.
#[must_use]
pub fn services(family: Family) -> Vec<Endpoint> {
    let urls = match family {
        Family::Ipv4 => {
            ["https://api.ipify.org/", "https://ipv4.icanhazip.com/", "https://checkip.amazonaws.com/"]
        }
        Family::Ipv6 => ["https://api6.ipify.org/", "https://ipv6.icanhazip.com/", "https://v6.ident.me/"],
    };
    urls.into_iter().filter_map(|url| Endpoint::try_from(url.to_owned()).ok()).collect()
}

/// Asks all at once.
pub(super) async fn ask(caller: &Caller, services: &[Endpoint], family: Family) -> Vec<Told> {
    join_all(services.iter().map(|service| async move {
        let url = service.url();
        let found = match caller.send(caller.request(Method::GET, url.clone())).await {
            Ok(reply) if reply.status.is_success() => read(&reply, family),
            Ok(reply) => Err(reply.by_status("").said),
            Err(why) => Err(why),
        };
        (name(url), found)
    }))
    .await
}

/// A service, as people are told of it: several may be at one host. What stands behind its path is nobody's business.
fn name(url: &Url) -> String {
    let mut url = url.clone();
    url.set_query(None);
    url.into()
}

/// The address that is the whole answer, or the line `ip=` of one.
fn read(reply: &Reply, family: Family) -> Result<IpAddr, String> {
    if reply.is_page() {
        return Err("a web page came".to_owned());
    }
    let text = reply.body.trim();
    let line = || text.lines().find_map(|line| line.trim().strip_prefix("ip="));
    let address: IpAddr =
        text.parse().ok().or_else(|| line()?.parse().ok()).ok_or_else(|| "no address came".to_owned())?;
    if family.has(address) { Ok(address) } else { Err(format!("{address} is not of {family}")) }
}

#[cfg(test)]
mod tests {
    use reqwest::StatusCode;

    use super::*;
    use crate::dns::http::tests::reply;

    #[test]
    fn a_service_is_told_by_its_url() {
        for (url, told) in [
            ("https://api.ipify.org/", "https://api.ipify.org/"),
            ("http://127.0.0.1:8080/ip?key=hunter2", "http://127.0.0.1:8080/ip"),
        ] {
            assert_eq!(name(&url.parse().unwrap()), told);
        }
    }

    #[test]
    fn only_an_address_is_an_answer() {
        assert!(services(Family::Ipv4).len() == 3 && services(Family::Ipv6).len() == 3);
        let v4 = |body| read(&reply(StatusCode::OK, body), Family::Ipv4).map(|address| address.to_string());
        assert_eq!(v4("8.8.8.8\n"), Ok("8.8.8.8".to_owned()));
        assert_eq!(v4("fl=1\nip=8.8.8.8\nts=2\n"), Ok("8.8.8.8".to_owned()));
        for (body, why) in [
            ("2a00::1", "not of IPv4"),
            ("<html>8.8.8.8</html>", "a web page"),
            ("<html>\nip=8.8.8.8\n", "a web page"),
            ("Current IP: 8.8.8.8", "no address"),
            ("", "no address"),
            ("8.8.8.8 8.8.4.4", "no address"),
        ] {
            match v4(body) {
                Err(error) => assert!(error.contains(why), "{body}: {error}"),
                Ok(address) => panic!("{body}: {address}"),
            }
        }
    }
}

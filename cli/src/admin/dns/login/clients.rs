use std::fmt::Write as _;

use shared::config::public_url;
use url::Url;

/// What a router needs to know.
pub struct Setup<'a> {
    /// Where the outside reaches the public listener, with a slash at its end.
    pub url: &'a Url,
    pub username: &'a str,
    pub password: &'a str,
    pub hosts: &'a [&'a str],
}

impl Setup<'_> {
    /// The lines to put into routers and clients of several kinds.
    pub fn lines(&self) -> String {
        let Self { url, username, password, hosts } = self;
        let host = url.host_str().unwrap_or_default();
        let server = url.port().map_or_else(|| host.to_owned(), |port| format!("{host}:{port}"));
        let (scheme, path, ssl) = (url.scheme(), url.path(), url.scheme() == "https");
        let first = hosts.first().copied().unwrap_or_default();
        let all = hosts.join(",");
        let quoted = hosts.iter().map(|host| format!("\"{host}\"")).collect::<Vec<_>>().join(", ");
        let (yes, one) = if ssl { ("yes", '1') } else { ("no", '0') };
        // There the caller's own address is a private one, and of no use.
        let (tells, myip, ip) = if public_url::at_home(url) {
            ("ADDRESS", "&myip=ADDRESS", "&ip=ADDRESS")
        } else {
            ("its own address", "", "")
        };
        let token: String = url::form_urlencoded::byte_serialize(password.as_bytes()).collect();
        let openwrt =
            format!("{scheme}://[USERNAME]:[PASSWORD]@{server}{path}nic/update?hostname=[DOMAIN]&myip=[IP]");
        let mut lines = String::new();
        let mut section = |title: &str, text: &str| {
            // Writing to a text does not fail.
            let _ = write!(lines, "\n# {title}\n{text}\n");
        };
        section(
            "FRITZ!Box: Internet > Permit Access > DynDNS, provider \"User-defined\"",
            &format!(
                "Update-URL   {scheme}://{server}{path}nic/update?hostname={all}&myip=<ipaddr>&myipv6=<ip6addr>\n\
                 Domain name  {first}\nUser name    {username}\nPassword     {password}"
            ),
        );
        section(
            "OpenWrt ddns-scripts: /etc/config/ddns; a section for each name and family (use_ipv6 '1' for IPv6)",
            &format!(
                "config service 'syncfleet'\n\toption enabled '1'\n\toption update_url '{openwrt}'\n\toption use_https '{one}'\n\
                 \toption cacert '/etc/ssl/certs'\n\toption lookup_host '{first}'\n\toption domain '{first}'\n\
                 \toption username '{username}'\n\toption password '{password}'\n\toption ip_source 'network'\n\
                 \toption ip_network 'wan'\n\toption interface 'wan'"
            ),
        );
        section(
            "ddclient.conf, beside your line use= or usev4=",
            &format!(
                "ssl={yes}\nprotocol=dyndns2\nserver={server}\nscript={path}nic/update\nlogin={username}\npassword='{password}'\n{all}"
            ),
        );
        section(
            "inadyn.conf, version 2; UniFi gateways have the same as their settings",
            &format!(
                "custom syncfleet {{\n    ssl         = {ssl}\n    username    = {username}\n    password    = \"{password}\"\n\
                 \x20   ddns-server = {server}\n    ddns-path   = \"{path}nic/update?hostname=%h&myip=%i\"\n    hostname    = {{ {quoted} }}\n}}"
            ),
        );
        section(
            &format!("curl, which tells {tells}; the first line into ~/.netrc, closed to others"),
            &format!(
                "machine {host} login {username} password {password}\n\
                 curl --fail-with-body --netrc '{scheme}://{server}{path}nic/update?hostname={all}{myip}'"
            ),
        );
        section(
            "Clients of DuckDNS",
            &format!("{scheme}://{server}{path}update?domains={all}&token={username}.{token}{ip}"),
        );
        lines.trim_end().to_owned()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_client_gets_what_it_reads() {
        let url = Url::parse("https://sync.example.com:8443/fleet/").unwrap();
        let hosts = ["home.example.org", "nas.example.org"];
        let lines = Setup { url: &url, username: "router", password: "se-cr#et_1", hosts: &hosts }.lines();
        for line in [
            "Update-URL   https://sync.example.com:8443/fleet/nic/update?hostname=home.example.org,nas.example.org&myip=<ipaddr>&myipv6=<ip6addr>",
            "option update_url 'https://[USERNAME]:[PASSWORD]@sync.example.com:8443/fleet/nic/update?hostname=[DOMAIN]&myip=[IP]'",
            "protocol=dyndns2\nserver=sync.example.com:8443\nscript=/fleet/nic/update",
            "password='se-cr#et_1'",
            "hostname    = { \"home.example.org\", \"nas.example.org\" }",
            "password    = \"se-cr#et_1\"",
            "ddns-path   = \"/fleet/nic/update?hostname=%h&myip=%i\"",
            "machine sync.example.com login router password se-cr#et_1",
            "/fleet/update?domains=home.example.org,nas.example.org&token=router.se-cr%23et_1",
        ] {
            assert!(lines.contains(line), "{line} is missing:\n{lines}");
        }
        assert!(lines.ends_with("se-cr%23et_1") && lines.contains("nas.example.org'\n"), "{lines}");
    }

    #[test]
    fn at_home_a_caller_has_to_name_the_address() {
        let url = Url::parse("http://[fd12::5]:8080/").unwrap();
        let lines =
            Setup { url: &url, username: "router", password: "p", hosts: &["home.example.org"] }.lines();
        for line in [
            "curl --fail-with-body --netrc 'http://[fd12::5]:8080/nic/update?hostname=home.example.org&myip=ADDRESS'",
            "http://[fd12::5]:8080/update?domains=home.example.org&token=router.p&ip=ADDRESS",
        ] {
            assert!(lines.contains(line), "{line} is missing:\n{lines}");
        }
    }
}

use std::net::IpAddr;

use axum::http::{HeaderMap, header};
use base64::{Engine, engine::general_purpose::STANDARD};
use secrecy::SecretString;
use shared::dns::Host;

use super::answer::{Answer, Word};

/// The most names of a call: <https://help.dyn.com/remote-access-api/perform-update/>.
const MOST_HOSTS: usize = 20;

/// The longest user name and password that are looked at.
const LONGEST: usize = 256;

/// Parameters that would carry a password.
const PASSWORDS: [&str; 8] = ["password", "passwd", "pass", "pw", "pwd", "psw", "token", "key"];

/// A call, whatever its form.
#[derive(Debug)]
pub(super) struct Call {
    pub(super) username: String,
    pub(super) password: SecretString,
    /// What it asks for; or why that is refused, once it is known who calls.
    pub(super) asked: Result<Asked, Answer>,
}

/// What a call asks for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Asked {
    /// The names in their order; none: it is no full name.
    pub(super) hosts: Vec<Option<Host>>,
    /// The addresses, one of a family; none at all: the caller's.
    pub(super) ips: Vec<IpAddr>,
    /// The caller's address may be one of IPv6.
    pub(super) caller_v6: bool,
    /// All names, or none.
    pub(super) all: bool,
}

impl Call {
    /// Reads a call of dyndns2. The error is the answer.
    pub(super) fn dyndns2(query: &str, headers: &HeaderMap) -> Result<Self, Answer> {
        let (mut hosts, mut ips, mut offline) = (Vec::new(), Vec::new(), false);
        for (name, value) in url::form_urlencoded::parse(query.as_bytes()) {
            match &*name {
                "hostname" => hosts.extend(parts(&value)),
                "myip" | "myipv6" => ips.extend(parts(&value)),
                "offline" => offline |= value.eq_ignore_ascii_case("yes"),
                name if PASSWORDS.contains(&name.to_ascii_lowercase().as_str()) => {
                    return Err(Answer::new(
                        Word::BadAuth,
                        "a password in the address stands in logs: use basic authentication, and another password from now on",
                    ));
                }
                // system, wildcard, mx, backmx and whatever else clients add: not of this server.
                _ => {}
            }
        }
        let (username, password) = basic(headers)?;
        let asked = if offline {
            Err(Answer::new(Word::NotDonator, "offline: names cannot be taken offline by a call"))
        } else {
            asked(&hosts, &ips, true, false)
        };
        Ok(Self { username, password, asked })
    }

    /// Reads a call in the form of Duck DNS, and whether it wants the longer answer. The token is `USER.PASSWORD`.
    pub(super) fn duckdns(query: &str) -> (Result<Self, Answer>, bool) {
        let (mut hosts, mut ips, mut token) = (Vec::new(), Vec::new(), None);
        let (mut verbose, mut clear) = (false, false);
        for (name, value) in url::form_urlencoded::parse(query.as_bytes()) {
            match &*name {
                "domains" => hosts.extend(parts(&value)),
                "ip" | "ipv6" => ips.extend(parts(&value)),
                "token" => token = Some(value.into_owned()),
                "verbose" => verbose = value.eq_ignore_ascii_case("true"),
                "clear" => clear = value.eq_ignore_ascii_case("true"),
                _ => {}
            }
        }
        let call = || {
            let token =
                token.ok_or_else(|| Answer::new(Word::BadAuth, "a token is needed: USER.PASSWORD"))?;
            let (username, password) = token
                .split_once('.')
                .ok_or_else(|| Answer::new(Word::BadAuth, "the token is not of the form USER.PASSWORD"))?;
            let (username, password) = sane(username, password)?;
            let asked = if clear {
                Err(Answer::new(Word::NotDonator, "clear: addresses cannot be taken away by a call"))
            } else {
                asked(&hosts, &ips, false, true)
            };
            Ok(Self { username, password, asked })
        };
        (call(), verbose)
    }

    /// The names that are to be looked up.
    pub(super) fn hosts(&self) -> Vec<String> {
        let hosts = self.asked.iter().flat_map(|asked| asked.hosts.iter().flatten());
        hosts.map(ToString::to_string).collect()
    }
}

/// The parts of a list with commas that are not empty: clients send empty ones for what they do not know.
fn parts(list: &str) -> Vec<String> {
    list.split(',').map(str::trim).filter(|part| !part.is_empty()).map(str::to_owned).collect()
}

fn asked(hosts: &[String], ips: &[String], caller_v6: bool, all: bool) -> Result<Asked, Answer> {
    if hosts.is_empty() {
        return Err(Answer::new(Word::NotFqdn, "a name is missing: hostname=home.example.org"));
    }
    if hosts.len() > MOST_HOSTS {
        return Err(Answer::new(
            Word::NumHost,
            format!("{} names: {MOST_HOSTS} are allowed in a call", hosts.len()),
        ));
    }
    let mut read: Vec<IpAddr> = Vec::new();
    for text in ips {
        let Some(ip) = address(text) else {
            return Err(bad_address(hosts.len(), format!("{text:?} is no address of IPv4 or IPv6")));
        };
        if read.iter().any(|other| *other != ip && other.is_ipv4() == ip.is_ipv4()) {
            return Err(bad_address(hosts.len(), "there are two addresses of one family".to_owned()));
        }
        if !read.contains(&ip) {
            read.push(ip);
        }
    }
    Ok(Asked { hosts: hosts.iter().map(|host| host.parse().ok()).collect(), ips: read, caller_v6, all })
}

/// An address; or a network of IPv6, as a FRITZ!Box tells for `<ip6lanprefix>`: names behind it have a host's part of their own.
fn address(text: &str) -> Option<IpAddr> {
    let (address, length) =
        text.split_once('/').map_or((text, None), |(address, length)| (address, Some(length)));
    let address: IpAddr = address.parse().ok()?;
    let is_network = |length: &str| address.is_ipv6() && length.parse().is_ok_and(|length: u8| length <= 128);
    length.is_none_or(is_network).then(|| address.to_canonical())
}

/// An address that is none, for all names.
fn bad_address(hosts: usize, why: String) -> Answer {
    let mut answer = Answer::new(Word::DnsError, why);
    let line = answer.lines[0].clone();
    answer.lines.resize(hosts, line);
    answer
}

/// User name and password of the basic authentication (RFC 7617).
fn basic(headers: &HeaderMap) -> Result<(String, SecretString), Answer> {
    let read = || {
        let (scheme, coded) = headers.get(header::AUTHORIZATION)?.to_str().ok()?.split_once(' ')?;
        if !scheme.eq_ignore_ascii_case("basic") {
            return None;
        }
        let bytes = STANDARD.decode(coded.trim()).ok()?;
        let (username, password) = std::str::from_utf8(&bytes).ok()?.split_once(':')?;
        Some(sane(username, password))
    };
    read().unwrap_or_else(|| Err(Answer::new(Word::BadAuth, "user name and password are needed")))
}

fn sane(username: &str, password: &str) -> Result<(String, SecretString), Answer> {
    // The database takes no zero bytes.
    if username.is_empty() || username.len() > LONGEST || password.len() > LONGEST || username.contains('\0')
    {
        return Err(Answer::new(Word::BadAuth, "there is no such user name and password"));
    }
    Ok((username.to_owned(), SecretString::from(password)))
}

#[cfg(test)]
mod tests {
    use axum::http::HeaderValue;
    use secrecy::ExposeSecret;

    use super::*;

    fn headers(authorization: &str) -> HeaderMap {
        let mut headers = HeaderMap::new();
        headers.insert(header::AUTHORIZATION, HeaderValue::from_str(authorization).unwrap());
        headers
    }

    fn call(query: &str) -> Call {
        Call::dyndns2(query, &headers(&format!("Basic {}", STANDARD.encode("ada:p:w")))).unwrap()
    }

    fn read(query: &str) -> Asked {
        call(query).asked.unwrap()
    }

    fn ips(ips: &[IpAddr]) -> String {
        ips.iter().map(ToString::to_string).collect::<Vec<_>>().join(" ")
    }

    #[test]
    fn names_and_addresses_are_read_in_all_their_forms() {
        for (query, found) in [
            ("hostname=a.example.org", ""),
            ("hostname=a.example.org&myip=", ""),
            ("hostname=a.example.org&myip=192.0.2.1", "192.0.2.1"),
            ("hostname=a.example.org&myip=192.0.2.1,2001:db8::1", "192.0.2.1 2001:db8::1"),
            ("hostname=a.example.org&myip=192.0.2.1%2C2001%3Adb8%3A%3A1", "192.0.2.1 2001:db8::1"),
            ("hostname=a.example.org&myip=192.0.2.1,", "192.0.2.1"),
            ("hostname=a.example.org&myip=,2001:db8::1", "2001:db8::1"),
            ("hostname=a.example.org&myip=192.0.2.1&myipv6=2001:DB8::0:1", "192.0.2.1 2001:db8::1"),
            ("hostname=a.example.org&myip=::ffff:192.0.2.1", "192.0.2.1"),
            ("hostname=a.example.org&myipv6=2001:db8:0:100::/56", "2001:db8:0:100::"),
            ("hostname=a.example.org&myip=192.0.2.1&myip=192.0.2.1", "192.0.2.1"),
            (
                "system=dyndns&hostname=a.example.org&myip=192.0.2.1&wildcard=ON&mx=m&backmx=NO&offline=NO",
                "192.0.2.1",
            ),
        ] {
            let asked = read(query);
            assert_eq!(ips(&asked.ips), found, "{query}");
            assert_eq!(asked.hosts, [Some("a.example.org".parse().unwrap())]);
        }
        let asked = read("hostname=B.example.org.,nonsense, ,c.example.org");
        let names: Vec<_> = asked.hosts.iter().map(|host| host.as_ref().map(Host::as_str)).collect();
        assert_eq!(names, [Some("b.example.org"), None, Some("c.example.org")]);
        let call = call("");
        assert_eq!((call.username.as_str(), call.password.expose_secret()), ("ada", "p:w"));
    }

    #[test]
    fn what_cannot_be_is_refused_by_its_word() {
        let many = format!("hostname={}", vec!["a.example.org"; 21].join(","));
        for (query, word, lines) in [
            ("", Word::NotFqdn, 1),
            ("hostname=&myip=192.0.2.1", Word::NotFqdn, 1),
            (&many, Word::NumHost, 1),
            ("hostname=a.example.org&offline=YES", Word::NotDonator, 1),
            ("hostname=a.example.org,b.example.org&myip=<ipaddr>", Word::DnsError, 2),
            ("hostname=a.example.org&myip=192.0.2.1,192.0.2.2", Word::DnsError, 1),
            ("hostname=a.example.org&myip=192.0.2.0/24", Word::DnsError, 1),
            ("hostname=a.example.org&myip=2001:db8::/129", Word::DnsError, 1),
        ] {
            let answer = call(query).asked.unwrap_err();
            assert_eq!((answer.lines[0].word, answer.lines.len()), (word, lines), "{query}");
        }
        let most = format!("hostname={}", vec!["a.example.org"; 20].join(","));
        assert_eq!(read(&most).hosts.len(), 20);
    }

    #[test]
    fn who_does_not_say_who_he_is_or_says_it_in_the_address_is_refused() {
        let coded = |text: &str| format!("Basic {}", STANDARD.encode(text));
        for bad in
            ["Basic", "Basic ", "Basic !", "Bearer x", &coded("ada"), &coded(":x"), &coded(&"x".repeat(300))]
        {
            let answer = Call::dyndns2("hostname=a.example.org", &headers(bad)).unwrap_err();
            assert_eq!(answer.lines[0].word, Word::BadAuth, "{bad}");
        }
        for name in ["password", "PASS", "token", "pw"] {
            let query = format!("hostname=a.example.org&{name}=x");
            let answer = Call::dyndns2(&query, &headers(&coded("ada:x"))).unwrap_err();
            assert_eq!(answer.lines[0].word, Word::BadAuth);
            assert!(answer.why.unwrap().contains("stands in logs"));
        }
        // A name alone is no secret.
        assert!(Call::dyndns2("hostname=a.example.org&user=ada", &headers(&coded("ada:x"))).is_ok());
    }

    #[test]
    fn duckdns_has_a_token_and_no_clearing() {
        let (call, verbose) =
            Call::duckdns("domains=a.example.org,b.example.org&token=ada.p.w&ip=192.0.2.1&verbose=true");
        let call = call.unwrap();
        assert!(verbose);
        assert_eq!((call.username.as_str(), call.password.expose_secret()), ("ada", "p.w"));
        assert_eq!(call.hosts(), ["a.example.org", "b.example.org"]);
        let asked = call.asked.unwrap();
        assert!(asked.all && !asked.caller_v6);
        for query in
            ["domains=a.example.org", "domains=a.example.org&token=nodot", "domains=a.example.org&token=.x"]
        {
            assert_eq!(Call::duckdns(query).0.unwrap_err().lines[0].word, Word::BadAuth, "{query}");
        }
        let (call, _) = Call::duckdns("domains=a.example.org&token=ada.x&clear=true");
        assert_eq!(call.unwrap().asked.unwrap_err().lines[0].word, Word::NotDonator);
    }
}

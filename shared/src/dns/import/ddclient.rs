//! ddclient.conf (<https://ddclient.net/general.html>): settings as `key=value`, with commas or blanks between; a line that ends with names
//! is for these names, with the settings before it as defaults. A backslash at the end joins lines, `#` begins a comment.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::json;

use super::{Import, Kept, Keys, dyndns2};
use crate::dns::address::Family;

const TAKEN: [&str; 5] = ["protocol", "server", "login", "password", "ssl"];

/// How a name is kept.
const KEPT: [&str; 3] = ["usev4", "usev6", "ttl"];

/// <https://ddclient.net/general.html>, and what `ddclient --help` lists.
const KEYS: Keys = Keys {
    left: &[
        (
            &[
                "use",
                "if",
                "ifv4",
                "ifv6",
                "if-skip",
                "ip",
                "ipv4",
                "ipv6",
                "web",
                "webv4",
                "webv6",
                "web-skip",
                "webv4-skip",
                "webv6-skip",
                "web-ssl-validate",
                "fw",
                "fwv4",
                "fwv6",
                "fw-skip",
                "fwv4-skip",
                "fwv6-skip",
                "fw-login",
                "fw-password",
                "fw-ssl-validate",
                "cmd",
                "cmdv4",
                "cmdv6",
                "cmd-skip",
            ],
            "the address has its sources (`dns address`)",
        ),
        (&["daemon"], "how often the sources are asked is the address's (`dns address set --every`)"),
        (&["max-interval"], "`--forced-interval` sends again what has not changed"),
        (&["min-interval", "min-error-interval"], "each provider has its own least time"),
        (&["postscript"], "webhooks tell of changes"),
        (&["zone"], "the zone is looked for, or set with `dns set`"),
        (
            &[
                "wildcard",
                "mx",
                "backupmx",
                "static",
                "custom",
                "script",
                "path",
                "proxy",
                "timeout",
                "retry",
                "force",
                "test",
                "exec",
                "query",
                "geturl",
                "curl",
                "mail",
                "mail-failure",
                "mail-from",
                "pid",
                "cache",
                "file",
                "syslog",
                "facility",
                "priority",
                "foreground",
                "verbose",
                "quiet",
                "debug",
                "max-warn",
                "ssl_ca_dir",
                "ssl_ca_file",
                "options",
                "host",
                "url",
                "email",
                "on-ipv6",
                "auth-id",
                "sub-auth-id",
                "root-domain",
                "on-root-domain",
            ],
            "",
        ),
    ],
    aliases: &[
        ("user", "login"),
        ("username", "login"),
        ("login_env", "login"),
        ("pass", "password"),
        ("pwd", "password"),
        ("token", "password"),
        ("secret", "password"),
        ("key", "password"),
        ("apikey", "password"),
        ("password_env", "password"),
    ],
};

/// What applies at a line.
#[derive(Default, Clone)]
struct Settings {
    values: BTreeMap<String, String>,
    /// Keys that were misspelt: what was set before is not meant.
    spoilt: BTreeSet<&'static str>,
}

impl Settings {
    fn set(&mut self, import: &mut Import, line: usize, settings: Vec<(String, String)>) {
        for (key, value) in settings {
            self.spoilt.remove(key.as_str());
            self.spoilt.extend(KEYS.tell(import, line, &key, (&TAKEN, &KEPT)));
            if ["usev4", "usev6"].contains(&key.as_str()) && is_on(&value) {
                let what =
                    "the family is taken over, and nothing else: the address has its sources (`dns address`)";
                import.fault(line, format!("{key}: {what}"));
            }
            self.values.insert(key, value);
        }
    }

    fn get(&self, key: &str) -> &str {
        self.values.get(key).map(String::as_str).unwrap_or_default()
    }

    /// The families that `usev4` and `usev6` choose. `use` takes an address of either.
    fn families(&self) -> Vec<Family> {
        if is_on(self.get("use")) {
            return Vec::new();
        }
        let chosen = [(Family::Ipv4, "usev4"), (Family::Ipv6, "usev6")].into_iter();
        chosen.filter(|(_, key)| is_on(self.get(key))).map(|(family, _)| family).collect()
    }
}

/// Whether a strategy is one.
fn is_on(strategy: &str) -> bool {
    !["", "disabled", "no"].contains(&strategy)
}

/// Reads a ddclient.conf.
#[must_use]
pub fn read(text: &str) -> Import {
    let mut import = Import::default();
    let mut defaults = Settings::default();
    let mut lines = text.lines().enumerate();
    while let Some((at, line)) = lines.next() {
        let mut whole = line.to_owned();
        while whole.trim_end().ends_with('\\') {
            whole.truncate(whole.trim_end().len() - 1);
            whole.push(' ');
            whole.push_str(lines.next().map_or("", |(_, next)| next));
        }
        let (settings, hosts) = match words(&whole) {
            Ok(words) => words,
            Err(why) => {
                import.fault(at + 1, why);
                continue;
            }
        };
        if hosts.is_empty() {
            defaults.set(&mut import, at + 1, settings);
            continue;
        }
        let mut of_line = defaults.clone();
        of_line.set(&mut import, at + 1, settings);
        take(&mut import, at + 1, &of_line, &hosts);
    }
    import
}

type Words = (Vec<(String, String)>, Vec<String>);

/// The settings of a line, and the names after them.
fn words(line: &str) -> Result<Words, String> {
    let (mut settings, mut hosts) = (Vec::new(), Vec::new());
    let mut rest = line.trim();
    while !rest.is_empty() && !rest.starts_with('#') {
        let end = rest.find(['=', ',', ' ', '\t']).unwrap_or(rest.len());
        let (word, after) = rest.split_at(end);
        rest = after;
        if let Some(value) = rest.strip_prefix('=') {
            let value = value.trim_start();
            let quote = value.chars().next().filter(|c| ['"', '\''].contains(c));
            let (value, after) = match quote {
                Some(quote) => value[1..]
                    .split_once(quote)
                    .ok_or_else(|| format!("{word}: the quotation mark is not closed"))?,
                None => value.split_at(value.find([',', ' ', '\t']).unwrap_or(value.len())),
            };
            settings.push((word.trim().to_ascii_lowercase(), value.to_owned()));
            rest = after;
        } else if !word.is_empty() {
            hosts.push(word.to_owned());
        }
        rest = rest.trim_start_matches([',', ' ', '\t']);
    }
    Ok((settings, hosts))
}

fn take(import: &mut Import, line: usize, settings: &Settings, hosts: &[String]) {
    if let Some(key) = settings.spoilt.first() {
        for host in hosts {
            import.fault(line, format!("{host}: its {key} is misspelt, and the one before may be another provider's: the name is left out"));
        }
        return;
    }
    let get = |key| settings.get(key);
    let families = settings.families();
    let kept = Kept { families: &families, ttl: settings.values.get("ttl").map(String::as_str) };
    let before = import.records.len();
    let (login, password) = (get("login"), get("password"));
    let server = |default: &'static str| if get("server").is_empty() { default } else { get("server") };
    for host in hosts {
        let protocol = if get("protocol").is_empty() { "dyndns2" } else { get("protocol") };
        let (host, settings) = match protocol {
            "dyndns2" => (host.clone(), dyndns2(server("members.dyndns.org"), login)),
            "noip" => (host.clone(), dyndns2("dynupdate.no-ip.com", login)),
            "inwx" => (host.clone(), json!({"provider": "inwx", "user": login})),
            "keysystems" => (host.clone(), json!({"provider": "key-systems"})),
            "duckdns" if !host.contains('.') => {
                (format!("{host}.duckdns.org"), json!({"provider": "duckdns"}))
            }
            "duckdns" => (host.clone(), json!({"provider": "duckdns"})),
            "cloudflare" if login == "token" || login.is_empty() => {
                (host.clone(), json!({"provider": "cloudflare"}))
            }
            "cloudflare" => {
                import.fault(line, format!("{host}: the global key of Cloudflare may do everything; make a token that may edit this zone's records"));
                continue;
            }
            "hetzner" => {
                import.fault(line, format!("{host}: the old API of Hetzner's DNS has been shut down; the zone needs a token of the cloud's project (provider hetzner)"));
                continue;
            }
            "nsupdate" => {
                import.fault(line, nsupdate(host, settings));
                continue;
            }
            other => {
                import.fault(line, format!("{host}: the protocol {other} is not known here; the provider template may describe it"));
                continue;
            }
        };
        import.take(line, &host, settings, password, kept);
    }
    let was_seen = |record: &super::Record| record.place == line && record.provider.name() != "cloudflare";
    if get("ssl") == "no" && import.records[before..].iter().any(was_seen) {
        import.fault(line, "ssl=no: the password went over the wire in the clear; it goes by TLS from now on. Change that password");
    }
}

/// What to do about a name of the protocol nsupdate, whose `password` is a file's name. No TLS plays a part there: it signs.
fn nsupdate(host: &str, settings: &Settings) -> String {
    let mut add = format!("syncfleet dns add {host} --provider rfc2136");
    for key in ["server", "zone", "ttl"] {
        let value = settings.get(key);
        if !value.is_empty() {
            add = format!("{add} --{key} {value}");
        }
    }
    format!(
        "{host}: its key stands in a file of its own, which is not read: add the name by hand, as `{add} --key NAME --secret-file FILE`"
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::dns::import::tests::{assert_faults, kept, taken};

    #[test]
    fn names_are_taken_over_with_the_settings_before_them() {
        let import = read(
            "daemon=300 # a comment\nuse=web\nprotocol=dyndns2, server=dyn.example.net\nlogin=u, \\\npassword='p,w #1'\nhome.example.org, cam.example.org\n\
             protocol=duckdns, password=tok home\nprotocol=keysystems password=\"k\" ks.example.org\nprotocol=cloudflare, login=token, zone=example.org, password=cf a.example.org\n",
        );
        assert_faults(&import, &[(1, "daemon is not"), (2, "use is not"), (9, "zone is not")]);
        assert_eq!(
            taken(&import),
            [
                (6, "home.example.org", "dyndns2", "p,w #1"),
                (6, "cam.example.org", "dyndns2", "p,w #1"),
                (7, "home.duckdns.org", "duckdns", "tok"),
                (8, "ks.example.org", "key-systems", "k"),
                (9, "a.example.org", "cloudflare", "cf"),
            ]
        );
    }

    #[test]
    fn what_cannot_be_taken_over_is_told_without_secrets() {
        let import = read(
            "password=hunter2\nprotocol=freedns, login=u a.example.org\nprotocol=nsupdate b.example.org\nssl=no, login=u, protocol=dyndns2 c.example.org\n\
             protocol=dyndns2, password='hunter2\nprotocol=dyndns2, login=u nodots\nprotocol=cloudflare, login=me@example.org d.example.org\n",
        );
        let expected = [
            (2, "freedns"),
            (3, "rfc2136"),
            (4, "in the clear"),
            (5, "not closed"),
            (6, "no full host name"),
            (7, "global key"),
        ];
        assert_faults(&import, &expected);
        assert_eq!(import.records.len(), 1);
    }

    #[test]
    fn what_went_without_tls_is_told_where_a_password_went() {
        let import = read(
            "ssl=no\nprotocol=nsupdate, server=ns1.example.org, zone=example.org, ttl=600, password=/etc/hunter2.key a.example.org\n\
             protocol=cloudflare, password=hunter2 b.example.org\nprotocol=freedns, password=hunter2 c.example.org\n\
             protocol=duckdns, password=hunter2 home\n",
        );
        let add = "`syncfleet dns add a.example.org --provider rfc2136 --server ns1.example.org --zone example.org --ttl 600 --key";
        assert_faults(&import, &[(2, "zone is not"), (2, add), (4, "freedns"), (5, "in the clear")]);
        assert_eq!(taken(&import).len(), 2);
    }

    #[test]
    fn families_and_ttl_are_taken_over() {
        let import = read(
            "usev4=webv4, ttl=60\nprotocol=cloudflare, password=hunter2 a.example.org\n\
             protocol=cloudflare, password=hunter2, usev4=disabled, usev6=ifv6, ttl=120 b.example.org\n\
             protocol=cloudflare, password=hunter2, usev6=webv6 c.example.org\n\
             protocol=cloudflare, password=hunter2, use=web d.example.org\n\
             protocol=cloudflare, password=hunter2, usev4=no, usev6=no e.example.org\n\
             protocol=inwx, login=u, password=hunter2 f.example.org\n",
        );
        let [v4, v6] = Family::ALL;
        assert_eq!(
            kept(&import),
            [
                ("a.example.org", &[v4][..], Some(60)),
                ("b.example.org", &[v6], Some(120)),
                ("c.example.org", &[v4, v6], Some(60)),
                ("d.example.org", &[], Some(60)),
                ("e.example.org", &[], Some(60)),
                ("f.example.org", &[v4], None),
            ]
        );
        assert_faults(
            &import,
            &[
                (1, "usev4: the family is taken over"),
                (3, "usev6: the family is taken over"),
                (4, "usev6: the family"),
                (5, "use is not taken over"),
                (7, "f.example.org: ttl is not taken over: inwx lets none be chosen"),
            ],
        );
    }

    #[test]
    fn a_line_for_each_family_is_one_name() {
        let import = read(
            "protocol=dyndns2, server=dyn.example.net, login=u, password=hunter2\nusev4=webv4 a.example.org\n\
             usev4=disabled, usev6=webv6 a.example.org\n",
        );
        let [v4, v6] = Family::ALL;
        assert_eq!(kept(&import), [("a.example.org", &[v4, v6][..], None)]);
    }

    #[test]
    fn every_key_is_taken_over_or_told() {
        let import = read(
            "webv4=x, foo=1, min-intervl=5, usev=web\nprotocol=dyndns2, login=u, password=hunter2 a.example.org\n",
        );
        assert_faults(
            &import,
            &[
                (1, "webv4 is not taken over: the address"),
                (1, "key foo is unknown"),
                (1, "did you mean min-interval?"),
                (1, "key usev is unknown; did you mean use"),
            ],
        );
        assert_eq!(taken(&import).len(), 1);
    }

    #[test]
    fn a_misspelt_credential_does_not_send_one_providers_secret_to_another() {
        let before = "protocol=dyndns2, server=dyn.example.net, login=u\npassword=hunter2\na.example.org\n";
        for (line, key) in [
            ("protocol=duckdns, pasword=t home", "did you mean password?"),
            ("protocol=duckdns, token=t home", "did you mean password?"),
            ("protocol=inwx, lgoin=v, password=hunter2 b.example.org", "did you mean login?"),
            ("protocl=duckdns, password=hunter2 home", "did you mean protocol?"),
            ("sever=dyn.example.com, password=hunter2 b.example.org", "did you mean server?"),
        ] {
            let import = read(&format!("{before}{line}\n"));
            assert_faults(&import, &[(4, key), (4, "is misspelt")]);
            assert_eq!(taken(&import), [(3, "a.example.org", "dyndns2", "hunter2")], "{line}");
        }
        // In a line of its own it stands until the key is set.
        let import = read(&format!("{before}protocol=duckdns\npasword=t\nhome\npassword=t\ncam\n"));
        assert_faults(&import, &[(5, "did you mean password?"), (6, "home: its password is misspelt")]);
        assert_eq!(taken(&import)[1..], [(8, "cam.duckdns.org", "duckdns", "t")]);
    }
}

//! inadyn.conf of version 2 (<https://github.com/troglobit/inadyn/blob/master/man/inadyn.conf.5>): sections `provider NAME { … }` and
//! `custom NAME { … }` with `key = value`; lists in braces; `#` and `//` begin a comment.

use std::collections::BTreeMap;

use serde_json::json;

use super::{Import, Kept, Keys, dyndns2};
use crate::dns::address::Family;

/// What is taken over of a section.
const TAKEN: [&str; 5] = ["hostname", "username", "password", "ssl", "proxied"];

/// The same, of how its names are kept.
const KEPT: [&str; 1] = ["ttl"];

/// What is taken over outside of sections.
const OUTSIDE: [&str; 1] = ["allow-ipv6"];

/// <https://github.com/troglobit/inadyn/blob/master/man/inadyn.conf.5>
const KEYS: Keys = Keys {
    left: &[
        (
            &["iface", "checkip-server", "checkip-path", "checkip-ssl", "checkip-command", "fake-address"],
            "the address has its sources (`dns address`)",
        ),
        (&["allow-ipv6"], "it belongs outside of sections"),
        (&["period"], "how often the sources are asked is the address's (`dns address set --every`)"),
        (&["forced-update"], "`--forced-interval` sends again what has not changed"),
        (&["ttl"], "it belongs into a section"),
        (
            &["ddns-server", "ddns-path", "ddns-response", "append-myip"],
            "the provider template may describe it",
        ),
        (
            &[
                "user-agent",
                "wildcard",
                "verify-address",
                "broken-rtc",
                "ca-trust-file",
                "cache-dir",
                "startup-delay",
                "iterations",
                "secure-ssl",
                "include",
            ],
            "",
        ),
    ],
    aliases: &[
        ("user", "username"),
        ("login", "username"),
        ("pass", "password"),
        ("pwd", "password"),
        ("token", "password"),
        ("secret", "password"),
        ("key", "password"),
        ("alias", "hostname"),
        ("host", "hostname"),
    ],
};

/// A section's settings by their keys, each with its line.
type Settings = BTreeMap<String, (usize, Vec<String>)>;

/// Reads an inadyn.conf.
#[must_use]
pub fn read(text: &str) -> Import {
    let mut import = Import::default();
    let tokens = tokens(text);
    let families = allowed(&tokens);
    let mut at = 0;
    while at < tokens.len() {
        let (line, word) = (tokens[at].0, tokens[at].1.as_str());
        let opens = tokens.get(at + 2).is_some_and(|(_, token)| token == "{");
        if ["provider", "custom"].contains(&word) && opens {
            let name = tokens[at + 1].1.clone();
            let (settings, end) = section(&tokens, at + 3);
            if end > tokens.len() {
                import.fault(line, format!("{name}: the section is not closed"));
                break;
            }
            take(&mut import, (line, word == "custom", &name), &settings, families);
            at = end;
        } else {
            if word == "include" || word.starts_with("include(") {
                import.fault(line, "include: that file is not read; import it too");
            } else if tokens.get(at + 1).is_some_and(|(_, token)| token == "=") {
                let value = tokens.get(at + 2).map(|(_, token)| token.as_str()).unwrap_or_default();
                if word != "secure-ssl" {
                    KEYS.tell(&mut import, line, word, (&[], &OUTSIDE));
                } else if value == "false" {
                    import.fault(
                        line,
                        "secure-ssl = false: TLS was not checked, the password went to whoever answered; it is checked from now on. Change that password",
                    );
                }
                // A value is no key.
                at += 2;
            }
            at += 1;
        }
    }
    import
}

/// The families that the file as a whole allows; empty: it does not say.
fn allowed(tokens: &[(usize, String)]) -> &'static [Family] {
    let mut depth = 0_usize;
    for (at, (_, word)) in tokens.iter().enumerate() {
        let follows = |nth: usize, word: &str| tokens.get(at + nth).is_some_and(|(_, next)| next == word);
        match word.as_str() {
            "{" => depth += 1,
            "}" => depth = depth.saturating_sub(1),
            "allow-ipv6" if depth == 0 && follows(1, "=") && follows(2, "false") => return &[Family::Ipv4],
            _ => {}
        }
    }
    &[]
}

/// Words and marks, each with its line.
fn tokens(text: &str) -> Vec<(usize, String)> {
    let mut tokens = Vec::new();
    for (at, line) in text.lines().enumerate() {
        let mut rest = line.trim_start();
        while let Some(first) = rest.chars().next() {
            if first == '#' || rest.starts_with("//") {
                break;
            }
            let (token, after) = match first {
                '{' | '}' | '=' | ',' => rest.split_at(1),
                '"' | '\'' => rest[1..].split_once(first).unwrap_or((&rest[1..], "")),
                _ => rest.split_at(
                    rest.find(|c: char| c.is_whitespace() || "{}=,".contains(c)).unwrap_or(rest.len()),
                ),
            };
            tokens.push((at + 1, token.to_owned()));
            rest = after.trim_start();
        }
    }
    tokens
}

/// The settings of a section that begins here, and where it ends; beyond the end of the tokens if it does not.
fn section(tokens: &[(usize, String)], from: usize) -> (Settings, usize) {
    let mut settings = Settings::new();
    let word = |at: usize| tokens.get(at).map(|(_, token)| token.as_str());
    let mut at = from;
    while let Some(key) = word(at) {
        if key == "}" {
            return (settings, at + 1);
        }
        if word(at + 1) != Some("=") {
            at += 1;
            continue;
        }
        let (_, values) = settings.entry(key.to_owned()).or_insert_with(|| (tokens[at].0, Vec::new()));
        if word(at + 2) == Some("{") {
            at += 3;
            while let Some(value) = word(at).filter(|value| *value != "}") {
                if value != "," {
                    values.push(value.to_owned());
                }
                at += 1;
            }
            at += 1;
        } else {
            values.extend(word(at + 2).map(str::to_owned));
            at += 3;
        }
    }
    (settings, tokens.len() + 1)
}

/// Tells of the keys of a section that are not taken over; a misspelt one that matters comes back.
fn keys(import: &mut Import, name: &str, settings: &Settings) -> Option<&'static str> {
    let mut misspelt = None;
    // In the order of the lines.
    let mut all: Vec<_> =
        settings.iter().map(|(key, (line, values))| (*line, key.as_str(), values)).collect();
    all.sort_by_key(|(line, ..)| *line);
    for (line, key, values) in all {
        let is_set = values.first().is_some_and(|value| value != "false");
        if key == "proxied" && is_set && !name.contains("cloudflare.com") {
            import.fault(line, "proxied is not taken over: only Cloudflare has it");
        }
        let meant = KEYS.tell(import, line, key, (&TAKEN, &KEPT));
        misspelt = misspelt.or(meant.filter(|meant| !settings.contains_key(*meant)));
    }
    misspelt
}

fn take(
    import: &mut Import,
    (line, custom, name): (usize, bool, &str),
    settings: &Settings,
    allowed: &[Family],
) {
    let misspelt = if custom { None } else { keys(import, name, settings) };
    let get = |key: &str| {
        settings.get(key).and_then(|(_, values)| values.first()).map(String::as_str).unwrap_or_default()
    };
    let hosts = settings.get("hostname").map(|(_, values)| values.as_slice()).unwrap_or_default();
    if hosts.is_empty() {
        import.fault(line, format!("{name}: it has no hostname"));
    }
    if get("ssl") == "false" {
        import.fault(
            line,
            format!("{name}: ssl = false: the password went over the wire in the clear; change it"),
        );
    }
    let (user, password) = (get("username"), get("password"));
    let (plugin, service) = name.split_once('@').unwrap_or(("", name));
    let service = service.split(':').next().unwrap_or_default();
    // Of some services there is a plugin for each family.
    let families = match plugin {
        "ipv4" => &[Family::Ipv4][..],
        "ipv6" => &[Family::Ipv6],
        _ => allowed,
    };
    let ttl = settings.get("ttl").and_then(|(_, values)| values.first()).map(String::as_str);
    let kept = Kept { families, ttl };
    for host in hosts {
        if let Some(key) = misspelt {
            import.fault(line, format!("{host}: its {key} is misspelt: the name is left out"));
            continue;
        }
        if custom {
            let what = "its URL is put together by ddns-server and ddns-path; describe it by the provider template, or by dyndns2 if that is what it speaks";
            import.fault(line, format!("{host}: {name}: {what}"));
            continue;
        }
        let (settings, secret) = match service {
            "dyndns.org" | "dyn.com" => (dyndns2("members.dyndns.org", user), password),
            "no-ip.com" | "noip.com" => (dyndns2("dynupdate.no-ip.com", user), password),
            "inwx.com" => (json!({"provider": "inwx", "user": user}), password),
            "desec.io" => (json!({"provider": "desec", "user": user}), password),
            "domaindiscount24.com" => (json!({"provider": "key-systems"}), password),
            "duckdns.org" => (json!({"provider": "duckdns"}), user),
            "cloudflare.com" => {
                (json!({"provider": "cloudflare", "proxied": get("proxied") == "true"}), password)
            }
            _ => {
                import.fault(
                    line,
                    format!(
                        "{host}: the provider {name} is not known here; the provider template may describe it"
                    ),
                );
                continue;
            }
        };
        import.take(line, host, settings, secret, kept);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::dns::import::tests::{assert_faults, kept, taken};

    #[test]
    fn sections_are_taken_over() {
        let import = read(
            "period = 300 # s\nallow-ipv6 = true\nprovider default@duckdns.org {\n  username = tok // here\n  hostname = \"home.duckdns.org\"\n}\n\
             provider domaindiscount24.com:1 {\n password = \"k s#1\"\n hostname = { a.example.org, \"b.example.org\" }\n}\n\
             provider ipv4@desec.io { username=u password=p hostname=c.dedyn.io }\n",
        );
        assert_faults(&import, &[(1, "period is not")]);
        assert_eq!(
            taken(&import),
            [
                (3, "home.duckdns.org", "duckdns", "tok"),
                (7, "a.example.org", "key-systems", "k s#1"),
                (7, "b.example.org", "key-systems", "k s#1"),
                (11, "c.dedyn.io", "desec", "p"),
            ]
        );
    }

    #[test]
    fn what_cannot_be_taken_over_is_told_without_secrets() {
        let import = read(
            "provider freedns.afraid.org { username=u password=hunter2 hostname=a.example.org }\n\
             custom mine { ddns-server=x password=hunter2 hostname=b.example.org }\nprovider duckdns.org { username=hunter2 }\n\
             provider dyndns.org { username=u password=hunter2 ssl=false hostname=c.example.org }\nprovider dyndns.org { username=u\n",
        );
        let expected =
            [(1, "freedns"), (2, "template"), (3, "no hostname"), (4, "in the clear"), (5, "not closed")];
        assert_faults(&import, &expected);
        assert_eq!(import.records.len(), 1);
    }

    #[test]
    fn families_and_ttl_are_taken_over() {
        let sections = "provider cloudflare.com:1 { username=example.org password=hunter2 ttl=120 hostname=a.example.org }\n\
             provider default@inwx.com { username=u password=hunter2 ttl=60 hostname=b.example.org }\n\
             provider ipv6@desec.io { username=u password=hunter2 hostname=c.dedyn.io }\n\
             provider ipv4@desec.io { username=u password=hunter2 hostname=c.dedyn.io }\n";
        let [v4, v6] = Family::ALL;
        for (first, families) in [("", &[][..]), ("allow-ipv6 = true", &[]), ("allow-ipv6 = false", &[v4])] {
            let import = read(&format!("{first}\n{sections}"));
            assert_eq!(
                kept(&import),
                [
                    ("a.example.org", families, Some(120)),
                    ("b.example.org", families, None),
                    ("c.dedyn.io", &[v6, v4], None)
                ],
                "{first}"
            );
            assert_faults(&import, &[(3, "b.example.org: ttl is not taken over: inwx lets none be chosen")]);
        }
        let misplaced = read(
            "ttl = 60\nprovider desec.io { username=u password=p allow-ipv6=false hostname=a.dedyn.io }\n",
        );
        assert_faults(&misplaced, &[(1, "it belongs into a section"), (2, "it belongs outside of sections")]);
        assert_eq!(kept(&misplaced), [("a.dedyn.io", &[][..], None)]);
    }

    #[test]
    fn every_key_is_taken_over_or_told() {
        let import = read(
            "iface = eth0\nsecure-ssl = false\nbogus = 1\nsecure-ssl = true\ninclude(\"/etc/more.conf\")\nprovider cloudflare.com {\n\
             username = example.org\npassword = p\nproxied = true\nttl = 1\nhostname = a.example.org\n}\n\
             provider desec.io { username=u pasword=hunter2 hostname=b.dedyn.io }\nprovider desec.io { username=u password=p hostnme=c.dedyn.io }\n\
             provider desec.io { username=u password=p proxied=true hostname=d.dedyn.io }\n",
        );
        assert_faults(
            &import,
            &[
                (1, "iface is not taken over"),
                (2, "TLS was not checked"),
                (3, "key bogus is unknown"),
                (5, "include"),
                (13, "did you mean password?"),
                (13, "b.dedyn.io: its password is misspelt"),
                (14, "did you mean hostname?"),
                (14, "no hostname"),
                (15, "proxied is not taken over"),
            ],
        );
        let names: Vec<_> = import.records.iter().map(|record| record.host.as_str()).collect();
        assert_eq!(names, ["a.example.org", "d.dedyn.io"]);
        let cloudflare = serde_json::to_value(&import.records[0].provider).unwrap();
        assert_eq!(cloudflare["proxied"], true, "{cloudflare}");
    }
}

//! Lines that call a provider's URL by curl or wget: of a crontab, a script, or the `command` and `args` of a Kubernetes `CronJob`.
//!
//! What is wrong with such a line is told even if all of it can be read: most of them have failed unseen for a long time.

use url::Url;

use serde_json::json;

use super::{Import, dyndns2, meant};

/// What a URL's parameters are called at each provider.
const KEY_SYSTEMS: [&str; 4] = ["hostname", "password", "ip", "mx"];
const DUCKDNS: [&str; 6] = ["domains", "token", "ip", "ipv6", "verbose", "clear"];
const DYNDNS2: [&str; 9] =
    ["hostname", "myip", "myipv6", "system", "wildcard", "mx", "backmx", "offline", "url"];

/// Reads all lines that call curl or wget.
#[must_use]
pub fn read(text: &str) -> Import {
    let mut import = Import::default();
    for (at, line) in text.lines().enumerate() {
        let line = line.trim();
        if !line.starts_with('#') {
            take(&mut import, at + 1, line);
        }
    }
    import
}

/// A line's words as the shell has them, and whether an `&` or `;` that is not quoted ends them too early.
fn words(line: &str) -> (Vec<String>, bool) {
    let (mut words, mut word, mut quote, mut cut) = (Vec::new(), String::new(), None, false);
    // Whether the word was quoted to its end.
    let mut closed = false;
    let mut letters = line.chars().peekable();
    while let Some(letter) = letters.next() {
        match (quote, letter) {
            (Some(open), _) if letter == open => (quote, closed) = (None, true),
            (None, '"' | '\'') => quote = Some(letter),
            (None, '\\') => word.extend(letters.next()),
            (None, '&' | ';' | '|' | '>' | '<') => {
                // Only within a word, and before more of it, it is a mistake.
                cut = letter == '&'
                    && word.contains("://")
                    && letters.peek().is_some_and(|next| next.is_alphanumeric());
                if cut {
                    // Read on, as it was meant.
                    word.push(letter);
                    word.extend(letters.by_ref().take_while(|next| !next.is_whitespace()));
                }
                break;
            }
            // YAML's lists in one line: ["wget", "…"].
            (None, ',' | '[' | ']') if line.contains('[') && (closed || !word.contains("://")) => {
                words.push(std::mem::take(&mut word));
            }
            (None, _) if letter.is_whitespace() => words.push(std::mem::take(&mut word)),
            _ => {
                closed = false;
                word.push(letter);
            }
        }
    }
    words.push(word);
    words.retain(|word| !word.is_empty());
    (words, cut)
}

fn take(import: &mut Import, line: usize, text: &str) {
    // A shell's script within quotes is read as a line of its own.
    let (mut parts, mut cut) = words(text);
    if let Some(script) = parts.iter().find(|part| part.contains(' ') && part.contains("://")).cloned() {
        (parts, cut) = words(&script);
    }
    let Some(tool) =
        parts.iter().position(|part| ["curl", "wget"].contains(&part.rsplit('/').next().unwrap_or_default()))
    else {
        return;
    };
    let Some(given) = parts[tool..].iter().find(|part| part.contains("://")) else {
        return;
    };
    let Ok(url) = Url::parse(given) else {
        import.fault(line, "the URL cannot be read");
        return;
    };
    if cut {
        import.fault(line, "the URL is not quoted: the shell ends it at the first &, so that only its first parameter is sent");
    }
    if url.scheme() != "https" {
        import.fault(line, "no TLS: the password goes over the wire in the clear; change it");
    }
    for bad in ["-k", "--insecure", "--no-check-certificate"] {
        if parts.iter().any(|part| part == bad) {
            import.fault(line, format!("{bad}: the password goes to whoever answers; change it"));
        }
    }
    let busybox = parts[..tool].iter().any(|part| part.ends_with("busybox"));
    if busybox {
        import
            .fault(line, "busybox's wget does not check certificates: the password goes to whoever answers");
    }
    import.fault(line, "the tool's exit code alone tells success: a refusal in the answer goes unseen; it is read from now on");

    let user = parts[tool..]
        .windows(2)
        .find(|pair| ["-u", "--user"].contains(&pair[0].as_str()))
        .map(|pair| pair[1].clone());
    known(import, line, &url, user.as_deref());
}

fn known(import: &mut Import, line: usize, url: &Url, user: Option<&str>) {
    let parameters: Vec<(String, String)> = url.query_pairs().into_owned().collect();
    let host = url.host_str().unwrap_or_default();
    let names: &[&str] = match host {
        "dynamicdns.key-systems.net" => &KEY_SYSTEMS,
        "www.duckdns.org" | "duckdns.org" => &DUCKDNS,
        _ if url.path().ends_with("/nic/update") || url.path().ends_with("/v3/update") => &DYNDNS2,
        _ => {
            import.fault(line, format!("{host} is not known here; the provider template may describe it"));
            return;
        }
    };
    // What was meant counts: the fault is told.
    let mut values: Vec<(&str, &str)> = Vec::new();
    for (name, value) in &parameters {
        if let Some(known) = names.iter().find(|known| *known == name) {
            values.push((known, value));
        } else if let Some(meant) = meant(name, names) {
            import.fault(
                line,
                format!("the parameter {name} is unknown to the provider; did you mean {meant}?"),
            );
            values.push((meant, value));
        } else {
            import.fault(line, format!("the parameter {name} is unknown to the provider"));
        }
    }
    let get = |name: &str| {
        values.iter().find(|(found, _)| *found == name).map(|(_, value)| *value).unwrap_or_default()
    };
    if names == KEY_SYSTEMS {
        import.take(line, get("hostname"), json!({"provider": "key-systems"}), get("password"));
    } else if names == DUCKDNS {
        for name in get("domains").split(',') {
            let name =
                if name.ends_with(".duckdns.org") { name.to_owned() } else { format!("{name}.duckdns.org") };
            import.take(line, &name, json!({"provider": "duckdns"}), get("token"));
        }
    } else {
        let decode = |text: &str| {
            url::form_urlencoded::parse(
                format!("x={}", text.replace('+', "%2B").replace('&', "%26")).as_bytes(),
            )
            .next()
            .map(|(_, value)| value.into_owned())
            .unwrap_or_default()
        };
        let (login, password) = match user.and_then(|user| user.split_once(':')) {
            Some((login, password)) => (login.to_owned(), password.to_owned()),
            None => (decode(url.username()), decode(url.password().unwrap_or_default())),
        };
        let mut server = url.clone();
        server.set_query(None);
        let _ = server.set_username("");
        let _ = server.set_password(None);
        let _ = server.set_scheme("https");
        for name in get("hostname").split(',') {
            import.take(line, name, dyndns2(server.as_str(), &login), &password);
        }
    }
}

#[cfg(test)]
mod tests {
    use secrecy::ExposeSecret as _;

    use super::*;

    fn one(line: &str) -> (Vec<(String, &'static str, String)>, String) {
        let import = read(line);
        let records = import
            .records
            .iter()
            .map(|record| {
                (record.host.to_string(), record.provider.name(), record.secret.expose_secret().to_owned())
            })
            .collect();
        let faults: Vec<_> = import.faults.into_iter().map(|fault| fault.what).collect();
        let faults = faults.join("\n");
        assert!(!faults.contains("hunter2"), "{faults}");
        (records, faults)
    }

    #[test]
    fn lines_of_every_kind_are_taken_over() {
        for (line, host, provider, secret) in [
            (
                "*/5 * * * * curl -s 'https://dynamicdns.key-systems.net/update.php?hostname=a.example.org&password=hunter2&ip=auto' >/dev/null",
                "a.example.org",
                "key-systems",
                "hunter2",
            ),
            (
                "  command: [\"wget\", \"-qO-\", \"https://www.duckdns.org/update?domains=home&token=t%26x&ip=\"]",
                "home.duckdns.org",
                "duckdns",
                "t&x",
            ),
            (
                "- wget -O- \"https://u:p%40w@dyn.example.net/nic/update?hostname=b.example.org&myip=\"",
                "b.example.org",
                "dyndns2",
                "p@w",
            ),
            (
                "args: [\"/bin/sh\", \"-c\", \"/usr/bin/curl -u me:hunter2 'https://dyn.example.net/nic/update?hostname=c.example.org'\"]",
                "c.example.org",
                "dyndns2",
                "hunter2",
            ),
        ] {
            let (records, faults) = one(line);
            assert_eq!(records, [(host.to_owned(), provider, secret.to_owned())], "{line}\n{faults}");
        }
    }

    #[test]
    fn every_fault_is_told() {
        let (records, faults) = one(
            "0 * * * * busybox wget -qO- http://dynamicdns.key-systems.net/update.php?hostname=a.example.org&pasword=hunter2&ip=auto",
        );
        assert_eq!(records, [("a.example.org".to_owned(), "key-systems", "hunter2".to_owned())]);
        for word in ["not quoted", "no TLS", "busybox", "did you mean password?", "exit code"] {
            assert!(faults.contains(word), "{word}: {faults}");
        }
        let (_, faults) = one("curl -k 'https://www.duckdns.org/update?domains=home&token=hunter2&force=1'");
        assert!(faults.contains("-k:") && faults.contains("parameter force is unknown"), "{faults}");
        let (records, faults) = one("curl 'https://ddns.example.net/do?x=hunter2'");
        assert!(records.is_empty() && faults.contains("template"), "{faults}");
    }

    #[test]
    fn other_lines_are_left_out() {
        for line in [
            "",
            "# curl https://www.duckdns.org/update?domains=a",
            "echo https://a.example/",
            "curl --version",
            "apt-get install curl",
        ] {
            assert!(one(line) == (Vec::new(), String::new()), "{line}");
        }
    }
}

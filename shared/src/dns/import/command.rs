//! Lines that call a provider's URL by curl or wget: of a crontab, a script, or the `command` and `args` of a Kubernetes `CronJob`.
//!
//! What is wrong with such a line is told even if all of it can be read: most of them have failed unseen for a long time.

mod manifest;
mod shell;

use std::net::IpAddr;

use serde_json::json;
use url::Url;

use self::{manifest::Container, shell::Variables};
use super::{Import, Kept, dyndns2, meant};
use crate::dns::provider::Desec;

/// Who calls.
const TOOLS: [&str; 2] = ["curl", "wget"];

/// Duck DNS's hosts.
const DUCKDNS_HOSTS: [&str; 2] = ["www.duckdns.org", "duckdns.org"];

/// Parameters that are addresses, at any of the providers.
const ADDRESSES: [&str; 5] = ["ip", "ipv6", "myip", "myipv4", "myipv6"];

/// What a URL's parameters are called at each provider.
const KEY_SYSTEMS: [&str; 4] = ["hostname", "password", "ip", "mx"];
const DUCKDNS: [&str; 6] = ["domains", "token", "ip", "ipv6", "verbose", "clear"];
const DESEC: [&str; 8] = ["hostname", "username", "password", "myip", "myipv4", "myipv6", "ip", "ipv6"];
const DYNDNS2: [&str; 9] =
    ["hostname", "myip", "myipv6", "system", "wildcard", "mx", "backmx", "offline", "url"];

/// Reads all calls of curl and wget: of the containers of a manifest, or of all lines.
#[must_use]
pub fn read(text: &str) -> Import {
    let mut import = Import::default();
    if manifest::is(text) {
        for container in manifest::containers(text) {
            container_calls(&mut import, &container);
        }
    } else {
        script(&mut import, 1, text, &Around::default());
    }
    import
}

/// Whether a line is one of a crontab, which calls a script.
pub(super) fn is_crontab(line: &str) -> bool {
    shell::script(line).is_some()
}

/// What stands around a call.
#[derive(Default)]
struct Around<'a> {
    /// The container's image.
    image: &'a str,
    variables: Variables,
}

fn container_calls(import: &mut Import, container: &Container) {
    let around = Around { image: &container.image, variables: container.variables.clone() };
    let is_script = |word: &str| word.contains(char::is_whitespace) && word.contains("://");
    if let Some((line, text)) = container.words.iter().find(|(_, word)| is_script(word)) {
        return script(import, *line, text, &around);
    }
    // Without a command the image's own entry point is the tool.
    let tool = TOOLS.into_iter().find(|tool| !container.has_command && container.image.contains(tool));
    let words: Vec<String> = tool
        .map(str::to_owned)
        .into_iter()
        .chain(container.words.iter().map(|(_, word)| word.clone()))
        .collect();
    let line = container.words.iter().find(|(_, word)| word.contains("://")).map_or(1, |(line, _)| *line);
    call(import, line, &words, false, &around);
}

/// Reads the lines of a script or a crontab, those that end with a backslash together with the next.
fn script(import: &mut Import, first: usize, text: &str, around: &Around<'_>) {
    let mut around = Around { image: around.image, variables: around.variables.clone() };
    let mut lines = text.lines().enumerate();
    while let Some((at, line)) = lines.next() {
        let mut whole = line.trim().to_owned();
        while whole.ends_with('\\') {
            whole.pop();
            let Some((_, next)) = lines.next() else { break };
            whole.push_str(next.trim());
        }
        if whole.starts_with('#') || around.variables.assign(&whole) {
            continue;
        }
        let whole = shell::piped(&whole).unwrap_or(whole);
        if let Some(script) = shell::script(&whole) {
            import.fault(first + at, format!("{script} is a script, which is not read from here: if it updates a name, import that file"));
            continue;
        }
        let (mut parts, mut cut) = shell::words(&whole);
        // A script within quotes is read as a line of its own.
        if let Some(inner) = parts.iter().find(|part| part.contains(' ') && part.contains("://")).cloned() {
            (parts, cut) = shell::words(&inner);
        }
        call(import, first + at, &parts, cut, &around);
    }
}

/// Takes over one call; `cut`: the shell ends its URL too early.
fn call(import: &mut Import, line: usize, parts: &[String], cut: bool, around: &Around<'_>) {
    let name = |part: &str| part.rsplit(['/', '(', '`']).next().unwrap_or_default().to_owned();
    let Some(tool) = parts.iter().position(|part| TOOLS.contains(&name(part).as_str())) else { return };
    let is_curl = name(&parts[tool]) == "curl";
    let Some(given) = parts[tool..].iter().find(|part| part.contains("://")) else { return };
    let filled = around.variables.fill_url(given.trim_end_matches([')', '`', '"']));
    for what in filled.faults {
        import.fault(line, what);
    }
    let Ok(url) = Url::parse(&filled.text) else {
        import.fault(line, "the URL cannot be read");
        return;
    };
    let url = with_parameters(url);
    if cut {
        import.fault(line, "the URL is not quoted: the shell ends it at the first &, so that only its first parameter is sent");
    }
    if url.scheme() != "https" {
        import.fault(line, "no TLS: the password goes over the wire in the clear; change it");
    }
    let unchecked = |part: &&String| {
        let cluster = is_curl && part.starts_with('-') && !part.starts_with("--") && part.contains('k');
        cluster || ["--insecure", "--no-check-certificate"].contains(&part.as_str())
    };
    if let Some(bad) = parts[tool..].iter().find(unchecked) {
        import.fault(line, format!("{bad}: the password goes to whoever answers; change it"));
    }
    let busybox = parts[..tool].iter().any(|part| part.ends_with("busybox"))
        || !is_curl && around.image.rsplit('/').next().is_some_and(|image| image.starts_with("busybox"));
    if busybox {
        import
            .fault(line, "busybox's wget does not check certificates: the password goes to whoever answers");
    }
    import.fault(line, "the tool's exit code alone tells success: a refusal in the answer goes unseen; it is read from now on");

    let user = credentials(&parts[tool..], is_curl, around);
    let shows = |name: &str| ["password", "pasword", "token"].contains(&name);
    if url.query_pairs().any(|(name, value)| shows(&name) && !value.is_empty()) || url.password().is_some() {
        import.fault(line, "the password stands in the URL, which process lists and the logs of proxies and jobs show; change it");
    } else if user.is_some() {
        import.fault(line, "the password is an argument, which process lists show; change it");
    }
    for (name, value) in url.query_pairs().filter(|(name, _)| ADDRESSES.contains(&&**name)) {
        if value == "auto" {
            import.fault(line, format!("{name}=auto sets the family of the connection alone, and whatever address the call comes from, a VPN's too; what the address tells is sent from now on"));
        } else if value.split(',').any(|address| address.parse::<IpAddr>().is_ok()) {
            import.fault(line, format!("{name} is a fixed address, which is not kept: the name follows the address that is named here (`dns address add NAME --ipv4 fixed:A` keeps one)"));
        }
    }
    known(import, line, &url, user.as_deref());
}

/// What a call gives as user and password, with a colon between.
fn credentials(parts: &[String], is_curl: bool, around: &Around<'_>) -> Option<String> {
    let option = |names: &[&str]| {
        let value = parts.iter().enumerate().find_map(|(at, part)| match part.split_once('=') {
            Some((name, value)) if names.contains(&name) => Some(value),
            None if names.contains(&part.as_str()) => parts.get(at + 1).map(String::as_str),
            _ => None,
        })?;
        Some(around.variables.fill(value))
    };
    if is_curl {
        return option(&["-u", "--user"]);
    }
    let password = option(&["--http-password", "--password"])?;
    Some(format!("{}:{password}", option(&["--http-user", "--user"]).unwrap_or_default()))
}

/// Duck DNS takes names, token and address in the path too (<https://www.duckdns.org/spec.jsp>): the same URL with parameters.
fn with_parameters(mut url: Url) -> Url {
    if !url.host_str().is_some_and(|host| DUCKDNS_HOSTS.contains(&host)) {
        return url;
    }
    let path = url.path().to_owned();
    let parts: Vec<&str> = path.split('/').filter(|part| !part.is_empty()).collect();
    if let ["update", names, token, rest @ ..] = parts.as_slice() {
        url.set_path("/update");
        let mut query = url.query_pairs_mut();
        query.append_pair("domains", names).append_pair("token", token);
        query.extend_pairs(rest.first().map(|address| ("ip", address)));
        drop(query);
    }
    url
}

fn known(import: &mut Import, line: usize, url: &Url, user: Option<&str>) {
    let parameters: Vec<(String, String)> = url.query_pairs().into_owned().collect();
    let host = url.host_str().unwrap_or_default();
    let names: &[&str] = match host {
        "dynamicdns.key-systems.net" => &KEY_SYSTEMS,
        _ if DUCKDNS_HOSTS.contains(&host) => &DUCKDNS,
        _ if Desec::is_at(url) => &DESEC,
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
        import.take(
            line,
            get("hostname"),
            json!({"provider": "key-systems"}),
            get("password"),
            Kept::default(),
        );
    } else if names == DUCKDNS {
        for name in get("domains").split(',') {
            let name =
                if name.ends_with(".duckdns.org") { name.to_owned() } else { format!("{name}.duckdns.org") };
            import.take(line, &name, json!({"provider": "duckdns"}), get("token"), Kept::default());
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
            None if !get("password").is_empty() => (get("username").to_owned(), get("password").to_owned()),
            None => (decode(url.username()), decode(url.password().unwrap_or_default())),
        };
        let mut server = url.clone();
        server.set_query(None);
        let _ = server.set_username("");
        let _ = server.set_password(None);
        let _ = server.set_scheme("https");
        for name in get("hostname").split(',') {
            import.take(line, name, dyndns2(server.as_str(), &login), &password, Kept::default());
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

    /// A manifest as they are passed around, with `container` in it.
    fn cron_job(container: &str) -> String {
        format!(
            "apiVersion: v1\nkind: Secret\nmetadata:\n  name: dyndns\ntype: Opaque\ndata:\n  password: aHVudGVyMiY=\n---\n\
             # every hour\napiVersion: batch/v1\nkind: CronJob\nmetadata:\n  name: dyndns\nspec:\n  schedule: \"0 * * * *\"\n  \
             jobTemplate:\n    spec:\n      template:\n        spec:\n          restartPolicy: OnFailure\n          \
             containers:\n{container}"
        )
    }

    #[test]
    fn containers_of_a_cron_job_are_taken_over() {
        let url =
            "https://dynamicdns.key-systems.net/update.php?hostname=a.example.org&pasword=hunter2&ip=auto";
        for (container, faults) in [
            // A script in one line, as an item.
            (
                format!(
                    "          - name: x\n            image: busybox:1.36\n            command:\n            - /bin/sh\n            - -c\n            - wget -qO- \"{url}\"\n"
                ),
                &["busybox", "did you mean password?", "in the URL", "ip=auto"][..],
            ),
            // A script of several lines, cut short by the shell.
            (
                format!(
                    "            - image: curlimages/curl\n              name: x\n              command: [\"/bin/sh\", \"-c\"]\n              args:\n                - |\n                  # ask\n                  ANSWER=$(curl -sk \\\n                    {url})\n                  echo $ANSWER\n"
                ),
                &["not quoted", "-sk:", "did you mean password?"],
            ),
            // Words of their own, and the image's own entry point.
            (
                format!(
                    "          - name: x\n            image: curlimages/curl:8\n            args:\n            - -s\n            - '{url}' # here\n"
                ),
                &["did you mean password?"],
            ),
            (
                format!(
                    "          - name: x\n            image: alpine\n            command: [wget, -q,\n              \"{url}\"]\n"
                ),
                &["did you mean password?"],
            ),
        ] {
            let text = cron_job(&container);
            let (records, found) = one(&text);
            assert_eq!(
                records,
                [("a.example.org".to_owned(), "key-systems", "hunter2".to_owned())],
                "{text}\n{found}"
            );
            for fault in faults {
                assert!(found.contains(fault), "{fault}: {found}");
            }
            let at =
                text.lines().position(|line| line.contains("hunter2") && line.contains("://")).unwrap() + 1;
            let line = read(&text).records[0].place;
            assert!(line.abs_diff(at) <= 1, "line {line}, not {at}: {text}");
        }
    }

    #[test]
    fn variables_of_a_container_are_known_or_told() {
        let container = |name: &str| {
            cron_job(&format!(
                "          - name: x\n            image: curlimages/curl\n            env:\n            - name: HOST\n              value: a.example.org\n            \
                 - name: PASSWORD\n              valueFrom:\n                secretKeyRef:\n                  name: {name}\n                  key: password\n            \
                 command: [sh, -c, 'curl \"https://dynamicdns.key-systems.net/update.php?hostname=$(HOST)&password=$PASSWORD\"']\n"
            ))
        };
        let (records, faults) = one(&container("dyndns"));
        assert_eq!(records, [("a.example.org".to_owned(), "key-systems", "hunter2&".to_owned())], "{faults}");
        assert!(faults.contains("the value of PASSWORD holds characters"), "{faults}");
        let (records, faults) = one(&container("elsewhere"));
        assert!(
            records.is_empty() && faults.contains("the key password of the secret elsewhere"),
            "{faults}"
        );
    }

    #[test]
    fn a_script_knows_its_variables() {
        let (records, faults) = one(
            "#!/bin/sh\nTOKEN='hunter2'\nset -e; curl -s \"https://www.duckdns.org/update?domains=home&token=${TOKEN}&ip=\" || exit 1\n",
        );
        assert_eq!(records, [("home.duckdns.org".to_owned(), "duckdns", "hunter2".to_owned())], "{faults}");
        let (records, faults) = one("curl 'https://www.duckdns.org/update?domains=home&token=$TOKEN'\n");
        assert!(records.is_empty() && faults.contains("TOKEN is not known: it is set nowhere"), "{faults}");
    }

    #[test]
    fn credentials_of_wget_are_read() {
        for options in [
            "--user=me --password=hunter2",
            "--http-user=me --http-password='hunter2'",
            "--user me --password hunter2",
        ] {
            let (records, faults) = one(&format!(
                "wget -qO- {options} 'https://dyn.example.net/nic/update?hostname=a.example.org'"
            ));
            assert_eq!(records, [("a.example.org".to_owned(), "dyndns2", "hunter2".to_owned())], "{faults}");
            assert!(faults.contains("the password is an argument"), "{faults}");
        }
    }

    #[test]
    fn addresses_in_a_url_are_told() {
        for (address, what) in [
            ("auto", "myip=auto"),
            ("192.0.2.7", "myip is a fixed address"),
            ("192.0.2.7,2001:db8::1", "fixed"),
        ] {
            let (records, faults) = one(&format!(
                "curl -u me:hunter2 'https://dyn.example.net/nic/update?hostname=a.example.org&myip={address}'"
            ));
            assert!(records.len() == 1 && faults.contains(what), "{faults}");
        }
    }

    #[test]
    fn the_forms_of_duck_dns_are_read() {
        for line in [
            "echo url=\"https://www.duckdns.org/update?domains=zz&token=hunter2&ip=\" | curl -k -o ~/duckdns/duck.log -K -",
            "*/5 * * * * echo url='https://www.duckdns.org/update?domains=zz&token=hunter2&ip=' | curl -k -o ~/duckdns/duck.log -K - >/dev/null 2>&1",
            "*/5 * * * * echo 'url=\"https://www.duckdns.org/update?domains=zz&token=hunter2&ip=\"' | /usr/bin/curl -k --config -",
            "curl -k https://www.duckdns.org/update/zz/hunter2",
            "curl -k https://www.duckdns.org/update/zz/hunter2/192.0.2.7",
        ] {
            let (records, faults) = one(line);
            assert_eq!(
                records,
                [("zz.duckdns.org".to_owned(), "duckdns", "hunter2".to_owned())],
                "{line}: {faults}"
            );
            assert!(faults.contains("-k:") && faults.contains("in the URL"), "{line}: {faults}");
            assert!(!faults.contains("not quoted"), "{line}: {faults}");
        }
    }

    #[test]
    fn a_script_that_is_called_is_told() {
        for line in
            ["*/5 * * * * ~/duckdns/duck.sh >/dev/null 2>&1", "@hourly root /bin/sh ~/duckdns/duck.sh"]
        {
            assert_eq!(crate::dns::import::Format::of(line), crate::dns::import::Format::Command, "{line}");
            let (records, faults) = one(line);
            assert!(records.is_empty() && faults.contains("~/duckdns/duck.sh is a script"), "{faults}");
        }
        let (_, faults) = one("*/5 * * * * /root/a.sh; curl 'https://ddns.example.net/do'");
        assert!(!faults.contains("is a script") && faults.contains("template"), "{faults}");
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

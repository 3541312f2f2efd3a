//! Configurations of other clients, read into records of this one. Nothing is called and nothing is stored: what could be read comes back,
//! and what could not, each with its line.

pub mod command;
pub mod ddclient;
pub mod ddns_updater;
pub mod inadyn;

use secrecy::SecretString;
use serde_json::{Value, json};

use super::{FieldError, Host, Provider, Wanted};

/// What a file is of.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Format {
    /// ddclient.conf
    Ddclient,
    /// inadyn.conf
    Inadyn,
    /// config.json of qdm12/ddns-updater
    DdnsUpdater,
    /// A crontab, a script or a Kubernetes `CronJob` that calls wget or curl.
    Command,
}

impl Format {
    /// All.
    pub const ALL: [Self; 4] = [Self::Ddclient, Self::Inadyn, Self::DdnsUpdater, Self::Command];

    /// Its name.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Ddclient => "ddclient",
            Self::Inadyn => "inadyn",
            Self::DdnsUpdater => "ddns-updater",
            Self::Command => "command",
        }
    }

    /// The format of a name.
    pub fn parse(text: &str) -> Result<Self, String> {
        let names = Self::ALL.map(Self::as_str).join(", ");
        Self::ALL
            .into_iter()
            .find(|format| format.as_str() == text.trim())
            .ok_or_else(|| format!("{text:?} is no format: allowed are {names}"))
    }

    /// What a text looks like.
    #[must_use]
    pub fn of(text: &str) -> Self {
        let lines = || text.lines().map(str::trim).filter(|line| !line.starts_with('#'));
        let word =
            |line: &str| line.split(['=', ' ', '\t', ',']).next().unwrap_or_default().to_ascii_lowercase();
        if text.trim_start().starts_with('{') {
            Self::DdnsUpdater
        } else if lines().any(|line| ["provider", "custom"].contains(&&*word(line)) && line.contains('{')) {
            Self::Inadyn
        } else if lines().any(|line| word(line) == "protocol" && line.contains('=')) {
            Self::Ddclient
        } else if lines()
            .any(|line| ["curl", "wget"].iter().any(|tool| line.contains(tool)) || command::is_crontab(line))
        {
            Self::Command
        } else {
            Self::Ddclient
        }
    }

    /// Reads a text of this format.
    #[must_use]
    pub fn read(self, text: &str) -> Import {
        match self {
            Self::Ddclient => ddclient::read(text),
            Self::Inadyn => inadyn::read(text),
            Self::DdnsUpdater => ddns_updater::read(text),
            Self::Command => command::read(text),
        }
    }
}

/// What the places in a file are counted in.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Places {
    /// Lines.
    #[default]
    Lines,
    /// Entries of the array `settings`, of a file in JSON.
    Settings,
}

impl Places {
    /// A place, for people; 0 is the file as a whole.
    #[must_use]
    pub fn name(self, number: usize) -> String {
        match self {
            _ if number == 0 => "the file".to_owned(),
            Self::Lines => format!("line {number}"),
            Self::Settings => format!("setting {number}"),
        }
    }
}

/// What a file held.
#[derive(Debug, Clone, Default)]
pub struct Import {
    /// What `line` counts.
    pub places: Places,
    /// What could be taken over.
    pub records: Vec<Record>,
    /// What could not, and every fault that was seen, in the order of the lines.
    pub faults: Vec<Fault>,
}

/// A name with its provider.
#[derive(Debug, Clone)]
pub struct Record {
    /// The place where it stands, from 1.
    pub line: usize,
    /// The name.
    pub host: Host,
    /// The provider.
    pub provider: Provider,
    /// Its secret.
    pub secret: SecretString,
}

/// Something to be seen to. No secret stands in it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fault {
    /// The place, from 1; 0: the file as a whole.
    pub line: usize,
    /// What, and what to do.
    pub what: String,
}

impl Import {
    fn fault(&mut self, line: usize, what: impl Into<String>) {
        self.faults.push(Fault { line, what: what.into() });
    }

    /// Takes a name over, if all of it makes sense.
    fn take(&mut self, line: usize, host: &str, settings: Value, secret: &str) {
        match record(line, host, settings, secret) {
            Ok(record) => self.records.push(record),
            Err(error) => self.fault(line, format!("{}: {error}", super::outcome::said(host, secret))),
        }
    }
}

fn record(line: usize, host: &str, settings: Value, secret: &str) -> Result<Record, FieldError> {
    let host: Host = host.parse().map_err(|why: String| FieldError { field: "host".to_owned(), why })?;
    let provider = Provider::parse(settings)?;
    let secret = SecretString::from(secret);
    // Which address is another matter: one that fits stands for all.
    let wanted = Wanted { host, v4: Some(std::net::Ipv4Addr::LOCALHOST), v6: None, beside: None, ttl: None };
    provider.check(&wanted, &secret)?;
    Ok(Record { line, host: wanted.host, provider, secret })
}

/// A server that speaks dyndns2, by its name.
fn dyndns2(server: &str, user: &str) -> Value {
    let url = if server.contains("://") { server.to_owned() } else { format!("https://{server}/nic/update") };
    let dual = if server.contains("no-ip.com") { "myipv6" } else { "combined" };
    json!({ "provider": "dyndns2", "url": url, "user": user, "dual": dual })
}

/// The keys of a format, but for those that are taken over.
struct Keys {
    /// Each group with what is there instead; empty if nothing is.
    left: &'static [(&'static [&'static str], &'static str)],
    /// Other words for keys that are taken over.
    aliases: &'static [(&'static str, &'static str)],
}

impl Keys {
    /// Tells of a key that is none of `taken`. The one of these that was meant comes back: what stands at it must not be had from
    /// elsewhere, or one provider gets the secret of another.
    fn tell(
        &self,
        import: &mut Import,
        line: usize,
        key: &str,
        taken: &[&'static str],
    ) -> Option<&'static str> {
        if taken.contains(&key) {
            return None;
        }
        if !key.bytes().all(|b| b.is_ascii_alphanumeric() || b"-_".contains(&b)) {
            import.fault(line, "something that is no key stands before a =");
            return None;
        }
        if let Some((_, instead)) = self.left.iter().find(|(keys, _)| keys.contains(&key)) {
            let mark = if instead.is_empty() { "" } else { ": " };
            import.fault(line, format!("{key} is not taken over{mark}{instead}"));
            return None;
        }
        let alias = self.aliases.iter().find(|(alias, of)| *alias == key && taken.contains(of));
        let known: Vec<&'static str> = taken
            .iter()
            .copied()
            .chain(self.left.iter().flat_map(|(keys, _)| keys.iter().copied()))
            .collect();
        // Of two that are as near, the one that is taken over counts.
        let found = alias.map(|(_, of)| *of).or_else(|| meant(key, taken)).or_else(|| meant(key, &known));
        match found {
            Some(meant) => import.fault(line, format!("the key {key} is unknown; did you mean {meant}?")),
            None => import.fault(line, format!("the key {key} is unknown")),
        }
        found.filter(|meant| taken.contains(meant))
    }
}

/// The one of `known` that a misspelt word was to be.
fn meant<'a>(word: &str, known: &[&'a str]) -> Option<&'a str> {
    known
        .iter()
        .map(|name| (distance(word, name), *name))
        .filter(|(apart, name)| (1..=2).contains(apart) && apart * 2 <= name.len())
        .min()
        .map(|(_, name)| name)
}

/// How many letters must be put in, left out or changed to make one word of another.
fn distance(one: &str, other: &str) -> usize {
    let other: Vec<char> = other.chars().collect();
    let mut row: Vec<usize> = (0..=other.len()).collect();
    for (at, letter) in one.chars().enumerate() {
        let mut before = row[0];
        row[0] = at + 1;
        for (to, meant) in other.iter().enumerate() {
            let changed = before + usize::from(letter != *meant);
            before = row[to + 1];
            row[to + 1] = changed.min(before + 1).min(row[to] + 1);
        }
    }
    row[other.len()]
}

#[cfg(test)]
mod tests {
    use secrecy::ExposeSecret as _;

    use super::*;

    /// The names that were taken over: line, host, provider, secret.
    pub(super) fn taken(import: &Import) -> Vec<(usize, &str, &str, &str)> {
        let all = import.records.iter();
        all.map(|record| {
            (record.line, record.host.as_str(), record.provider.name(), record.secret.expose_secret())
        })
        .collect()
    }

    /// Looks whether these faults were told, each at its line and with its word; none with `hunter2`, the secret.
    pub(super) fn assert_faults(import: &Import, expected: &[(usize, &str)]) {
        let told: Vec<_> = import.faults.iter().map(|fault| (fault.line, fault.what.as_str())).collect();
        for ((line, what), (at, word)) in told.iter().zip(expected) {
            assert!(line == at && what.contains(word) && !what.contains("hunter2"), "{line}: {what}");
        }
        assert_eq!(told.len(), expected.len(), "{told:?}");
    }

    #[test]
    fn a_format_is_told_by_its_contents() {
        for (text, format) in [
            ("# a\nprotocol=dyndns2\nuse=cmd, cmd='curl https://a.example/'\n", Format::Ddclient),
            ("daemon=300\n", Format::Ddclient),
            ("period = 300\nprovider duckdns.org {\n}\n", Format::Inadyn),
            ("custom mine { ddns-server=x }", Format::Inadyn),
            (" {\"settings\": []}", Format::DdnsUpdater),
            ("apiVersion: batch/v1\nkind: CronJob\nspec:\n  image: curlimages/curl\n", Format::Command),
            ("*/5 * * * * wget -qO- https://a.example/\n", Format::Command),
        ] {
            assert_eq!(Format::of(text), format, "{text}");
        }
        assert_eq!(Format::ALL.map(|format| Format::parse(format.as_str())), Format::ALL.map(Ok));
        assert!(Format::parse("ddclien").unwrap_err().contains("allowed are ddclient, inadyn"));
    }

    #[test]
    fn a_misspelt_word_is_known() {
        let known = ["hostname", "password", "ip"];
        assert_eq!(meant("pasword", &known), Some("password"));
        assert_eq!(meant("hostnmae", &known), Some("hostname"));
        assert_eq!(meant("token", &known), None);
        assert_eq!(meant("foo", &["fw", "ip"]), None);
        assert_eq!(meant("password", &known), None);
        assert_eq!((distance("", "abc"), distance("abc", ""), distance("kitten", "sitting")), (3, 3, 3));
    }
}

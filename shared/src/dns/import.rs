//! Configurations of other clients, read into records of this one. Nothing is called and nothing is stored: what could be read comes back,
//! and what could not, each with its line.

pub mod command;
pub mod ddclient;
pub mod ddns_updater;
pub mod inadyn;

use secrecy::{ExposeSecret as _, SecretString};
use serde::Serialize;
use serde_json::{Value, json};
use url::Url;

use super::{FieldError, Host, Provider, Wanted, address::Family, provider::Desec};

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

    /// What a text looks like; what looks like nothing is read as ddclient.conf, which needs no mark of its own.
    #[must_use]
    pub fn of(text: &str) -> Self {
        Self::guess(text).unwrap_or(Self::Ddclient)
    }

    fn guess(text: &str) -> Option<Self> {
        const OF_DDCLIENT: [&str; 5] = ["protocol", "daemon", "use", "usev4", "usev6"];
        let lines = || text.lines().map(str::trim).filter(|line| !line.starts_with('#'));
        let word =
            |line: &str| line.split(['=', ' ', '\t', ',']).next().unwrap_or_default().to_ascii_lowercase();
        if text.trim_start().starts_with('{') {
            Some(Self::DdnsUpdater)
        } else if lines().any(|line| ["provider", "custom"].contains(&&*word(line)) && line.contains('{')) {
            Some(Self::Inadyn)
        } else if lines().any(|line| OF_DDCLIENT.contains(&&*word(line)) && line.contains('=')) {
            Some(Self::Ddclient)
        } else if lines()
            .any(|line| ["curl", "wget"].iter().any(|tool| line.contains(tool)) || command::is_crontab(line))
        {
            Some(Self::Command)
        } else {
            None
        }
    }

    /// Reads a text of this format. If there is no name in it, it is told what it looks like instead.
    #[must_use]
    pub fn read(self, text: &str) -> Import {
        let mut import = match self {
            Self::Ddclient => ddclient::read(text),
            Self::Inadyn => inadyn::read(text),
            Self::DdnsUpdater => ddns_updater::read(text),
            Self::Command => command::read(text),
        };
        if !import.records.is_empty() {
            return import;
        }
        let this = self.as_str();
        match Self::guess(text) {
            Some(other) if other != self => {
                let other = other.as_str();
                // What was told of lines of another format helps nobody.
                import = Import::default();
                import.fault(0, format!("nothing in it looks like {this}; it looks like {other}: give --format {other}, or leave --format out"));
            }
            _ if !import.faults.is_empty() => {}
            Some(_) => import.fault(0, format!("it looks like {this}, and holds no name")),
            None if text.trim().is_empty() => import.fault(0, "it is empty"),
            None => {
                let known = Self::ALL.map(Self::as_str).join(", ");
                import.fault(0, format!("nothing in it looks like {this}; the formats are {known}"));
            }
        }
        import
    }
}

/// What the places in a file are counted in.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize)]
#[serde(rename_all = "snake_case")]
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
    /// What a `place` counts.
    pub places: Places,
    /// What could be taken over.
    pub records: Vec<Record>,
    /// What could not, and every fault that was seen, in the order of the places.
    pub faults: Vec<Fault>,
}

/// A name with its provider.
#[derive(Debug, Clone)]
pub struct Record {
    /// The place where it stands, from 1.
    pub place: usize,
    /// The name.
    pub host: Host,
    /// The provider.
    pub provider: Provider,
    /// Its secret.
    pub secret: SecretString,
    /// The families that it is kept in; empty: the file does not say.
    pub families: Vec<Family>,
    /// Seconds; none: the file does not say, or the provider lets none be chosen.
    pub ttl: Option<u32>,
}

impl Record {
    /// Whether another one is the same name, kept in other families: most clients have an entry for each.
    fn is_the_other_family_of(&self, other: &Self) -> bool {
        let is_same = (&self.host, &self.provider) == (&other.host, &other.provider)
            && self.secret.expose_secret() == other.secret.expose_secret();
        let are_told = !self.families.is_empty() && !other.families.is_empty();
        is_same && are_told && !self.families.iter().any(|family| other.families.contains(family))
    }
}

/// What a file says of how a name is kept, beside who holds it.
#[derive(Debug, Clone, Copy, Default)]
struct Kept<'a> {
    /// In which families; empty: it does not say.
    families: &'a [Family],
    /// For how many seconds, as it stands there.
    ttl: Option<&'a str>,
}

/// Something to be seen to. No secret stands in it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fault {
    /// The place, from 1; 0: the file as a whole.
    pub place: usize,
    /// What, and what to do.
    pub what: String,
}

impl Import {
    fn fault(&mut self, place: usize, what: impl Into<String>) {
        self.faults.push(Fault { place, what: what.into() });
    }

    /// Takes a name over, if all of it makes sense.
    fn take(&mut self, place: usize, host: &str, settings: Value, secret: &str, kept: Kept<'_>) {
        let mut record = match record(place, host, settings, secret) {
            Ok(record) => record,
            Err(error) => {
                self.fault(place, format!("{}: {error}", super::outcome::said(host, secret)));
                return;
            }
        };
        record.families = kept.families.to_vec();
        record.ttl = kept.ttl.and_then(|ttl| match seconds(ttl, &record.provider) {
            Ok(ttl) => Some(ttl),
            Err(why) => {
                self.fault(place, format!("{}: ttl is not taken over: {why}", record.host));
                None
            }
        });
        match self.records.iter_mut().find(|before| before.is_the_other_family_of(&record)) {
            Some(before) => before.families.append(&mut record.families),
            None => self.records.push(record),
        }
    }
}

/// A TTL as it stands in a file, if a name at that provider can have it.
fn seconds(text: &str, provider: &Provider) -> Result<u32, String> {
    if !provider.takes_ttl() {
        return Err(format!("{} lets none be chosen", provider.name()));
    }
    let ttl = text.trim().parse().map_err(|_| "it is no number of seconds".to_owned())?;
    provider.check_ttl(ttl).map(|()| ttl).map_err(|error| error.why)
}

fn record(place: usize, host: &str, settings: Value, secret: &str) -> Result<Record, FieldError> {
    let host: Host = host.parse().map_err(|why: String| FieldError { field: "host".to_owned(), why })?;
    let provider = Provider::parse(settings)?;
    let secret = SecretString::from(secret);
    // Which address is another matter: one that fits stands for all.
    let wanted = Wanted { host, v4: Some(std::net::Ipv4Addr::LOCALHOST), v6: None, beside: None, ttl: None };
    provider.check(&wanted, &secret)?;
    Ok(Record { place, host: wanted.host, provider, secret, families: Vec::new(), ttl: None })
}

/// A server that speaks dyndns2, by its name.
fn dyndns2(server: &str, user: &str) -> Value {
    let url = if server.contains("://") { server.to_owned() } else { format!("https://{server}/nic/update") };
    if Url::parse(&url).is_ok_and(|url| Desec::is_at(&url)) {
        return json!({ "provider": "desec", "user": user });
    }
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
    /// Tells of a key that is none of `taken` and `kept`, which are taken over. The one of `taken` that was meant comes back: what stands
    /// at it must not be had from elsewhere, or one provider gets the secret of another. Those of `kept` are harmless.
    fn tell(
        &self,
        import: &mut Import,
        line: usize,
        key: &str,
        (taken, kept): (&[&'static str], &[&'static str]),
    ) -> Option<&'static str> {
        if taken.contains(&key) || kept.contains(&key) {
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
            .chain(kept)
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
    use super::*;

    /// The names that were taken over: place, host, provider, secret.
    pub(super) fn taken(import: &Import) -> Vec<(usize, &str, &str, &str)> {
        let all = import.records.iter();
        all.map(|record| {
            (record.place, record.host.as_str(), record.provider.name(), record.secret.expose_secret())
        })
        .collect()
    }

    /// How they are kept, by the file.
    pub(super) fn kept(import: &Import) -> Vec<(&str, &[Family], Option<u32>)> {
        let all = import.records.iter();
        all.map(|record| (record.host.as_str(), record.families.as_slice(), record.ttl)).collect()
    }

    /// Looks whether these faults were told, each at its place and with its word; none with `hunter2`, the secret.
    pub(super) fn assert_faults(import: &Import, expected: &[(usize, &str)]) {
        let told: Vec<_> = import.faults.iter().map(|fault| (fault.place, fault.what.as_str())).collect();
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
            ("login=ada\n", Format::Ddclient),
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
    fn a_file_of_another_format_is_told() {
        let ddclient = "use=web\nprotocol=duckdns, password=hunter2 home\n";
        let inadyn = "provider duckdns.org {\n username = hunter2\n hostname = home.duckdns.org\n}\n";
        let json = "{\"settings\": [{\"provider\": \"duckdns\", \"domain\": \"home.duckdns.org\", \"token\": \"hunter2\"}]}";
        let crontab = "*/5 * * * * curl 'https://www.duckdns.org/update?domains=home&token=hunter2'\n";
        let texts = [ddclient, inadyn, json, crontab];
        for (format, own) in Format::ALL.into_iter().zip(texts) {
            assert_eq!(format.read(own).records.len(), 1, "{own}");
            for text in texts.into_iter().filter(|text| *text != own) {
                let import = format.read(text);
                assert!(import.records.is_empty(), "{format:?}: {text}");
                let (this, other) = (format.as_str(), Format::of(text).as_str());
                let told =
                    format!("nothing in it looks like {this}; it looks like {other}: give --format {other}");
                assert_faults(&import, &[(0, told.as_str())]);
            }
            let comment = format.read("\n# no more\n");
            assert_eq!((comment.records.len(), comment.faults.len()), (0, 1), "{format:?}: {comment:?}");
        }
        assert_faults(&Format::Ddclient.read("\n"), &[(0, "it is empty")]);
        assert_faults(
            &Format::Inadyn.read("# no more\n"),
            &[(0, "nothing in it looks like inadyn; the formats are")],
        );
        assert_faults(
            &Format::DdnsUpdater.read("{\"settings\": []}"),
            &[(0, "ddns-updater, and holds no name")],
        );
        // Of what looks like it every fault is told.
        let unknown = Format::Ddclient.read("protocol=nonsense, password=hunter2 a.example.org\n");
        assert_faults(&unknown, &[(1, "nonsense is not known")]);
    }

    #[test]
    fn entries_for_each_family_are_one_name() {
        let mut import = Import::default();
        let mut take = |place, host: &str, secret: &str, families: &[Family]| {
            let kept = Kept { families, ttl: Some("120") };
            import.take(place, host, json!({"provider": "cloudflare"}), secret, kept);
        };
        let [v4, v6] = Family::ALL;
        take(1, "a.example.org", "t", &[v4]);
        take(2, "a.example.org", "t", &[v6]);
        // Another secret, another name, or no word of the family: not the same.
        take(3, "b.example.org", "t", &[v4]);
        take(4, "b.example.org", "u", &[v6]);
        take(5, "c.example.org", "t", &[]);
        take(6, "c.example.org", "t", &[v6]);
        let names: Vec<_> =
            import.records.iter().map(|record| (record.place, record.families.len())).collect();
        assert_eq!(names, [(1, 2), (3, 1), (4, 1), (5, 0), (6, 1)]);
        assert!(import.records.iter().all(|record| record.ttl == Some(120)) && import.faults.is_empty());
    }

    #[test]
    fn a_ttl_that_cannot_be_had_is_told() {
        let mut import = Import::default();
        for (place, ttl, provider) in
            [(1, "120", "duckdns"), (2, "0", "cloudflare"), (3, "1h", "cloudflare"), (4, "300", "cloudflare")]
        {
            let host = format!("n{place}.duckdns.org");
            import.take(
                place,
                &host,
                json!({"provider": provider}),
                "t",
                Kept { families: &[], ttl: Some(ttl) },
            );
        }
        let expected = [
            (1, "n1.duckdns.org: ttl is not taken over: duckdns lets none be chosen"),
            (2, "allowed are 1 to 86400"),
            (3, "no number of seconds"),
        ];
        assert_faults(&import, &expected);
        assert_eq!(
            import.records.iter().map(|record| record.ttl).collect::<Vec<_>>(),
            [None, None, None, Some(300)]
        );
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

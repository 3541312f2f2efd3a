//! A BIND 9 of one's own: on free ports of loopback, with its files in a folder that the caller gives, ended with its value.
//!
//! Its zones are dynamic (RFC 2136): what its key may change is written to the zone's journal before it is acknowledged. The journal
//! only grows: to shorten it would fall into what is measured.

use std::{
    collections::BTreeMap,
    fmt::Write as _,
    fs,
    net::{IpAddr, Ipv4Addr, SocketAddr},
    path::{Path, PathBuf},
    process::Stdio,
    time::Duration,
};

use anyhow::{Context, bail, ensure};
use base64::{Engine as _, engine::general_purpose::STANDARD};
use chrono::{DateTime, Utc};
use hickory_proto::{
    op::{Message, Query},
    rr::{Name, RecordType},
};
use rand::RngExt;
use tokio::{
    net::{TcpListener, UdpSocket},
    process::{Child, Command},
};

/// The name of the key that may change all A and AAAA records. Its algorithm is `hmac-sha256`.
pub const KEY: &str = "ddns-key";

/// How long it may take to load its zones.
const PATIENCE: Duration = Duration::from_mins(2);

/// How long it may take to answer a question.
const ANSWER: Duration = Duration::from_secs(5);

/// Where a distribution keeps it, and only root looks.
const NAMED: &str = "/usr/sbin/named";

/// The file of updates.
const UPDATES: &str = "updates";

/// How a line of it begins what was added.
const ADDING: &str = ": adding an RR at '";

/// A zone to be served, with the server as its only primary.
#[derive(Debug, Clone)]
pub struct Zone {
    /// Its name, as `home.test`.
    pub name: String,
    /// Its records besides SOA, NS and the server's address, in the format of RFC 1035 section 5.
    pub records: String,
}

/// An address that was added to a name: once for each message, even if it changed nothing.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Update {
    /// When, by this machine's clock, to the millisecond.
    pub at: DateTime<Utc>,
    /// The name, without the last dot.
    pub name: String,
    /// The address.
    pub address: IpAddr,
}

/// A running server.
#[derive(Debug)]
pub struct Bind {
    /// Where it answers, by UDP and TCP.
    pub server: SocketAddr,
    /// Where it tells its counters: `GET /json/v1/server`.
    pub statistics: SocketAddr,
    /// The secret of [`KEY`], in base64.
    pub secret: String,
    folder: PathBuf,
    named: Child,
}

impl Bind {
    /// Starts one, and waits until it serves its zones. `remember`: it writes down each update, for [`Self::updates`].
    pub async fn start(folder: &Path, zones: &[Zone], remember: bool) -> anyhow::Result<Self> {
        let mut secret = [0; 32];
        rand::rng().fill(&mut secret);
        let secret = STANDARD.encode(secret);
        for zone in zones {
            let head = "$TTL 60\n@ SOA ns1 hostmaster 1 3600 600 86400 60\n@ NS ns1\nns1 A 127.0.0.1\n";
            fs::write(folder.join(&zone.name), format!("{head}{}", zone.records))
                .with_context(|| format!("cannot write the zone {}", zone.name))?;
        }
        // Between finding a free port and taking it somebody else may come: then another one.
        for _ in 0..10 {
            let (server, statistics) = (free_port().await, free_port().await);
            let config =
                configuration(folder, zones, &secret, [server, statistics].map(|at| at.port()), remember)?;
            fs::write(folder.join("named.conf"), config).context("cannot write named.conf")?;
            if let Some(named) = run(folder).await? {
                return Ok(Self { server, statistics, secret, folder: folder.to_owned(), named });
            }
        }
        bail!("named found none of ten ports free:\n{}", last_lines(folder))
    }

    /// The process's number.
    pub fn pid(&self) -> anyhow::Result<u32> {
        self.named.id().context("named has ended")
    }

    /// The addresses of all names of a zone, by a transfer (AXFR), as a secondary server gets them.
    pub async fn transfer(&self, zone: &str) -> anyhow::Result<BTreeMap<String, Vec<IpAddr>>> {
        let output = Command::new("dig")
            .args([&format!("@{}", self.server.ip()), "-p", &self.server.port().to_string()])
            .args(["+noall", "+answer", "+time=30", "+tries=1", zone, "AXFR"])
            .kill_on_drop(true)
            .output()
            .await
            .context("dig cannot be started: install bind9-dnsutils (scripts/setup.sh bind)")?;
        let text = String::from_utf8_lossy(&output.stdout);
        // A transfer begins and ends with the zone's SOA: RFC 5936 section 2.2.
        let soa = |line: &str| line.split_whitespace().nth(3) == Some("SOA");
        let whole = text.lines().filter(|line| soa(line)).count() == 2;
        ensure!(output.status.success() && whole, "{zone} is not transferred: {}", start(&text));
        let mut found: BTreeMap<String, Vec<IpAddr>> = BTreeMap::new();
        for line in text.lines() {
            let mut fields = line.split_whitespace();
            let (Some(name), Some("A" | "AAAA"), Some(data)) = (fields.next(), fields.nth(2), fields.next())
            else {
                continue;
            };
            let address = data.parse().with_context(|| format!("dig says {line:?}"))?;
            found.entry(name.trim_end_matches('.').to_owned()).or_default().push(address);
        }
        found.remove(&format!("ns1.{zone}"));
        Ok(found)
    }

    /// The addresses that were added so far, in their order, if it remembers them.
    pub fn updates(&self) -> anyhow::Result<Vec<Update>> {
        let log = fs::read_to_string(self.folder.join(UPDATES)).context("BIND's log of updates")?;
        log.lines().filter(|line| line.contains(ADDING)).map(read_update).collect()
    }

    /// The first lines for BIND's own nsupdate, to change a zone.
    #[must_use]
    pub fn nsupdate_head(&self, zone: &str) -> String {
        let (ip, port) = (self.server.ip(), self.server.port());
        format!("server {ip} {port}\nkey hmac-sha256:{KEY} {}\nzone {zone}.\n", self.secret)
    }
}

/// `2026-11-21T20:29:43.808Z client … updating zone 'a.test/IN': adding an RR at 'r0.a.test' A 198.19.0.0`
fn read_update(line: &str) -> anyhow::Result<Update> {
    let read = || {
        let (at, rest) = line.split_once(' ')?;
        let (name, rest) = rest.split_once(ADDING)?.1.split_once('\'')?;
        let address = rest.split_whitespace().nth(1)?.parse().ok()?;
        Some(Update { at: at.parse().ok()?, name: name.to_owned(), address })
    };
    read().with_context(|| format!("BIND's log says {line:?}"))
}

/// The IPv4 addresses that a server answers with for a name.
pub async fn ask(server: SocketAddr, name: &str) -> anyhow::Result<Vec<IpAddr>> {
    let mut question = Message::query();
    question.metadata.recursion_desired = false;
    question.add_query(Query::query(Name::from_ascii(format!("{name}."))?, RecordType::A));
    let socket = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).await?;
    socket.connect(server).await?;
    socket.send(&question.to_vec()?).await?;
    let mut buffer = [0; 512];
    let length = tokio::time::timeout(ANSWER, socket.recv(&mut buffer))
        .await
        .with_context(|| format!("{server} does not answer within {ANSWER:?}"))??;
    let answer = Message::from_vec(&buffer[..length])?;
    Ok(answer.answers.iter().filter_map(|record| record.data.ip_addr()).collect())
}

fn configuration(
    folder: &Path,
    zones: &[Zone],
    secret: &str,
    [port, statistics]: [u16; 2],
    remember: bool,
) -> Result<String, std::fmt::Error> {
    let path = folder.display();
    let updates = if remember { UPDATES } else { "null" };
    let mut config = format!(
        "options {{ directory \"{path}\"; pid-file \"{path}/pid\"; session-keyfile \"{path}/session.key\";\n\
         listen-on port {port} {{ 127.0.0.1; }}; listen-on-v6 {{ none; }}; recursion no; notify no;\n\
         allow-transfer {{ 127.0.0.1; }}; dnssec-validation no; empty-zones-enable no; }};\n\
         controls {{ }};\n\
         statistics-channels {{ inet 127.0.0.1 port {statistics} allow {{ 127.0.0.1; }}; }};\n\
         logging {{ channel {UPDATES} {{ file \"{UPDATES}\"; severity info; print-time iso8601-utc; }};\n\
         category update {{ {updates}; }}; category update-security {{ null; }}; category xfer-out {{ null; }}; }};\n\
         key \"{KEY}\" {{ algorithm hmac-sha256; secret \"{secret}\"; }};\n"
    );
    for Zone { name, .. } in zones {
        writeln!(
            config,
            "zone \"{name}\" {{ type primary; file \"{name}\"; max-journal-size unlimited; update-policy {{ grant {KEY} zonesub A AAAA; }}; }};"
        )?;
    }
    Ok(config)
}

/// Runs it until it is ready. None: a port is taken.
async fn run(folder: &Path) -> anyhow::Result<Option<Child>> {
    // It appends; what it said before is not of this start.
    fs::write(folder.join("log"), "").context("cannot write named's log")?;
    let program = if Path::new(NAMED).exists() { NAMED } else { "named" };
    let mut named = Command::new(program)
        .args(["-f", "-4", "-L"])
        .arg(folder.join("log"))
        .arg("-c")
        .arg(folder.join("named.conf"))
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .kill_on_drop(true)
        .spawn()
        .context("named cannot be started: install bind9 (scripts/setup.sh bind)")?;
    let ready = async {
        loop {
            let log = fs::read_to_string(folder.join("log")).unwrap_or_default();
            // One that finds its port taken runs all the same, and listens nowhere.
            if log.contains("address in use") {
                return Ok(false);
            }
            if log.contains(": running\n") {
                return Ok(true);
            }
            if let Some(status) = named.try_wait()? {
                bail!("named has ended, {status}:\n{}", last_lines(folder));
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    let ready = tokio::time::timeout(PATIENCE, ready)
        .await
        .with_context(|| format!("named is not ready in {PATIENCE:?}:\n{}", last_lines(folder)))??;
    if !ready {
        named.kill().await?;
    }
    Ok(ready.then_some(named))
}

fn last_lines(folder: &Path) -> String {
    let log = fs::read_to_string(folder.join("log")).unwrap_or_default();
    let lines: Vec<&str> = log.lines().collect();
    lines[lines.len().saturating_sub(10)..].join("\n")
}

fn start(text: &str) -> String {
    text.chars().take(300).collect()
}

/// An address that is free for TCP and UDP a moment later. Its port is below those that Linux hands out by itself: nsupdate takes one of
/// those for each question, and shares it with whoever has it (`SO_REUSEPORT`); with the server's own it would ask itself.
async fn free_port() -> SocketAddr {
    loop {
        let address = SocketAddr::from((Ipv4Addr::LOCALHOST, rand::rng().random_range(10_000..32_000)));
        if UdpSocket::bind(address).await.is_ok() && TcpListener::bind(address).await.is_ok() {
            return address;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_of_the_log_is_read() {
        let line = "2026-11-21T20:29:43.808Z client @0x7f 127.0.0.1#49958/key ddns-key: updating zone 'a.test/IN': \
                    adding an RR at 'r0.a.test' A 198.19.0.0";
        let update = read_update(line).unwrap();
        assert_eq!((update.name.as_str(), update.address.to_string().as_str()), ("r0.a.test", "198.19.0.0"));
        assert_eq!(update.at.to_rfc3339(), "2026-11-21T20:29:43.808+00:00");
        assert!(read_update("2026-11-21T20:29:43.808Z client: adding an RR at 'r0.a.test").is_err());
    }
}

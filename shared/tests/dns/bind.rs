//! A BIND 9 of a test's own: on a free port of loopback, with its files in a temporary folder, ended with its value.

use std::{
    net::{Ipv4Addr, SocketAddr},
    os::unix::fs::PermissionsExt as _,
    process::Stdio,
    time::Duration,
};

use tempfile::TempDir;
use tokio::{
    io::AsyncWriteExt as _,
    net::{TcpListener, UdpSocket},
    process::{Child, Command},
};

/// Secrets of keys, in base64: as long as SHA-256 is.
pub const SECRET: &str = "c3luY2ZsZWV0LXRlc3Qta2V5LW9mLTMyLWJ5dGVzISE=";
pub const OTHER_SECRET: &str = "YW5vdGhlci10ZXN0LWtleS1vZi0zMi1ieXRlcy5pcyE=";

/// The server, with the zone `home.test`, whose key `ddns-key` may change `cloud`, `*` and what is below `dyn`.
pub struct Bind {
    pub server: SocketAddr,
    pub folder: TempDir,
    named: Child,
}

impl Bind {
    pub async fn start() -> Self {
        Self::with(&primary()).await
    }

    /// A secondary server of the same zone, which has got it.
    pub async fn secondary_of(primary: &Self) -> Self {
        let primary = primary.server.port();
        let zone = format!(
            "zone \"home.test\" {{ type secondary; file \"secondary.zone\"; primaries {{ 127.0.0.1 port {primary}; }}; }};\n"
        );
        let bind = Self::with(&(keys() + &zone)).await;
        let end = tokio::time::Instant::now() + Duration::from_mins(1);
        while bind.dig("cloud.home.test", "A").await.is_empty() {
            assert!(tokio::time::Instant::now() < end, "no transfer in a minute: {}", bind.log());
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        bind
    }

    async fn with(zones: &str) -> Self {
        // Between finding a free port and taking it somebody else may come: then another one.
        for _ in 0..10 {
            if let Some(bind) = Self::try_start(zones).await {
                return bind;
            }
        }
        panic!("named does not start on ten ports; is bind9 installed (scripts/setup.sh bind)?");
    }

    async fn try_start(zones: &str) -> Option<Self> {
        let folder = tempfile::tempdir().unwrap();
        std::fs::set_permissions(folder.path(), std::fs::Permissions::from_mode(0o755)).unwrap();
        let port = free_port().await;
        let path = folder.path().display();
        let config = format!(
            "options {{ directory \"{path}\"; pid-file \"{path}/pid\"; session-keyfile \"{path}/session.key\";\n\
             listen-on port {port} {{ 127.0.0.1; }}; listen-on-v6 {{ none; }}; recursion no; notify no;\n\
             dnssec-validation no; empty-zones-enable no; }};\n\
             controls {{ }};\n\
             {zones}"
        );
        let zone = "$TTL 300\n@ SOA ns1 hostmaster 1 3600 600 86400 60\n@ NS ns1\nns1 A 127.0.0.1\n\
                    cloud A 192.0.2.1\nlocked A 192.0.2.1\nalias CNAME cloud\n";
        std::fs::write(folder.path().join("named.conf"), config).unwrap();
        std::fs::write(folder.path().join("home.test.zone"), zone).unwrap();
        let log = std::fs::File::create(folder.path().join("log")).unwrap();
        let mut named = Command::new("/usr/sbin/named");
        if !std::path::Path::new("/usr/sbin/named").exists() {
            named = Command::new("named");
        }
        let mut named = named
            .args(["-g", "-4", "-n", "1", "-c"])
            .arg(folder.path().join("named.conf"))
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(log)
            .kill_on_drop(true)
            .spawn()
            .expect("named cannot be started: install bind9 (scripts/setup.sh bind)");
        let server = SocketAddr::from((Ipv4Addr::LOCALHOST, port));
        let ready = async {
            while !std::fs::read_to_string(folder.path().join("log")).unwrap().contains("running\n") {
                if named.try_wait().unwrap().is_some() {
                    return false;
                }
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
            true
        };
        let ready = tokio::time::timeout(Duration::from_mins(1), ready)
            .await
            .expect("named is not ready in a minute");
        let log = std::fs::read_to_string(folder.path().join("log")).unwrap();
        // One that finds its port taken runs all the same, and listens nowhere.
        let listens = ready && !log.contains("address in use");
        listens.then_some(Self { server, folder, named })
    }

    /// Ends it, and waits until it is gone.
    pub async fn stop(mut self) {
        self.named.kill().await.unwrap();
    }

    /// What stands in the log.
    pub fn log(&self) -> String {
        std::fs::read_to_string(self.folder.path().join("log")).unwrap()
    }

    /// What dig finds: the data of each record.
    pub async fn dig(&self, name: &str, kind: &str) -> Vec<String> {
        let output = Command::new("dig")
            .args([&format!("@{}", self.server.ip()), "-p", &self.server.port().to_string()])
            .args(["+short", "+norecurse", "+tries=5", name, kind])
            .output()
            .await
            .expect("dig cannot be started: install bind9-dnsutils (scripts/setup.sh bind)");
        let text = String::from_utf8(output.stdout).unwrap();
        assert!(output.status.success(), "dig: {text}");
        text.lines().map(str::to_owned).collect()
    }

    /// Lets BIND's own nsupdate run a script, signed with `ddns-key`.
    pub async fn nsupdate(&self, script: &str) {
        let mut nsupdate = Command::new("nsupdate")
            .args(["-y", &format!("hmac-sha256:ddns-key:{SECRET}")])
            .stdin(Stdio::piped())
            .kill_on_drop(true)
            .spawn()
            .unwrap();
        let head = format!("server {} {}\nzone home.test.\n", self.server.ip(), self.server.port());
        let mut input = nsupdate.stdin.take().unwrap();
        input.write_all(format!("{head}{script}\nsend\n").as_bytes()).await.unwrap();
        drop(input);
        assert!(nsupdate.wait().await.unwrap().success(), "{script}");
    }
}

fn keys() -> String {
    format!(
        "key \"ddns-key\" {{ algorithm hmac-sha256; secret \"{SECRET}\"; }};\n\
         key \"mid-key\" {{ algorithm hmac-sha384; secret \"{SECRET}\"; }};\n\
         key \"long-key\" {{ algorithm hmac-sha512; secret \"{OTHER_SECRET}\"; }};\n"
    )
}

fn primary() -> String {
    keys()
        + "zone \"home.test\" { type primary; file \"home.test.zone\"; update-policy {\n\
           grant ddns-key. name cloud.home.test. A AAAA; grant ddns-key. name *.home.test. A AAAA;\n\
           grant mid-key. name cloud.home.test. A AAAA; grant long-key. name cloud.home.test. A AAAA;\n\
           grant ddns-key. subdomain dyn.home.test. A AAAA TXT; }; };\n"
}

/// A port that is free for TCP and UDP.
async fn free_port() -> u16 {
    loop {
        let tcp = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = tcp.local_addr().unwrap().port();
        if UdpSocket::bind(("127.0.0.1", port)).await.is_ok() {
            return port;
        }
    }
}

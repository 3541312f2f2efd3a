//! Whom the fleet trusts: an endpoint of webhooks and Google, each behind TLS with certificates of an authority of the test.

use std::{
    io::{self, Read, Write},
    net::{SocketAddr, TcpListener, TcpStream},
    sync::Arc,
    thread,
    time::Duration,
};

use loadtest::fake_google::{FakeGoogle, Options};
use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, DnType, IsCa, KeyPair, date_time_ymd};
use rustls::{
    ServerConfig, ServerConnection, Stream,
    crypto::ring,
    pki_types::{CertificateDer, PrivateKeyDer},
};
use secrecy::ExposeSecret;
use serde_json::json;
use shared::{secrets::generate_key, store::PgPool};

use crate::program::Program;

/// What a server shows for itself.
type Shown = (CertificateDer<'static>, PrivateKeyDer<'static>);

struct Authority {
    issuer: CertifiedIssuer<'static, KeyPair>,
    file: tempfile::NamedTempFile,
}

impl Authority {
    fn new() -> Self {
        let mut params = CertificateParams::new(Vec::new()).unwrap();
        params.distinguished_name.push(DnType::CommonName, "the test's authority");
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let issuer = CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap();
        let file = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(file.path(), issuer.pem()).unwrap();
        Self { issuer, file }
    }

    fn path(&self) -> &str {
        self.file.path().to_str().unwrap()
    }

    /// A certificate for a name; `last`: the last year in which it is good.
    fn certificate(&self, name: &str, last: i32) -> Shown {
        let key = KeyPair::generate().unwrap();
        let mut params = CertificateParams::new([name.to_owned()]).unwrap();
        (params.not_before, params.not_after) = (date_time_ymd(2000, 1, 1), date_time_ymd(last, 12, 31));
        (params.signed_by(&key, &self.issuer).unwrap().der().clone(), private(&key))
    }
}

fn private(key: &KeyPair) -> PrivateKeyDer<'static> {
    PrivateKeyDer::try_from(key.serialize_der()).unwrap()
}

fn self_signed(name: &str) -> Shown {
    let key = KeyPair::generate().unwrap();
    let certificate = CertificateParams::new([name.to_owned()]).unwrap().self_signed(&key).unwrap();
    (certificate.der().clone(), private(&key))
}

/// TLS in front of a server; none: each request is answered with 204. It lives as long as the test.
fn front((certificate, key): Shown, behind: Option<SocketAddr>) -> u16 {
    let config = ServerConfig::builder_with_provider(Arc::new(ring::default_provider()))
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(vec![certificate], key)
        .unwrap();
    let (config, listener) = (Arc::new(config), TcpListener::bind("127.0.0.1:0").unwrap());
    let port = listener.local_addr().unwrap().port();
    thread::spawn(move || {
        for peer in listener.incoming() {
            let config = Arc::clone(&config);
            thread::spawn(move || answer(config, peer?, behind));
        }
    });
    port
}

/// One request a connection.
fn answer(config: Arc<ServerConfig>, mut peer: TcpStream, behind: Option<SocketAddr>) -> io::Result<()> {
    peer.set_read_timeout(Some(Duration::from_secs(30)))?;
    let mut tls = ServerConnection::new(config).map_err(io::Error::other)?;
    let mut stream = Stream::new(&mut tls, &mut peer);
    let request = request(&mut stream)?;
    let response = match behind {
        None => b"HTTP/1.1 204 No Content\r\nconnection: close\r\n\r\n".to_vec(),
        Some(behind) => {
            let mut behind = TcpStream::connect(behind)?;
            behind.write_all(&request)?;
            let mut response = Vec::new();
            behind.read_to_end(&mut response)?;
            response
        }
    };
    stream.write_all(&response)?;
    tls.send_close_notify();
    tls.complete_io(&mut peer).map(drop)
}

/// Reads a request, and has the server behind close after its answer.
fn request(stream: &mut impl Read) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    let mut buffer = [0; 4096];
    loop {
        let read = stream.read(&mut buffer)?;
        bytes.extend_from_slice(&buffer[..read]);
        let head_end = bytes.windows(4).position(|part| part == b"\r\n\r\n");
        if let Some(end) = head_end {
            let head = String::from_utf8_lossy(&bytes[..end]).to_lowercase();
            let length = head.lines().find_map(|line| line.strip_prefix("content-length:"));
            let length: usize = length.map_or(0, |length| length.trim().parse().unwrap_or(0));
            if bytes.len() >= end + 4 + length {
                let mut request = bytes[..end].to_vec();
                request.extend_from_slice(b"\r\nconnection: close");
                request.extend_from_slice(&bytes[end..]);
                return Ok(request);
            }
        }
        if read == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
    }
}

/// What servers show, whether the authority's file is given, and why the server is refused; none: it is not.
fn cases(authority: &Authority) -> Vec<(&'static str, Shown, bool, Option<&'static str>)> {
    vec![
        ("good", authority.certificate("localhost", 4000), true, None),
        (
            "nobody knows the authority",
            authority.certificate("localhost", 4000),
            false,
            Some("UnknownIssuer"),
        ),
        (
            "another's name",
            authority.certificate("elsewhere.example", 4000),
            true,
            Some("not valid for name"),
        ),
        ("out of date", authority.certificate("localhost", 2001), true, Some("expired")),
        ("its own authority", self_signed("localhost"), true, Some("UnknownIssuer")),
    ]
}

#[sqlx::test(migrator = "shared::store::schema::MIGRATOR")]
async fn a_webhook_is_delivered_to_whom_the_certificate_names_and_to_nobody_else(db: PgPool) {
    let key = generate_key("k1").unwrap();
    let program = || {
        Program::with(&db)
            .env("SYNCFLEET_KEYS", key.expose_secret())
            .env("SYNCFLEET_WEBHOOK_ALLOW", "127.0.0.1,::1")
    };
    program().ok(&["tenant", "add", "acme"]);
    let authority = Authority::new();
    for (number, (case, shown, trusts, refused)) in (1..).zip(cases(&authority)) {
        let url = format!("https://localhost:{}/hook", front(shown, None));
        let program = if trusts { program().env("SYNCFLEET_CA_FILE", authority.path()) } else { program() };
        program.ok(&["webhook", "add", "--tenant", "acme", "--url", &url]);
        let tested = program.run(&["webhook", "test", &number.to_string(), "-o", "json"]);
        let answer: serde_json::Value = serde_json::from_str(&tested.stdout).unwrap();
        let told = answer["answer"].as_str().unwrap();
        match refused {
            None => assert_eq!((&answer["ok"], told), (&json!(true), "the endpoint answered 204"), "{case}"),
            Some(why) => {
                assert_eq!(answer["ok"], json!(false), "{case}: {told}");
                assert!(told.contains("certificate") && told.contains(why), "{case}: {told}");
            }
        }
    }
}

#[sqlx::test(migrator = "shared::store::schema::MIGRATOR")]
async fn google_is_believed_by_its_certificate_alone(db: PgPool) {
    const EMAIL: &str = "ada@example.com";
    let google = FakeGoogle::start(Options::default()).await.unwrap();
    google.world().add_account(EMAIL, "1//ada", None).unwrap();
    google.world().add_calendar(EMAIL, None, "Mine").unwrap();
    let behind = google.base_url().parse::<url::Url>().unwrap().socket_addrs(|| None).unwrap()[0];
    let authority = Authority::new();
    let key = generate_key("k1").unwrap();
    Program::with(&db).ok(&["tenant", "add", "acme"]);
    let add = ["account", "add", "--tenant", "acme", "--email", EMAIL];
    for (case, shown, trusts, refused) in cases(&authority).into_iter().rev() {
        let root = format!("https://localhost:{}", front(shown, Some(behind)));
        let inside = |url: String| url.replace(&google.base_url(), &root);
        let mut program = Program::with(&db)
            .env("SYNCFLEET_KEYS", key.expose_secret())
            .env("SYNCFLEET_GOOGLE_CLIENT_ID", &google.options().client_id)
            .env("SYNCFLEET_GOOGLE_CLIENT_SECRET", &google.options().client_secret)
            .env("SYNCFLEET_GOOGLE_TOKEN_URL", &inside(google.token_url()))
            .env("SYNCFLEET_GOOGLE_CALENDAR_URL", &inside(google.calendar_url()))
            .env("SYNCFLEET_GOOGLE_ISSUER", &root);
        if trusts {
            program = program.env("SYNCFLEET_CA_FILE", authority.path());
        }
        // Beside the fake Google, which this thread serves.
        let added = tokio::task::spawn_blocking(move || program.fed(&add, "1//ada\n")).await.unwrap();
        match refused {
            None => assert_eq!(added.code, 0, "{case}: {added:?}"),
            Some(why) => {
                assert_eq!(added.code, 1, "{case}: {added:?}");
                assert!(added.stderr.contains(why), "{case}: {added:?}");
                let accounts: i64 =
                    sqlx::query_scalar("select count(*) from accounts").fetch_one(&db).await.unwrap();
                assert_eq!(accounts, 0, "{case}");
            }
        }
    }
}

#[test]
fn a_file_of_certificates_that_is_none_is_refused() {
    let file = tempfile::NamedTempFile::new().unwrap();
    let path = file.path().to_str().unwrap();
    let check = ["config", "check"];
    for (text, why) in [
        ("", "no certificate in it"),
        ("nonsense", "no certificate in it"),
        ("-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n", "certificate 1 in it is not good"),
    ] {
        std::fs::write(path, text).unwrap();
        Program::bare().env("SYNCFLEET_CA_FILE", path).refused(&check, 2, &["SYNCFLEET_CA_FILE", path, why]);
    }
    Program::bare().env("SYNCFLEET_CA_FILE", "/nowhere").refused(
        &check,
        2,
        &["SYNCFLEET_CA_FILE", "/nowhere"],
    );
    let authority = Authority::new();
    let report = Program::bare().env("SYNCFLEET_CA_FILE", authority.path()).run(&check);
    assert!(report.stdout.contains("trusted beside the system's: 1"), "{report:?}");
}

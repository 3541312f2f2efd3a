//! A name that its provider stands before: the zone's servers answer with the provider's own addresses, so the provider is asked. The
//! fake is made from <https://developers.cloudflare.com/api/resources/dns/subresources/records/>.

use std::{
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use serde_json::{Value, json};
use shared::{dns::address::Family, job::JobId};
use sqlx::postgres::{PgConnectOptions, PgPoolOptions};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
    sync::watch,
    task::JoinSet,
};

use crate::rig::{New, Rig};

const ZONE: &str = "0123456789abcdef0123456789abcdef";

struct Cloudflare {
    /// What the A record holds.
    content: Mutex<String>,
    /// It answers for the name with addresses of its own.
    proxied: bool,
    /// Writes are taken, and not answered.
    hangs: AtomicBool,
    writes: watch::Sender<usize>,
}

impl Cloudflare {
    async fn start(proxied: bool) -> (Arc<Self>, Value, JoinSet<()>) {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}/client/v4", listener.local_addr().unwrap());
        let settings = json!({"provider": "cloudflare", "url": url, "zone_id": ZONE});
        let fake = Arc::new(Self {
            content: Mutex::new("192.0.2.1".to_owned()),
            proxied,
            hangs: AtomicBool::new(false),
            writes: watch::Sender::new(0),
        });
        let of = Arc::clone(&fake);
        let mut serving = JoinSet::new();
        serving.spawn(async move {
            let mut connections = JoinSet::new();
            while let Ok((stream, _)) = listener.accept().await {
                connections.spawn(serve(stream, Arc::clone(&of)));
            }
        });
        (fake, settings, serving)
    }

    /// The worker dies when the fake has taken so many writes.
    async fn dies_in_a_write(&self, rig: &Rig, job: JobId, nth: usize) {
        let run = rig.claim(job).await;
        let mut writes = self.writes.subscribe();
        tokio::select! {
            step = rig.act(&run) => panic!("it was answered: {step:?}"),
            called = tokio::time::timeout(Duration::from_mins(1), writes.wait_for(|writes| *writes == nth)) => {
                called.expect("it is called").unwrap();
            }
        }
        rig.reap().await;
    }

    fn record(&self) -> Value {
        let content = self.content.lock().unwrap().clone();
        json!({"id": "r1", "type": "A", "name": "cloud.home.test", "content": content, "ttl": 1, "proxied": self.proxied})
    }
}

async fn serve(mut stream: TcpStream, fake: Arc<Cloudflare>) {
    let Some((method, body)) = read(&mut stream).await else { return };
    let result = if method == "PATCH" {
        let body: Value = serde_json::from_str(&body).unwrap();
        body["content"].as_str().unwrap().clone_into(&mut fake.content.lock().unwrap());
        fake.writes.send_modify(|writes| *writes += 1);
        if fake.hangs.load(Ordering::SeqCst) {
            std::future::pending::<()>().await;
        }
        fake.record()
    } else {
        json!([fake.record()])
    };
    let body = json!({"success": true, "errors": [], "messages": [], "result": result}).to_string();
    let length = body.len();
    let head = format!("HTTP/1.1 200 OK\r\ncontent-length: {length}\r\nconnection: close\r\n\r\n");
    // The other side may have hung up.
    let _ = stream.write_all(format!("{head}{body}").as_bytes()).await;
}

/// Method and body of a request.
async fn read(stream: &mut TcpStream) -> Option<(String, String)> {
    let (mut bytes, mut buffer) = (Vec::new(), [0; 4096]);
    loop {
        let n = stream.read(&mut buffer).await.ok().filter(|n| *n > 0)?;
        bytes.extend_from_slice(&buffer[..n]);
        let text = String::from_utf8_lossy(&bytes).into_owned();
        let Some((head, body)) = text.split_once("\r\n\r\n") else { continue };
        let length = head.lines().find_map(|line| {
            let (name, value) = line.split_once(':')?;
            name.eq_ignore_ascii_case("content-length").then(|| value.trim().parse::<usize>().ok())?
        });
        if body.len() >= length.unwrap_or(0) {
            return Some((head.split(' ').next()?.to_owned(), body.to_owned()));
        }
    }
}

#[sqlx::test(migrator = "shared::store::schema::MIGRATOR")]
async fn the_provider_is_asked_where_it_stands_before_the_name(_: PgPoolOptions, db: PgConnectOptions) {
    let rig = Rig::start(db).await;
    let (fake, provider, _serving) = Cloudflare::start(true).await;
    let home = rig.address("home", &[(Family::Ipv4, None)]).await;
    rig.tell(home, "192.0.2.77").await;
    let min_interval = Duration::from_mins(1);
    let (record, job) = rig.record(home, New { provider, min_interval, ..New::default() }).await;
    rig.pass(Duration::from_mins(20)).await;
    // The zone's servers go on with the address of the proxy.
    assert_eq!(rig.bind.dig("cloud.home.test", "A").await, ["192.0.2.1"]);
    assert_eq!(rig.words(record).await, ["good", "verified"]);
    assert_eq!(rig.history(record).await[1].said, "the provider holds it, and stands before it");

    // A worker that dies in the call: what has arrived is found there, too.
    rig.tell(home, "192.0.2.78").await;
    fake.hangs.store(true, Ordering::SeqCst);
    fake.dies_in_a_write(&rig, job, 2).await;
    fake.hangs.store(false, Ordering::SeqCst);
    rig.pass(Duration::from_hours(1)).await;
    assert_eq!(rig.words(record).await, ["good", "verified", "observed"]);
    assert_eq!(*fake.writes.borrow(), 2, "nothing is written twice");
    assert_eq!(*fake.content.lock().unwrap(), "192.0.2.78");
    rig.end().await;
}

#[sqlx::test(migrator = "shared::store::schema::MIGRATOR")]
async fn what_the_provider_holds_is_looked_for_at_the_zone_all_the_same(
    _: PgPoolOptions,
    db: PgConnectOptions,
) {
    let rig = Rig::start(db).await;
    let (fake, provider, _serving) = Cloudflare::start(false).await;
    let home = rig.address("home", &[(Family::Ipv4, None)]).await;
    rig.tell(home, "192.0.2.78").await;
    let min_interval = Duration::from_mins(1);
    let (record, job) = rig.record(home, New { provider, min_interval, ..New::default() }).await;
    fake.hangs.store(true, Ordering::SeqCst);
    fake.dies_in_a_write(&rig, job, 1).await;
    fake.hangs.store(false, Ordering::SeqCst);
    // The provider has it, and its servers go on with the old address.
    rig.pass(Duration::from_mins(5)).await;
    assert_eq!(rig.words(record).await, ["observed"]);
    let family = rig.of(record).await.families.remove(0);
    assert!(family.sent.is_some() && family.verified_at.is_none(), "{family:?}");
    rig.pass(Duration::from_mins(20)).await;
    assert_eq!(rig.words(record).await, ["observed", "unverified"]);
    assert!(rig.of(record).await.families[0].failing_since.is_some());
    rig.bind
        .nsupdate("update delete cloud.home.test. A\nupdate add cloud.home.test. 60 A 192.0.2.78\n")
        .await;
    rig.pass(Duration::from_hours(2)).await;
    assert_eq!(rig.words(record).await, ["observed", "unverified", "verified"]);
    assert!(rig.of(record).await.families[0].failing_since.is_none());
    assert_eq!(*fake.writes.borrow(), 1);
    rig.end().await;
}

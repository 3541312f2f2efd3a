//! A worker that is killed while a provider has its call. The provider changes the zone of a BIND 9, or does not, and never answers. Time is
//! shifted for those who start afterwards.

use std::{
    sync::{Arc, Mutex},
    time::{Duration, SystemTime},
};

use chrono::{DateTime, TimeDelta, Utc};
use rustix::process::Signal;
use secrecy::ExposeSecret as _;
use shared::{secrets::generate_key, store::PgPool};
use sqlx::AssertSqlSafe;
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::{TcpListener, TcpStream},
    task::JoinSet,
};

use crate::{
    bind::Bind,
    process::{LIMIT, Process, Program, until},
};

const HOST: &str = "cloud.home.test";

/// How calls are taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Acts {
    /// The zone is changed, and no answer comes.
    Takes,
    /// Nothing is changed, and no answer comes.
    Ignores,
    /// The zone is changed, and the answer says so.
    Answers,
}

/// A provider that speaks dyndns2 (<https://help.dyn.com/remote-access-api/perform-update/>).
struct Provider {
    url: String,
    state: Arc<State>,
    _serving: JoinSet<()>,
}

struct State {
    bind: Bind,
    acts: Mutex<Acts>,
    /// When each call came, by the machine's clock.
    calls: Mutex<Vec<DateTime<Utc>>>,
}

impl Provider {
    async fn start(acts: Acts) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}/nic/update", listener.local_addr().unwrap());
        let state =
            Arc::new(State { bind: Bind::start().await, acts: Mutex::new(acts), calls: Mutex::default() });
        let of = Arc::clone(&state);
        let mut serving = JoinSet::new();
        serving.spawn(async move {
            let mut connections = JoinSet::new();
            while let Ok((stream, _)) = listener.accept().await {
                connections.spawn(serve(stream, Arc::clone(&of)));
            }
        });
        Self { url, state, _serving: serving }
    }

    fn acts(&self, acts: Acts) {
        *self.state.acts.lock().unwrap() = acts;
    }

    fn calls(&self) -> Vec<DateTime<Utc>> {
        self.state.calls.lock().unwrap().clone()
    }

    async fn until_called(&self, times: usize, limit: Duration) {
        until("it is called", limit, async || self.calls().len() >= times).await;
    }
}

async fn serve(mut stream: TcpStream, state: Arc<State>) {
    let at = SystemTime::now().into();
    let (mut bytes, mut buffer) = (Vec::new(), [0; 4096]);
    while !bytes.ends_with(b"\r\n\r\n") {
        let Ok(n @ 1..) = stream.read(&mut buffer).await else { return };
        bytes.extend_from_slice(&buffer[..n]);
    }
    let head = String::from_utf8(bytes).unwrap();
    let parameter = |name: &str| {
        let (_, rest) = head.lines().next()?.split_once(name)?;
        rest.split(['&', ' ']).next()
    };
    let (host, address) = (parameter("hostname=").unwrap(), parameter("myip=").unwrap());
    let acts = *state.acts.lock().unwrap();
    if acts != Acts::Ignores {
        state.bind.nsupdate(&format!("update delete {host}. A\nupdate add {host}. 60 A {address}")).await;
    }
    state.calls.lock().unwrap().push(at);
    if acts == Acts::Answers {
        let says = format!("good {address}\n");
        let length = says.len();
        let head = format!("HTTP/1.1 200 OK\r\ncontent-length: {length}\r\nconnection: close\r\n\r\n");
        // The other side may have hung up.
        let _ = stream.write_all(format!("{head}{says}").as_bytes()).await;
    } else {
        // Until the one who called is gone.
        let _ = stream.read(&mut buffer).await;
    }
}

struct Stage {
    db: PgPool,
    program: Program,
    provider: Provider,
}

/// Where a record stands: what is being sent, what was sent, and how long after the beginning of a call the next one may begin.
type Standing = (Option<String>, Option<String>, f64);

impl Stage {
    /// A name at the provider, and a worker that is killed when the provider has its call.
    async fn killed(db: PgPool, acts: Acts) -> Self {
        let provider = Provider::start(acts).await;
        let folder = tempfile::tempdir().unwrap();
        let secret = folder.path().join("password");
        std::fs::write(&secret, "s3cret\n").unwrap();
        // BIND and the provider are on this machine.
        let program = Program::with(&db)
            .env("SYNCFLEET_KEYS", generate_key("k").unwrap().expose_secret())
            .env("SYNCFLEET_DNS_ALLOW", "127.0.0.1");
        program.ok(&["migrate"]).await;
        program.ok(&["tenant", "add", "acme"]).await;
        let address = ["dns", "address", "add", "home", "--tenant", "acme", "--ipv4", "fixed:8.8.4.4"];
        program.ok(&address).await;
        let add = ["dns", "add", HOST, "--tenant", "acme", "--address", "home", "--provider", "dyndns2"];
        let server = provider.state.bind.server.to_string();
        let settings = ["--url", &provider.url, "--user", "ada", "--verify-server", &server];
        program.ok(&[&add[..], &settings, &["--secret-file", secret.to_str().unwrap()]].concat()).await;
        let stage = Self { db, program, provider };

        let (_scheduler, mut worker) = stage.fleet().await;
        stage.provider.until_called(1, LIMIT).await;
        worker.signal(Signal::KILL);
        assert!(!worker.is_running() || worker.ended(LIMIT).await.code == 137);
        let (sending, sent, _) = stage.standing().await;
        assert_eq!(
            (sending.as_deref(), sent),
            (Some("8.8.4.4"), None),
            "the intent is there, and no outcome"
        );
        assert!(stage.words().await.is_empty());
        stage
    }

    async fn fleet(&self) -> (Process, Process) {
        let mut scheduler = self.program.start(&["scheduler"]).await;
        let mut worker = self.program.start(&["worker"]).await;
        scheduler.ready().await;
        worker.ready().await;
        (scheduler, worker)
    }

    async fn standing(&self) -> Standing {
        sqlx::query_as(
            "select host(sending), host(sent), extract(epoch from not_before - coalesce(sending_since, sent_at))::float8
            from dns_records join dns_record_families on record_id = id",
        )
        .fetch_one(&self.db)
        .await
        .unwrap()
    }

    /// The words of what was done, oldest first.
    async fn words(&self) -> Vec<String> {
        let words = sqlx::query_scalar("select what::text from dns_history order by id");
        words.fetch_all(&self.db).await.unwrap()
    }

    /// Shifts the clock of whoever connects from now on: the next update may begin after `left`. Says by how much.
    async fn shift(&self, left: TimeDelta) -> TimeDelta {
        let not_before: DateTime<Utc> =
            sqlx::query_scalar("select not_before from dns_records").fetch_one(&self.db).await.unwrap();
        let shift = not_before - left - DateTime::<Utc>::from(SystemTime::now());
        let options = self.db.connect_options();
        let sql = format!(
            "alter database \"{}\" set syncfleet.clock_shift = '{} milliseconds'",
            options.get_database().unwrap(),
            shift.num_milliseconds()
        );
        sqlx::query(AssertSqlSafe(sql)).execute(&self.db).await.unwrap();
        shift
    }

    /// The name has what it should have, and its record says so.
    async fn follows(&self) {
        until("the name follows", LIMIT, async || {
            let listed = self.program.ok(&["dns", "ls"]).await;
            listed.contains("8.8.4.4") && listed.contains("follows")
        })
        .await;
        assert_eq!(self.provider.state.bind.dig(HOST, "A").await, ["8.8.4.4"]);
        let (sending, sent, _) = self.standing().await;
        assert_eq!((sending, sent.as_deref()), (None, Some("8.8.4.4")));
    }
}

#[sqlx::test(migrations = false)]
async fn an_update_that_had_arrived_is_found_at_the_zone_and_not_sent_again(db: PgPool) {
    let stage = Stage::killed(db, Acts::Takes).await;
    let heirs = stage.fleet().await;
    // The scheduler keeps calm for 15 s first.
    until("it is found", LIMIT * 2, async || !stage.words().await.is_empty()).await;
    assert_eq!(stage.words().await, ["observed"]);
    stage.follows().await;
    assert_eq!(stage.provider.calls().len(), 1);

    // Nor later, when another update might begin.
    drop(heirs);
    stage.provider.acts(Acts::Answers);
    stage.shift(TimeDelta::hours(-1)).await;
    let _heirs = stage.fleet().await;
    stage.program.ok(&["dns", "update", HOST, "--wait", "--timeout", "50s"]).await;
    stage.follows().await;
    assert_eq!((stage.words().await, stage.provider.calls().len()), (vec!["observed".to_owned()], 1));
}

#[sqlx::test(migrations = false)]
async fn an_update_that_had_not_arrived_is_sent_once_and_not_too_soon(db: PgPool) {
    let stage = Stage::killed(db, Acts::Ignores).await;
    let (_, _, apart) = stage.standing().await;
    assert!(apart >= 300.0, "two updates at dyndns2 are five minutes apart: {apart} s");
    stage.provider.acts(Acts::Answers);
    let heirs = stage.fleet().await;
    until("it is looked for, and waited", LIMIT * 2, async || {
        let explained = stage.program.ok(&["job", "explain", "dns_record/1"]).await;
        explained.contains("waits for the provider's minimum interval")
    })
    .await;
    assert_eq!(stage.provider.state.bind.dig(HOST, "A").await, ["192.0.2.1"], "what BIND began with");
    assert_eq!((stage.words().await.len(), stage.provider.calls().len()), (0, 1));

    // Some seconds before the interval is over.
    drop(heirs);
    let (_, _, apart) = stage.standing().await;
    let shift = stage.shift(TimeDelta::seconds(15)).await;
    let _heirs = stage.fleet().await;
    stage.provider.until_called(2, LIMIT * 2).await;
    stage.follows().await;
    let calls = stage.provider.calls();
    assert_eq!(calls.len(), 2, "{calls:?}");
    // The intent was written before the first call came.
    let passed = (calls[1] + shift - calls[0]).as_seconds_f64();
    assert!(passed >= 300.0 && apart >= 300.0, "{passed} s, {apart} s");
    assert_eq!(stage.words().await, ["good", "verified"]);
}

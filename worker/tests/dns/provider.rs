//! Fakes of providers by HTTP. What they accept stands in BIND's zone, as with providers that run their own.

use std::{
    collections::HashMap,
    fmt::Write as _,
    net::IpAddr,
    sync::{Arc, Mutex},
    time::Duration,
};

use chrono::{DateTime, Utc};
use serde_json::{Value, json};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
    sync::watch,
    task::JoinSet,
};
use url::Url;

use crate::{bind::Bind, rig::Clock};

/// What is spoken.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Dialect {
    /// <https://help.dyn.com/remote-access-api/perform-update/>
    Dyndns2,
    /// <https://www.rrpproxy.net/deutsch/API/DynamicDNS>; it denies a second update within 30 minutes.
    KeySystems,
}

/// How calls are taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Acts {
    /// As it should be.
    Right,
    /// With this answer to everything, and nothing is changed.
    Says(&'static str),
    /// The connection ends without an answer, and nothing is changed.
    Silent,
    /// The same, but it is changed.
    TakesSilently,
    /// It is changed, and no answer comes before [`Provider::answer`].
    TakesAndHangs,
    /// Nothing is changed, and no answer comes.
    Hangs,
    /// It is changed, and who stands before it is out of order for twenty minutes: 503 with `Retry-After`.
    TakesBehind503,
    /// Nothing is changed: 429, and two hours are to pass.
    TooMany,
}

/// A call that came, and what it was answered with.
#[derive(Debug, Clone)]
pub struct Call {
    pub at: DateTime<Utc>,
    pub addresses: Vec<IpAddr>,
    /// The first word of the answer, or its code; none: there was none.
    pub answer: String,
}

struct State {
    dialect: Dialect,
    bind: Arc<Bind>,
    clock: Clock,
    acts: Mutex<Acts>,
    held: Mutex<HashMap<(String, bool), IpAddr>>,
    accepted: Mutex<HashMap<String, DateTime<Utc>>>,
    calls: watch::Sender<Vec<Call>>,
    answers: watch::Sender<bool>,
}

pub struct Provider {
    url: String,
    state: Arc<State>,
    _serving: JoinSet<()>,
}

impl Provider {
    pub async fn start(dialect: Dialect, bind: &Arc<Bind>, clock: &Clock) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}/update", listener.local_addr().unwrap());
        let state = Arc::new(State {
            dialect,
            bind: Arc::clone(bind),
            clock: clock.clone(),
            acts: Mutex::new(Acts::Right),
            held: Mutex::default(),
            accepted: Mutex::default(),
            calls: watch::Sender::new(Vec::new()),
            answers: watch::Sender::new(false),
        });
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

    pub fn settings(&self) -> Value {
        match self.state.dialect {
            Dialect::Dyndns2 => json!({"provider": "dyndns2", "url": self.url, "user": "u"}),
            Dialect::KeySystems => json!({"provider": "key-systems", "url": self.url}),
        }
    }

    pub fn acts(&self, acts: Acts) {
        *self.state.acts.lock().unwrap() = acts;
    }

    /// Answers calls that hang, from now on.
    pub fn answer(&self) {
        self.state.answers.send_replace(true);
    }

    pub fn calls(&self) -> Vec<Call> {
        self.state.calls.borrow().clone()
    }

    pub async fn until_called(&self, times: usize) {
        let mut calls = self.state.calls.subscribe();
        let called = calls.wait_for(|calls| calls.len() >= times);
        tokio::time::timeout(Duration::from_mins(1), called).await.expect("it is called").unwrap();
    }
}

async fn serve(mut stream: TcpStream, state: Arc<State>) {
    let Some(url) = read(&mut stream).await else { return };
    let acts = *state.acts.lock().unwrap();
    let at = state.clock.now();
    let (host, addresses) = asked(&url);
    let (answer, body) = match acts {
        Acts::Says(body) => (first_word(body), Some(body.to_owned())),
        Acts::Silent | Acts::Hangs => ("none".to_owned(), None),
        Acts::Right => {
            let body = state.take(&host, &addresses, at).await;
            (first_word(&body), Some(body))
        }
        Acts::TakesSilently | Acts::TakesAndHangs => {
            let body = state.take(&host, &addresses, at).await;
            ("none".to_owned(), (acts == Acts::TakesAndHangs).then_some(body))
        }
        Acts::TakesBehind503 => {
            state.take(&host, &addresses, at).await;
            ("503".to_owned(), Some(String::new()))
        }
        Acts::TooMany => ("429".to_owned(), Some(String::new())),
    };
    state.calls.send_modify(|calls| calls.push(Call { at, addresses, answer }));
    match acts {
        Acts::Hangs => std::future::pending::<()>().await,
        Acts::TakesAndHangs => {
            let _ = state.answers.subscribe().wait_for(|answers| *answers).await;
        }
        _ => {}
    }
    if let Some(body) = body {
        let length = body.len();
        let status = match acts {
            Acts::TakesBehind503 => "503 Service Unavailable\r\nretry-after: 1200",
            Acts::TooMany => "429 Too Many Requests\r\nretry-after: 7200",
            _ => "200 OK",
        };
        let head = format!("HTTP/1.1 {status}\r\ncontent-length: {length}\r\nconnection: close\r\n\r\n");
        // The other side may have hung up.
        let _ = stream.write_all(format!("{head}{body}").as_bytes()).await;
    }
}

impl State {
    /// Changes what is held, and says so in the provider's words.
    async fn take(&self, host: &str, addresses: &[IpAddr], at: DateTime<Utc>) -> String {
        let mut script = String::new();
        let mut lines = String::new();
        {
            let mut held = self.held.lock().unwrap();
            let mut accepted = self.accepted.lock().unwrap();
            if self.dialect == Dialect::KeySystems {
                let early =
                    accepted.get(host).is_some_and(|last| at - *last < chrono::TimeDelta::minutes(30));
                if early {
                    return envelope(549, "please wait 30 minutes between two updates");
                }
                accepted.insert(host.to_owned(), at);
            }
            for address in addresses {
                let kind = if address.is_ipv4() { "A" } else { "AAAA" };
                let before = held.insert((host.to_owned(), address.is_ipv4()), *address);
                let word = if before == Some(*address) { "nochg" } else { "good" };
                let _ = writeln!(lines, "{word} {address}");
                let _ =
                    writeln!(script, "update delete {host}. {kind}\nupdate add {host}. 60 {kind} {address}");
            }
        }
        self.bind.nsupdate(&script).await;
        match self.dialect {
            Dialect::Dyndns2 => lines,
            Dialect::KeySystems => envelope(200, "Command completed successfully"),
        }
    }
}

fn envelope(code: u16, description: &str) -> String {
    format!("[RESPONSE]\ncode = {code}\ndescription = {description}\nqueuetime = 0\nruntime = 0.099\nEOF\n")
}

/// The word of dyndns2, or the code of an envelope.
fn first_word(body: &str) -> String {
    let code = body.lines().find_map(|line| line.strip_prefix("code = "));
    code.or_else(|| body.split_whitespace().next()).unwrap_or_default().to_owned()
}

fn asked(url: &Url) -> (String, Vec<IpAddr>) {
    let parameter =
        |name: &str| url.query_pairs().find(|(found, _)| found == name).map(|(_, v)| v.into_owned());
    // As No-IP has it: without `myip` that of the caller is meant. <https://www.noip.com/integrate/request>
    let mut addresses =
        parameter("myip").or_else(|| parameter("ip")).unwrap_or_else(|| "127.0.0.1".to_owned());
    if let Some(ipv6) = parameter("myipv6") {
        addresses = format!("{addresses},{ipv6}");
    }
    let addresses = addresses.split(',').map(|address| address.parse().unwrap()).collect();
    (parameter("hostname").unwrap(), addresses)
}

async fn read(stream: &mut TcpStream) -> Option<Url> {
    let (mut bytes, mut buffer) = (Vec::new(), [0; 4096]);
    loop {
        let n = stream.read(&mut buffer).await.ok().filter(|n| *n > 0)?;
        bytes.extend_from_slice(&buffer[..n]);
        let text = String::from_utf8_lossy(&bytes);
        if let Some((head, _)) = text.split_once("\r\n\r\n") {
            let path = head.lines().next()?.split(' ').nth(1)?;
            return Url::parse("http://provider.test").unwrap().join(path).ok();
        }
    }
}

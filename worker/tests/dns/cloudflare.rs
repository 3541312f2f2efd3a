//! A fake of Cloudflare with one A record, which it may stand before
//! (<https://developers.cloudflare.com/api/resources/dns/subresources/records/>).

use std::{
    sync::{Arc, Mutex},
    time::Duration,
};

use serde_json::{Value, json};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
    sync::watch,
    task::JoinSet,
};

const ZONE: &str = "0123456789abcdef0123456789abcdef";

/// How calls are taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Acts {
    /// As it should be.
    Right,
    /// Writes are taken, and not answered.
    TakesAndHangs,
    /// Nothing is changed, and no answer comes.
    Hangs,
}

struct State {
    host: &'static str,
    /// It answers for the name with addresses of its own.
    proxied: bool,
    /// What the A record holds.
    content: Mutex<String>,
    acts: Mutex<Acts>,
    writes: watch::Sender<usize>,
}

pub struct Cloudflare {
    url: String,
    state: Arc<State>,
    _serving: JoinSet<()>,
}

impl Cloudflare {
    pub async fn start(host: &'static str, proxied: bool) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}/client/v4", listener.local_addr().unwrap());
        let state = Arc::new(State {
            host,
            proxied,
            content: Mutex::new("192.0.2.1".to_owned()),
            acts: Mutex::new(Acts::Right),
            writes: watch::Sender::new(0),
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
        json!({"provider": "cloudflare", "url": self.url, "zone_id": ZONE})
    }

    pub fn acts(&self, acts: Acts) {
        *self.state.acts.lock().unwrap() = acts;
    }

    /// What the A record holds.
    pub fn content(&self) -> String {
        self.state.content.lock().unwrap().clone()
    }

    /// How often it was written.
    pub fn writes(&self) -> usize {
        *self.state.writes.borrow()
    }

    pub async fn until_written(&self, times: usize) {
        let mut writes = self.state.writes.subscribe();
        let written = writes.wait_for(|writes| *writes >= times);
        tokio::time::timeout(Duration::from_mins(1), written).await.expect("it is written").unwrap();
    }
}

impl State {
    fn record(&self) -> Value {
        let content = self.content.lock().unwrap().clone();
        json!({"id": "r1", "type": "A", "name": self.host, "content": content, "ttl": 1, "proxied": self.proxied})
    }
}

async fn serve(mut stream: TcpStream, state: Arc<State>) {
    let Some((method, body)) = read(&mut stream).await else { return };
    let acts = *state.acts.lock().unwrap();
    if acts == Acts::Hangs {
        std::future::pending::<()>().await;
    }
    let result = if method == "PATCH" {
        let body: Value = serde_json::from_str(&body).unwrap();
        body["content"].as_str().unwrap().clone_into(&mut state.content.lock().unwrap());
        state.writes.send_modify(|writes| *writes += 1);
        if acts == Acts::TakesAndHangs {
            std::future::pending::<()>().await;
        }
        state.record()
    } else {
        json!([state.record()])
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

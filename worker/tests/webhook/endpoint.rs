//! An HTTP server that answers as it is told, and remembers what it was asked.

use std::{
    collections::{HashMap, VecDeque},
    net::SocketAddr,
    sync::{Arc, Mutex},
};

use futures_util::future::BoxFuture;
use serde_json::Value;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
    task::JoinSet,
};

/// What comes after a request was read and before it is answered.
pub type Hook = Arc<dyn Fn() -> BoxFuture<'static, ()> + Send + Sync>;

/// How a request is answered.
#[derive(Clone)]
pub enum Answer {
    /// With these bytes, and the end of the connection.
    Raw(String),
    /// With a head, and a body that does not end.
    Endless(&'static str),
    /// Not at all.
    Never,
    /// As it is taken, after this.
    After(Hook),
}

impl Answer {
    pub fn status(line: &str) -> Self {
        Self::Raw(format!("HTTP/1.1 {line}\r\ncontent-length: 0\r\nconnection: close\r\n\r\n"))
    }
}

/// What a request is answered with that nothing else was ordered for.
pub type Otherwise = Arc<dyn Fn(&Request) -> String + Send + Sync>;

#[derive(Debug, Clone)]
pub struct Request {
    pub method: String,
    pub path: String,
    pub headers: HashMap<String, String>,
    pub body: String,
}

impl Request {
    pub fn id(&self) -> &str {
        &self.headers["webhook-id"]
    }

    pub fn json(&self) -> Value {
        serde_json::from_str(&self.body).unwrap()
    }

    pub fn keys(&self) -> Vec<String> {
        let json = self.json();
        let changes = json["data"]["changes"].as_array().unwrap();
        changes.iter().map(|change| change["key"].as_str().unwrap().to_owned()).collect()
    }
}

#[derive(Default)]
struct State {
    answers: VecDeque<Answer>,
    requests: Vec<Request>,
}

pub struct Endpoint {
    pub address: SocketAddr,
    state: Arc<Mutex<State>>,
    /// Ends with it.
    _serving: JoinSet<()>,
}

impl Endpoint {
    pub async fn start() -> Self {
        let ok = "HTTP/1.1 200 OK\r\ncontent-length: 2\r\nconnection: close\r\n\r\nok";
        Self::with(Arc::new(|_| ok.to_owned())).await
    }

    pub async fn with(otherwise: Otherwise) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let state = Arc::<Mutex<State>>::default();
        let of = Arc::clone(&state);
        let mut serving = JoinSet::new();
        serving.spawn(async move {
            let mut connections = JoinSet::new();
            while let Ok((stream, _)) = listener.accept().await {
                connections.spawn(serve(stream, Arc::clone(&of), Arc::clone(&otherwise)));
            }
        });
        Self { address, state, _serving: serving }
    }

    /// What the next requests are answered with; those after them are taken.
    pub fn answer(&self, answers: impl IntoIterator<Item = Answer>) {
        self.state.lock().unwrap().answers.extend(answers);
    }

    pub fn requests(&self) -> Vec<Request> {
        self.state.lock().unwrap().requests.clone()
    }
}

async fn serve(mut stream: TcpStream, state: Arc<Mutex<State>>, otherwise: Otherwise) {
    let Some(request) = read(&mut stream).await else { return };
    let taken = request.clone();
    let answer = {
        let mut state = state.lock().unwrap();
        state.requests.push(request);
        state.answers.pop_front()
    };
    // The other side may have hung up.
    let _ = match answer {
        None => stream.write_all(otherwise(&taken).as_bytes()).await,
        Some(Answer::Raw(bytes)) => stream.write_all(bytes.as_bytes()).await,
        Some(Answer::Endless(head)) => {
            let mut written = stream.write_all(head.as_bytes()).await;
            let endless = vec![b'x'; 64 * 1024];
            while written.is_ok() {
                written = stream.write_all(&endless).await;
            }
            written
        }
        Some(Answer::Never) => std::future::pending().await,
        Some(Answer::After(hook)) => {
            hook().await;
            stream.write_all(otherwise(&taken).as_bytes()).await
        }
    };
}

async fn read(stream: &mut TcpStream) -> Option<Request> {
    let (mut bytes, mut buffer) = (Vec::new(), [0; 8192]);
    loop {
        let n = stream.read(&mut buffer).await.ok().filter(|n| *n > 0)?;
        bytes.extend_from_slice(&buffer[..n]);
        let text = String::from_utf8_lossy(&bytes).into_owned();
        let Some((head, body)) = text.split_once("\r\n\r\n") else { continue };
        let mut lines = head.lines();
        let mut first = lines.next()?.split(' ').map(str::to_owned);
        let (method, path) = (first.next()?, first.next()?);
        let headers: HashMap<String, String> = lines
            .filter_map(|line| line.split_once(": "))
            .map(|(name, value)| (name.to_lowercase(), value.to_owned()))
            .collect();
        if body.len() >= headers.get("content-length")?.parse().ok()? {
            return Some(Request { method, path, headers, body: body.to_owned() });
        }
    }
}

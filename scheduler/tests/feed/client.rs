//! A reader of server-sent events. HTTP/1.0, so that the body is the stream itself.

use std::{
    collections::HashMap,
    fmt::Write as _,
    net::SocketAddr,
    time::{Duration, Instant},
};

use serde_json::Value;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
};

const LIMIT: Duration = Duration::from_mins(1);

pub struct Client {
    stream: TcpStream,
    bytes: Vec<u8>,
    pub status: u16,
    pub headers: HashMap<String, String>,
    /// The id of the last event, as browsers keep it.
    pub last: Option<String>,
}

/// An event with data.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Event {
    pub id: String,
    pub name: String,
    pub data: Value,
}

impl Event {
    pub fn key(&self) -> &str {
        self.data["key"].as_str().unwrap()
    }
}

impl Client {
    pub async fn open(address: SocketAddr, query: &str, headers: &[(&str, &str)]) -> Self {
        let mut stream = TcpStream::connect(address).await.unwrap();
        let mut request = format!("GET /feed{query} HTTP/1.0\r\nhost: feed\r\n");
        for (name, value) in headers {
            write!(request, "{name}: {value}\r\n").unwrap();
        }
        stream.write_all(format!("{request}\r\n").as_bytes()).await.unwrap();
        let mut client = Self { stream, bytes: Vec::new(), status: 0, headers: HashMap::new(), last: None };
        let head = client.part("\r\n\r\n").await.unwrap();
        client.status = head.split(' ').nth(1).unwrap().parse().unwrap();
        let lines = head.lines().skip(1).filter_map(|line| line.split_once(": "));
        client.headers = lines.map(|(name, value)| (name.to_lowercase(), value.to_owned())).collect();
        client
    }

    pub async fn with(address: SocketAddr, query: &str, token: &str) -> Self {
        Self::open(address, query, &[("authorization", &format!("Bearer {token}"))]).await
    }

    /// What comes before the mark; none: the stream has ended.
    async fn part(&mut self, mark: &str) -> Option<String> {
        let began = Instant::now();
        loop {
            if let Some(at) = self.bytes.windows(mark.len()).position(|part| part == mark.as_bytes()) {
                let rest = self.bytes.split_off(at + mark.len());
                let part = std::mem::replace(&mut self.bytes, rest);
                return Some(String::from_utf8(part[..at].to_vec()).unwrap());
            }
            let left = LIMIT.checked_sub(began.elapsed()).expect("nothing comes");
            let read = tokio::time::timeout(left, self.stream.read_buf(&mut self.bytes))
                .await
                .expect("nothing comes");
            if read.unwrap_or(0) == 0 {
                return None;
            }
        }
    }

    /// The next event that has data; none: the stream has ended.
    pub async fn event(&mut self) -> Option<Event> {
        loop {
            let block = self.part("\n\n").await?;
            let field = |name: &str| {
                let found = block.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(": "));
                found.map(str::to_owned)
            };
            if let Some(id) = field("id") {
                self.last = Some(id);
            }
            if let Some(data) = field("data") {
                let id = self.last.clone().unwrap_or_default();
                let data = serde_json::from_str(&data).unwrap();
                return Some(Event { id, name: field("event").unwrap_or_default(), data });
            }
            if self.last.is_some() && field("retry").is_some() {
                // The greeting.
                return Some(Event { id: String::new(), name: "greeting".to_owned(), data: Value::Null });
            }
        }
    }

    /// The greeting, with the position to go on from.
    pub async fn greeted(mut self) -> Self {
        let status = self.status;
        assert_eq!(status, 200, "{}", self.body().await);
        assert_eq!(self.event().await.unwrap().name, "greeting");
        self
    }

    /// The next so many changes.
    pub async fn changes(&mut self, count: usize) -> Vec<Event> {
        let mut events = Vec::new();
        while events.len() < count {
            let event = self.event().await.expect("the stream has ended");
            assert_eq!(event.name, "change", "{event:?}");
            events.push(event);
        }
        events
    }

    /// The rest, of an answer that ends; nothing of one that does not.
    pub async fn body(&mut self) -> String {
        if self.status != 200 {
            while self.stream.read_buf(&mut self.bytes).await.unwrap_or(0) > 0 {}
        }
        String::from_utf8_lossy(&self.bytes).into_owned()
    }
}
